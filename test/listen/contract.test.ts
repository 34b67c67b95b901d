import { describe, expect, onTestFinished, test } from "vitest";
import type { Client } from "../../src/lib/client.ts";
import { systemClock } from "../../src/lib/clock.ts";
import type { Handler, HandlerReply } from "../../src/listen/types.ts";
import { ASKERS, type Asker, type AskerKind } from "./support/askers.ts";
import { handlerOf, idOf, messageOf, openSite } from "./support/site.ts";

async function siteWithAsker(
  kind: AskerKind,
  handler?: Handler,
): Promise<{ asker: Asker; site: Awaited<ReturnType<typeof openSite>> }> {
  const site = await openSite(handler === undefined ? {} : { handler });
  const asker = await kind.open(site);
  onTestFinished(() => asker.close());
  return { asker, site };
}

describe.each(ASKERS)("$title", (kind) => {
  test("the client gets the handler's reply byte for byte", async () => {
    const seen: Uint8Array[] = [];
    const wire = messageOf(77, 1200);
    const { asker } = await siteWithAsker(
      kind,
      handlerOf((message) => {
        seen.push(message);
        return { wire, maxAgeSeconds: null };
      }),
    );
    expect(await asker.ask(messageOf(77, 35))).toEqual(wire);
    expect(seen.map((message) => new Uint8Array(message))).toEqual([messageOf(77, 35)]);
  });

  test("each of 100 concurrent questions gets its own answer", async () => {
    const { asker } = await siteWithAsker(
      kind,
      handlerOf(async (wire) => ({ wire, maxAgeSeconds: null })),
    );
    const messages = Array.from({ length: 100 }, (_, id) => messageOf(id, 20 + id));
    expect(await Promise.all(messages.map((message) => asker.ask(message)))).toEqual(messages);
  });

  test("the handler gets the client's address and transport, and null for the rest", async () => {
    const clients: Client[] = [];
    const { asker } = await siteWithAsker(
      kind,
      handlerOf((wire, client) => {
        clients.push(client);
        return { wire, maxAgeSeconds: null };
      }),
    );
    await asker.ask(messageOf(1));
    const { transport, http, method } = kind;
    expect(clients).toEqual([{ transport, http, method, address: "127.0.0.1", port: expect.any(Number), clientId: null }]);
  });

  test("the handler is told when a question came, not when its turn came", async () => {
    let nowMs = 0;
    const waits: number[] = [];
    const handler = handlerOf((wire, _client, arrivedMs = Number.NaN) => {
      waits.push(nowMs - arrivedMs);
      // Each answer takes a second of the listeners' clock.
      nowMs += 1000;
      return { wire, maxAgeSeconds: null };
    });
    const site = await openSite({ handler, clock: { ...systemClock, now: () => nowMs } });
    const asker = await kind.open(site);
    onTestFinished(() => asker.close());
    for (let id = 0; id < 3; id++) await asker.ask(messageOf(id));
    expect(waits).toEqual([0, 0, 0]);
  });

  test("a slow answer does not delay a fast one", async () => {
    const slow = Promise.withResolvers<HandlerReply>();
    const { asker } = await siteWithAsker(
      kind,
      handlerOf((wire) => (idOf(wire) === 1 ? slow.promise : { wire, maxAgeSeconds: null })),
    );
    const first = asker.ask(messageOf(1));
    expect(await asker.ask(messageOf(2))).toEqual(messageOf(2));
    slow.resolve({ wire: messageOf(1), maxAgeSeconds: null });
    expect(await first).toEqual(messageOf(1));
  });

  test("a pending answer is sent during close", async () => {
    const begun = Promise.withResolvers<void>();
    const slow = Promise.withResolvers<HandlerReply>();
    const { asker, site } = await siteWithAsker(
      kind,
      handlerOf(() => {
        begun.resolve();
        return slow.promise;
      }),
    );
    const answer = asker.ask(messageOf(1));
    await begun.promise;
    const closed = site.close();
    slow.resolve({ wire: messageOf(1), maxAgeSeconds: null });
    expect(await answer).toEqual(messageOf(1));
    await closed;
    expect(site.counters).toMatchObject({ connections: 0, udpInFlight: 0 });
  });

  test("close does not wait for idle connections, and may be called twice", async () => {
    const { asker, site } = await siteWithAsker(kind);
    await asker.ask(messageOf(1));
    await Promise.all([site.close(), site.close()]);
    expect(site.counters.connections).toBe(0);
  });

  test("close waits at most its grace time for an answer that never comes", async () => {
    const begun = Promise.withResolvers<void>();
    const { asker, site } = await siteWithAsker(
      kind,
      handlerOf(() => {
        begun.resolve();
        return new Promise(() => {});
      }),
    );
    asker.ask(messageOf(1)).catch(() => {});
    await begun.promise;
    await site.close(1);
    expect(site.counters.connections).toBe(0);
  });

  test("a message that the handler ignores gets no reply, and the next message gets its own", async () => {
    const { asker } = await siteWithAsker(
      kind,
      handlerOf((wire) => (idOf(wire) === 1 ? null : { wire, maxAgeSeconds: null })),
    );
    const replies: Uint8Array[] = [];
    const first = asker.ask(messageOf(1)).then((reply) => replies.push(reply));
    if (kind.silence === "status 400") await expect(first).rejects.toThrow("status 400");
    expect(await asker.ask(messageOf(2))).toEqual(messageOf(2));
    expect(replies).toEqual([]);
  });
});

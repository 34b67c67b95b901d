import { describe, expect, test } from "vitest";
import { frame } from "../../src/dns/wire.ts";
import type { HandlerReply } from "../../src/listen/types.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { connectRaw, connectRawTls, expectCloseAfter, type RawConnection } from "./support/raw.ts";
import { handlerOf, idOf, messageOf, openSite, portOf, type SiteOptions, slowHandler } from "./support/site.ts";

async function connected(options: SiteOptions = {}) {
  const clock = fakeClock();
  const site = await openSite({ clock, ...options });
  return { clock, site, connection: await connectRaw(portOf(site, "dns")) };
}

const takeMessage = async (connection: RawConnection): Promise<Uint8Array> =>
  new Uint8Array(await connection.take((await connection.take(2)).readUInt16BE()));

describe("a TCP connection", () => {
  test("takes questions cut anywhere, and several in one segment", async () => {
    const { connection } = await connected();
    const stream = Buffer.concat([1, 2, 3].map((id) => frame(messageOf(id))));
    for (const byte of stream.subarray(0, 50)) connection.write(Uint8Array.of(byte));
    connection.write(stream.subarray(50));
    expect([await takeMessage(connection), await takeMessage(connection), await takeMessage(connection)]).toEqual(
      [1, 2, 3].map((id) => messageOf(id)),
    );
  });

  test("carries the largest message both ways", async () => {
    const { connection } = await connected();
    connection.write(frame(messageOf(5, 65_535)));
    expect(Buffer.from(await takeMessage(connection)).equals(messageOf(5, 65_535))).toBe(true);
  });

  test("sends its answers to a client that has ended its side", async () => {
    const slow = Promise.withResolvers<HandlerReply>();
    const { connection } = await connected({
      handler: handlerOf((wire) => (idOf(wire) === 1 ? slow.promise : { wire, maxAgeSeconds: null })),
    });
    connection.socket.end(Buffer.concat([frame(messageOf(1)), frame(messageOf(2)), Uint8Array.of(0)]));
    expect(await takeMessage(connection)).toEqual(messageOf(2));
    slow.resolve({ wire: messageOf(1), maxAgeSeconds: null });
    expect(await connection.takeRest()).toEqual(Buffer.from(frame(messageOf(1))));
  });

  test("is closed after a length that no DNS message has", async () => {
    for (const length of [0, 11]) {
      const { connection } = await connected();
      connection.write(Uint8Array.of(0, length));
      expect(await connection.takeRest()).toEqual(Buffer.alloc(0));
    }
  });

  test("has the questions before such a length answered", async () => {
    const { connection } = await connected();
    connection.write(Buffer.concat([frame(messageOf(1)), Uint8Array.of(0, 0)]));
    expect(await connection.takeRest()).toEqual(Buffer.from(frame(messageOf(1))));
  });

  test("is closed 10 s after its last answer", async () => {
    const { clock, connection } = await connected();
    await clock.advance(9000);
    await takeMessage(connection.write(frame(messageOf(1))));
    await expectCloseAfter(10_000, connection, clock);
  });

  test("is kept while an answer is pending", async () => {
    const { handler, begun, reply } = slowHandler();
    const { clock, connection } = await connected({ handler });
    connection.write(frame(messageOf(1)));
    await begun;
    await clock.advance(60_000);
    reply({ wire: messageOf(1), maxAgeSeconds: null });
    expect(await takeMessage(connection)).toEqual(messageOf(1));
  });

  test.each([
    ["half a length", Uint8Array.of(0)],
    ["half a message", frame(messageOf(2)).subarray(0, 20)],
  ])("is cut 10 s after %s that is never completed", async (_title, half) => {
    const { clock, connection } = await connected();
    await takeMessage(connection.write(Buffer.concat([frame(messageOf(1)), half])));
    await expectCloseAfter(10_000, connection, clock);
  });

  test("is cut when a message arrives too slowly, although answers are sent meanwhile", async () => {
    const { handler, begun } = slowHandler();
    const { clock, connection } = await connected({ handler });
    connection.write(Buffer.concat([frame(messageOf(1)), Uint8Array.of(1)]));
    await begun;
    while (!connection.isOver) {
      connection.write(Uint8Array.of(0));
      await clock.advance(1000);
    }
    expect(clock.now()).toBeGreaterThanOrEqual(10_000);
  });

  test("answers a question that needs no waiting although 2,000 questions before it are pending", async () => {
    let pending = 0;
    const { connection } = await connected({
      handler: handlerOf((wire) => {
        if (idOf(wire) === 9999) return { wire, maxAgeSeconds: null };
        pending++;
        return new Promise(() => {});
      }),
    });
    connection.write(Buffer.concat(Array.from({ length: 2000 }, (_, id) => frame(messageOf(id)))));
    connection.write(frame(messageOf(9999)));
    expect(await takeMessage(connection)).toEqual(messageOf(9999));
    expect(pending).toBe(2000);
  });

  test("is cut when its client reads nothing of a large backlog", async () => {
    const allAsked = Promise.withResolvers<void>();
    const { site, connection } = await connected({
      handler: handlerOf(async (wire) => {
        if (idOf(wire) === 499) allAsked.resolve();
        await allAsked.promise;
        return { wire: messageOf(idOf(wire), 65_535), maxAgeSeconds: null };
      }),
    });
    connection.socket.pause();
    for (let id = 0; id < 500; id++) connection.write(frame(messageOf(id)));
    await expect.poll(() => site.counters.connections).toBe(0);
  });

  test("is cut when its client leaves an answer unread", async () => {
    const { clock, site, connection } = await connected({
      handler: handlerOf((wire) => ({ wire: messageOf(idOf(wire), 65_535), maxAgeSeconds: null })),
    });
    connection.socket.pause();
    for (let id = 0; id < 500; id++) connection.write(frame(messageOf(id)));
    while (site.counters.connections > 0) await clock.advance(1000);
    expect(clock.now()).toBeGreaterThanOrEqual(10_000);
  });

  test("that is reset does not disturb others", async () => {
    const { handler, begun, reply } = slowHandler((wire) => idOf(wire) === 1);
    const { site, connection } = await connected({ handler });
    connection.write(frame(messageOf(1)));
    await begun;
    connection.socket.resetAndDestroy();
    await expect.poll(() => site.counters.connections).toBe(0);
    reply({ wire: messageOf(1), maxAgeSeconds: null });
    const other = await connectRaw(portOf(site, "dns"));
    expect(await takeMessage(other.write(frame(messageOf(2))))).toEqual(messageOf(2));
  });
});

describe("at the stop of the server", () => {
  test("a client that goes on sending gets its pending answers", async () => {
    const { handler, begun, reply } = slowHandler();
    const { site, connection } = await connected({ handler });
    connection.write(frame(messageOf(1)));
    await begun;
    connection.socket.pause();
    const closed = site.close();
    reply({ wire: messageOf(1), maxAgeSeconds: null });
    await new Promise((resolve) => setImmediate(resolve));
    for (let id = 2; id < 50; id++) {
      connection.write(frame(messageOf(id)));
      await new Promise((resolve) => setImmediate(resolve));
    }
    connection.socket.resume();
    expect(await takeMessage(connection)).toEqual(messageOf(1));
    connection.socket.end();
    await closed;
    expect(connection.socket.errored).toBeNull();
  });

  test("a question that comes while another is pending is answered", async () => {
    const { handler, begun, reply } = slowHandler((wire) => idOf(wire) === 1);
    const { site, connection } = await connected({ handler });
    connection.write(frame(messageOf(1)));
    await begun;
    const closed = site.close();
    expect(await takeMessage(connection.write(frame(messageOf(2))))).toEqual(messageOf(2));
    reply({ wire: messageOf(1), maxAgeSeconds: null });
    expect(await takeMessage(connection)).toEqual(messageOf(1));
    connection.socket.end();
    await closed;
  });
});

describe("connections", () => {
  test("above the limit are closed at once and counted while none is idle, and there is room again after one closes", async () => {
    const answers: (() => void)[] = [];
    const { site, connection } = await connected({
      limits: { connections: 2 },
      handler: handlerOf((wire) => new Promise((resolve) => answers.push(() => resolve({ wire, maxAgeSeconds: null })))),
    });
    const second = await connectRaw(portOf(site, "dns"));
    for (const each of [connection, second]) each.write(frame(messageOf(1)));
    await expect.poll(() => answers.length).toBe(2);
    const third = await connectRaw(portOf(site, "http"));
    await third.ended;
    expect(site.counters).toMatchObject({ connections: 2, connectionsRefused: 1, connectionsEvicted: 0 });
    second.socket.resetAndDestroy();
    await expect.poll(() => site.counters.connections).toBe(1);
    const fourth = (await connectRaw(portOf(site, "dns"))).write(frame(messageOf(4)));
    await expect.poll(() => answers.length).toBe(3);
    for (const answer of answers) answer();
    await takeMessage(fourth);
    await takeMessage(connection);
  });

  test("above the limit take the place of the one that is idle for longest", async () => {
    const { clock, site, connection } = await connected({ limits: { connections: 2 } });
    const second = await connectRaw(portOf(site, "dns"));
    await takeMessage(second.write(frame(messageOf(2))));
    await clock.advance(1000);
    await takeMessage(connection.write(frame(messageOf(1))));
    const third = await connectRaw(portOf(site, "dns"));
    await takeMessage(third.write(frame(messageOf(3))));
    await second.ended;
    await takeMessage(connection.write(frame(messageOf(4))));
    expect(site.counters).toMatchObject({ connections: 2, connectionsRefused: 0, connectionsEvicted: 1 });
  });

  test("of a client with many idle ones give way before those of a client with few", async () => {
    const { site, connection } = await connected({ limits: { connections: 8 } });
    await takeMessage(connection.write(frame(messageOf(1))));
    const crowd: RawConnection[] = [];
    for (let index = 0; index < 12; index++) crowd.push(await connectRaw(portOf(site, "dns"), { localAddress: "127.0.0.2" }));
    await expect.poll(() => site.counters.connectionsEvicted).toBe(5);
    await takeMessage(connection.write(frame(messageOf(2))));
  });

  test("of an address that may not ask are closed at once, and those of a trusted proxy are not", async () => {
    const handler = { ...handlerOf((wire) => ({ wire, maxAgeSeconds: null })), mayConnect: () => false };
    const site = await openSite({ handler, trustedProxies: ["127.0.0.1"] });
    for (const kind of ["dns", "tls", "http", "https"] as const)
      await (await connectRaw(portOf(site, kind), { localAddress: "127.0.0.2" })).ended;
    expect(site.counters).toMatchObject({ connections: 0, connectionsRefused: 4 });
    const proxy = await connectRaw(portOf(site, "dns"));
    await takeMessage(proxy.write(frame(messageOf(1))));
  });
});

describe("a DoT connection", () => {
  test("is kept for 30 s", async () => {
    const clock = fakeClock();
    const site = await openSite({ clock });
    const connection = await connectRawTls(portOf(site, "tls"));
    await takeMessage(connection.write(frame(messageOf(1))));
    while (!connection.isOver) await clock.advance(1000);
    expect(clock.now()).toBeGreaterThanOrEqual(30_000);
  });

  test("sends its answers to a client that has ended its side", async () => {
    const { handler, begun, reply } = slowHandler();
    const site = await openSite({ handler });
    const connection = await connectRawTls(portOf(site, "tls"));
    connection.socket.end(frame(messageOf(1)));
    await begun;
    reply({ wire: messageOf(1), maxAgeSeconds: null });
    expect(await connection.takeRest()).toEqual(Buffer.from(frame(messageOf(1))));
  });
});

import { getEventListeners } from "node:events";
import { describe, expect, test } from "vitest";
import { RCODE, TYPE } from "../../../src/dns/types.ts";
import { fakeClock } from "../../support/fake-clock.ts";
import { hasIpv6 } from "../../support/ipv6.ts";
import { addresses, addressMessage, close, cutShort, questionFor, rcode, silence, wrongId, wrongQuestion } from "../messages.ts";
import type { Action, Asked } from "../scripted-server.ts";
import { addressTexts, countingClock, errand, site, streamWays, until, type Way, ways } from "./set-up.ts";

const question = questionFor("www.example");

/** Whether what does not fit is passed over until the right answer comes, rather than being a failure of the server. */
const waitsOn = ({ protocol, proxy }: Way): boolean => protocol === "udp" && proxy === null;
const isHttps = ({ protocol }: Way): boolean => protocol === "https";

describe.each(ways)("a server asked by $title", (way) => {
  const transport = way.protocol === "udp" && way.proxy !== null ? "tcp" : way.protocol;

  test("returns the answer and records one attempt", async () => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"));
    const trip = errand();
    const answer = await upstream.exchange(question, trip);
    expect(addressTexts(answer)).toEqual(["192.0.2.1"]);
    expect(answer.wire).not.toBeInstanceOf(Buffer);
    expect(trip.attempts).toMatchObject([{ group: null, server: upstream.label, transport, rcode: 0, failure: null }]);
    expect(server.asked).toMatchObject([{ name: "www.example", type: TYPE.A, transport }]);
  });

  test.each([RCODE.SERVFAIL, RCODE.NXDOMAIN, RCODE.REFUSED])("returns an answer with rcode %i like any other", async (code) => {
    const { upstream } = await site(way, (asked) => rcode(asked, code));
    const trip = errand();
    expect((await upstream.exchange(question, trip)).rcode).toBe(code);
    expect(trip.attempts).toMatchObject([{ rcode: code, failure: null }]);
  });

  test("gives each of 200 concurrent questions its own answer, in any order", async () => {
    const batch: (() => void)[] = [];
    const { upstream } = await site(way, async (asked) => {
      await new Promise<void>((resolve) => {
        batch.push(resolve);
        if (batch.length === 8) for (const release of batch.splice(0).reverse()) release();
      });
      return addresses(asked, `192.0.2.${Number(asked.name.split(".")[0])}`);
    });
    const numbers = Array.from({ length: 200 }, (_, index) => index + 1);
    const answers = await Promise.all(numbers.map((number) => upstream.exchange(questionFor(`${number}.example`), errand())));
    expect(answers.map(addressTexts)).toEqual(numbers.map((number) => [`192.0.2.${number}`]));
  });

  test("ignores a message with another id and accepts the one that matches", async () => {
    const { upstream } = await site(way, (asked) =>
      isHttps(way) ? wrongId(asked, "192.0.2.1") : both(wrongId(asked, "203.0.113.1"), addresses(asked, "192.0.2.1")),
    );
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test.each<[string, (asked: Asked) => Action]>([
    ["to another question", (asked) => wrongQuestion(asked, "203.0.113.1")],
    ["that is cut short", (asked) => cutShort(asked, "203.0.113.1")],
    ["that is no response", ({ message }) => ({ kind: "raw", message })],
  ])("does not believe a message %s", async (_, fault) => {
    const { upstream } = await site(way, (asked) => both(fault(asked), addresses(asked, "192.0.2.1")));
    const trip = errand();
    const exchange = upstream.exchange(question, trip);
    if (waitsOn(way)) expect(addressTexts(await exchange)).toEqual(["192.0.2.1"]);
    else await expect(exchange).rejects.toMatchObject({ failure: "malformed" });
    expect(trip.attempts).toHaveLength(1);
  });

  test("lets a caller abort at once, and removes its listener from the signal", async () => {
    const { upstream, server } = await site(way, () => silence);
    const giveUp = new AbortController();
    const trip = errand(giveUp.signal);
    const exchange = upstream.exchange(question, trip);
    await until(() => server.asked.length === 1);
    giveUp.abort();
    await expect(exchange).rejects.toMatchObject({ name: "UpstreamError", failure: "aborted" });
    expect(trip.attempts).toMatchObject([{ rcode: null, failure: "aborted" }]);
    expect(getEventListeners(giveUp.signal, "abort")).toEqual([]);
  });

  test("answers other questions after one was aborted, even if that one's answer is late", async () => {
    const { promise: late, resolve: release } = Promise.withResolvers<void>();
    const { upstream, server } = await site(way, async (asked) => {
      if (asked.name === "slow.example") await late;
      return addresses(asked, asked.name === "slow.example" ? "203.0.113.1" : "192.0.2.1");
    });
    const giveUp = new AbortController();
    const slow = upstream.exchange(questionFor("slow.example"), errand(giveUp.signal));
    await until(() => server.asked.length === 1);
    giveUp.abort();
    await expect(slow).rejects.toMatchObject({ failure: "aborted" });
    release();
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test("is not asked when the signal has already aborted", async () => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"));
    await expect(upstream.exchange(question, errand(AbortSignal.abort()))).rejects.toMatchObject({ failure: "aborted" });
    expect(server.asked).toEqual([]);
  });

  test("fails with `refused` when no process listens", async () => {
    const { upstream, server } = await site(way, () => silence);
    await server.close();
    const trip = errand();
    const failure = way.proxy === null ? "refused" : "proxy";
    await expect(upstream.exchange(question, trip)).rejects.toMatchObject({ failure });
    expect(trip.attempts).toMatchObject([{ rcode: null, failure }]);
  });

  test("fails pending and later questions when it is closed", async () => {
    const { upstream, server } = await site(way, () => silence);
    const exchange = upstream.exchange(question, errand());
    const failed = expect(exchange).rejects.toMatchObject({ failure: "closed" });
    await until(() => server.asked.length === 1);
    await Promise.all([upstream.close(), upstream.close()]);
    await failed;
    await upstream.close();
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "closed" });
    expect(server.asked).toHaveLength(1);
  });

  test("may be closed while it connects", async () => {
    const { upstream } = await site(way, () => silence);
    const failed = expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "closed" });
    await upstream.close();
    await failed;
  });

  test("has no connection left after close", async () => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"));
    await Promise.all([1, 2, 3].map((number) => upstream.exchange(questionFor(`${number}.example`), errand())));
    await upstream.close();
    await until(() => server.open === 0);
  });
});

describe.each(streamWays)("a connection by $title", (way) => {
  test("is kept and used again", async () => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"));
    for (const name of ["a.example", "b.example", "c.example"]) await upstream.exchange(questionFor(name), errand());
    // HTTP/1.1 may open a second one before it knows that the first is free again.
    expect(server.accepted).toBeLessThanOrEqual(way.server === "h1" ? 2 : 1);
  });

  test("that breaks with its first question fails with `network` and is not retried", async () => {
    const { upstream, server } = await site(way, () => close);
    const trip = errand();
    await expect(upstream.exchange(question, trip)).rejects.toMatchObject({ failure: "network" });
    expect(trip.attempts).toMatchObject([{ rcode: null, failure: "network" }]);
    expect(server.asked).toHaveLength(1);
  });

  test("that breaks in the middle of an answer fails with `network`", async () => {
    const { upstream } = await site(way, ({ query }) => ({ kind: "closeMidway", message: addressMessage(query, ["192.0.2.1"]) }));
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "network" });
  });

  test("that was kept and closes under a question only costs another connection", async () => {
    const { upstream, server } = await site(way, (asked) => (asked.serial === 2 ? close : addresses(asked, "192.0.2.1")));
    await upstream.exchange(question, errand());
    const trip = errand();
    expect(addressTexts(await upstream.exchange(question, trip))).toEqual(["192.0.2.1"]);
    expect(trip.attempts).toHaveLength(1);
    expect(server.asked).toHaveLength(3);
  });

  test("that was kept and has closed since is replaced without a failure", async () => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"));
    await upstream.exchange(question, errand());
    server.dropConnections();
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test("that closes under a question twice fails", async () => {
    const { upstream, server } = await site(way, (asked) => (asked.serial > 1 ? close : addresses(asked, "192.0.2.1")));
    await upstream.exchange(question, errand());
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "network" });
    expect(server.asked).toHaveLength(3);
  });
});

describe.each(streamWays)("a server that has gone, asked by $title", (way) => {
  test("fails 50 concurrent questions without waiting for a timeout", async () => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"));
    await upstream.exchange(question, errand());
    await server.close();
    const failures = await Promise.all(
      Array.from({ length: 50 }, (_, index) =>
        upstream.exchange(questionFor(`${index}.example`), errand()).then(
          () => "answered",
          ({ failure }: { readonly failure: string }) => failure,
        ),
      ),
    );
    expect(failures.filter((failure) => failure !== "network" && failure !== (way.proxy === null ? "refused" : "proxy"))).toEqual(
      [],
    );
  });
});

// No server can listen on ::1 where IPv6 is switched off.
test.skipIf(!hasIpv6).each(ways.filter(({ proxy }) => proxy === null))(
  "a server at an IPv6 address is asked by $title",
  async (way) => {
    const { upstream, server } = await site(way, (asked) => addresses(asked, "192.0.2.1"), { address: "::1" });
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
    expect(server.asked).toHaveLength(1);
    expect(upstream.addresses?.()).toEqual(["::1"]);
  },
);

function both(...actions: readonly Action[]): Action {
  return { kind: "all", actions };
}

/** Sockets of any kind that this process has. */
function sockets(): number {
  return process.getActiveResourcesInfo().filter((resource) => /^(?:TCP|UDP|TLS|Connect)/.test(resource)).length;
}

test.each(ways)(
  "no timer, listener or socket is left after close of answers, failures and aborted questions by $title",
  async (way) => {
    const before = sockets();
    const clock = countingClock();
    const { upstream, server, proxy } = await site(
      way,
      (asked) => {
        if (asked.name.startsWith("silent")) return silence;
        if (asked.name.startsWith("close")) return close;
        return asked.name.startsWith("cut") ? cutShort(asked, "192.0.2.1") : addresses(asked, "192.0.2.1");
      },
      { clock },
    );
    const giveUp = new AbortController();
    const ends: Promise<unknown>[] = [];
    for (const kind of ["right", "silent", "close", "cut", "right", "silent"])
      for (let count = 0; count < 5; count++)
        ends.push(upstream.exchange(questionFor(`${kind}${count}.example`), errand(giveUp.signal)).catch(() => undefined));
    await until(() => server.asked.length >= 10);
    giveUp.abort();
    await Promise.all(ends);
    expect(getEventListeners(giveUp.signal, "abort")).toEqual([]);
    const underway = upstream.exchange(questionFor("silent.example"), errand()).catch(() => undefined);
    await upstream.close();
    await underway;
    expect(clock.pending()).toBe(0);
    await proxy?.close();
    await server.close();
    await until(() => sockets() <= before);
  },
);

describe.each(streamWays.filter(({ proxy }) => proxy === null))(
  "a server asked by $title, once this host has another address",
  (way) => {
    test("is asked over a new connection within 2 s, also what was under way; other addresses that come and go change nothing", async () => {
      const clock = fakeClock();
      const here = new Set(["127.0.0.1", "192.0.2.77"]);
      let isMute = false;
      const script = (asked: Asked): Action => (isMute && asked.connection === 1 ? silence : addresses(asked, "192.0.2.1"));
      const { upstream, server } = await site(way, script, { clock, context: { localAddresses: () => here } });
      await upstream.exchange(question, errand());
      here.delete("192.0.2.77");
      await clock.advance(3900);
      await upstream.exchange(question, errand());
      expect([server.accepted, server.open]).toEqual([1, 1]);
      isMute = true;
      const pending = upstream.exchange(questionFor("pending.example"), errand());
      await until(() => server.asked.length === 3);
      here.delete("127.0.0.1");
      // Silence alone would have moved it after a second or more.
      await clock.advance(100);
      expect(addressTexts(await pending)).toEqual(["192.0.2.1"]);
      expect(server.accepted).toBe(2);
      await until(() => server.open <= 1);
    });
  },
);

describe.each(streamWays.filter(({ proxy }) => proxy === "socks5"))("a line that becomes slow, asked by $title", (way) => {
  test("costs no answer: one that comes after the question was sent again, over a connection that is still silent, counts", async () => {
    const clock = fakeClock();
    const script = (asked: Asked): Action => (asked.connection === 1 ? addresses(asked, "192.0.2.1") : silence);
    const { upstream, server, proxy } = await site(way, script, { clock });
    await upstream.exchange(question, errand());
    // HTTP/1.1 has its connection free again a moment later.
    for (let turn = 0; turn < 20; turn++) await new Promise((resolve) => setImmediate(resolve));
    proxy?.hold();
    const trip = errand();
    const exchange = upstream.exchange(question, trip);
    // Over HTTP/2 the second half is for the answer to a PING.
    for (let passedMs = 0; server.asked.length < 2; passedMs += 500) {
      await clock.advance(passedMs < 2_000 ? 500 : 0);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(server.asked.at(-1)?.connection).toBe(2);
    proxy?.release();
    expect(addressTexts(await exchange)).toEqual(["192.0.2.1"]);
    expect(trip.attempts).toHaveLength(1);
    // Nor is it left for good: opening another one takes longer still. HTTP/1.1 has one of many for each question.
    if (way.server === "h1") return;
    await upstream.exchange(questionFor("next.example"), errand());
    expect(server.asked.at(-1)?.connection).toBe(1);
  });
});

import { describe, expect, onTestFinished, test } from "vitest";
import { decodeMessage } from "../../../src/dns/message.ts";
import { RCODE, TYPE } from "../../../src/dns/types.ts";
import { MAX_MEMBER_IN_FLIGHT } from "../../../src/upstreams/member.ts";
import { openServer } from "../../../src/upstreams/server.ts";
import { HOLD_MS } from "../../../src/upstreams/udp.ts";
import { zone } from "../../dns/zone.ts";
import { type FakeClock, fakeClock } from "../../support/fake-clock.ts";
import { respond } from "../../support/zone-script.ts";
import { addresses, addressMessage, questionFor, rcode, silence, truncated } from "../messages.ts";
import type { Action, Asked } from "../scripted-server.ts";
import { serverOptions } from "../server-options.ts";
import { addressTexts, contextWith, errand, site, until, type Way } from "./set-up.ts";

const udp: Way = { title: "udp", server: "dns", protocol: "udp", method: "GET", proxy: null };
const question = questionFor("www.example");

/** The content of the cookie option in hex; empty where there is none. */
function cookieOf(message: Buffer): string {
  const opt = decodeMessage(new Uint8Array(message))?.edns;
  return Buffer.from(opt?.options.find(({ code }) => code === 10)?.data ?? []).toString("hex");
}

/** The message with an OPT record that holds this cookie. */
function withCookie(message: Uint8Array, cookie: string, extendedRcode: number): Uint8Array {
  const data = Buffer.from(cookie, "hex");
  const opt = Buffer.from([0, 0, 41, 4, 208, extendedRcode, 0, 0, 0, 0, data.length + 4, 0, 10, 0, data.length, ...data]);
  const whole = Buffer.concat([message, opt]);
  whole.writeUInt16BE(1, 10);
  if (extendedRcode === 1) whole.writeUInt8((whole[3] ?? 0) | 7, 3);
  return new Uint8Array(whole);
}

describe("a question over UDP", () => {
  test("has its own random port and id", async () => {
    const { upstream, server } = await site(udp, (asked) => addresses(asked, "192.0.2.1"));
    for (let count = 0; count < 30; count++) await upstream.exchange(question, errand());
    const steps = (values: readonly number[]) => values.slice(1).map((value, index) => value - (values[index] ?? 0));
    expect(new Set(steps(server.asked.map(({ remotePort }) => remotePort))).size).toBeGreaterThan(15);
    expect(new Set(steps(server.asked.map(({ query }) => query.id))).size).toBeGreaterThan(15);
  });

  test("fails at once where the system refuses the way to the server, and asks nobody else", async () => {
    // To a broadcast address the system connects no socket.
    const server = serverOptions("nowhere", { host: "255.255.255.255" });
    const upstream = openServer(server, contextWith({ clock: fakeClock() }));
    onTestFinished(() => upstream.close());
    const trip = errand();
    await expect(upstream.exchange(question, trip)).rejects.toMatchObject({ failure: "network" });
    expect(trip.attempts).toMatchObject([{ server: "nowhere", rcode: null, failure: "network" }]);
  });

  test("has letters in random case if the server keeps them, and only an answer that repeats them counts", async () => {
    const long = questionFor("a-name-of-many-letters.example");
    const repeating = (asked: Asked, address: string): Action => {
      const message = Buffer.from(addressMessage(asked.query, [address]));
      asked.message.copy(message, 12, 12, 12 + asked.query.name.length);
      return { kind: "reply", message };
    };
    const forgedThenRight = (asked: Asked): Action => ({
      kind: "all",
      actions: [addresses(asked, "203.0.113.66"), repeating(asked, "192.0.2.1")],
    });
    const { upstream, server } = await site(udp, forgedThenRight, { changes: { mixedCase: true } });
    for (let count = 0; count < 5; count++) expect(addressTexts(await upstream.exchange(long, errand()))).toEqual(["192.0.2.1"]);
    const names = server.asked.map(({ message, query }) => message.toString("latin1", 12, 12 + query.name.length));
    expect(new Set(names).size).toBe(5);
    expect(new Set(names.map((name) => name.toLowerCase())).size).toBe(1);
  });

  test("carries a cookie if the server is to have one, and only answers with that cookie count once the server knows it", async () => {
    const serverPart = "0102030405060708";
    let mood: "repeats" | "forgets" | "forged first" | "badcookie" = "repeats";
    const sent: string[] = [];
    const script = (asked: Asked): Action => {
      const cookie = cookieOf(asked.message);
      if (asked.transport === "tcp") return addresses(asked, "192.0.2.2");
      sent.push(cookie);
      const right = {
        kind: "reply",
        message: withCookie(addressMessage(asked.query, ["192.0.2.1"]), cookie.slice(0, 16) + serverPart, 0),
      } as const;
      if (mood === "repeats") return right;
      if (mood === "forgets") return addresses(asked, "203.0.113.66");
      const forged = withCookie(addressMessage(asked.query, ["203.0.113.66"]), `ffffffffffffffff${serverPart}`, 0);
      if (mood === "forged first") return { kind: "all", actions: [{ kind: "reply", message: forged }, right] };
      return { kind: "reply", message: withCookie(addressMessage(asked.query, []), `${cookie.slice(0, 16)}1111111122222222`, 1) };
    };
    const { upstream } = await site(udp, script, { changes: { cookies: true } });
    const ask = async () => addressTexts(await upstream.exchange(question, errand()));
    expect(await ask()).toEqual(["192.0.2.1"]);
    mood = "forged first";
    expect(await ask()).toEqual(["192.0.2.1"]);
    mood = "forgets";
    expect(await ask()).toEqual(["192.0.2.2"]);
    mood = "badcookie";
    expect(await ask()).toEqual(["192.0.2.2"]);
    mood = "repeats";
    expect(await ask()).toEqual(["192.0.2.1"]);
    const [first = ""] = sent;
    expect(first).toMatch(/^[0-9a-f]{16}$/);
    expect(sent.slice(1)).toEqual([...Array(3).fill(first + serverPart), `${first}1111111122222222`]);
  });

  test("of a server that knows no cookies is answered as any other", async () => {
    const { upstream, server } = await site(udp, (asked) => addresses(asked, "192.0.2.1"), { changes: { cookies: true } });
    for (let count = 0; count < 3; count++)
      expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
    expect(server.asked.map(({ transport }) => transport)).toEqual(["udp", "udp", "udp"]);
  });

  test("is sent again after 1 s of silence, byte for byte, and no more once it is answered", async () => {
    const clock = fakeClock();
    const { upstream, server } = await site(udp, (asked) => (asked.serial === 1 ? silence : addresses(asked, "192.0.2.1")), {
      clock,
    });
    const trip = errand();
    const exchange = upstream.exchange(question, trip);
    await until(() => server.asked.length === 1);
    await clock.advance(999);
    expect(server.asked).toHaveLength(1);
    await clock.advance(1);
    expect(addressTexts(await exchange)).toEqual(["192.0.2.1"]);
    const [first, second] = server.asked;
    expect(second?.message).toEqual(first?.message);
    expect(second?.remotePort).toBe(first?.remotePort);
    expect(trip.attempts).toMatchObject([{ transport: "udp", elapsedMs: 1000 }]);
    await clock.advance(60_000);
    expect(server.asked).toHaveLength(2);
  });

  test("is sent again after 200 ms to a server that answers fast, and then after twice as long each time", async () => {
    const clock = fakeClock();
    const { upstream, server } = await site(
      udp,
      (asked) => (asked.name === "lost.example" ? silence : addresses(asked, "192.0.2.1")),
      {
        clock,
      },
    );
    for (let count = 0; count < 5; count++) await upstream.exchange(question, errand());
    const giveUp = new AbortController();
    const failed = expect(upstream.exchange(questionFor("lost.example"), errand(giveUp.signal))).rejects.toThrow();
    await until(() => server.asked.length === 6);
    for (const [waitMs, sent] of [
      [200, 7],
      [400, 8],
      [800, 9],
      [1600, 10],
    ] as const) {
      await clock.advance(waitMs - 1);
      expect(server.asked).toHaveLength(sent - 1);
      await clock.advance(1);
      await until(() => server.asked.length === sent);
    }
    giveUp.abort();
    await failed;
    await clock.advance(60_000);
    expect(server.asked).toHaveLength(10);
  });

  test("is not sent again to a slow server before its answers usually come", async () => {
    const clock = fakeClock();
    const slow = (asked: Asked): Action => ({ kind: "after", delayMs: 700, action: addresses(asked, "192.0.2.1") });
    const { upstream, server } = await site(udp, slow, { clock });
    for (let count = 1; count <= 20; count++) {
      const exchange = upstream.exchange(question, errand());
      await until(() => server.asked.length === count);
      await clock.advance(700);
      await exchange;
    }
  });

  test("ignores garbage, also datagrams shorter than a header", async () => {
    const { upstream } = await site(udp, (asked) => ({
      kind: "all",
      actions: [raw(), raw(0), raw(1, 2, 3), raw(...Buffer.alloc(600, 255)), addresses(asked, "192.0.2.1")],
    }));
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test("goes to the next address of the server after a refusal", async () => {
    const { upstream, server } = await site(udp, (asked) => addresses(asked, "192.0.2.1"), {
      changes: { host: "dns.example", addresses: ["127.0.0.2", "127.0.0.1"] },
    });
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "refused" });
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
    expect(server.asked).toHaveLength(1);
    expect(upstream.addresses?.()).toEqual(["127.0.0.2", "127.0.0.1"]);
  });

  test("goes to the next address after a silent one, but not after a late one", async () => {
    const clock = fakeClock();
    const script = (asked: Asked) =>
      asked.serial === 1 || asked.name !== "www.example" ? silence : addresses(asked, "192.0.2.1");
    const changes = { host: "dns.example", addresses: ["127.0.0.1", "127.0.0.2"] };
    const { upstream, server } = await site(udp, script, { clock, changes });
    const late = upstream.exchange(question, errand());
    await until(() => server.asked.length === 1);
    await clock.advance(1_000);
    await late;
    const giveUp = new AbortController();
    const silent = upstream.exchange(questionFor("silent.example"), errand(giveUp.signal));
    const failed = expect(silent).rejects.toMatchObject({ failure: "aborted" });
    await until(() => server.asked.length === 3);
    await clock.advance(1_000);
    giveUp.abort();
    await failed;
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "refused" });
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test("fails with `barred` when 2000 questions wait already", async () => {
    const { upstream } = await site(udp, () => silence);
    const stop = new AbortController();
    const waiting = Array.from({ length: MAX_MEMBER_IN_FLIGHT }, () =>
      upstream.exchange(question, errand(stop.signal)).catch(() => undefined),
    );
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "barred" });
    stop.abort();
    await Promise.all(waiting);
  });

  test("waits for the lookup of the server's name", async () => {
    const hosts: string[] = [];
    const lookUp = async (host: string) => {
      hosts.push(host);
      return ["127.0.0.1"];
    };
    const { upstream } = await site(udp, (asked) => addresses(asked, "192.0.2.1"), {
      changes: { host: "dns.example" },
      context: { bootstrap: { lookUp } },
    });
    expect(upstream.addresses?.()).toEqual([]);
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
    expect(hosts).toEqual(["dns.example"]);
    expect(upstream.addresses?.()).toEqual(["127.0.0.1"]);
  });
});

describe("a truncated answer", () => {
  test("is fetched over TCP, and both attempts are recorded", async () => {
    const many = Array.from({ length: 200 }, (_, index) => `192.0.2.${index}`);
    const { upstream, server } = await site(udp, (asked) =>
      asked.transport === "udp" ? truncated(asked) : addresses(asked, ...many),
    );
    const trip = errand();
    expect(addressTexts(await upstream.exchange(question, trip))).toEqual(many);
    expect(trip.attempts).toMatchObject([
      { transport: "udp", rcode: 0, failure: null },
      { transport: "tcp", rcode: 0, failure: null },
    ]);
    expect(server.asked.map(({ transport }) => transport)).toEqual(["udp", "tcp"]);
  });

  test("may be cut anywhere after its question", async () => {
    const { upstream } = await site(udp, (asked) => {
      if (asked.transport === "tcp") return addresses(asked, "192.0.2.1");
      const message = addressMessage(asked.query, ["203.0.113.1", "203.0.113.2"]).slice(0, -7);
      message[2] = (message[2] ?? 0) | 0x02;
      return { kind: "reply", message };
    });
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test("fails when TCP fails", async () => {
    const { upstream } = await site(udp, (asked) => (asked.transport === "udp" ? truncated(asked) : { kind: "close" }));
    const trip = errand();
    await expect(upstream.exchange(question, trip)).rejects.toMatchObject({ failure: "network" });
    expect(trip.attempts).toMatchObject([{ failure: null }, { transport: "tcp", failure: "network" }]);
  });
});

describe.each([
  ["udp", udp],
  ["tcp", { ...udp, title: "tcp", protocol: "tcp" }],
] as const)("a server without EDNS, asked by %s", (_, way) => {
  test.each<[string, (asked: Asked) => Action]>([
    ["FORMERR", (asked) => rcode(asked, RCODE.FORMERR)],
    ["NOTIMP", (asked) => rcode(asked, RCODE.NOTIMP)],
    ["a bare header", headerOnly],
  ])(
    "that answers %s is asked once more without it, and that is remembered for an hour (RFC 6891 §7)",
    async (_name, refusal) => {
      const clock = fakeClock();
      const script = (asked: Asked) => (asked.query.edns === null ? addresses(asked, "192.0.2.1") : refusal(asked));
      const { upstream, server } = await site(way, script, { clock });
      const trip = errand();
      expect(addressTexts(await upstream.exchange(question, trip))).toEqual(["192.0.2.1"]);
      expect(trip.attempts.map(({ rcode: code }) => code === 0)).toEqual([false, true]);
      await upstream.exchange(question, errand());
      expect(server.asked.map(({ query }) => query.edns !== null)).toEqual([true, false, false]);
      await clock.advance(3_600_000);
      await upstream.exchange(question, errand());
      expect(server.asked.map(({ query }) => query.edns !== null)).toEqual([true, false, false, true, false]);
    },
  );

  test("is not assumed when the plain question is refused as well", async () => {
    const { upstream, server } = await site(way, (asked) => rcode(asked, RCODE.NOTIMP));
    expect((await upstream.exchange(questionFor("www.example", TYPE.HTTPS), errand())).rcode).toBe(RCODE.NOTIMP);
    await upstream.exchange(question, errand());
    expect(server.asked.map(({ query }) => query.edns !== null)).toEqual([true, false, true, false]);
  });
});

function raw(...bytes: readonly number[]): Action {
  return { kind: "raw", message: Uint8Array.from(bytes) };
}

/** FORMERR without the question, as servers send that could not read it. */
function headerOnly(): Action {
  return { kind: "reply", message: Uint8Array.of(0, 0, 0x80, RCODE.FORMERR, 0, 0, 0, 0, 0, 0, 0, 0) };
}

const FORGED = "203.0.113.1";
const REAL = "192.0.2.1";

/** With OPT, as a server that was asked with it. */
function real(asked: Asked): Action {
  const edns = { udpPayloadBytes: 1232, version: 0, dnssecOk: false, otherFlags: 0, options: [] };
  return respond(asked, { edns, answers: zone(`www.example A ${REAL}`) });
}

const late = (action: Action): Action => ({ kind: "after", delayMs: HOLD_MS - 1, action });
const outwaiting = () => ({ ...errand(), holdSuspects: true });

test("a forged early answer is held back until the real one with EDNS comes", async () => {
  const clock = fakeClock();
  const script = (asked: Asked): Action => ({
    kind: "all",
    actions: [addresses(asked, FORGED), addresses(asked, FORGED), late(real(asked))],
  });
  const { upstream, server } = await site(udp, script, { clock });
  const exchange = upstream.exchange(question, outwaiting());
  await until(() => server.asked.length === 1);
  await clock.advance(HOLD_MS - 1);
  expect(addressTexts(await exchange)).toEqual([REAL]);
});

test("an answer with EDNS is accepted at once", async () => {
  const clock = fakeClock();
  const { upstream } = await site(udp, real, { clock });
  expect(addressTexts(await upstream.exchange(question, outwaiting()))).toEqual([REAL]);
  expect(clock.now()).toBe(0);
});

test("a server without EDNS costs the wait once", async () => {
  const clock = fakeClock();
  const { upstream, server } = await site(udp, (asked) => addresses(asked, REAL), { clock });
  const exchange = upstream.exchange(question, outwaiting());
  await until(() => server.asked.length === 1);
  expect(await passing(clock, exchange)).toBeGreaterThanOrEqual(HOLD_MS);
  const before = clock.now();
  expect(addressTexts(await upstream.exchange(question, outwaiting()))).toEqual([REAL]);
  expect(clock.now()).toBe(before);
});

test("an answer without EDNS from a server that speaks EDNS is held back each time", async () => {
  const clock = fakeClock();
  let script = real;
  const { upstream, server } = await site(udp, (asked) => script(asked), { clock });
  await upstream.exchange(question, outwaiting());
  for (let times = 0; times < 2; times++) {
    script = (asked) => addresses(asked, FORGED);
    const exchange = upstream.exchange(question, outwaiting());
    await until(() => server.asked.length === 2 + times);
    expect(await passing(clock, exchange)).toBeGreaterThanOrEqual(HOLD_MS);
  }
});

test("other types, other rcodes and exchanges without holdSuspects are not held back", async () => {
  const clock = fakeClock();
  const { upstream } = await site(
    udp,
    (asked) =>
      respond(asked, { answers: zone('www.example TXT "x"', `www.example A ${REAL}`).filter(({ type }) => type === asked.type) }),
    { clock },
  );
  await upstream.exchange(questionFor("www.example", TYPE.TXT), outwaiting());
  await upstream.exchange(questionFor("www.example", TYPE.AAAA), outwaiting());
  expect(addressTexts(await upstream.exchange(question, errand()))).toEqual([REAL]);
  expect(clock.now()).toBe(0);
});

/** Lets time pass until the answer is there. @returns how much, in steps of the wait less a millisecond. */
async function passing(clock: FakeClock, exchange: Promise<unknown>): Promise<number> {
  const startedMs = clock.now();
  let isAnswered = false;
  void exchange.then(() => {
    isAnswered = true;
  });
  await until(() => clock.advance(isAnswered ? 0 : HOLD_MS - 1).then(() => isAnswered));
  return clock.now() - startedMs;
}

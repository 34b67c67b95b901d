import { describe, expect, test } from "vitest";
import { RCODE, TYPE } from "../../../src/dns/types.ts";
import { fakeClock } from "../../support/fake-clock.ts";
import { addresses, addressMessage, questionFor, rcode, silence, truncated } from "../messages.ts";
import type { Action, Asked } from "../scripted-server.ts";
import { addressTexts, errand, site, until, type Way } from "./set-up.ts";

const udp: Way = { title: "udp", server: "dns", protocol: "udp", method: "GET", proxy: null };
const question = questionFor("www.example");

describe("a question by datagram", () => {
  test("has a port and an id of its own, which do not count up", async () => {
    const { upstream, server } = await site(udp, (asked) => addresses(asked, "192.0.2.1"));
    for (let count = 0; count < 30; count++) await upstream.exchange(question, errand());
    const steps = (values: readonly number[]) => values.slice(1).map((value, index) => value - (values[index] ?? 0));
    expect(new Set(steps(server.asked.map(({ remotePort }) => remotePort))).size).toBeGreaterThan(15);
    expect(new Set(steps(server.asked.map(({ query }) => query.id))).size).toBeGreaterThan(15);
  });

  test("goes out once more after a second of silence, byte for byte, and not a third time", async () => {
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

  test("passes over garbage, datagrams too short for a header among it", async () => {
    const { upstream } = await site(udp, (asked) => ({
      kind: "all",
      actions: [raw(), raw(0), raw(1, 2, 3), raw(...Buffer.alloc(600, 255)), addresses(asked, "192.0.2.1")],
    }));
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test("goes to the next address of the server after one that refuses", async () => {
    const { upstream, server } = await site(udp, (asked) => addresses(asked, "192.0.2.1"), {
      changes: { host: "dns.example", addresses: ["127.0.0.2", "127.0.0.1"] },
    });
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "refused" });
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
    expect(server.asked).toHaveLength(1);
    expect(upstream.addresses?.()).toEqual(["127.0.0.2", "127.0.0.1"]);
  });

  test("goes to the next address after one that stayed silent, but not after one that was only late", async () => {
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

  test("is barred when a thousand wait already", async () => {
    const { upstream } = await site(udp, () => silence);
    const stop = new AbortController();
    const waiting = Array.from({ length: 1_000 }, () => upstream.exchange(question, errand(stop.signal)).catch(() => undefined));
    await expect(upstream.exchange(question, errand())).rejects.toMatchObject({ failure: "barred" });
    stop.abort();
    await Promise.all(waiting);
  });

  test("is looked up first where the server has a name", async () => {
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

describe("an answer that does not fit into a datagram", () => {
  test("is asked for over TCP, and both tries are noted", async () => {
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

  test("may be cut anywhere behind its question", async () => {
    const { upstream } = await site(udp, (asked) => {
      if (asked.transport === "tcp") return addresses(asked, "192.0.2.1");
      const message = addressMessage(asked.query, ["203.0.113.1", "203.0.113.2"]).slice(0, -7);
      message[2] = (message[2] ?? 0) | 0x02;
      return { kind: "reply", message };
    });
    expect(addressTexts(await upstream.exchange(question, errand()))).toEqual(["192.0.2.1"]);
  });

  test("is a failure where TCP is", async () => {
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

  test("is not assumed where the plain question is refused as well", async () => {
    const { upstream, server } = await site(way, (asked) => rcode(asked, RCODE.NOTIMP));
    expect((await upstream.exchange(questionFor("www.example", TYPE.HTTPS), errand())).rcode).toBe(RCODE.NOTIMP);
    await upstream.exchange(question, errand());
    expect(server.asked.map(({ query }) => query.edns !== null)).toEqual([true, false, true, false]);
  });
});

function raw(...octets: readonly number[]): Action {
  return { kind: "raw", message: Uint8Array.from(octets) };
}

/** FORMERR without the question, as servers send that could not read it. */
function headerOnly(): Action {
  return { kind: "reply", message: Uint8Array.of(0, 0, 0x80, RCODE.FORMERR, 0, 0, 0, 0, 0, 0, 0, 0) };
}

import { describe, expect, onTestFinished, test } from "vitest";
import { addressFromText } from "../../src/dns/address.ts";
import { type Answer, buildAnswer } from "../../src/dns/answer.ts";
import { RCODE, TYPE } from "../../src/dns/types.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { AddressListFeeder } from "../../src/routeros/address-lists.ts";
import { name, question } from "../cache/answers.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { CALL_MS, READER, RouterCalls, WRITER } from "../support/routeros/calls.ts";
import { Router } from "../support/routeros/router.ts";

const IPV4 = "ip/firewall/address-list";
const IPV6 = "ipv6/firewall/address-list";

interface SceneSetup {
  readonly callMs?: number;
  readonly dryRun?: boolean;
  readonly holdMs?: number;
}

/** A feeder before the stand-in of a router, whose calls take their time one after the other. */
function scene({ callMs = CALL_MS, dryRun = false, holdMs = 150 }: SceneSetup = {}) {
  const clock = fakeClock();
  const router = new Router({ clock });
  const log: string[] = [];
  const state = new RouterCalls(router, clock, callMs);
  const calls = state.paths;
  const losses = { count: 0 };
  const open = () => {
    const feeder = new AddressListFeeder(
      { addressLists: [{ rule: "split", list: "WORLD" }], holdMs, dryRun },
      {
        clock,
        log: operationsLog("debug", (line) => log.push(line), false),
        rest: state,
        onLoss: () => void losses.count++,
      },
    );
    onTestFinished(() => closed(feeder));
    return feeder;
  };
  /** A call that is under way comes to its end first. */
  const closed = async (open: AddressListFeeder) => {
    const closing = open.close();
    await clock.advance(callMs);
    await closing;
  };
  const feeder = open();
  /** The answer to a query that had to ask an upstream: it may wait. */
  const ask = (addresses: readonly string[], { ttlSeconds = 300, rule = "split", waits = true, by = feeder } = {}) =>
    by.see({ rule, answer: answerOf(addresses, ttlSeconds), ttlSeconds, untilMs: waits ? clock.now() + 4000 : null });
  const list = (menu = IPV4) => router.rows(menu).map((row) => row["address"]);
  return {
    clock,
    router,
    log,
    calls,
    state,
    losses,
    feeder,
    ask,
    list,
    open,
    closed,
    row: (menu = IPV4) => router.rows(menu)[0] ?? {},
  };
}

/** The same, after the first look at the router. */
async function settledScene(setup: SceneSetup = {}) {
  const made = scene(setup);
  await made.clock.advance(1000);
  expect(made.feeder.status().problem).toBeNull();
  return made;
}

function answerOf(addresses: readonly string[], ttlSeconds: number): Answer {
  const isIpv6 = addresses.some((address) => address.includes(":"));
  const type = isIpv6 ? TYPE.AAAA : TYPE.A;
  const answers = addresses.map((address) => ({
    owner: name("www.example.com"),
    type,
    ttlSeconds,
    data: addressFromText(address) ?? new Uint8Array(4),
  }));
  return buildAnswer({ ...question("www.example.com", type), rcode: RCODE.NOERROR, answers, authority: [] });
}

describe("a first sight", () => {
  test("waits until its address is in the list, with its end, its owner and its name", async () => {
    const { clock, ask, row, list } = await settledScene();
    const arrival = ask(["203.0.113.7"]);
    let isSent = false;
    void arrival?.then(() => (isSent = true));
    await clock.advance(CALL_MS - 1);
    expect([isSent, list()]).toEqual([false, []]);
    await clock.advance(1);
    expect([isSent, await arrival]).toEqual([true, true]);
    expect(row()).toMatchObject({ list: "WORLD", address: "203.0.113.7", timeout: "20m" });
    expect(row()["comment"]).toMatch(/^fenliu;[^;]+;www\.example\.com$/);
  });

  test("of IPv6 is one address; addresses that no list takes are not entered", async () => {
    const { clock, ask, list } = await settledScene();
    void ask(["2001:DB8::7", "fd00::1", "fe80::1", "::", "fc00::5", "ff02::1"]);
    expect(ask(["10.0.0.1", "127.0.0.1", "0.0.0.0", "198.18.0.5", "28.1.2.3", "100.64.0.1", "239.0.0.1"])).toBeNull();
    expect(ask(["203.0.113.7"], { rule: "others" })).toBeNull();
    await clock.advance(1000);
    expect([list(IPV6), list()]).toEqual([["2001:db8::7/128"], []]);
  });

  test.each([
    [0, "16m"],
    [3600, "1h15m"],
    [604_800, "1d15m"],
  ])("with a TTL of %d s ends after %s: the router's cache shows a name once per TTL", async (ttlSeconds, timeout) => {
    const { clock, ask, row } = await settledScene();
    void ask(["203.0.113.7"], { ttlSeconds });
    await clock.advance(CALL_MS);
    expect(row()["timeout"]).toBe(timeout);
  });

  test("goes after 150 ms at the latest, and is counted; the rest of the entries follows", async () => {
    const { clock, ask, list, feeder } = await settledScene();
    const arrival = ask(Array.from({ length: 8 }, (_, index) => `203.0.113.${index}`));
    await clock.advance(150);
    expect(await arrival).toBe(false);
    expect(list()).toHaveLength(1);
    await clock.advance(7 * CALL_MS);
    expect(list()).toHaveLength(8);
    expect(feeder.status().counts).toMatchObject({ added: 8, held: 1, late: 1 });
  });

  test("does not wait beyond the time that the reply has, nor with `hold: 0ms`", async () => {
    const { clock, feeder } = await settledScene();
    const answer = answerOf(["203.0.113.7"], 60);
    const arrival = feeder.see({ rule: "split", answer, ttlSeconds: 60, untilMs: clock.now() + 10 });
    await clock.advance(10);
    expect(await arrival).toBe(false);
    const other = await settledScene({ holdMs: 0 });
    expect(other.ask(["203.0.113.7"])).toBeNull();
  });
});

describe("what never waits", () => {
  test("an address that the router has, and a hit of the cache, whatever the router has", async () => {
    const { clock, ask, list } = await settledScene();
    void ask(["203.0.113.7"]);
    await clock.advance(CALL_MS);
    expect(ask(["203.0.113.7"])).toBeNull();
    expect(ask(["203.0.113.8"], { waits: false })).toBeNull();
    await clock.advance(CALL_MS);
    expect(list()).toEqual(["203.0.113.7", "203.0.113.8"]);
  });

  test("anything while the router is away; what was queued is entered when the router is back", async () => {
    const { clock, ask, list, state, feeder, log } = await settledScene();
    state.isGone = true;
    const arrival = ask(["203.0.113.7"]);
    await clock.advance(CALL_MS);
    expect(await arrival).toBe(false);
    expect(ask(["203.0.113.8"])).toBeNull();
    expect(feeder.status().problem).toContain("ECONNREFUSED");
    await clock.advance(120_000);
    expect(log.filter((line) => line.includes("takes no entries")).length).toBeLessThan(5);
    state.isGone = false;
    await clock.advance(61_000);
    expect(list()).toEqual(["203.0.113.7", "203.0.113.8"]);
    expect(feeder.status().problem).toBeNull();
    expect(ask(["203.0.113.9"])).not.toBeNull();
  });

  test("anything while the account may not write, although it may read", async () => {
    const { clock, ask, state, feeder } = await settledScene();
    state.policy = READER;
    void ask(["203.0.113.7"]);
    await clock.advance(CALL_MS);
    for (let minute = 0; minute < 10; minute++) {
      expect(ask([`203.0.113.${minute}`])).toBeNull();
      await clock.advance(60_000);
    }
    expect(feeder.status().problem).toBe("not enough permissions (9)");
    state.policy = WRITER;
    await clock.advance(61_000);
    expect(feeder.status().problem).toBeNull();
  });
});

describe("an address that the list has already", () => {
  test("by somebody else and for good is left as it is", async () => {
    const { clock, ask, router, row } = await settledScene();
    router.add(IPV4, { list: "WORLD", address: "203.0.113.7", comment: "mine" });
    const arrival = ask(["203.0.113.7"]);
    await clock.advance(2 * CALL_MS);
    expect([await arrival, ask(["203.0.113.7"])]).toEqual([false, null]);
    expect(row()).toMatchObject({ comment: "mine" });
    expect(row()["timeout"]).toBeUndefined();
  });

  test("by somebody else and for a time is entered when that has ended, if it is still asked for", async () => {
    const { clock, ask, router, row } = await settledScene();
    router.add(IPV4, { list: "WORLD", address: "203.0.113.7", comment: "mine", timeout: "5m" });
    void ask(["203.0.113.7"]);
    await clock.advance(290_000);
    expect(row()).toMatchObject({ comment: "mine" });
    await clock.advance(30_000);
    expect(row()["comment"]).toContain("fenliu;");
  });

  test("by an earlier run of ours is known at the start and renewed, never taken for a stranger's", async () => {
    const { clock, ask, open, closed, row, feeder } = await settledScene();
    void ask(["203.0.113.7"]);
    await clock.advance(CALL_MS);
    await closed(feeder);
    await clock.advance(840_000);
    const next = open();
    await clock.advance(1000);
    expect(ask(["203.0.113.7"], { by: next })).toBeNull();
    expect(row()["timeout"]).toMatch(/^5m5\ds$/);
    await clock.advance(6000);
    expect(row()["timeout"]).toMatch(/^19m/);
  });
});

describe("over time", () => {
  test("an entry is renewed at two thirds if it was seen since, else it ends", async () => {
    const { clock, ask, list, feeder } = await settledScene();
    void ask(["203.0.113.7"]);
    void ask(["203.0.113.8"]);
    await clock.advance(60_000);
    expect(ask(["203.0.113.7"], { waits: false })).toBeNull();
    await clock.advance(20 * 60_000);
    expect(list()).toEqual(["203.0.113.7"]);
    expect(feeder.status().counts).toMatchObject({ refreshed: 1 });
    await clock.advance(20 * 60_000);
    expect([list(), feeder.status().lists]).toEqual([[], [{ list: "WORLD", rules: ["split"], entries: 0 }]]);
  });

  test("a name with a short TTL never shortens what another was promised for the same address", async () => {
    const { clock, ask, list } = await settledScene();
    void ask(["203.0.113.7"], { ttlSeconds: 1500 });
    await clock.advance(CALL_MS);
    // By the end of what the list has, an hour is promised, and then a minute, so that the entry is renewed.
    await clock.advance(20 * 60_000);
    void ask(["203.0.113.7"], { ttlSeconds: 3600 });
    void ask(["203.0.113.7"], { ttlSeconds: 60 });
    await clock.advance(3600_000);
    expect(list()).toEqual(["203.0.113.7"]);
  });

  test("a shorter TTL never ends an entry earlier", async () => {
    const { clock, ask, row } = await settledScene();
    void ask(["203.0.113.7"], { ttlSeconds: 86_400 });
    await clock.advance(CALL_MS);
    void ask(["203.0.113.7"], { ttlSeconds: 60 });
    await clock.advance(60_000);
    expect(row()["timeout"]).toMatch(/^1d1[34]m/);
  });

  test("many are renewed in one call, also where an operator has removed one of them", async () => {
    const { clock, ask, list, calls, router } = await settledScene({ callMs: 1 });
    const addresses = Array.from({ length: 150 }, (_, index) => `203.0.113.${index}`);
    for (const address of addresses) void ask([address], { waits: false });
    await clock.advance(60_000);
    for (const address of addresses) void ask([address], { waits: false });
    calls.length = 0;
    await clock.advance(14 * 60_000);
    expect(calls.filter((path) => path.endsWith("/set"))).toHaveLength(2);
    for (const address of addresses) void ask([address], { waits: false });
    router.remove(IPV4, [router.rows(IPV4)[3]?.[".id"] ?? ""]);
    await clock.advance(14 * 60_000);
    expect(new Set(list())).toEqual(new Set(addresses));
  });

  test("an entry that was removed by hand is back when its list is looked at again", async () => {
    const { clock, ask, list, router } = await settledScene();
    void ask(["203.0.113.7"], { ttlSeconds: 3600 });
    await clock.advance(CALL_MS);
    router.remove(IPV4, [router.rows(IPV4)[0]?.[".id"] ?? ""]);
    await clock.advance(20 * 60_000);
    expect(list()).toEqual(["203.0.113.7"]);
  });

  test("after a reboot of the router the living entries are back within two minutes", async () => {
    const { clock, ask, list, router, log } = await settledScene();
    for (let index = 0; index < 200; index++) void ask([`203.0.113.${index}`], { waits: false, ttlSeconds: 3600 });
    await clock.advance(60_000);
    expect(list()).toHaveLength(200);
    await clock.advance(60_000);
    router.reboot();
    expect(list()).toEqual([]);
    await clock.advance(120_000);
    expect(list()).toHaveLength(200);
    expect(log.join("")).toContain("was restarted");
  });

  test("a reboot is found however short the router had been up before, and however long it was away", async () => {
    const { clock, ask, list, router, state } = await settledScene();
    void ask(["203.0.113.7"], { waits: false, ttlSeconds: 3600 });
    await clock.advance(61_000);
    state.isGone = true;
    router.reboot();
    await clock.advance(600_000);
    expect(list()).toEqual([]);
    state.isGone = false;
    await clock.advance(120_000);
    expect(list()).toEqual(["203.0.113.7"]);
  });

  test("an entry that goes between the router's refusal of another one and the look at it is added", async () => {
    const { clock, ask, list, router } = await settledScene();
    router.add(IPV4, { list: "WORLD", address: "203.0.113.7", timeout: "1h", comment: "another's" });
    void ask(["203.0.113.7"], { waits: false, ttlSeconds: 3600 });
    // The router has refused the entry, and is asked what it has instead.
    await clock.advance(CALL_MS + 1);
    router.reboot();
    await clock.advance(2 * CALL_MS);
    expect(list()).toEqual(["203.0.113.7"]);
  });

  test("an entry that a restart takes between the look at it and its renewal is added", async () => {
    const { clock, ask, list, router, open, closed, feeder } = await settledScene();
    void ask(["203.0.113.7"], { waits: false, ttlSeconds: 3600 });
    await clock.advance(1000);
    await closed(feeder);
    const next = open();
    void ask(["203.0.113.7"], { waits: false, ttlSeconds: 3600, by: next });
    // Refused, looked at, and now it is renewed.
    await clock.advance(2 * CALL_MS + 1);
    router.reboot();
    await clock.advance(2 * CALL_MS);
    expect(list()).toEqual(["203.0.113.7"]);
  });

  test("an address that is given again seconds before its entry ends keeps its place in the list", async () => {
    const { clock, ask, list } = await settledScene();
    void ask(["203.0.113.7"], { waits: false, ttlSeconds: 300 });
    // It ends 1.1 s after a tick, and is given again in between.
    await clock.advance(20 * 60_000 - 500);
    expect(list()).toEqual(["203.0.113.7"]);
    expect(ask(["203.0.113.7"], { ttlSeconds: 3600 })).toBeNull();
    await clock.advance(3000);
    expect(list()).toEqual(["203.0.113.7"]);
  });

  test("a list whose turn to be looked at comes while the router is away is looked at when it is back", async () => {
    const { clock, ask, list, router, state } = await settledScene();
    void ask(["203.0.113.7"], { waits: false, ttlSeconds: 7200 });
    // One of the two families' lists is looked at every ten minutes, this one next.
    await clock.advance(9 * 60_000);
    expect(list()).toEqual(["203.0.113.7"]);
    router.remove(IPV4, [router.rows(IPV4)[0]?.[".id"] ?? ""]);
    state.isGone = true;
    await clock.advance(4 * 60_000);
    state.isGone = false;
    await clock.advance(2 * 60_000);
    expect(list()).toEqual(["203.0.113.7"]);
  });

  test("50,000 names leave 5,000 entries and at most 2,000 in the queue", async () => {
    const { clock, ask, feeder } = await settledScene();
    for (let index = 0; index < 50_000; index++) {
      void ask([`203.${index >> 16}.${(index >> 8) & 255}.${index & 255}`], { waits: false });
      if (index % 1000 === 999) await clock.advance(1);
    }
    const { queued, lists, counts } = feeder.status();
    expect(queued).toBeLessThanOrEqual(2000);
    expect(lists[0]?.entries).toBeLessThanOrEqual(5000);
    expect(counts.dropped).toBeGreaterThan(0);
  });
});

describe("an answer may be given again without being noted", () => {
  const one = answerOf(["203.0.113.7"], 300);

  test("until five minutes before the first of its entries ends, as soon as the lists have all its addresses", async () => {
    const { clock, ask, feeder } = await settledScene();
    const both = answerOf(["203.0.113.7", "203.0.113.8"], 300);
    expect(feeder.repeatableUntilMs("split", one)).toBeLessThan(clock.now());
    void ask(["203.0.113.7"]);
    await clock.advance(CALL_MS);
    const addedMs = clock.now();
    expect(feeder.repeatableUntilMs("split", one)).toBe(addedMs + 15 * 60_000);
    expect(feeder.repeatableUntilMs("split", both)).toBeLessThan(addedMs);
    await clock.advance(60_000);
    void ask(["203.0.113.8"]);
    await clock.advance(CALL_MS);
    expect(feeder.repeatableUntilMs("split", both)).toBe(addedMs + 15 * 60_000);
  });

  test("for ever where no list takes its addresses, or it has none", async () => {
    const { feeder } = await settledScene();
    for (const [rule, answer] of [
      ["others", one],
      ["split", answerOf(["10.0.0.1"], 300)],
      ["split", answerOf([], 300)],
    ] as const)
      expect(feeder.repeatableUntilMs(rule, answer)).toBe(Number.POSITIVE_INFINITY);
  });

  test("longer when its entry was renewed, which is done before that time", async () => {
    const { clock, ask, feeder } = await settledScene();
    void ask(["203.0.113.7"], { ttlSeconds: 60 });
    await clock.advance(60_000);
    const before = feeder.repeatableUntilMs("split", one);
    void ask(["203.0.113.7"], { ttlSeconds: 60 });
    await clock.advance(before - clock.now());
    expect(feeder.repeatableUntilMs("split", one)).toBeGreaterThan(clock.now() + 600_000);
  });

  test.each<[string, (made: Awaited<ReturnType<typeof settledScene>>) => void]>([
    ["the router was restarted", ({ router }) => router.reboot()],
    ["the entry was removed by hand", ({ router }) => router.remove(IPV4, [router.rows(IPV4)[0]?.[".id"] ?? ""])],
    [
      "the entry was given less time by hand",
      ({ router }) => router.set(IPV4, [router.rows(IPV4)[0]?.[".id"] ?? ""], { timeout: "25m" }),
    ],
  ])("not when %s, which is told", async (_, strike) => {
    const made = await settledScene();
    void made.ask(["203.0.113.7"], { ttlSeconds: 86_400 });
    await made.clock.advance(61_000);
    expect(made.losses.count).toBe(0);
    strike(made);
    await made.clock.advance(20 * 60_000);
    expect(made.losses.count).toBe(1);
  });
});

test("a dry run does everything but tell the router", async () => {
  const { clock, ask, calls, feeder, list } = scene({ dryRun: true });
  void ask(["203.0.113.7"]);
  await clock.advance(1000);
  expect(ask(["203.0.113.7"])).toBeNull();
  expect([calls, list()]).toEqual([[], []]);
  expect(feeder.status()).toMatchObject({ dryRun: true, problem: null, counts: { added: 1 }, lists: [{ entries: 1 }] });
});

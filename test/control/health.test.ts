import { describe, expect, onTestFinished, test } from "vitest";
import type { Health } from "../../src/admin/schemas/health.ts";
import { parseConfig } from "../../src/config/load.ts";
import { HealthWatch, type Vitals } from "../../src/control/health.ts";
import type { ListReport } from "../../src/lists/load.ts";
import { NO_DIAGNOSTICS, openPolicy } from "../../src/server/policy.ts";
import type { GroupStatus } from "../../src/upstreams/group.ts";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";

const YAML = `lists: { cn: { domains: "https://lists.example/cn.txt", refresh: 1h } }
expect: [{ name: page.example, upstream: domestic }]`;

const DAY_MS = 86_400_000;
const HOUR_MS = 3_600_000;

interface Setup {
  readonly yaml?: string;
  readonly lists?: readonly ListReport[];
}

/** A watch over made-up vitals, which the test may change. */
async function watched({ yaml = "", lists = [] }: Setup = {}) {
  const clock = fakeClock();
  const read = parseConfig(yaml, null);
  if (read.kind === "invalid") throw new Error(JSON.stringify(read.problems));
  const policy = await openPolicy(read.config, NO_DIAGNOSTICS);
  const vitals: { -readonly [Key in keyof Vitals]: Vitals[Key] } = {
    config: read.config,
    policy,
    groups: [group([true, true])],
    certificate: null,
    router: null,
    drift: null,
    log: { state: "off", fault: null, stored: 0, dropped: 0, waiting: 0, rows: 0, bytes: 0, oldestWallMs: null },
    pauses: [],
  };
  const watch = new HealthWatch({ clock, vitals: () => vitals, lists: async () => lists, report: () => expect.fail("a report") });
  onTestFinished(() => watch.close());
  return { clock, vitals, watch };
}

function group(healthy: readonly boolean[], latencyMs: number | null = 12.4): GroupStatus {
  const common = { strategy: "fastest", fallback: null, inFlight: 0, violations: 0 } as const;
  return {
    ...common,
    name: "overseas",
    healthy: healthy.some(Boolean),
    members: healthy.map((each, index) => ({
      label: `tls://192.0.2.${index + 1}`,
      healthy: each,
      latencyMs,
      questions: 5,
      failures: 0,
      lastFailure: null,
      inFlight: 0,
    })),
  };
}

function itemOf({ items }: Health, kind: string) {
  return items.find((item) => item.kind === kind);
}

/** The state of the group at each of these times in ms, which rise. */
async function statesAt(clock: FakeClock, watch: HealthWatch, times: readonly number[]): Promise<readonly unknown[]> {
  const states: unknown[] = [];
  for (const [index, ms] of times.entries()) {
    await clock.advance(ms - (times[index - 1] ?? 0));
    states.push(itemOf(watch.read(), "group")?.state);
  }
  return states;
}

describe("the health of a group", () => {
  test("is well with the time that it answers in", async () => {
    const { watch } = await watched();
    expect(watch.read()).toMatchObject({
      state: "well",
      items: [{ said: { text: "overseas answers in about 10 ms." }, problem: null }, {}],
    });
  });

  test("is unknown until it was asked, and then nothing is called well", async () => {
    const { vitals, watch } = await watched();
    vitals.groups = [group([true], null)];
    expect(watch.read()).toMatchObject({
      state: "unknown",
      items: [{ kind: "group", said: { code: "health.groupNotAsked" } }, {}],
    });
  });

  test("wants care when a server has been silent for a minute, and names it", async () => {
    const { clock, vitals, watch } = await watched();
    vitals.groups = [group([true, false])];
    expect(await statesAt(clock, watch, [0, 58_000, 62_000])).toEqual(["well", "well", "care"]);
    expect(watch.read()).toMatchObject({
      state: "care",
      items: [{ said: { text: "Silent servers of overseas: 1 of 2 (tls://192.0.2.2)." }, problem: "v1|group|overseas|" }, {}],
    });
  });

  test("is well again only after half a minute, and a relapse begins anew", async () => {
    const { clock, vitals, watch } = await watched();
    vitals.groups = [group([false, false])];
    expect(itemOf(watch.read(), "group")).toMatchObject({ state: "bad", said: { text: "No server of overseas answers." } });
    const badSince = watch.read().since;
    vitals.groups = [group([true, true])];
    expect(await statesAt(clock, watch, [0, 28_000])).toEqual(["care", "care"]);
    vitals.groups = [group([false, false])];
    expect(watch.read().state).toBe("bad");
    vitals.groups = [group([true, true])];
    expect(await statesAt(clock, watch, [0, 28_000, 32_000])).toEqual(["care", "care", "well"]);
    expect(watch.read().since > badSince).toBe(true);
  });

  test("is told to who follows it, once for each change", async () => {
    const { clock, vitals, watch } = await watched();
    const told: string[] = [];
    const end = watch.follow(({ state }) => void told.push(state));
    await clock.advance(10_000);
    vitals.groups = [group([false, false])];
    await clock.advance(10_000);
    expect(told).toEqual(["bad"]);
    end();
    vitals.groups = [group([true, true])];
    await clock.advance(60_000);
    expect(told).toEqual(["bad"]);
  });
});

describe("the health of a list", () => {
  const NOW_MS = fakeClock().wallMs();
  const source = {
    source: "https://lists.example/cn.txt",
    servedFrom: "copy",
    bytes: 9,
    sha256: null,
    changedWallMs: null,
    entries: 5,
    warningCount: 0,
    warnings: [],
    problem: null,
    mistake: null,
    checkedWallMs: NOW_MS - HOUR_MS,
    downloadProblem: null,
  } as const;
  const list = (changes: object, size = 5): ListReport => ({
    name: "cn",
    kind: "domains",
    size,
    sources: [{ ...source, ...changes }],
  });

  test.each([
    ["well", "health.listWell", list({})],
    ["care", "health.listOld", list({ checkedWallMs: NOW_MS - 3 * HOUR_MS - 1 })],
    ["well", "health.listWell", list({ checkedWallMs: NOW_MS - 3 * HOUR_MS + 60_000 })],
    ["care", "health.listHeld", list({ downloadProblem: { reason: "half as long", held: true, sinceWallMs: 0 } })],
    ["well", "health.listNotRenewed", list({ downloadProblem: { reason: "503", held: false, sinceWallMs: NOW_MS - 60_000 } })],
    [
      "care",
      "health.listNotRenewed",
      list({ downloadProblem: { reason: "503", held: false, sinceWallMs: NOW_MS - HOUR_MS - 1 } }),
    ],
    [
      "care",
      "health.listNeverDownloaded",
      list({ servedFrom: "seed", downloadProblem: { reason: "503", held: false, sinceWallMs: NOW_MS } }),
    ],
    ["care", "health.listProblem", list({ problem: "no such file" })],
    ["bad", "health.listEmpty", list({ problem: "not downloaded, and it has no seed" }, 0)],
  ] as const)("is %s: %s", async (state, code, report) => {
    const { watch, clock } = await watched({ yaml: YAML, lists: [report] });
    await clock.advance(0);
    expect(itemOf(watch.read(), "list")).toMatchObject({ name: "cn", state, said: { code } });
  });
});

describe("the health of the rest", () => {
  test.each([
    ["well", "health.routerWell", { reason: null, findings: 0, first: null }],
    ["care", "health.routerDrifted", { reason: null, findings: 2, first: "ip/dns use-doh-server" }],
    ["unknown", "health.routerUnchecked", { reason: "401", findings: 0, first: null }],
  ] as const)("of the router's settings is %s: %s", async (state, code, drift) => {
    const { vitals, watch } = await watched();
    vitals.drift = { ...drift, atWallMs: 0 };
    const problem = state === "care" ? "v1|router|settings|" : null;
    expect(itemOf(watch.read(), "router")).toMatchObject({ name: "settings", state, said: { code }, problem });
  });

  test.each([
    ["well", "health.certificateWell", 90, false, null],
    ["care", "health.certificateLate", 9, true, null],
    ["bad", "health.certificateExpired", -1, true, null],
    ["bad", "health.certificateRefused", 90, false, "the key is of another certificate"],
  ] as const)("the certificate is %s: %s", async (state, code, days, isLate, refusal) => {
    const { vitals, watch, clock } = await watched();
    vitals.certificate = { expiresWallMs: clock.wallMs() + days * DAY_MS, isLate, refusal };
    expect(itemOf(watch.read(), "certificate")).toMatchObject({ state, said: { code } });
  });

  test("a broken expectation wants care, and the first one is told", async () => {
    const { watch } = await watched({
      yaml: YAML.replace("upstream: domestic", "rule: split").replace(
        "expect",
        "rules: [{ name: split, domains: [a.example], answer: nodata }]\nexpect",
      ),
    });
    expect(itemOf(watch.read(), "expectations")).toMatchObject({
      state: "care",
      said: { values: { broken: 1, total: 1, reason: expect.stringContaining("page.example A: expected rule split") } },
    });
  });

  test("a log that fails is bad and comes first, with its reason", async () => {
    const { vitals, watch } = await watched();
    vitals.log = { ...vitals.log, state: "failing", fault: { reason: "the disk is full", sinceWallMs: 0 } };
    expect(watch.read()).toMatchObject({
      state: "bad",
      items: [{ kind: "log", said: { text: "Queries are not recorded: the disk is full." } }, {}],
    });
  });
});

test("a router that takes no entries is to be looked at; without address lists nothing is said of it", async () => {
  const { vitals, watch } = await watched();
  expect(itemOf(watch.read(), "router")).toBeUndefined();
  vitals.router = { problem: "connect ECONNREFUSED", queued: 3 };
  expect(itemOf(watch.read(), "router")).toMatchObject({
    state: "care",
    said: { text: "The router takes no entries for its address lists: connect ECONNREFUSED." },
  });
});

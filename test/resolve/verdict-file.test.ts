import { readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { TYPE } from "../../src/dns/types.ts";
import {
  loadVerdicts,
  MAX_VERDICTS,
  PROVISIONAL_MS,
  saveVerdicts,
  type Verdict,
  Verdicts,
  verdictKey,
} from "../../src/resolve/verdicts.ts";
import { nameOf, zone } from "../dns/zone.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { directory, file } from "../support/files.ts";
import { runs } from "../support/properties.ts";
import { siteWith } from "../support/site.ts";
import { honest, respond } from "../support/zone-script.ts";

const compare = { near: "near", far: "far", keepNearIf: "cn-ip", first: "near", withinMs: 800, verdictMs: 86_400_000 } as const;
const keyOf = (name: string) => verdictKey(nameOf(name), compare);
const kept: Verdict = { side: "near", classification: "kept", type: TYPE.A, firm: true, foundAtMs: 0, fingerprint: "print" };
const terms = { nowMs: 0, verdictMs: 1000, fingerprint: "print" };

describe("the store of verdicts", () => {
  test("drops a verdict that has expired, or was found by other lists", () => {
    for (const changed of [{ nowMs: 1000 }, { fingerprint: "other" }, { verdictMs: 0 }]) {
      const verdicts = new Verdicts();
      verdicts.put("key", kept);
      expect(verdicts.get("key", terms)).toEqual(kept);
      expect(verdicts.get("key", { ...terms, ...changed })).toBeNull();
      expect(verdicts.size).toBe(0);
    }
  });

  test("drops a verdict that is not firm after minutes, or sooner if `verdict` is shorter", () => {
    const verdicts = new Verdicts();
    verdicts.put("key", { ...kept, firm: false });
    const day = { ...terms, verdictMs: 86_400_000 };
    expect(verdicts.get("key", { ...day, nowMs: PROVISIONAL_MS - 1 })).not.toBeNull();
    expect(verdicts.get("key", { ...day, nowMs: PROVISIONAL_MS })).toBeNull();
    verdicts.put("key", { ...kept, firm: false });
    expect(verdicts.get("key", { ...terms, nowMs: 1000 })).toBeNull();
  });

  test("has a limit, and drops the least recently used verdict first", () => {
    const verdicts = new Verdicts();
    for (let index = 0; index < MAX_VERDICTS; index++) verdicts.put(`${index}`, kept);
    verdicts.get("0", terms);
    verdicts.put("one more", kept);
    expect([verdicts.size, verdicts.get("0", terms) !== null, verdicts.get("1", terms)]).toEqual([MAX_VERDICTS, true, null]);
  });
});

test("verdicts on the answers of one near group can be dropped; those of other groups stay", () => {
  const verdicts = new Verdicts();
  const keys = ["domestic", "campus"].map((near) => verdictKey(nameOf("page.example"), { ...compare, near }));
  for (const key of keys) verdicts.put(key, kept);
  verdicts.dropNear("domestic");
  expect([...verdicts.entries()].map(([key]) => key)).toEqual(keys.slice(1));
});

describe("the file of verdicts", () => {
  test("restores verdicts with their age", async () => {
    const path = join(directory(), "new", "cache.verdicts");
    const clock = fakeClock();
    await clock.advance(500);
    const verdicts = new Verdicts();
    const far: Verdict = {
      side: "far",
      classification: "silent",
      type: TYPE.AAAA,
      firm: false,
      foundAtMs: 300,
      fingerprint: "other",
    };
    verdicts.put(keyOf("page.example"), kept);
    verdicts.put(keyOf("münchen.example".replace("ü", "\\252")), far);
    await saveVerdicts(verdicts, path, clock);
    expect(statSync(path).mode & 0o777).toBe(0o600);
    const later = fakeClock(clock.wallMs() + 60_000);
    const restored = new Verdicts();
    expect(await loadVerdicts(restored, path, later)).toEqual({ restored: 2, problem: null });
    const agesMs = (at: number, store: Verdicts) =>
      [...store.entries()].map(([key, verdict]) => [key, { ...verdict, foundAtMs: at - verdict.foundAtMs }]);
    expect(agesMs(later.now(), restored)).toEqual(agesMs(clock.now() + 60_000, verdicts));
  });

  test("skips verdicts from the future, whose age is unknown", async () => {
    const path = join(directory(), "verdicts");
    const verdicts = new Verdicts();
    verdicts.put("key", kept);
    await saveVerdicts(verdicts, path, fakeClock(1_000_000));
    expect(await loadVerdicts(new Verdicts(), path, fakeClock(900_000))).toEqual({ restored: 0, problem: null });
  });

  test("may be missing", async () => {
    expect(await loadVerdicts(new Verdicts(), join(directory(), "none"), fakeClock())).toEqual({ restored: 0, problem: null });
  });

  test("is reported and not used if it is damaged anywhere", async () => {
    const path = join(directory(), "verdicts");
    const verdicts = new Verdicts();
    verdicts.put(keyOf("page.example"), kept);
    await saveVerdicts(verdicts, path, fakeClock());
    const whole = readFileSync(path);
    await fc.assert(
      fc.asyncProperty(fc.nat(whole.length - 1), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        const damaged = Buffer.from(whole);
        damaged[at] = (damaged[at] ?? 0) ^ change;
        writeFileSync(path, damaged);
        const store = new Verdicts();
        expect(await loadVerdicts(store, path, fakeClock())).toMatchObject({ restored: 0, problem: expect.any(String) });
        expect(store.size).toBe(0);
      }),
      { numRuns: runs(60) },
    );
    for (const length of [0, 5, 20, whole.length - 1]) {
      writeFileSync(path, whole.subarray(0, length));
      expect(await loadVerdicts(new Verdicts(), path, fakeClock())).toMatchObject({ problem: expect.any(String) });
    }
  });
});

describe("across a restart", () => {
  const list = () => file("near.txt", ["192.0.2.0/24"]);
  const near = honest("page.example 10 A 192.0.2.7");
  const far = honest("page.example 10 A 198.51.100.9");
  const yamlWith = (nearList: string, cache: string) => `lists: { near-ip: { addresses: "${nearList}" } }
rules: [{ name: others, compare: { near: near, far: far, keepNearIf: "list:near-ip", verdict: 1h } }]
cache: { file: "${cache}", stale: false, prefetch: false }`;

  const upstreams = { near, far: { servers: [far], transport: "tls" } } as const;

  test("a verdict still holds, with its age", async () => {
    const yaml = yamlWith(list(), join(directory(), "cache.db"));
    const first = await siteWith({ upstreams, yaml });
    expect(await first.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
    await first.close();
    const startedWallMs = first.clock.wallMs();
    const second = await siteWith({ upstreams, yaml, clock: fakeClock(startedWallMs + 3_500_000) });
    expect(await second.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
    expect([second.asked("near"), second.asked("far")]).toEqual([["page.example A"], []]);
    await second.clock.advance(101_000);
    await second.ask("page.example");
    await second.until(() => second.asked("far").length === 1);
  });

  test("a damaged file is reported, and the server starts without it", async () => {
    const cache = join(directory(), "cache.db");
    writeFileSync(`${cache}.verdicts`, "fenliu verdicts 1 0\n[]]");
    const site = await siteWith({ upstreams, yaml: yamlWith(list(), cache) });
    expect(site.log.join("")).toContain("verdicts: it is damaged");
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
  });
});

describe("a reload", () => {
  const nearList = () => file("near.txt", ["192.0.2.0/24"]);
  const yamlWith = (path: string) => `lists: { near-ip: { addresses: "${path}" } }
rules: [{ name: others, compare: { near: near, far: far, keepNearIf: "list:near-ip" } }]
cache: { prefetch: false }`;
  const near = honest("page.example 10 A 192.0.2.7");
  const far: ReturnType<typeof honest> = (asked) => respond(asked, { answers: zone("page.example 10 A 198.51.100.9") });

  test("keeps the verdicts if the list has the same addresses, and drops them if not", async () => {
    const path = nearList();
    const site = await siteWith({ upstreams: { near, far: { servers: [far], transport: "tls" } }, yaml: yamlWith(path) });
    await site.ask("page.example");
    await site.until(() => site.asked("far").length === 1);
    writeFileSync(path, "# the same\n192.0.2.0-192.0.2.255\n");
    await site.reload(yamlWith(path));
    await site.clock.advance(11_000);
    expect(await site.ask("page.example")).toMatchObject({ answers: ["192.0.2.7"] });
    expect(site.asked("far")).toHaveLength(1);
    writeFileSync(path, "203.0.113.0/24\n");
    await site.reload(yamlWith(path));
    expect(await site.ask("page.example")).toMatchObject({ answers: ["198.51.100.9"] });
  });
});

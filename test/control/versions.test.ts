import { createHash } from "node:crypto";
import { readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { hypotheticalQuery } from "../../src/control/explain-live.ts";
import { Explainer } from "../../src/control/explainer.ts";
import { Versions } from "../../src/control/history.ts";
import type { ListCacheReader } from "../../src/lists/cache.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { openPolicy } from "../../src/server/policy.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { directory, file } from "../support/files.ts";
import { about, DAY_MS, explainer, MISSING, move, movedScene, put, scene } from "./versions-scene.ts";

describe("versions", () => {
  test("a record is explained under its own version, after a list has changed", async () => {
    const { stage, versions, before, after } = await movedScene();
    expect(after).not.toBe(before);
    const explaining = explainer(versions, stage.site);
    expect(await explaining.explain(about("page.example", null))).toMatchObject({
      version: after,
      decision: { route: "overseas" },
      trace: [{ match: { list: "world", line: 2 } }],
    });
    expect(await explaining.explain(about("page.example", before))).toMatchObject({
      version: before,
      decision: { route: "domestic" },
      trace: [{ match: { list: "cn", line: 2, source: stage.paths.cn } }],
      cache: [],
      notes: [expect.stringContaining("a version of the past")],
    });
  });

  test("hosts files and names put in while running are part of it", async () => {
    const stage = await scene();
    const versions = stage.open();
    const before = put(versions, stage.site);
    await versions.list();
    writeFileSync(stage.paths.hosts, "10.0.0.6 nas.lan\n");
    await stage.site.reload(stage.yaml);
    put(versions, stage.site);
    const explaining = explainer(versions, stage.site);
    expect((await explaining.explain(about("nas.lan", null))).decision.answer).toBe("10.0.0.6");
    expect((await explaining.explain(about("nas.lan", before))).decision.answer).toBe("10.0.0.5");
  });

  test("the one in force comes first; a return to an earlier one is no new one", async () => {
    const stage = await scene();
    const versions = stage.open();
    const first = put(versions, stage.site);
    await stage.clock.advance(60_000);
    await stage.site.reload(`${stage.yaml}\nanswers: { ipv6: nodata }`);
    const second = put(versions, stage.site);
    expect(await versions.list()).toMatchObject([
      {
        version: second,
        since: "2026-01-01T00:01:00.000Z",
        missing: [],
        lists: [
          { name: "cn", size: 1 },
          { name: "world", size: 1 },
        ],
      },
      { version: first, since: "2026-01-01T00:00:00.000Z", missing: [] },
    ]);
    await stage.site.reload(stage.yaml);
    expect(put(versions, stage.site)).toBe(first);
    expect((await versions.list()).map(({ version }) => version)).toEqual([first, second]);
  });

  test("a restart keeps them", async () => {
    const { stage, versions, before, after } = await movedScene();
    await versions.close();
    const later = stage.open();
    expect(put(later, stage.site)).toBe(after);
    expect((await later.list()).map(({ version }) => version)).toEqual([after, before]);
    const explaining = explainer(later, stage.site);
    expect((await explaining.explain(about("page.example", before))).decision.route).toBe("domestic");
  });

  test("a file is kept once, however many versions are made of it", async () => {
    const stage = await scene();
    const versions = stage.open();
    put(versions, stage.site);
    await versions.list();
    const files = () => readdirSync(join(stage.paths.versions, "contents")).length;
    const atFirst = files();
    await stage.site.reload(`${stage.yaml}\nanswers: { ipv6: nodata }`);
    put(versions, stage.site);
    await versions.list();
    expect(files() - atFirst).toBe(1);
  });
});

test("downloads, seeds, addresses and a file with the wrong checksum come back as they were", async () => {
  const where = directory();
  const seed = file("seed.txt", ["seeded.example"]);
  const wrong = file("wrong.txt", ["wrong.example"]);
  const near = file("near.txt", ["192.0.2.0/24"]);
  const parsed = parseConfig(
    `upstreams: { domestic: { servers: [192.0.2.1] }, overseas: { servers: [192.0.2.2], never: { domains: "list:seeded" } } }
lists:
  far: { domains: ["https://lists.example/far.txt", "https://lists.example/further.txt"] }
  seeded: { domains: "https://lists.example/gone.txt", seed: "${seed}" }
  wrong: { domains: "${wrong}", sha256: "${"0".repeat(64)}" }
  empty: { domains: "https://lists.example/never.txt" }
  near: { addresses: "${near}" }
rules:
  - { name: split, longest: { "list:far": overseas, "list:seeded": domestic, "list:wrong": domestic, "list:empty": domestic } }
  - { name: others, compare: { near: domestic, far: overseas, keepNearIf: "list:near", within: 800ms, verdict: 1d } }`,
    null,
  );
  if (parsed.kind === "invalid") throw new Error(parsed.problems.map(({ message }) => message).join());
  const downloads = new Map([
    ["far.txt", "far.example"],
    ["further.txt", "further.example"],
  ]);
  const copies: ListCacheReader = {
    async read(_list, url) {
      const text = downloads.get(url.slice("https://lists.example/".length));
      if (text === undefined) return null;
      return { bytes: Buffer.from(text), sha256: createHash("sha256").update(text).digest("hex"), fetchedWallMs: 0 };
    },
  };
  const log = operationsLog("silent", () => {}, false);
  const decisions = await openPolicy(parsed.config, log, copies);
  const options = { folder: join(where, "versions"), keepMs: () => DAY_MS, inUse: async () => [], clock: fakeClock(), log };
  const versions = new Versions(options);
  versions.put({ decisions, copies });
  await versions.close();
  for (const path of [seed, wrong, near]) writeFileSync(path, "other.example\n");
  downloads.clear();
  const past = await new Versions(options).decisionsOf(decisions.version);
  expect(past.inputs).toEqual(decisions.inputs);
  for (const name of ["far.example", "further.example", "seeded.example", "wrong.example", "x.example"]) {
    const { query, client } = hypotheticalQuery({ name, type: "A", client: null, clientId: null });
    expect(past.decider.explain(query, client).steps).toEqual(decisions.decider.explain(query, client).steps);
    expect(past.egress.forbids("overseas", query, client)).toBe(decisions.egress.forbids("overseas", query, client));
  }
  expect(past.classifier.near("near").fingerprint).toBe(decisions.classifier.near("near").fingerprint);
});

describe("what a version is", () => {
  test.each([
    { what: "a rule", more: "answers: { ipv6: nodata }" },
    { what: "a special name", more: "special: { firefoxCanary: true }" },
    { what: "a hosts record", more: "", records: true },
  ])("$what makes another", async ({ more, records }) => {
    const stage = await scene();
    const before = stage.site.app.state.version;
    await stage.site.reload(
      records === true ? stage.yaml.replace("hosts: {", "hosts: { records: { tv.lan: 10.0.0.9 },") : `${stage.yaml}\n${more}`,
    );
    expect(stage.site.app.state.version).not.toBe(before);
  });

  test("what decides nothing makes none, and neither does reading the same again", async () => {
    const stage = await scene();
    const before = stage.site.app.state.version;
    await stage.site.reload(
      `${stage.yaml}\nlog: { level: warn }\naccess: { clients: [private, 192.0.2.1] }\nadmin: { token: abcdefgh }`,
    );
    expect(stage.site.app.state.version).toBe(before);
    await stage.site.reload(stage.yaml);
    expect(stage.site.app.state.version).toBe(before);
  });
});

describe("retention", () => {
  test("a version stays while a record bears it, and goes with the files that only it had", async () => {
    const { stage, versions, before, after } = await movedScene();
    stage.store.versions = [before];
    await stage.clock.advance(2 * DAY_MS);
    expect(await versions.list()).toHaveLength(2);
    const files = readdirSync(join(stage.paths.versions, "contents")).length;
    stage.store.versions = [];
    await stage.clock.advance(3_600_000);
    expect((await versions.list()).map(({ version }) => version)).toEqual([after]);
    expect(readdirSync(join(stage.paths.versions, "contents"))).toHaveLength(files - 3);
    const explaining = explainer(versions, stage.site);
    await expect(explaining.explain(about("page.example", before))).rejects.toMatchObject(MISSING);
  });

  test("one that was just replaced stays for a while: its last records may not be stored yet", async () => {
    const stage = await scene();
    const versions = stage.open();
    put(versions, stage.site);
    await versions.list();
    await move(stage);
    put(versions, stage.site);
    expect(await versions.list()).toHaveLength(2);
  });

  test("while the store cannot be read, versions go by the time that records are kept", async () => {
    const stage = await scene();
    stage.store.versions = null;
    const versions = stage.open();
    put(versions, stage.site);
    await versions.list();
    await move(stage);
    put(versions, stage.site);
    await stage.clock.advance(6 * DAY_MS);
    expect(await versions.list()).toHaveLength(2);
    await stage.clock.advance(2 * DAY_MS);
    expect(await versions.list()).toHaveLength(1);
  });

  test("beyond the limit the ones that were replaced first go, never the one in force", async () => {
    const stage = await scene({ limits: { bytes: 2 ** 30, versions: 3 } });
    const versions = stage.open();
    const all: string[] = [];
    for (const seconds of [1, 2, 3, 4, 5]) {
      await stage.site.reload(`${stage.yaml}\nanswers: { negative: { block: ${seconds}s } }`);
      all.push(put(versions, stage.site));
      await stage.clock.advance(1000);
      await versions.list();
    }
    expect((await versions.list()).map(({ version }) => version)).toEqual(all.slice(2).toReversed());
    const tight = await scene({ limits: { bytes: 1, versions: 3 } });
    const few = tight.open();
    put(few, tight.site);
    await few.list();
    await move(tight);
    const last = put(few, tight.site);
    expect((await few.list()).map(({ version }) => version)).toEqual([last]);
  });
});

test("without a query log no versions are kept", async () => {
  const { site } = await scene();
  const none = new Explainer({
    server: site.app,
    versions: () => null,
    queries: { read: () => expect.fail("nothing is read of the log") },
    drafts: { judge: () => expect.fail("no draft is judged") },
  });
  expect(await none.versions()).toEqual([]);
  await expect(none.explain(about("page.example", "0123456789ab"))).rejects.toMatchObject(MISSING);
  expect((await none.explain(about("page.example", site.app.state.version))).decision.route).toBe("domestic");
});

test("under a version of the past nothing can be asked", async () => {
  const stage = await scene();
  const explaining = explainer(stage.open(), stage.site);
  await expect(explaining.explain({ ...about("page.example", "0123456789ab"), resolve: true })).rejects.toMatchObject({
    kind: "invalid",
  });
});

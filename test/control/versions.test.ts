import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { Explainer } from "../../src/control/explain.ts";
import { hypotheticalQuery } from "../../src/control/explain-live.ts";
import { Versions } from "../../src/control/history.ts";
import type { ListCacheReader } from "../../src/lists/cache.ts";
import { listCacheOf } from "../../src/lists/cache.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { openPolicy } from "../../src/server/policy.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { directory, file } from "../support/files.ts";
import { about, DAY_MS, explainer, MISSING, move, movedScene, put, scene } from "./versions-scene.ts";

describe("versions", () => {
  test("a record is explained under the version that decided it, after a list has changed", async () => {
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
      notes: [{ code: "note.pastVersion" }],
    });
  });

  test("a version includes hosts files and the names that users added", async () => {
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

  test("the version in force comes first; a return to an earlier version is no new version", async () => {
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

  test("versions survive a restart", async () => {
    const { stage, versions, before, after } = await movedScene();
    await versions.close();
    const later = stage.open();
    expect(put(later, stage.site)).toBe(after);
    expect((await later.list()).map(({ version }) => version)).toEqual([after, before]);
    const explaining = explainer(later, stage.site);
    expect((await explaining.explain(about("page.example", before))).decision.route).toBe("domestic");
  });

  test("a file of many versions is stored once", async () => {
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

test("a past policy has the downloads, seeds, addresses and rejected files of its time", async () => {
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
  const policy = await openPolicy(parsed.config, log, { cache: copies });
  const options = { folder: join(where, "versions"), keepMs: () => DAY_MS, inUse: async () => [], clock: fakeClock(), log };
  const versions = new Versions(options);
  versions.put({ policy, copies });
  await versions.close();
  for (const path of [seed, wrong, near]) writeFileSync(path, "other.example\n");
  downloads.clear();
  const past = await new Versions(options).policyOf(policy.version);
  expect(past.inputs).toEqual(policy.inputs);
  for (const name of ["far.example", "further.example", "seeded.example", "wrong.example", "x.example"]) {
    const { query, client } = hypotheticalQuery({ name, type: "A", client: null, clientId: null });
    expect(past.decider.explain(query, client).steps).toEqual(policy.decider.explain(query, client).steps);
    expect(past.egress.forbids("overseas", query, client)).toBe(policy.egress.forbids("overseas", query, client));
  }
  expect(past.classifier.near("near").fingerprint).toBe(policy.classifier.near("near").fingerprint);
});

describe("the version", () => {
  test.each([
    { what: "a rule", more: "answers: { ipv6: nodata }" },
    { what: "a special name", more: "special: { firefoxCanary: true }" },
    { what: "a hosts record", more: "", records: true },
  ])("changes with $what", async ({ more, records }) => {
    const stage = await scene();
    const before = stage.site.app.state.version;
    await stage.site.reload(
      records === true ? stage.yaml.replace("hosts: {", "hosts: { records: { tv.lan: 10.0.0.9 },") : `${stage.yaml}\n${more}`,
    );
    expect(stage.site.app.state.version).not.toBe(before);
  });

  test("stays the same if a change affects no decision, or if the same files are read again", async () => {
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
  test("a version stays while a record bears it, and goes with its own files", async () => {
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

  test("a version that was just replaced stays for a while, because its last records may not be stored yet", async () => {
    const stage = await scene();
    const versions = stage.open();
    put(versions, stage.site);
    await versions.list();
    await move(stage);
    put(versions, stage.site);
    expect(await versions.list()).toHaveLength(2);
  });

  test("while the store cannot be read, the age limit of records decides about versions", async () => {
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

  test("beyond the limit the versions that were replaced first are removed, never the version in force", async () => {
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
    drafts: { use: () => expect.fail("no draft is used"), check: () => expect.fail("no draft is used") },
  });
  expect(await none.versions()).toEqual([]);
  await expect(none.explain(about("page.example", "0123456789ab"))).rejects.toMatchObject(MISSING);
  expect((await none.explain(about("page.example", site.app.state.version))).decision.route).toBe("domestic");
});

test("a past version cannot be resolved", async () => {
  const stage = await scene();
  const explaining = explainer(stage.open(), stage.site);
  await expect(explaining.explain({ ...about("page.example", "0123456789ab"), resolve: true })).rejects.toMatchObject({
    kind: "invalid",
  });
});

describe("trouble on the disk", () => {
  test("a file that changed before it was kept is missing, and the version refuses to explain", async () => {
    const stage = await scene();
    const versions = stage.open();
    const before = put(versions, stage.site);
    await move(stage);
    put(versions, stage.site);
    expect((await versions.list()).find(({ version }) => version === before)?.missing).toEqual([
      `list cn: ${stage.paths.cn}`,
      `list world: ${stage.paths.world}`,
    ]);
    const explaining = explainer(versions, stage.site);
    await expect(explaining.explain(about("page.example", before))).rejects.toMatchObject({
      ...MISSING,
      message: expect.stringContaining(`not kept: list cn: ${stage.paths.cn}, list world`),
    });
    expect(stage.log.filter((line) => line.includes("changed before it could be kept"))).toHaveLength(2);
  });

  test.each(["overwritten", "cut short", "another's"])("a stored file that is %s is missing", async (damage) => {
    const stage = await scene();
    const versions = stage.open();
    const before = put(versions, stage.site);
    await versions.list();
    await move(stage);
    put(versions, stage.site);
    await versions.list();
    const folder = join(stage.paths.versions, "contents");
    for (const name of readdirSync(folder)) {
      const path = join(folder, name);
      const bytes = readFileSync(path);
      writeFileSync(
        path,
        damage === "overwritten"
          ? "nonsense"
          : damage === "cut short"
            ? bytes.subarray(0, 9)
            : readFileSync(join(folder, readdirSync(folder)[0] ?? "")),
      );
    }
    const explaining = explainer(versions, stage.site);
    await expect(explaining.explain(about("page.example", before))).rejects.toMatchObject(MISSING);
    expect((await explaining.explain(about("page.example", null))).decision.route).toBe("overseas");
  });

  test("a damaged header is removed, and written again if the version is in force", async () => {
    const stage = await scene();
    const versions = stage.open();
    const version = put(versions, stage.site);
    await versions.close();
    for (const text of ["", "{}", "[1", '{"version":"../../x"}']) {
      writeFileSync(join(stage.paths.versions, `${version}.json`), text);
      const later = stage.open();
      expect(await later.list()).toEqual([]);
      put(later, stage.site);
      expect(await later.list()).toMatchObject([{ version, missing: [] }]);
      await later.close();
    }
    expect(stage.log.join()).toContain("a damaged file was taken away");
  });

  test("a folder that cannot be created costs only the versions", async () => {
    const stage = await scene();
    writeFileSync(stage.paths.versions, "a file is in the way");
    const versions = stage.open();
    put(versions, stage.site);
    expect(await versions.list()).toEqual([]);
    const explaining = explainer(versions, stage.site);
    await expect(explaining.explain(about("page.example", "0123456789ab"))).rejects.toMatchObject(MISSING);
    expect(stage.log.join()).toContain("cannot be explained later");
    await versions.close();
    put(versions, stage.site);
  });
});

test("other users cannot read the kept files, and the files hold no secret of the configuration", async () => {
  const stage = await scene({ more: "admin: { token: very-secret-token }" });
  const versions = stage.open();
  put(versions, stage.site);
  await versions.list();
  const { versions: folder } = stage.paths;
  const contents = join(folder, "contents");
  const paths = [
    ...readdirSync(folder)
      .filter((name) => name !== "contents")
      .map((name) => join(folder, name)),
    ...readdirSync(contents).map((name) => join(contents, name)),
  ];
  expect(paths.map((path) => statSync(path).mode & 0o077)).toEqual(paths.map(() => 0));
  expect([folder, contents].map((path) => statSync(path).mode & 0o077)).toEqual([0, 0]);
  const texts = paths.map((path) =>
    (path.endsWith(".zst") ? zstdDecompressSync(readFileSync(path)) : readFileSync(path)).toString(),
  );
  expect(texts.join("\n")).toContain('"name":"split"');
  expect(texts.join("\n")).not.toContain("very-secret-token");
});

test("a query log that does not answer does not delay the close", async () => {
  const asked = Promise.withResolvers<void>();
  const inUse = () => {
    asked.resolve();
    return new Promise<never>(() => {});
  };
  const stage = await scene({ inUse });
  const versions = stage.open();
  const { policy, config } = stage.site.app.state;
  versions.put({ policy: { ...policy, version: "aa" }, copies: listCacheOf(config) });
  put(versions, stage.site);
  await versions.list();
  await stage.clock.advance(2 * DAY_MS);
  await asked.promise;
  const closing = versions.close();
  await stage.clock.advance(6000);
  await closing;
  expect(readdirSync(stage.paths.versions)).toContain(`${stage.site.app.state.version}.json`);
});

test("the query log is not read while no version was replaced long ago", async () => {
  let asked = 0;
  const inUse = async () => {
    asked++;
    return [];
  };
  const stage = await scene({ inUse });
  const versions = stage.open();
  const { policy, config } = stage.site.app.state;
  put(versions, stage.site);
  await versions.list();
  await stage.clock.advance(3 * DAY_MS);
  await versions.list();
  expect(asked).toBe(0);
  versions.put({ policy: { ...policy, version: "aa" }, copies: listCacheOf(config) });
  await versions.list();
  expect(asked).toBe(0);
  await stage.clock.advance(2 * DAY_MS);
  await versions.list();
  expect(asked).toBeGreaterThan(0);
});

test("if more changes wait than can be kept, the version in force is kept", async () => {
  const stage = await scene();
  const versions = stage.open();
  const { policy, config } = stage.site.app.state;
  const names = Array.from({ length: 100 }, (_, index) => `f${index}`);
  for (const version of names) versions.put({ policy: { ...policy, version }, copies: listCacheOf(config) });
  const kept = await versions.list();
  expect(kept[0]?.version).toBe("f99");
  expect(kept.length).toBeLessThan(50);
  expect(kept.length + stage.log.length).toBe(names.length);
});

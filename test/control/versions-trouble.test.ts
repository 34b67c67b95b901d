import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { zstdDecompressSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { listCacheOf } from "../../src/lists/cache.ts";
import { about, explainer, MISSING, move, put, scene } from "./versions-scene.ts";

describe("trouble on the disk", () => {
  test("a file that was changed before it could be kept: the version is without it, and explains nothing wrongly", async () => {
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

  test.each(["overwritten", "cut short", "another's"])("a file that is %s is missing", async (damage) => {
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

  test("a damaged header is taken away, and written anew when the version is in force", async () => {
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

  test("a folder that cannot be made costs the versions alone", async () => {
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

test("nobody else may read what is kept, and no secret of the configuration is in it", async () => {
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

test("a store that does not say what it holds keeps nobody from closing", async () => {
  const asked = Promise.withResolvers<void>();
  const inUse = () => {
    asked.resolve();
    return new Promise<never>(() => {});
  };
  const stage = await scene({ inUse });
  const versions = stage.open();
  put(versions, stage.site);
  await asked.promise;
  const closing = versions.close();
  await stage.clock.advance(6000);
  await closing;
  expect(readdirSync(stage.paths.versions)).toContain(`${stage.site.app.state.version}.json`);
});

test("of more changes at once than can wait, the one in force is kept", async () => {
  const stage = await scene();
  const versions = stage.open();
  const { policy: decisions, config } = stage.site.app.state;
  const names = Array.from({ length: 100 }, (_, index) => `f${index}`);
  for (const version of names) versions.put({ decisions: { ...decisions, version }, copies: listCacheOf(config) });
  const kept = await versions.list();
  expect(kept[0]?.version).toBe("f99");
  expect(kept.length).toBeLessThan(50);
  expect(kept.length + stage.log.length).toBe(names.length);
});

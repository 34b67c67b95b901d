import { createHash } from "node:crypto";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ListCache } from "../../src/lists/cache.ts";
import { loadLists } from "../../src/lists/load.ts";
import type { ListOptions } from "../../src/lists/options.ts";
import { type Activate, updateList } from "../../src/lists/update.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { directory } from "../support/files.ts";
import { downloaded, names, tagged, testFetcher, type Web, web } from "./web.ts";

const activateAll: Activate = async (_, __, commit) => {
  await commit();
  return [];
};

function updater({ folder = directory(), activate = activateAll }: { folder?: string; activate?: Activate } = {}) {
  const clock = fakeClock();
  const cache = new ListCache(folder);
  const parts = { cache, fetch: testFetcher(clock), activate, clock };
  return {
    folder,
    cache,
    clock,
    update: async (list: ListOptions, acceptsAnySize = false) => {
      const wishes = { acceptsAnySize, signal: new AbortController().signal, progress: () => {} };
      return (await updateList(list, parts, wishes)).map(({ outcome }) => outcome);
    },
    size: async (list: ListOptions): Promise<number | undefined> => (await loadLists([list], cache)).status()[0]?.size,
  };
}

function urlOf({ url }: Web, path = "/a"): string {
  return `${url}${path}`;
}

function sha256(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}

describe("a download", () => {
  test("is stored and serves, and is not sent again while it is the newest", async () => {
    const server = await web({ "/a": tagged(names(10)) });
    const { update, size, cache, clock, folder } = updater();
    const list = downloaded("ads", [urlOf(server)]);
    expect(await size(list)).toBe(0);
    expect(await update(list)).toEqual([{ kind: "new", entries: 10 }]);
    expect(await size(list)).toBe(10);
    await clock.advance(3_600_000);
    expect(await update(list)).toEqual([{ kind: "unchanged" }]);
    const record = await cache.readRecord("ads", urlOf(server));
    expect([record.copy?.fetchedWallMs, record.checkedWallMs]).toEqual([clock.wallMs() - 3_600_000, clock.wallMs()]);
    expect(readdirSync(folder).length).toBe(2);
  });

  test("is compared by content if the server sends no validators", async () => {
    const server = await web({ "/a": names(10) });
    const { update, folder } = updater();
    const list = downloaded("ads", [urlOf(server)]);
    expect([await update(list), await update(list)]).toEqual([[{ kind: "new", entries: 10 }], [{ kind: "unchanged" }]]);
    expect(readdirSync(folder).length).toBe(2);
  });

  test("replaces the old copy, whose file is removed", async () => {
    const server = await web({ "/a": tagged(names(10)) });
    const { update, size, folder } = updater();
    const list = downloaded("ads", [urlOf(server)]);
    await update(list);
    server.serve("/a", tagged(names(13)));
    expect(await update(list)).toEqual([{ kind: "new", entries: 13 }]);
    expect(await size(list)).toBe(13);
    expect(readdirSync(folder).length).toBe(2);
  });

  test("a list of several URLs stores each, and reads its files too", async () => {
    const server = await web({ "/a": names(10, "a"), "/b": names(20, "b") });
    const { update, size } = updater();
    const own = join(directory(), "own.txt");
    writeFileSync(own, "own.test\n");
    const list = downloaded("ads", [urlOf(server), urlOf(server, "/b")]);
    const mixed: ListOptions = { ...list, sources: [...list.sources, { kind: "file", path: own, category: null }] };
    expect(await update(mixed)).toEqual([
      { kind: "new", entries: 10 },
      { kind: "new", entries: 20 },
    ]);
    expect(await size(mixed)).toBe(31);
  });

  test("comes from a mirror while its URL is down, and the URL is tried first each time", async () => {
    const down = await web({ "/a": tagged(names(10)) });
    const mirror = await web({ "/m": tagged(names(11)) });
    const { update, cache } = updater();
    await down.close();
    const list = downloaded("ads", [urlOf(down)], { mirrors: [urlOf(mirror, "/gone"), urlOf(mirror, "/m")] });
    expect(await update(list)).toEqual([{ kind: "new", entries: 11 }]);
    expect((await cache.readRecord("ads", urlOf(down))).copy?.from).toBe(urlOf(mirror, "/m"));
    expect(await update(list)).toEqual([{ kind: "unchanged" }]);
    expect(mirror.asked).toEqual(["/gone", "/m", "/gone", "/m"]);
  });

  test("with the configured checksum is taken whatever its size, and never requested again", async () => {
    const server = await web({ "/a": names(10) });
    const { update } = updater();
    await update(downloaded("ads", [urlOf(server)]));
    server.serve("/a", names(100));
    const pinned = downloaded("ads", [urlOf(server)], { sha256: sha256(names(100)) });
    expect(await update(pinned)).toEqual([{ kind: "new", entries: 100 }]);
    expect(await update(pinned)).toEqual([{ kind: "unchanged" }]);
    expect(server.asked.length).toBe(2);
  });
});

describe("a bad download changes nothing", () => {
  test.each([
    ["a page of a captive portal", "<!DOCTYPE html><title>Log in</title>", /^a web page$/],
    ["an empty file", "", /^no usable entry$/],
    ["comments alone", "# moved to another place\n", /^no usable entry$/],
    ["a list of addresses", "192.0.2.0/24\n198.51.100.0/24\n", /^no usable entry$/],
    ["an archive", Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0]).toString("latin1"), /gzip|binary|no usable/],
    ["a list with seven of ten entries gone", names(3), /^it shrank from 10 entries to 3$/],
    ["a list four tenths longer", names(14), /^it grew from 10 entries to 14$/],
  ])("%s", async (_, text, reason) => {
    const server = await web({ "/a": tagged(names(10)) });
    const { update, size, cache, folder, clock } = updater();
    const list = downloaded("ads", [urlOf(server)]);
    await update(list);
    const files = readdirSync(folder);
    server.serve("/a", (_, response) => void response.end(Buffer.from(text, "latin1")));
    const [outcome] = await update(list);
    expect(outcome).toMatchObject({ reason: expect.stringMatching(reason) });
    expect(await size(list)).toBe(10);
    expect(readdirSync(folder)).toEqual(files);
    const { problem } = await cache.readRecord("ads", urlOf(server));
    expect(problem).toEqual({
      reason: expect.stringMatching(reason),
      held: outcome?.kind === "held",
      sinceWallMs: clock.wallMs(),
    });
  });

  test("a list may grow or shrink by a third", async () => {
    const server = await web({ "/a": names(9) });
    const { update } = updater();
    const list = downloaded("ads", [urlOf(server)]);
    await update(list);
    server.serve("/a", names(12));
    expect(await update(list)).toEqual([{ kind: "new", entries: 12 }]);
    server.serve("/a", names(8));
    expect(await update(list)).toEqual([{ kind: "new", entries: 8 }]);
  });

  test("a quarantined list is taken when a person accepts it, and its problem is cleared", async () => {
    const server = await web({ "/a": tagged(names(10)) });
    const { update, size, cache } = updater();
    const list = downloaded("ads", [urlOf(server)]);
    await update(list);
    server.serve("/a", tagged(names(5)));
    const held = { kind: "held", reason: "it shrank from 10 entries to 5" };
    expect([await update(list), await update(list)]).toEqual([[held], [held]]);
    expect(await update(list, true)).toEqual([{ kind: "new", entries: 5 }]);
    expect(await size(list)).toBe(5);
    expect((await cache.readRecord("ads", urlOf(server))).problem).toBeNull();
  });

  test("a file that is no list cannot be accepted", async () => {
    const server = await web({ "/a": "<html>" });
    const { update } = updater();
    expect(await update(downloaded("ads", [urlOf(server)]), true)).toEqual([{ kind: "failed", reason: "a web page" }]);
  });

  test("a checksum that is not the configured one", async () => {
    const server = await web({ "/a": names(10) });
    const { update, size } = updater();
    const list = downloaded("ads", [urlOf(server)], { sha256: sha256("other") });
    expect(await update(list)).toMatchObject([{ kind: "failed", reason: expect.stringContaining(sha256(names(10))) }]);
    expect(await size(list)).toBe(0);
  });

  test("names in place of addresses", async () => {
    const server = await web({ "/a": names(10) });
    const { update } = updater();
    const list = downloaded("cn-ip", [urlOf(server)], { kind: "addresses" });
    expect(await update(list)).toEqual([{ kind: "failed", reason: "no usable entry" }]);
  });

  test("a server that is down; the problem tells since when", async () => {
    const server = await web({ "/a": tagged(names(10)) });
    const { update, size, cache, clock } = updater();
    const list = downloaded("ads", [urlOf(server)]);
    await update(list);
    await server.close();
    const downMs = clock.wallMs();
    await update(list);
    await clock.advance(60_000);
    expect(await update(list)).toMatchObject([{ kind: "failed", reason: expect.stringContaining("ECONNREFUSED") }]);
    expect((await cache.readRecord("ads", urlOf(server))).problem?.sinceWallMs).toBe(downMs);
    expect(await size(list)).toBe(10);
  });

  test("a list that breaks an expectation", async () => {
    const server = await web({ "/a": names(10) });
    const { update, size, folder } = updater({ activate: () => Promise.resolve(["www.example expects another rule"]) });
    const list = downloaded("ads", [urlOf(server)]);
    expect(await update(list)).toEqual([{ kind: "held", reason: "www.example expects another rule" }]);
    expect(await size(list)).toBe(0);
    expect(readdirSync(folder).every((name) => name.endsWith(".json"))).toBe(true);
  });

  test("a folder that cannot be written", async () => {
    const folder = join(directory(), "a-file");
    writeFileSync(folder, "");
    const server = await web({ "/a": names(10) });
    const { update } = updater({ folder });
    expect(await update(downloaded("ads", [urlOf(server)]))).toMatchObject([{ kind: "failed" }]);
  });
});

describe("the cache on the disk", () => {
  test("a damaged copy is not used: the seed is, until the list is downloaded again", async () => {
    const server = await web({ "/a": tagged(names(10)) });
    const { update, size, folder } = updater();
    const seed = join(directory(), "seed.txt");
    writeFileSync(seed, "seed.test\n");
    const list = downloaded("ads", [urlOf(server)], { seed });
    expect(await size(list)).toBe(1);
    await update(list);
    expect(await size(list)).toBe(10);
    const copy = join(folder, readdirSync(folder).find((name) => name.endsWith(".list")) ?? "");
    writeFileSync(copy, readFileSync(copy).subarray(0, 20));
    expect(await size(list)).toBe(1);
    expect(await update(list)).toEqual([{ kind: "new", entries: 10 }]);
    expect(await size(list)).toBe(10);
  });

  test.each(["", "{", "[]", '{"copy":{"sha256":"../../etc/passwd"}}'])("a record that reads %j counts as none", async (text) => {
    const server = await web({ "/a": tagged(names(10)) });
    const { update, size, folder } = updater();
    const list = downloaded("ads", [urlOf(server)]);
    await update(list);
    writeFileSync(join(folder, readdirSync(folder).find((name) => name.endsWith(".json")) ?? ""), text);
    expect(await size(list)).toBe(0);
    expect(await update(list)).toEqual([{ kind: "new", entries: 10 }]);
  });

  test("a copy with another checksum than the configured one is not used", async () => {
    const server = await web({ "/a": names(10) });
    const { update, size } = updater();
    const list = downloaded("ads", [urlOf(server)]);
    await update(list);
    expect(await size({ ...list, sha256: sha256("other") })).toBe(0);
    expect(await update({ ...list, sha256: sha256("other") })).toMatchObject([{ kind: "failed" }]);
    expect(await size({ ...list, sha256: sha256(names(10)) })).toBe(10);
  });

  test("a file with another checksum than the configured one is not used", async () => {
    const path = join(directory(), "own.txt");
    writeFileSync(path, "own.test\n");
    const list: ListOptions = { ...downloaded("own", []), sources: [{ kind: "file", path, category: null }] };
    const status = async (wanted: string) => (await loadLists([{ ...list, sha256: wanted }])).status()[0];
    expect(await status(sha256("own.test\n"))).toMatchObject({ size: 1, sources: [{ problem: null }] });
    expect(await status(sha256("other"))).toMatchObject({ size: 0, sources: [{ problem: expect.stringContaining("checksum") }] });
  });
});

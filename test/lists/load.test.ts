import { mkdtempSync, rmSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { type Name, nameFromText } from "../../src/dns/name.ts";
import { loadLists } from "../../src/lists/load.ts";
import type { ListSource } from "../../src/lists/options.ts";
import { listOptions } from "./list-options.ts";

const folder = mkdtempSync(join(tmpdir(), "lists-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

function fromFile(path: string, category: string | null = null): ListSource {
  return { kind: "file", path, category };
}

function name(text: string): Name {
  const parsed = nameFromText(text);
  if (parsed === null) throw new Error(`${text} is no name`);
  return parsed;
}

describe("loading lists", () => {
  test("a list holds the entries of all its sources, and a match names the source", async () => {
    const one = file("one.txt", "a.test\nb.test\n");
    const two = file("two.conf", "server=/c.test/1.1.1.1\nserver=/a.test/1.1.1.1\nbad line\n");
    utimesSync(two, new Date(1_700_000_000_000), new Date(1_700_000_000_000));
    const lists = await loadLists([listOptions("cn", "domains", { sources: [fromFile(one), fromFile(two)] })]);
    const set = lists.domains("cn");
    const match = set?.match(name("x.c.test"));
    expect(match && set?.describe(match)).toEqual({ list: "cn", source: two, line: 1, pattern: "c.test" });
    expect(lists.status()).toMatchObject([
      {
        name: "cn",
        kind: "domains",
        size: 3,
        sources: [
          { source: one, servedFrom: "file", bytes: 14, entries: 2, warningCount: 0, problem: null },
          { source: two, entries: 2, changedWallMs: 1_700_000_000_000, warningCount: 1, warnings: [{ line: 3 }], problem: null },
        ],
      },
    ]);
  });

  test("addresses come as CIDR, single, range, rule and dnsmasq line, and overlaps are merged", async () => {
    const text = file(
      "ip.txt",
      "# c\n192.0.2.0/25\n192.0.2.128/25 # why\nIP-CIDR,198.51.100.0/24,no-resolve\n  - 'IP-CIDR6,2001:db8::/32'\n203.0.113.1 - 203.0.113.9\nbogus-nxdomain=203.0.113.77\n2001:db8:1::1\nexample.com\n",
    );
    const lists = await loadLists([listOptions("ip", "addresses", { sources: [fromFile(text)] })]);
    const set = lists.addresses("ip");
    expect(
      ["192.0.2.200", "198.51.100.1", "2001:db8::1", "203.0.113.9", "203.0.113.77"].map((address) => set?.hasText(address)),
    ).toEqual(Array(5).fill(true));
    expect(["203.0.113.10", "2001:db9::"].map((address) => set?.hasText(address))).toEqual([false, false]);
    expect(lists.status()).toMatchObject([{ size: 5, sources: [{ entries: 7, warningCount: 1, warnings: [{ line: 9 }] }] }]);
  });

  test("addresses come as the commands of ipset and nft that fill a set", async () => {
    const ipset = file(
      "chnroute.ipset",
      "create chnroute hash:net family inet\nadd chnroute 1.0.1.0/24\nadd chnroute 1.0.2.0/23 -exist\n",
    );
    const nft = file(
      "chnroute.nftset",
      "add table inet global\nadd set inet global chnroute { type ipv4_addr; flags interval; }\nflush set inet global chnroute\nadd element inet global chnroute { 1.0.8.0/21 }\nadd element inet global chnroute { 1.1.0.0/24, 1.1.2.0/23 }\n",
    );
    const lists = await loadLists([listOptions("ip", "addresses", { sources: [fromFile(ipset), fromFile(nft)] })]);
    const set = lists.addresses("ip");
    expect(["1.0.1.9", "1.0.3.9", "1.0.15.9"].map((address) => set?.hasText(address))).toEqual([true, true, true]);
    expect(lists.status()).toMatchObject([
      {
        sources: [
          { entries: 2, warningCount: 0 },
          { entries: 1, warningCount: 1, warnings: [{ line: 5 }] },
        ],
      },
    ]);
  });

  test("a missing file, a web page, a file without entries and a folder are problems, and the other sources hold", async () => {
    const missing = join(folder, "missing.txt");
    const page = file("page.txt", "<!doctype html><p>blocked</p>");
    const empty = file("empty.txt", "# nothing\n");
    const good = file("good.txt", "good.test\n");
    const lists = await loadLists([
      listOptions("mixed", "domains", { sources: [missing, page, empty, folder, good].map((path) => fromFile(path)) }),
    ]);
    expect(lists.domains("mixed")?.match(name("good.test"))).not.toBeNull();
    expect(lists.status()[0]?.sources.map(({ problem }) => problem)).toEqual([
      expect.stringContaining("ENOENT"),
      "a web page",
      "no usable entry",
      `${folder} is not a file`,
      null,
    ]);
  });

  test("a URL that was never downloaded uses the seed of its list; without a seed the list is empty and reported", async () => {
    const seed = file("seed.txt", "seed.test\n");
    const url: ListSource = { kind: "url", url: "https://lists.example/dlc.dat", category: "cn" };
    const lists = await loadLists([
      listOptions("seeded", "domains", { sources: [url, url], seed }),
      listOptions("bare", "domains", { sources: [url] }),
      listOptions("bare-ip", "addresses", { sources: [url] }),
    ]);
    const set = lists.domains("seeded");
    const match = set?.match(name("seed.test"));
    expect(match && set?.describe(match).source).toBe(seed);
    expect(lists.domains("bare")?.size).toBe(0);
    expect(lists.addresses("bare-ip")?.size).toBe(0);
    expect(
      lists
        .status()
        .map(({ sources }) => sources.map(({ source, servedFrom, entries, problem }) => [source, servedFrom, entries, problem])),
    ).toEqual([
      [
        ["https://lists.example/dlc.dat#cn", "seed", 1, null],
        ["https://lists.example/dlc.dat#cn", "seed", 0, null],
      ],
      [["https://lists.example/dlc.dat#cn", "nothing", 0, "not downloaded, and it has no seed"]],
      [["https://lists.example/dlc.dat#cn", "nothing", 0, "not downloaded, and it has no seed"]],
    ]);
  });

  test("a missing seed is a problem", async () => {
    const url: ListSource = { kind: "url", url: "https://lists.example/a.txt", category: null };
    const lists = await loadLists([listOptions("a", "domains", { sources: [url], seed: join(folder, "no-seed") })]);
    expect(lists.status()[0]?.sources[0]?.problem).toContain("no-seed");
  });

  test("warnings beyond the first twenty are counted", async () => {
    const bad = file("bad.txt", "no name\n".repeat(500));
    const lists = await loadLists([listOptions("bad", "domains", { sources: [fromFile(bad)] })]);
    const source = lists.status()[0]?.sources[0];
    expect([source?.warningCount, source?.warnings.length, source?.warnings.at(-1)?.line]).toEqual([500, 20, 20]);
  });

  test("an unknown list, or one of the other kind, is null", async () => {
    const lists = await loadLists([listOptions("ip", "addresses", {})]);
    expect([lists.domains("ip"), lists.domains("x"), lists.addresses("x")]).toEqual([null, null, null]);
    expect(lists.addresses("ip")?.size).toBe(0);
  });

  test("keywords and regular expressions beyond the limit are warnings", async () => {
    const many = file("many.txt", Array.from({ length: 2010 }, (_, index) => `keyword:k${index}x`).join("\n"));
    const lists = await loadLists([listOptions("many", "domains", { sources: [fromFile(many)] })]);
    expect(lists.domains("many")?.size).toBe(2000);
    expect(lists.status()[0]?.sources[0]?.warningCount).toBe(10);
    expect(lists.status()[0]?.sources[0]?.warnings[0]?.line).toBe(2001);
  });
});

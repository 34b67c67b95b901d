import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type AddressSet, addressText } from "../../src/dns/address.ts";
import { nameFromText } from "../../src/dns/name.ts";
import type { DomainSet } from "../../src/lists/domain-set.ts";
import { type Lists, loadLists } from "../../src/lists/load.ts";
import type { ListOptions } from "../../src/lists/options.ts";
import { runs } from "../support/properties.ts";
import { REAL_DATA } from "../support/real-data.ts";
import { listOptions } from "./list-options.ts";

// Rule data of others, which is not part of the project: without it these claims go untested, and the rest of the tests do not need it.
const describeWithData = describe.runIf(existsSync(join(REAL_DATA, "dlc.dat")));

/** The loaded list of this file, if `setOf` finds its set. */
async function loaded<Set>(
  setOf: (lists: Lists) => Set | null,
  kind: ListOptions["kind"],
  file: string,
  category: string | null,
) {
  const sources = [{ kind: "file", path: join(REAL_DATA, file), category }] as const;
  const lists = await loadLists([listOptions("list", kind, { sources })]);
  const set = setOf(lists);
  const [status] = lists.status();
  if (set === null || status === undefined) throw new Error("the list is not there");
  return { set, status };
}

function domains(file: string, category: string | null = null) {
  return loaded((lists) => lists.domains("list"), "domains", file, category);
}

function addresses(file: string, category: string | null = null) {
  return loaded((lists) => lists.addresses("list"), "addresses", file, category);
}

function text(file: string): string {
  return readFileSync(join(REAL_DATA, file), "utf8");
}

/** The names of accelerated-domains.china.conf, in its order. */
function acceleratedDomains(): string[] {
  return [...text("accelerated-domains.china.conf").matchAll(/^server=\/([^/]+)\//gm)].map(([, name = ""]) => name);
}

/** The longest of `suffixes` that `name` ends with, found by taking label after label off. */
function longestSuffix(suffixes: ReadonlySet<string>, name: string): string | null {
  for (let rest = name; rest !== ""; rest = rest.includes(".") ? rest.slice(rest.indexOf(".") + 1) : "")
    if (suffixes.has(rest)) return rest;
  return null;
}

function matched(set: DomainSet, text: string): string | null {
  const name = nameFromText(text);
  const match = name === null ? null : set.match(name);
  return match === null ? null : set.describe(match).pattern;
}

describeWithData("accelerated-domains.china.conf", () => {
  test("every name in it is taken, with its line", async () => {
    const listed = acceleratedDomains();
    const { set, status } = await domains("accelerated-domains.china.conf");
    expect(status.size).toBe(new Set(listed).size);
    expect(status.sources).toMatchObject([{ entries: listed.length, warningCount: 0, problem: null }]);
    expect(listed.filter((name) => matched(set, name) !== name)).toEqual([]);
  });

  test("10,000 names made of its labels are judged as by taking label after label off", async () => {
    const listed = acceleratedDomains();
    const { set } = await domains("accelerated-domains.china.conf");
    const suffixes = new Set(listed);
    const listedName = fc.nat(listed.length - 1).map((index) => listed[index] ?? "");
    const name = fc.oneof(
      fc.tuple(fc.constantFrom("www", "a", "img.cdn"), listedName).map((parts) => parts.join(".")),
      fc.tuple(fc.constantFrom("x", "a-"), listedName).map((parts) => parts.join("")),
      fc.tuple(listedName, listedName).map((parts) => parts.join(".")),
      listedName.map((written) => written.slice(written.indexOf(".") + 1)),
    );
    fc.assert(
      fc.property(name, (asked) => {
        expect(matched(set, asked)).toBe(longestSuffix(suffixes, asked));
      }),
      { numRuns: runs(10_000) },
    );
  });
});

describeWithData("address files", () => {
  const cidrs = (file: string) =>
    text(file)
      .split("\n")
      .filter((line) => /^[0-9a-f]/.test(line));
  const wide = (bytes: Uint8Array) => BigInt(`0x${Buffer.from(bytes).toString("hex")}`);

  function addressCount(set: AddressSet, bytes: number): bigint {
    let count = 0n;
    for (const { first, last } of set.ranges()) if (first.length === bytes) count += wide(last) - wide(first) + 1n;
    return count;
  }

  function countOfCidrs(lines: readonly string[], bits: number): bigint {
    return lines
      .filter((line) => line.includes(":") === (bits === 128))
      .reduce((sum, line) => sum + (1n << BigInt(bits - Number(line.split("/")[1]))), 0n);
  }

  test.each(["chnroutes.txt", "geoip-cn.txt"])("%s holds as many addresses as its blocks, which do not overlap", async (file) => {
    const { set, status } = await addresses(file);
    const lines = cidrs(file);
    expect(status.sources).toMatchObject([{ entries: lines.length, warningCount: 0, problem: null }]);
    expect(addressCount(set, 4)).toBe(countOfCidrs(lines, 32));
    expect(addressCount(set, 16)).toBe(countOfCidrs(lines, 128));
  });

  test("geoip-cn.dat is the same set as its text", async () => {
    const binary = await addresses("geoip-cn.dat", "cn");
    const written = await addresses("geoip-cn.txt");
    const blocks = (set: AddressSet) => [...set.ranges()].map(({ first, last }) => `${addressText(first)}-${addressText(last)}`);
    expect(binary.status.sources[0]?.entries).toBe(cidrs("geoip-cn.txt").length);
    expect(blocks(binary.set)).toEqual(blocks(written.set));
  });

  test("bogus-nxdomain.china.conf gives every address in it", async () => {
    const { set, status } = await addresses("bogus-nxdomain.china.conf");
    const listed = [...text("bogus-nxdomain.china.conf").matchAll(/^bogus-nxdomain=(\S+)/gm)].map(([, address = ""]) => address);
    expect(listed.length).toBeGreaterThan(100);
    expect(status.sources).toMatchObject([{ entries: listed.length, warningCount: 0, problem: null }]);
    expect(listed.filter((address) => !set.hasText(address.split("/")[0] ?? ""))).toEqual([]);
  });
});

interface Rule {
  readonly type: number;
  readonly value: string;
  readonly attributes: readonly string[];
}

/** A second reader of .dat files: slices every field out of its message and knows lengths up to 2^28. */
function* fields(message: Buffer): Generator<readonly [field: number, value: number, bytes: Buffer]> {
  let rest = message;
  const varint = () => {
    const length = rest.findIndex((byte) => byte < 0x80) + 1;
    const value = rest.subarray(0, length).reduce((sum, byte, index) => sum + (byte & 0x7f) * 128 ** index, 0);
    rest = rest.subarray(length);
    return value;
  };
  while (rest.length > 0) {
    const key = varint();
    const value = varint();
    if (key % 8 === 0) yield [key >> 3, value, Buffer.alloc(0)];
    else {
      yield [key >> 3, 0, rest.subarray(0, value)];
      rest = rest.subarray(value);
    }
  }
}

function rulesOf(file: Buffer, code: string): Rule[] {
  const rules: Rule[] = [];
  for (const [, , site] of fields(file)) {
    const parts = [...fields(site)];
    if (parts.find(([field]) => field === 1)?.[2].toString() !== code) continue;
    for (const [, , domain] of parts.filter(([field]) => field === 2)) {
      const inner = [...fields(domain)];
      rules.push({
        type: inner.find(([field]) => field === 1)?.[1] ?? 0,
        value: inner.find(([field]) => field === 2)?.[2].toString() ?? "",
        attributes: inner
          .filter(([field]) => field === 3)
          .map(([, , attribute]) => [...fields(attribute)].find(([field]) => field === 1)?.[2].toString() ?? ""),
      });
    }
  }
  return rules;
}

describeWithData("dlc.dat", () => {
  test.each([
    ["cn", "CN", null],
    ["geolocation-!cn", "GEOLOCATION-!CN", null],
    ["apple", "APPLE", null],
    ["apple@cn", "APPLE", "cn"],
    ["geolocation-!cn@!cn", "GEOLOCATION-!CN", "!cn"],
    ["geolocation-!cn@cn", "GEOLOCATION-!CN", "cn"],
    ["category-ads-all", "CATEGORY-ADS-ALL", null],
    ["GOOGLE", "GOOGLE", null],
  ])("category %s is taken whole", async (category, code, attribute) => {
    const { set, status } = await domains("dlc.dat", category);
    const rules = rulesOf(readFileSync(join(REAL_DATA, "dlc.dat")), code).filter(
      ({ attributes }) => attribute === null || attributes.includes(attribute),
    );
    expect(rules.length).toBeGreaterThan(0);
    const [source] = status.sources;
    expect([source?.problem, (source?.entries ?? 0) + (source?.warningCount ?? 0)]).toEqual([null, rules.length]);
    expect(source?.warningCount).toBe(0);
    expect(status.size).toBe(new Set(rules.map(({ type, value }) => `${type} ${value}`)).size);
    expect(rules.filter(({ type, value }) => type === 2 && matched(set, `x.${value}`) === null)).toEqual([]);
    expect(rules.filter(({ type, value }) => type === 3 && matched(set, value) !== `full:${value}`)).toEqual([]);
  });

  test("an attribute that no entry carries leaves nothing, and says so", async () => {
    const { status } = await domains("dlc.dat", "apple@no-such-attribute");
    expect(status.sources).toMatchObject([{ entries: 0, problem: "no usable entry" }]);
  });
});

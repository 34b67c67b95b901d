import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { addressFromText, addressText, reverseName } from "../../src/dns/address.ts";
import { isWithin, type Name, nameFromText, nameText } from "../../src/dns/name.ts";
import type { HostRecord } from "../../src/hosts/options.ts";
import { hostsTable, loadHosts, readHostsFile, readRecords } from "../../src/hosts/parse.ts";
import { HostsTable } from "../../src/hosts/table.ts";
import { anyString } from "../support/properties.ts";

function name(text: string): Name {
  const parsed = nameFromText(text);
  if (parsed === null) throw new Error(`${text} is no name`);
  return parsed;
}

function record(written: string, rest: Partial<HostRecord>): HostRecord {
  return { name: written, addresses: [], cname: null, others: "nodata", https: null, ...rest };
}

function fileTable(text: string): HostsTable {
  return new HostsTable([readHostsFile(text, "hosts.txt").entries]);
}

function addresses(table: HostsTable, text: string): string[] | null {
  return table.lookup(name(text))?.addresses.map(addressText) ?? null;
}

function pointer(table: HostsTable, address: string): string | null {
  const found = table.pointer(reverseName(addressFromText(address) ?? new Uint8Array()));
  return found === null ? null : nameText(found.target);
}

describe("names of the hosts table", () => {
  test("several lines for one name add their addresses, in order and once each", () => {
    const table = fileTable("10.0.0.6 nas.lan\n10.0.0.5 NAS.lan.\nfd00::5 nas.lan\n10.0.0.6 nas.lan\n");
    expect(addresses(table, "nas.lan")).toEqual(["10.0.0.6", "10.0.0.5", "fd00::5"]);
  });

  test("a wildcard matches names of any depth below it, but not its own name", () => {
    const table = fileTable("10.0.0.6 *.apps.lan");
    const names = ["a.apps.lan", "c.b.a.apps.lan", "apps.lan", "xapps.lan"];
    expect(names.map((text) => addresses(table, text))).toEqual([["10.0.0.6"], ["10.0.0.6"], null, null]);
  });

  test("an exact name beats a wildcard, and a longer wildcard beats a shorter one", () => {
    const table = fileTable("10.0.0.1 *.lan\n10.0.0.2 *.apps.lan\n10.0.0.3 x.apps.lan\n");
    const names = ["x.apps.lan", "y.apps.lan", "y.lan", "y.x.apps.lan"];
    expect(names.map((text) => addresses(table, text))).toEqual([["10.0.0.3"], ["10.0.0.2"], ["10.0.0.1"], ["10.0.0.2"]]);
  });

  test("a match has its pattern and its source location", () => {
    const table = fileTable("# a comment\n10.0.0.2 router.lan *.apps.lan # another\n");
    expect(table.lookup(name("z.apps.lan"))).toMatchObject({ pattern: "*.apps.lan", source: "hosts.txt", line: 2 });
    expect(table.lookup(name("router.lan"))).toMatchObject({ pattern: "router.lan", source: "hosts.txt", line: 2 });
  });

  test("a stronger layer hides all entries of weaker layers for the same name, and nothing else", () => {
    const { entries } = readRecords([record("nas.lan", { addresses: ["10.0.0.9"] }), record("*.apps.lan", { cname: "nas.lan" })]);
    const table = new HostsTable([
      entries,
      readHostsFile("10.0.0.5 nas.lan tv.lan\n10.0.0.6 *.apps.lan x.apps.lan", "hosts.txt").entries,
    ]);
    expect(addresses(table, "nas.lan")).toEqual(["10.0.0.9"]);
    expect(addresses(table, "tv.lan")).toEqual(["10.0.0.5"]);
    expect(table.lookup(name("y.apps.lan"))).toMatchObject({
      cname: name("nas.lan"),
      addresses: [],
      source: "hosts.records",
      line: 2,
    });
    expect(addresses(table, "x.apps.lan")).toEqual(["10.0.0.6"]);
    expect(pointer(table, "10.0.0.5")).toBe("tv.lan");
    expect(table.size).toBe(4);
  });

  test("a record keeps its setting for other types", () => {
    const https = { alpn: ["h2"], port: 8443 };
    const { entries } = readRecords([record("shop.example.com", { addresses: ["10.0.0.7"], others: "forward", https })]);
    expect(new HostsTable([entries]).lookup(name("shop.example.com"))).toMatchObject({ others: "forward", https });
  });
});

describe("reverse names of the hosts table", () => {
  test("PTR is the first exact name in the written order", () => {
    const table = fileTable(
      "10.0.0.5 first.lan\n10.0.0.6 second.lan third.lan\n10.0.0.6 first.lan\n10.0.0.7 *.apps.lan\n10.0.0.7 fourth.lan\nfd00::6 *.x.lan six.lan",
    );
    expect(["10.0.0.5", "10.0.0.6", "10.0.0.7", "fd00::6", "10.0.0.8"].map((address) => pointer(table, address))).toEqual([
      "first.lan",
      "second.lan",
      "fourth.lan",
      "six.lan",
      null,
    ]);
  });

  test("public addresses have no PTR", () => {
    const table = fileTable("192.0.2.7 a.example\n2001:db8::1 a.example\n0.0.0.0 b.example\n100.64.1.1 c.example");
    expect(["192.0.2.7", "2001:db8::1", "0.0.0.0", "100.64.1.1"].map((address) => pointer(table, address))).toEqual([
      null,
      null,
      null,
      "c.example",
    ]);
  });
});

describe("ancestors of hosts names", () => {
  test("names above a host, above a wildcard and above a PTR name exist", () => {
    const table = fileTable("10.0.0.5 nas.home.lan\n192.0.2.1 *.apps.example");
    const isAncestor = (text: string) => table.isAncestor(name(text));
    expect(
      ["home.lan", "lan", "apps.example", "example", ".", "0.10.in-addr.arpa", "in-addr.arpa"].filter(
        (text) => !isAncestor(text),
      ),
    ).toEqual([]);
    expect(["nas.home.lan", "x.apps.example", "5.0.0.10.in-addr.arpa", "2.0.192.in-addr.arpa", "net"].filter(isAncestor)).toEqual(
      [],
    );
  });

  test("an empty table has none", () => {
    expect(new HostsTable([]).isAncestor(name("."))).toBe(false);
  });
});

describe("malformed hosts files", () => {
  test("a malformed line is a problem with its number, and the other lines are used", () => {
    const { entries, problems } = readHostsFile(
      "\ufeff10.0.0.1 a.lan b/c.lan\r\nnonsense\r\n10.0.0.2\r\n\r\n300.0.0.1 c.lan\n10.0.0.3 d.lan *. *",
      "hosts.txt",
    );
    expect(entries.map((entry) => `${entry.line} ${nameText(entry.name)}`)).toEqual(["1 a.lan", "6 d.lan"]);
    expect(problems.map(({ line, reason }) => `${line}: ${reason}`)).toEqual([
      '1: "b/c.lan" is no host name',
      '2: "nonsense" is no address',
      "3: no name follows the address",
      '5: "300.0.0.1" is no address',
      '6: "*." is no host name',
      '6: "*" is no host name',
    ]);
  });

  test("the first problems are listed and the others are counted", () => {
    const { problems } = readHostsFile("bad\n".repeat(1000), "hosts.txt");
    expect([problems.length, problems.at(-1)]).toEqual([101, { source: "hosts.txt", line: 0, reason: "900 further problems" }]);
  });

  test.each([
    [record("a b", {}), '"a b" is no host name'],
    [record(".", {}), '"." is no host name'],
    [record("a.lan", { addresses: ["10.0.0"] }), '"10.0.0" is no address'],
    [record("a.lan", { cname: "" }), '"" is no name'],
    [record("a.lan", { cname: "b.lan", addresses: ["10.0.0.1"] }), "a.lan has a CNAME, and other data beside it"],
    [record("a.lan", { cname: "A.lan" }), "a.lan is its own CNAME"],
  ])("the record %j is refused", (bad, reason) => {
    expect(readRecords([bad, record("good.lan", { addresses: ["10.0.0.1"] })])).toMatchObject({
      entries: [{ line: 2 }],
      problems: [{ source: "hosts.records", line: 1, reason }],
    });
  });

  test("no text makes the parser throw, and every entry names an existing line", () => {
    const words = fc.constantFrom("10.0.0.1", "::1", "a.lan", "*.b", "#", "\t", "\n", "\r\n", " ", "\0", "ü", "%");
    fc.assert(
      fc.property(
        fc.oneof(
          anyString(),
          fc.array(words).map((parts) => parts.join(" ")),
        ),
        (text) => {
          const { entries } = readHostsFile(text, "x");
          for (const { line } of entries) expect(line >= 1 && line <= text.split("\n").length).toBe(true);
        },
      ),
    );
  });
});

describe("loading section hosts", () => {
  const folder = mkdtempSync(join(tmpdir(), "hosts-"));
  afterAll(() => rmSync(folder, { recursive: true }));

  test("files are read as one in their order, records beat files, and a missing file or a folder is a problem", async () => {
    const [one, two, missing] = [join(folder, "one"), join(folder, "two"), join(folder, "missing")];
    writeFileSync(one, "10.0.0.1 a.lan b.lan\n");
    writeFileSync(two, "10.0.0.2 a.lan\nbad\n");
    const loaded = await loadHosts({
      files: [one, missing, folder, two],
      ttlSeconds: 60,
      records: [record("b.lan", { addresses: ["10.0.0.9"] })],
    });
    const table = hostsTable(loaded, { records: [], hidden: [] });
    expect([addresses(table, "a.lan"), addresses(table, "b.lan")]).toEqual([["10.0.0.1", "10.0.0.2"], ["10.0.0.9"]]);
    expect(loaded.problems.map(({ source, line }) => [source, line])).toEqual([
      [missing, 0],
      [folder, 0],
      [two, 2],
    ]);
  });
});

describe("names set and removed while the server runs", () => {
  const written = {
    files: [],
    ttlSeconds: 60,
    records: [record("a.lan", { addresses: ["10.0.0.1"] }), record("*.b.lan", { addresses: ["10.0.0.2"] })],
  };

  test("a name that is set hides all entries of the configuration for this name", async () => {
    const own = { records: [record("A.lan", { addresses: ["10.0.0.9"] })], hidden: [] };
    expect(addresses(hostsTable(await loadHosts(written), own), "a.lan")).toEqual(["10.0.0.9"]);
  });

  test("a removed name has no addresses and no PTR; a removed wildcard leaves exact names", async () => {
    const loaded = await loadHosts({ ...written, records: [...written.records, record("x.b.lan", { addresses: ["10.0.0.3"] })] });
    const table = hostsTable(loaded, { records: [], hidden: ["A.LAN.", "*.b.lan"] });
    expect([addresses(table, "a.lan"), addresses(table, "y.b.lan"), addresses(table, "x.b.lan")]).toEqual([
      null,
      null,
      ["10.0.0.3"],
    ]);
    expect(table.pointer(name("1.0.0.10.in-addr.arpa"))).toBeNull();
  });
});

test("a lookup agrees with a scan of the entries", () => {
  const label = fc.constantFrom("a", "b", "c");
  const text = fc.array(label, { minLength: 1, maxLength: 4 }).map((labels) => labels.join("."));
  const line = fc
    .tuple(fc.boolean(), text, fc.nat(255))
    .map(([wildcard, owner, byte]) => `10.0.0.${byte} ${wildcard ? "*." : ""}${owner}`);
  fc.assert(
    fc.property(fc.array(line, { maxLength: 12 }), text, (lines, asked) => {
      const { entries } = readHostsFile(lines.join("\n"), "x");
      const fitting = entries
        .filter((entry) =>
          entry.wildcard ? entry.name !== name(asked) && isWithin(name(asked), entry.name) : entry.name === name(asked),
        )
        .toSorted((left, right) => Number(left.wildcard) - Number(right.wildcard) || right.name.length - left.name.length)[0];
      const found = new HostsTable([entries]).lookup(name(asked));
      expect(found === null ? null : [found.name, found.wildcard, found.line]).toEqual(
        fitting === undefined ? null : [fitting.name, fitting.wildcard, fitting.line],
      );
    }),
  );
});

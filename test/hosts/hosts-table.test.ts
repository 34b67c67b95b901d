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
  test("lines for one name add their addresses up, in order and once each", () => {
    const table = fileTable("10.0.0.6 nas.lan\n10.0.0.5 NAS.lan.\nfd00::5 nas.lan\n10.0.0.6 nas.lan\n");
    expect(addresses(table, "nas.lan")).toEqual(["10.0.0.6", "10.0.0.5", "fd00::5"]);
  });

  test("a wildcard stands for any depth below its name, not for the name", () => {
    const table = fileTable("10.0.0.6 *.apps.lan");
    expect([
      addresses(table, "a.apps.lan"),
      addresses(table, "c.b.a.apps.lan"),
      addresses(table, "apps.lan"),
      addresses(table, "xapps.lan"),
    ]).toEqual([["10.0.0.6"], ["10.0.0.6"], null, null]);
  });

  test("an exact name goes before a wildcard, and of wildcards the longest", () => {
    const table = fileTable("10.0.0.1 *.lan\n10.0.0.2 *.apps.lan\n10.0.0.3 x.apps.lan\n");
    expect([
      addresses(table, "x.apps.lan"),
      addresses(table, "y.apps.lan"),
      addresses(table, "y.lan"),
      addresses(table, "y.x.apps.lan"),
    ]).toEqual([["10.0.0.3"], ["10.0.0.2"], ["10.0.0.1"], ["10.0.0.2"]]);
  });

  test("a match tells the pattern and where it stands", () => {
    const table = fileTable("# a comment\n10.0.0.2 router.lan *.apps.lan # another\n");
    expect(table.lookup(name("z.apps.lan"))).toMatchObject({ pattern: "*.apps.lan", source: "hosts.txt", line: 2 });
    expect(table.lookup(name("router.lan"))).toMatchObject({ pattern: "router.lan", source: "hosts.txt", line: 2 });
  });

  test("a stronger layer hides all that weaker ones say of a name, and nothing else", () => {
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

  test("a record keeps what it says of other types", () => {
    const https = { alpn: ["h2"], port: 8443 };
    const { entries } = readRecords([record("shop.example.com", { addresses: ["10.0.0.7"], others: "forward", https })]);
    expect(new HostsTable([entries]).lookup(name("shop.example.com"))).toMatchObject({ others: "forward", https });
  });
});

describe("reverse names of the hosts table", () => {
  test("PTR comes from the first exact name in the order written", () => {
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

  test("public addresses have no PTR here", () => {
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
  test("names above a host, above a wildcard's names, and above a held PTR exist", () => {
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

describe("what cannot be read", () => {
  test("a bad line is a problem with its number, and the other lines hold", () => {
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

  test("of many problems the first are kept and the others counted", () => {
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
  ])("record %j is left out", (bad, reason) => {
    expect(readRecords([bad, record("good.lan", { addresses: ["10.0.0.1"] })])).toMatchObject({
      entries: [{ line: 2 }],
      problems: [{ source: "hosts.records", line: 1, reason }],
    });
  });

  test("no text makes the reader throw, and every entry has a line that is there", () => {
    const words = fc.constantFrom("10.0.0.1", "::1", "a.lan", "*.b", "#", "\t", "\n", "\r\n", " ", "\0", "ü", "%");
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: "binary" }),
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

  test("files count as one in their order, records are stronger, and a missing file or a folder is a problem", async () => {
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

describe("names put in and taken away while running", () => {
  const written = {
    files: [],
    ttlSeconds: 60,
    records: [record("a.lan", { addresses: ["10.0.0.1"] }), record("*.b.lan", { addresses: ["10.0.0.2"] })],
  };

  test("what was put in hides all that the configuration says of the name", async () => {
    const own = { records: [record("A.lan", { addresses: ["10.0.0.9"] })], hidden: [] };
    expect(addresses(hostsTable(await loadHosts(written), own), "a.lan")).toEqual(["10.0.0.9"]);
  });

  test("a hidden name is not there, nor is its PTR; a hidden wildcard leaves exact names", async () => {
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

import { describe, expect, test } from "vitest";
import { type Name, nameFromText } from "../../src/dns/name.ts";
import { runSync } from "../../src/lib/cooperative.ts";
import type { DomainSet } from "../../src/lists/domain-set.ts";
import { DomainSetBuilder } from "../../src/lists/domain-set-builder.ts";
import { readAddresses, readDomains } from "../../src/lists/readers.ts";
import { type Warning, WarningLog } from "../../src/lists/types.ts";
import { protobufField } from "../support/dat.ts";

interface Reading {
  readonly set: DomainSet;
  readonly problem: string | null;
  readonly warnings: readonly Warning[];
}

function read(bytes: string | Buffer, category: string | null = null): Reading {
  const builder = new DomainSetBuilder("list");
  const warnings = new WarningLog();
  const problem = runSync(readDomains(Buffer.from(bytes), category, { sink: builder.source("file"), warnings }));
  return { set: builder.build(), problem, warnings: warnings.first };
}

function name(text: string): Name {
  const parsed = nameFromText(text);
  if (parsed === null) throw new Error(`${text} is no name`);
  return parsed;
}

/** For each name the pattern that matches it and its line. */
function matches({ set }: Reading, ...names: readonly string[]): (string | null)[] {
  return names.map((text) => {
    const match = set.match(name(text));
    if (match === null) return null;
    const { pattern, line } = set.describe(match);
    return `${pattern}:${line}`;
  });
}

describe("hostile lists", () => {
  const spaces = " ".repeat(40_000);

  test.each([
    ["domains of clash", `payload:\n- a.test${spaces}x\n`, "clash"],
    ["plain domains", `a.test${spaces}x\nb.test\n`, null],
  ])("a line longer than 4,096 bytes is passed over: %s", (_what, text, category) => {
    const reading = read(text.repeat(50), category);
    expect(reading.warnings[0]?.reason).toBe("a line of more than 4096 bytes");
  });

  test("an entry of a .dat file that is longer than 4,096 bytes is passed over", () => {
    const entries = [domain(2, "a.test", ...Array.from({ length: 500 }, (_, index) => `attribute${index}`)), domain(2, "b.test")];
    const reading = read(protobufField(1, Buffer.concat([protobufField(1, "CN"), ...entries])), "cn");
    expect(reading.warnings).toEqual([{ line: 1, reason: "an entry of more than 4096 bytes" }]);
    expect(matches(reading, "a.test", "b.test")).toEqual([null, "b.test:2"]);
  });

  // In time that grows with the square of a line the lines, and with the backtracking of all expressions the name, would take longer than a test may.
  test("10,000 lines that are nearly all spaces are read in time linear to their bytes", () => {
    const ended = read(`payload:\n${`- a.test${" ".repeat(4000)}x\n`.repeat(5000)}- b.test\n`, "clash");
    expect(matches(ended, "b.test")).toEqual(["full:b.test:5002"]);
    const warnings = new WarningLog();
    let taken = 0;
    const lines = `${`192.0.2.1${" ".repeat(4000)}x\n`.repeat(5000)}192.0.2.2\n`;
    runSync(readAddresses(Buffer.from(lines), null, { take: () => taken++, warnings }));
    expect(taken).toBe(1);
  });

  test("many expensive expressions are refused together, although each alone is accepted", () => {
    const lines = Array.from({ length: 20 }, (_, index) => `regexp:a.*a.*a${index}`);
    const reading = read(lines.join("\n"));
    expect(reading.warnings.length).toBeGreaterThan(0);
    expect(matches(reading, `${"a".repeat(63)}.${"a".repeat(63)}.${"a".repeat(63)}.${"a".repeat(50)}`)).toEqual([null]);
  });
});

describe("a plain list", () => {
  test("is one name a line, with comments and blank lines between", () => {
    const reading = read("# head\n\na.test\n  B.test  # why\r\nc.test.#x\n; d.test\n// e.test\n");
    expect(matches(reading, "x.a.test", "b.test", "c.test", "d.test", "e.test")).toEqual([
      "a.test:3",
      "b.test:4",
      "c.test:5",
      null,
      null,
    ]);
    expect(reading.warnings).toEqual([]);
  });

  test("takes prefixes, attributes and wildcards in front", () => {
    const reading = read(
      "domain:a.test @cn\nfull:b.test @ads @!cn\nkeyword:word\nregexp:^r[0-9]+\\.test$ @cn\n+.c.test\n.d.test\n*.e.test\n",
    );
    expect(matches(reading, "x.a.test", "b.test", "sword.net", "r1.test", "c.test", "x.d.test", "e.test", "any")).toEqual([
      "a.test:1",
      "full:b.test:2",
      "keyword:word:3",
      "regexp:^r[0-9]+\\.test$:4",
      "c.test:5",
      "d.test:6",
      "e.test:7",
      null,
    ]);
    expect(reading.warnings).toEqual([]);
  });

  test("can be narrowed to the lines that carry an attribute", () => {
    const text = "a.test @cn\nb.test @ads @cn\nc.test\nregexp:^d @ads @cn\n";
    expect(matches(read(text, "@cn"), "a.test", "b.test", "c.test", "d.net")).toEqual([
      "a.test:1",
      "b.test:2",
      null,
      "regexp:^d:4",
    ]);
    expect(matches(read(text, "plain@cn@ads"), "a.test", "b.test", "c.test", "d.net")).toEqual([
      null,
      "b.test:2",
      null,
      "regexp:^d:4",
    ]);
  });

  test("a stray dot does not stand for everything", () => {
    const reading = read("a.test\n.\n..\n");
    expect(matches(reading, "b.test", ".")).toEqual([null, null]);
    expect(reading.warnings.map(({ line }) => line)).toEqual([2, 3]);
  });

  test("names beyond ASCII are read as A-labels", () => {
    expect(matches(read("例子.测试\nbücher.example\n"), "xn--fsqu00a.xn--0zwm56d", "xn--bcher-kva.example")).toEqual([
      "xn--fsqu00a.xn--0zwm56d:1",
      "xn--bcher-kva.example:2",
    ]);
  });

  test("a bad line is a warning with its number and reason, and the list still loads", () => {
    const label64 = "a".repeat(64);
    const reading = read(
      [
        "good.test",
        "two words",
        "192.0.2.1",
        "a..b",
        `${label64}.test`,
        "http://x.test/",
        "a".repeat(300),
        "include:other",
        "what:x",
        "regexp:(",
        "keyword:",
        "-_.test",
      ].join("\n"),
    );
    expect(matches(reading, "good.test", "-_.test")).toEqual(["good.test:1", "-_.test:12"]);
    expect(reading.warnings.map(({ line, reason }) => `${line} ${reason}`)).toEqual([
      "2 not a domain name",
      "3 an address, where a domain name belongs",
      "4 not a domain name",
      "5 not a domain name",
      "6 not a pattern",
      "7 not a domain name",
      "8 another file is included, which is not followed",
      "9 not a pattern",
      "10 not a regular expression",
      "11 a keyword that can be in no name",
    ]);
  });
});

describe("a dnsmasq configuration", () => {
  test("gives the names between the slashes, several to a line", () => {
    const reading = read(
      "# c\nserver=/a.test/114.114.114.114\nserver=/b.test/.c.test/192.0.2.1#5353\naddress=/d.test/\nlocal = /e.test/\nipset=/f.test/vpn,vpn6\nnftset=/g.test/4#inet#fw4#set\nserver=/H.test/\n",
    );
    expect(matches(reading, "x.a.test", "b.test", "c.test", "d.test", "e.test", "f.test", "g.test", "h.test")).toEqual([
      "a.test:2",
      "b.test:3",
      "c.test:3",
      "d.test:4",
      "e.test:5",
      "f.test:6",
      "g.test:7",
      "h.test:8",
    ]);
    expect(reading.warnings).toEqual([]);
  });

  test("other directives and bad names are warnings", () => {
    const reading = read(
      "server=/a.test/1.1.1.1\ncache-size=100\nserver=8.8.8.8\nserver=//1.1.1.1\naddress=/#/1.1.1.1\nbogus-nxdomain=1.2.3.4\nserver=/b.test\n",
    );
    expect(reading.set.size).toBe(1);
    expect(reading.warnings.map(({ line }) => line)).toEqual([2, 3, 4, 5, 6, 7]);
  });
});

describe("a hosts file", () => {
  test("each name stands for itself alone, and names of the machine itself are left out", () => {
    const reading = read(
      "127.0.0.1 localhost\n::1 ip6-localhost\nfe80::1%lo0 localhost\n0.0.0.0 0.0.0.0\n0.0.0.0 ads.test track.test # both\n:: b.test\n",
    );
    expect(matches(reading, "ads.test", "x.ads.test", "track.test", "b.test", "localhost")).toEqual([
      "full:ads.test:5",
      null,
      "full:track.test:5",
      "full:b.test:6",
      null,
    ]);
    expect(reading.warnings).toEqual([]);
  });

  test("a line without an address or a name is a warning", () => {
    expect(read("0.0.0.0 a.test\n0.0.0.0 b.test\nc.test\n0.0.0.0\n").warnings.map(({ line }) => line)).toEqual([3, 4]);
  });
});

describe("an AdGuard list", () => {
  const reading = read(
    [
      "[Adblock Plus 2.0]",
      "! comment",
      "||ads.test^",
      "@@||good.ads.test^",
      "|exact.test^",
      "bare.test",
      "||mod.test^$important",
      "||skip.test^$ctag=device_tv",
      "||path.test/banner",
      "example.com##.banner",
      "example.com#@#.banner",
      "/^track[0-9]+\\./",
      "||ad*.wild.test^",
      "||*.below.test^",
      "0.0.0.0 hosts.test",
      "@@|exact.test^",
      "@@/regexp/",
      "||open.test",
    ].join("\n"),
  );

  test("distinguishes a name with everything below it from a name alone", () => {
    expect(matches(reading, "x.ads.test", "bare.test", "x.bare.test", "mod.test", "x.open.test", "hosts.test")).toEqual([
      "ads.test:3",
      "full:bare.test:6",
      null,
      "mod.test:7",
      "open.test:18",
      "full:hosts.test:15",
    ]);
  });

  test("exceptions hold within the list", () => {
    expect(matches(reading, "good.ads.test", "x.good.ads.test", "exact.test")).toEqual([null, null, null]);
  });

  test("regular expressions and wildcards match on the whole name", () => {
    expect(
      matches(reading, "track7.net", "ad7.wild.test", "x.ad.wild.test", "bad.wild.test", "x.below.test", "below.test"),
    ).toEqual([
      "regexp:^track[0-9]+\\.:12",
      "regexp:(?:^|\\.)ad.*\\.wild\\.test$:13",
      "regexp:(?:^|\\.)ad.*\\.wild\\.test$:13",
      null,
      "*.below.test:14",
      null,
    ]);
  });

  test("an important rule beats exceptions that are not, and `$badfilter` switches its rule off", () => {
    const other = read(
      "||hard.test^$important\n@@||hard.test^\n||soft.test^$important\n@@||soft.test^$important\n||off.test^\n||off.test^$badfilter\n||kept.off.test^\n||tv.test^$client=tv\n||tv.test^$badfilter,client=tv\n",
      "adguard",
    );
    expect(matches(other, "x.hard.test", "soft.test", "off.test", "kept.off.test", "tv.test")).toEqual([
      "hard.test:1",
      null,
      null,
      "kept.off.test:7",
      null,
    ]);
    expect(other.warnings).toEqual([]);
  });

  test("rules about pages or requests are skipped, each with a warning", () => {
    expect(reading.warnings.map(({ line, reason }) => `${line} ${reason}`)).toEqual([
      "8 a rule with a modifier that is not known here",
      "9 a rule about a path",
      "10 a cosmetic rule, which is about pages",
      "11 a cosmetic rule, which is about pages",
    ]);
  });
});

describe("rule sets of Clash and Surge", () => {
  test("YAML payload", () => {
    const reading = read("payload:\n  # c\n  - '+.a.test'\n  - \".b.test\"\n  - c.test # why\n  - '*.d.test'\n");
    expect(matches(reading, "a.test", "x.b.test", "b.test", "c.test", "x.c.test", "d.test", "y.x.d.test")).toEqual([
      "a.test:3",
      "*.b.test:4",
      null,
      "full:c.test:5",
      null,
      null,
      "*.d.test:6",
    ]);
    expect(reading.warnings).toEqual([]);
  });

  test("typed lines, with or without a policy", () => {
    const reading = read(
      "DOMAIN-SUFFIX,a.test\nDOMAIN,b.test,PROXY\n- DOMAIN-KEYWORD,word,no-resolve\ndomain-regex,^r{1,2}\\.test$\nIP-CIDR,192.0.2.0/24\nPROCESS-NAME,curl\n",
    );
    expect(matches(reading, "x.a.test", "b.test", "x.b.test", "sword.net", "rr.test")).toEqual([
      "a.test:1",
      "full:b.test:2",
      null,
      "keyword:word:3",
      "regexp:^r{1,2}\\.test$:4",
    ]);
    expect(reading.warnings.map(({ line }) => line)).toEqual([5, 6]);
  });
});

describe("gfwlist", () => {
  const text =
    "[AutoProxy 0.2.9]\n! c\n||a.test\n.b.test\n|https://c.test/path\nd.test/x\n@@||good.a.test\n/^https?:\\/\\/e/\n|http://*.f.test\nword\n";

  test.each([
    ["as base64", Buffer.from(text).toString("base64").replace(/.{64}/g, "$&\n")],
    ["as text", text],
  ])("%s", (_, written) => {
    const reading = read(written);
    expect(matches(reading, "x.a.test", "b.test", "c.test", "x.d.test", "good.a.test")).toEqual([
      "a.test:3",
      "b.test:4",
      "c.test:5",
      "d.test:6",
      null,
    ]);
    expect(reading.warnings.map(({ line }) => line)).toEqual([8, 9, 10]);
  });
});

function domain(type: number, value: string, ...attributes: readonly string[]): Buffer {
  const marks = attributes.map((key) => protobufField(3, Buffer.concat([protobufField(1, key), protobufField(2, 1)])));
  return protobufField(2, Buffer.concat([protobufField(1, type), protobufField(2, value), ...marks]));
}

describe("a geosite file", () => {
  const cn = [
    domain(0, "word"),
    domain(1, "^r[0-9]$", "ads"),
    domain(2, "a.test"),
    domain(3, "b.test", "!cn"),
    domain(2, "c.test", "ads", "!cn"),
    domain(9, "d.test"),
  ];
  const dat = Buffer.concat([
    protobufField(1, Buffer.concat([protobufField(1, "OTHER"), domain(2, "other.test")])),
    protobufField(1, Buffer.concat([protobufField(1, "CN"), ...cn])),
  ]);

  test("one category is read; the number of an entry is its line", () => {
    const reading = read(dat, "cn");
    expect(matches(reading, "sword.net", "r1", "x.a.test", "b.test", "x.b.test", "other.test")).toEqual([
      "keyword:word:1",
      "regexp:^r[0-9]$:2",
      "a.test:3",
      "full:b.test:4",
      null,
      null,
    ]);
    expect(reading.warnings).toEqual([{ line: 6, reason: "an entry of an unknown type" }]);
  });

  test("attributes narrow a category to the entries that carry all of them", () => {
    expect(read(dat, "CN@!cn").set.size).toBe(2);
    expect(matches(read(dat, "cn@ads@!cn"), "c.test", "b.test")).toEqual(["c.test:5", null]);
  });

  test("a missing category is a problem, and so is a source without one", () => {
    expect(read(dat, "fr").problem).toBe("it has no category fr");
    expect(read(dat).problem).toBe("a .dat file needs the category after #");
  });

  test("a file that is cut off is a problem, and the entries before the cut are used", () => {
    const reading = read(dat.subarray(0, dat.length - 30), "cn");
    expect(reading.problem).toBe("a protobuf message that is cut off");
    expect(read(dat.subarray(0, dat.length - 30), "other").set.size).toBe(1);
  });
});

describe("a file that is no list", () => {
  test.each([
    ["<!DOCTYPE html><html><body>404</body></html>", "a web page"],
    ["\n <html>\n", "a web page"],
    ["\ufeff<!DOCTYPE html>\nlogin\n", "a web page"],
    ["<!-- portal -->\n<html>\nlogin\n", "a web page"],
    [Buffer.from([0x1f, 0x8b, 8, 0, 0, 0, 0, 0]), "compressed by gzip: unpack it first"],
    [Buffer.from("PK\x03\x04", "latin1"), "a ZIP archive: unpack it first"],
    [Buffer.from("\ufeffa.test\n", "utf16le"), "UTF-16 text: save it as UTF-8"],
    [
      Buffer.from("\x00\x01\xab\xcd\xefMaxMind.com", "latin1"),
      "a MaxMind database, which is not read: use a geoip .dat with the country after #, or a text with a network a line",
    ],
    [Buffer.from([0, 1, 2, 3]), "a binary file of an unknown format"],
    [Buffer.from([0]), "a binary file of an unknown format"],
  ])("%j is a problem", (bytes, problem) => {
    expect(read(bytes)).toMatchObject({ problem, set: { size: 0 } });
  });
});

describe("the format", () => {
  test("is the format of most lines", () => {
    const plain = `${Array.from({ length: 9 }, (_, index) => `n${index}.test`).join("\n")}\n||odd.test^\n`;
    const reading = read(plain);
    expect(matches(reading, "x.n3.test")).toEqual(["n3.test:4"]);
    expect(reading.warnings).toEqual([{ line: 10, reason: "not a domain name" }]);
  });

  test("can be named by the category", () => {
    expect(matches(read("a.test\n+.b.test\n", "clash"), "a.test", "x.a.test", "x.b.test")).toEqual([
      "full:a.test:1",
      null,
      "b.test:2",
    ]);
    expect(read("a.test\n", "nonsense").problem).toBe(
      "a text has no category nonsense; the formats are plain, dnsmasq, hosts, adguard, clash, gfwlist",
    );
  });

  test("a byte order mark is no part of the first line", () => {
    expect(matches(read("\ufeffa.test\n"), "a.test")).toEqual(["a.test:1"]);
  });
});

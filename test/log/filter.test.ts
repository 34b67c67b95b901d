import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { rcodeName, typeName } from "../../src/dns/types.ts";
import { FILTER_PARAMETERS, isRcodeText, isTypeText, parseFilter, typeText } from "../../src/log/filter.ts";
import { anyString } from "../support/properties.ts";

const NOW_MS = Date.UTC(2026, 10, 21, 21, 3);

/** The only matcher of the only condition. */
function matcherOf(parameter: string, value: string) {
  const parsed = parseFilter([[parameter, value]], NOW_MS);
  if (parsed.kind === "bad") return parsed.problems.map(({ reason }) => reason).join("; ");
  return parsed.filter.conditions[0]?.anyOf[0];
}

describe("values of a filter", () => {
  test.each([
    ["name", "example.com", { kind: "within", text: "example.com" }],
    ["name", "WWW.Example.COM.", { kind: "within", text: "www.example.com" }],
    ["name", ".", { kind: "within", text: "." }],
    ["name", "full:example.com", { kind: "equals", text: "example.com" }],
    ["name", "full:.", { kind: "equals", text: "." }],
    ["name", "*track*", { kind: "glob", text: "*track*" }],
    ["name", "*.Example.com.", { kind: "glob", text: "*.example.com" }],
    ["name", "/^ads[0-9]/", { kind: "regexp", text: "^ads[0-9]" }],
    ["name", "/^.*ads.*$/", { kind: "regexp", text: "ads" }],
    ["name", "/a\\.*/", { kind: "regexp", text: "a\\.*" }],
    ["name", "/.*?/", { kind: "regexp", text: ".*?" }],
    ["name", "/.*/", { kind: "regexp", text: ".*" }],
    ["name", "例子.com", { kind: "within", text: "xn--fsqu00a.com" }],
    ["name", "0/25.2.0.192.in-addr.arpa", { kind: "within", text: "0/25.2.0.192.in-addr.arpa" }],
    ["name", "a\\.", { kind: "within", text: "a\\." }],
    ["client", "192.168.88.1", { kind: "equals", text: "192.168.88.1" }],
    ["client", "2001:DB8:0:0::1", { kind: "equals", text: "2001:db8::1" }],
    ["client", "::ffff:10.0.0.1", { kind: "equals", text: "10.0.0.1" }],
    ["client", "fe80::1%eth0", { kind: "equals", text: "fe80::1%eth0" }],
    ["client", "TV", { kind: "equals", text: "tv" }],
    ["client", "10.0.7.0/24", { kind: "prefix", text: "10.0.7.0/24" }],
    ["client", "::ffff:10.0.7.0/120", { kind: "prefix", text: "10.0.7.0/24" }],
    ["client", "2001:DB8::/32", { kind: "prefix", text: "2001:db8::/32" }],
    ["type", "https", { kind: "equals", text: "HTTPS" }],
    ["type", "65", { kind: "equals", text: "HTTPS" }],
    ["type", "TYPE65", { kind: "equals", text: "HTTPS" }],
    ["type", "type65280", { kind: "equals", text: "TYPE65280" }],
    ["rcode", "nxdomain", { kind: "equals", text: "NXDOMAIN" }],
    ["rcode", "*", { kind: "glob", text: "*" }],
    ["rcode", "none", { kind: "equals", text: "NONE" }],
    ["rcode", "rcode12", { kind: "equals", text: "RCODE12" }],
    ["type", "NSEC*", { kind: "glob", text: "NSEC*" }],
    ["rule", "Split", { kind: "equals", text: "Split" }],
    ["upstream", "https://*", { kind: "glob", text: "https://*" }],
    ["source", "cache", { kind: "equals", text: "cache" }],
    ["source", "Cache", { kind: "equals", text: "cache" }],
    ["action", "type65:*", { kind: "glob", text: "type65:*" }],
    ["action", "Block", { kind: "equals", text: "block" }],
    ["answer", "192.0.2.7", { kind: "equals", text: "192.0.2.7" }],
    ["answer", "2001:DB8:0::7", { kind: "equals", text: "2001:db8::7" }],
    ["answer", "60 A 192.0.2.7", { kind: "equals", text: "a 192.0.2.7" }],
    ["answer", "CNAME *.CDN.example.", { kind: "glob", text: "cname *.cdn.example." }],
    ["minMs", "12.5", { kind: "atLeast", number: 12.5 }],
  ])("%s=%s", (parameter, value, matcher) => {
    expect(matcherOf(parameter, value)).toEqual(matcher);
  });

  test.each([
    ["name", "", "a value is wanted"],
    ["name", "!", "a value is wanted"],
    ["name", "exa mple", "no domain name"],
    ["name", ".example.com", "no domain name"],
    ["name", "a..b", "no domain name"],
    ["name", "full:", "no domain name"],
    ["name", "full:*.example.com", "* has no meaning after full:"],
    ["name", "/(a+)+$/", "repeats a group"],
    ["name", "/(a)\\1/", "back reference"],
    ["name", "/(?=a)/", "a group of the form (?…)"],
    ["name", "/a.*b.*c/", "too many repetitions"],
    ["name", `/${"x".repeat(600)}/`, "more than 512 characters"],
    ["name", "/(/", "not a regular expression"],
    ["name", "//", "between two slashes"],
    ["name", "/ads", "between two slashes"],
    ["client", "10.0.0", "is no client"],
    ["client", "10.0.0.0/33", "is no client"],
    ["client", "::ffff:10.0.0.0/90", "is no client"],
    ["client", "300.1.1.1", "is no client"],
    ["type", "A,AAAA", "is no type"],
    ["type", "HTPS", "is no type"],
    ["type", "TYPE65536", "is no type"],
    ["type", "99999", "is no type"],
    ["rcode", "NXDOMIAN", "none where nothing was sent"],
    ["rcode", "3", "is no response code"],
    ["source", "rules", "one of hosts, special, rule"],
    ["minMs", "fast", "no number of milliseconds"],
    ["minMs", "-1", "no number of milliseconds"],
    ["from", "yesterday", "is no time"],
    ["to", "2026-02-30", "is no time"],
    ["from", "2026", "is no time"],
    ["from", "1795294980", "milliseconds since 1970"],
    ["nmae", "x", "there are name, client, type"],
    ["constructor", "x", "there is no such filter"],
    ["rule", "x".repeat(1001), "at most 1000 characters"],
  ])("%s=%s is refused with what is wanted", (parameter, value, reason) => {
    expect(parseFilter([[parameter, value]], NOW_MS)).toMatchObject({
      kind: "bad",
      problems: [{ parameter, reason: expect.stringContaining(reason) }],
    });
  });

  test("any text is a filter, or is refused with a reason", () => {
    fc.assert(
      fc.property(fc.constantFrom(...FILTER_PARAMETERS), anyString(), (parameter, value) => {
        const parsed = parseFilter([[parameter, value]], NOW_MS);
        if (parsed.kind === "bad") expect(parsed.problems).not.toEqual([]);
      }),
    );
  });

  test("record types are filtered by the names that records show", () => {
    for (let type = 0; type <= 0xffff; type++) expect(typeText(String(type))).toBe(typeName(type));
    for (let type = 0; type <= 0xffff; type++) expect(isTypeText(typeName(type))).toBe(true);
  });

  test("every response code that records show can be searched for", () => {
    for (let rcode = 0; rcode <= 0xfff; rcode++) expect(isRcodeText(rcodeName(rcode))).toBe(true);
  });
});

describe("values together", () => {
  test("values of one parameter are alternatives, values with ! exclude, and all parameters must hold", () => {
    const parsed = parseFilter(
      [
        ["type", "A"],
        ["type", "AAAA"],
        ["type", "!HTTPS"],
        ["type", "! SVCB"],
        ["rule", "ads"],
      ],
      NOW_MS,
    );
    expect(parsed).toEqual({
      kind: "ok",
      filter: {
        fromMs: null,
        toMs: null,
        conditions: [
          {
            field: "type",
            negated: false,
            anyOf: [
              { kind: "equals", text: "A" },
              { kind: "equals", text: "AAAA" },
            ],
          },
          {
            field: "type",
            negated: true,
            anyOf: [
              { kind: "equals", text: "HTTPS" },
              { kind: "equals", text: "SVCB" },
            ],
          },
          { field: "rule", negated: false, anyOf: [{ kind: "equals", text: "ads" }] },
        ],
      },
    });
  });

  test("all faults of a filter are reported at once", () => {
    const parsed = parseFilter(
      [
        ["type", "?"],
        ["from", "1h"],
        ["from", "2h"],
        ["minMs", "x"],
      ],
      NOW_MS,
    );
    expect(parsed.kind === "bad" && parsed.problems.map(({ parameter }) => parameter)).toEqual(["type", "from", "minMs"]);
  });

  test("the number and length of filter values are limited", () => {
    const parsed = parseFilter(
      Array.from({ length: 5000 }, () => ["type", "A"] as const),
      NOW_MS,
    );
    expect(parsed).toMatchObject({ kind: "bad", problems: [{ reason: "there are more than 100 values altogether" }] });
  });

  test("too many regular expressions are refused with one message", () => {
    const wanted = (count: number) =>
      Array.from({ length: count }, (_, index) => ["name", `${index % 2 === 0 ? "" : "!"}/^ads${index}/`] as const);
    expect(parseFilter(wanted(8), NOW_MS).kind).toBe("ok");
    expect(parseFilter(wanted(20), NOW_MS)).toEqual({
      kind: "bad",
      problems: [{ parameter: "name", reason: "there are more than 8 regular expressions" }],
    });
  });

  test("a period that ends before it begins matches nothing", () => {
    expect(
      parseFilter(
        [
          ["from", "1h"],
          ["to", "2h"],
        ],
        NOW_MS,
      ),
    ).toMatchObject({ kind: "bad", problems: [{ parameter: "from" }] });
  });
});

describe("times", () => {
  test.each([
    ["2026-11-21", Date.UTC(2026, 10, 21)],
    ["2026-11-21T21:03", NOW_MS],
    ["2026-11-21 21:03:11", NOW_MS + 11_000],
    ["2026-11-21T21:03:11.482Z", NOW_MS + 11_482],
    ["2026-11-22T05:03+08:00", NOW_MS],
    ["2026-11-22T05:03 0800", NOW_MS],
    ["2026-11-21T16:03-05:00", NOW_MS],
    ["1795294980000", 1_795_294_980_000],
    ["0", 0],
    ["1h", NOW_MS - 3_600_000],
    ["7d", NOW_MS - 7 * 86_400_000],
    ["1500ms", NOW_MS - 1500],
  ])("from=%s", (value, fromMs) => {
    expect(parseFilter([["from", value]], NOW_MS)).toMatchObject({ kind: "ok", filter: { fromMs } });
  });
});

import { describe, expect, test } from "vitest";
import { parseFilter } from "../../../src/log/filter.ts";
import { compileFilter } from "../../../src/log/filter-tests.ts";
import type { QueryRecord } from "../../../src/log/record.ts";
import { record } from "../records.ts";

function fits(parameters: Readonly<Record<string, string>>, changes: Partial<QueryRecord>): boolean {
  const parsed = parseFilter(Object.entries(parameters), Date.UTC(2026, 10, 21));
  if (parsed.kind === "bad") throw new Error(JSON.stringify(parsed.problems));
  return compileFilter(parsed.filter)(record(changes));
}

describe("names", () => {
  test("a name stands for itself and everything below it", () => {
    expect(fits({ name: "example.com" }, { name: "example.com" })).toBe(true);
    expect(fits({ name: "example.com" }, { name: "a.b.example.com" })).toBe(true);
    expect(fits({ name: "example.com" }, { name: "notexample.com" })).toBe(false);
    expect(fits({ name: "full:example.com" }, { name: "www.example.com" })).toBe(false);
  });

  test("a dot within a label does not separate labels", () => {
    expect(fits({ name: "example.com" }, { name: "a\\.example.com" })).toBe(false);
    expect(fits({ name: "example.com" }, { name: "a\\\\.example.com" })).toBe(true);
  });

  test("the root matches every name, but no message without a name", () => {
    expect(fits({ name: "." }, { name: "example.com" })).toBe(true);
    expect(fits({ name: "." }, { name: "." })).toBe(true);
    expect(fits({ name: "." }, { name: "", type: "" })).toBe(false);
    expect(fits({ name: "full:." }, { name: "example.com" })).toBe(false);
  });

  test("patterns and regular expressions match the whole name", () => {
    expect(fits({ name: "*.example.com" }, { name: "example.com" })).toBe(false);
    expect(fits({ name: "*track*" }, { name: "ad.tracker.example" })).toBe(true);
    expect(fits({ name: "a*b*a" }, { name: "aba" })).toBe(true);
    expect(fits({ name: "ab*ba" }, { name: "aba" })).toBe(false);
    expect(fits({ name: "/^ADS[0-9]/" }, { name: "ads7.example" })).toBe(true);
    expect(fits({ name: "/(?i)^ads/" }, { name: "ads7.example" })).toBe(true);
    expect(fits({ name: "/a/" }, { name: "a".repeat(254) })).toBe(false);
  });
});

describe("clients", () => {
  test("clients match by address, prefix or client id", () => {
    expect(fits({ client: "192.168.88.20" }, {})).toBe(true);
    expect(fits({ client: "192.168.88.0/24" }, {})).toBe(true);
    expect(fits({ client: "192.168.88.99/24" }, {})).toBe(true);
    expect(fits({ client: "192.168.89.0/24" }, {})).toBe(false);
    expect(fits({ client: "fe80::/10" }, { client: "fe80::1%eth0" })).toBe(true);
    expect(fits({ client: "0.0.0.0/0" }, { client: "2001:db8::1" })).toBe(false);
    expect(fits({ client: "tv" }, { clientId: "tv" })).toBe(true);
    expect(fits({ client: "!tv" }, { clientId: null })).toBe(true);
  });

  test("a shortened client address matches prefixes that are no longer than its own", () => {
    expect(fits({ client: "10.0.0.0/8" }, { client: "10.0.7.0/24" })).toBe(true);
    expect(fits({ client: "10.0.7.0/25" }, { client: "10.0.7.0/24" })).toBe(false);
    expect(fits({ client: "10.0.0.0/8" }, { client: "" })).toBe(false);
  });
});

describe("answers", () => {
  const answers = ["60 CNAME Edge.example.net.", "30 A 192.0.2.7", "and 3 more"];

  test.each([
    "192.0.2.7",
    "A 192.0.2.7",
    "99 A 192.0.2.7",
    "192.0.2.*",
    "* A 192.0.2.*",
    "edge.example.net",
    "EDGE.example.net.",
    "cname *.net",
    "*more",
  ])("%s finds the record", (answer) => {
    expect(fits({ answer }, { answers })).toBe(true);
  });

  test.each(["192.0.2", "92.0.2.7", "AAAA *", "example.net"])("%s does not find the record", (answer) => {
    expect(fits({ answer }, { answers })).toBe(false);
  });

  test("a record without answers matches no answer", () => {
    expect(fits({ answer: "*" }, { answers: [] })).toBe(false);
    expect(fits({ answer: "!*" }, { answers: [] })).toBe(true);
  });
});

test("an upstream matches by server or group", () => {
  expect(fits({ upstream: "domestic" }, {})).toBe(true);
  expect(fits({ upstream: "udp://223.5.5.5" }, {})).toBe(true);
  expect(fits({ upstream: "!domestic" }, { route: null })).toBe(true);
  expect(fits({ upstream: "!domestic" }, {})).toBe(false);
});

test("an absent field matches no pattern, and every exclusion", () => {
  expect(fits({ rule: "*" }, { rule: null })).toBe(false);
  expect(fits({ rule: "!*" }, { rule: null })).toBe(true);
  expect(fits({ rcode: "!NOERROR" }, { rcode: null })).toBe(true);
  expect(fits({ rcode: "none" }, { rcode: null })).toBe(true);
  expect(fits({ rcode: "none" }, { rcode: "NOERROR" })).toBe(false);
  expect(fits({ rcode: "!none" }, { rcode: null })).toBe(false);
  expect(fits({ rcode: "*" }, { rcode: null })).toBe(false);
});

test("minMs includes records of exactly that duration", () => {
  expect(fits({ minMs: "7.312" }, {})).toBe(true);
  expect(fits({ minMs: "7.313" }, {})).toBe(false);
  expect(fits({ minMs: "!7.313" }, {})).toBe(true);
});

test("a period includes its first millisecond and excludes its end", () => {
  const at = (time: string) => ({ id: Date.parse(time) * 1024 });
  expect(fits({ from: "2026-11-21T21:03" }, at("2026-11-21T21:03:00.000Z"))).toBe(true);
  expect(fits({ from: "2026-11-21T21:03" }, at("2026-11-21T21:02:59.999Z"))).toBe(false);
  expect(fits({ to: "2026-11-21T21:03" }, at("2026-11-21T21:03:00.000Z"))).toBe(false);
  expect(fits({ to: "2026-11-21T21:03" }, at("2026-11-21T21:02:59.999Z"))).toBe(true);
});

import { expect, test } from "vitest";
import { queryOutcome } from "../../src/log/outcome.ts";

const sideOf = { domestic: "near", overseas: "far", office: "local" } as const;

test.each([
  ["refused", "refused", "REFUSED", null],
  ["failed", "failure", "SERVFAIL", "overseas"],
  ["failed", "cache", "SERVFAIL", "overseas"],
  ["failed", "upstream", "SERVFAIL", "office"],
  ["rule", "rule", "NOERROR", null],
  ["rule", "rule", null, null],
  ["rule", "rule", "NOERROR", "overseas"],
  ["local", "hosts", "NOERROR", null],
  ["local", "special", "NXDOMAIN", null],
  ["local", "upstream", "NOERROR", "office"],
  ["local", "cache", "NOERROR", "office"],
  ["stale", "stale", "NOERROR", "overseas"],
  ["cache", "cache", "NXDOMAIN", "domestic"],
  ["near", "upstream", "NOERROR", "domestic"],
  ["far", "upstream", "NXDOMAIN", "overseas"],
  ["far", "upstream", "NOERROR", "a group of former days"],
])("%s: source %s, rcode %s, route %s", (outcome, source, rcode, route) => {
  expect(queryOutcome({ source, rcode, route }, sideOf)).toBe(outcome);
});

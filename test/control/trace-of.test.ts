import { expect, test } from "vitest";
import { traceOf } from "../../src/control/records.ts";
import { nameFromText, ROOT } from "../../src/dns/name.ts";

test("a trace shows names as people write them", () => {
  const match = { list: "ads", source: "ads.txt", line: 7, pattern: "ads.example" };
  const steps = [
    { kind: "special", zone: nameFromText("home.arpa") ?? ROOT },
    { kind: "rule", rule: "quiet", outcome: "clients", match: null },
    { kind: "rule", rule: "ads", outcome: "decides", match },
    { kind: "kept", because: { rule: "others" } },
  ] as const;
  expect(traceOf(steps)).toEqual([{ kind: "special", zone: "home.arpa" }, ...steps.slice(1)]);
});

test("the source of a list is shown without its secrets", () => {
  const match = { list: "ads", source: "https://me:word@lists.example/ads.txt?key=secret", line: 7, pattern: "ads.example" };
  expect(traceOf([{ kind: "rule", rule: "ads", outcome: "decides", match }])).toMatchObject([
    { match: { source: "https://me:***@lists.example/ads.txt?***" } },
  ]);
});

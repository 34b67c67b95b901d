import { describe, expect, test } from "vitest";
import type { Attempt, Explained, TraceStep } from "../../web/api/calls.ts";
import { compareJourneys, type Journey, journeyOfExplained, timeAxis } from "../../web/journey/journey.ts";

const match = { list: "cn", source: "rules/cn-domains.txt", line: 12, pattern: "taobao.com" };

function ruleStep(rule: string, outcome: "decides" | "longest" | "clients", matched: typeof match | null = null): TraceStep {
  return { kind: "rule", rule, outcome, match: matched };
}

const explained: Explained = {
  question: { name: "www.taobao.com", type: "A", client: "10.0.7.12", clientId: "tv" },
  version: "7f3a91c2d0e4",
  decision: {
    kind: "forward",
    rule: "split",
    route: "domestic",
    near: null,
    far: null,
    first: null,
    answer: null,
    action: "none",
    settings: {},
  },
  trace: [ruleStep("quiet", "clients"), ruleStep("split", "decides", match)],
  cache: [],
  verdict: null,
  summary: [],
  notes: [],
  outcome: null,
  target: null,
};

function journey(changes: Partial<Journey> = {}): Journey {
  return { ...journeyOfExplained(explained), ...changes };
}

function attempt(startMs: number, ms: number): Attempt {
  const server = "https://1.1.1.1/dns-query";
  return { group: "overseas", server, transport: "https", startMs, ms, rcode: "NOERROR", failure: null };
}

function answer(ms: number, ...records: readonly string[]): Journey["answer"] {
  return { rcode: "NOERROR", records, ms, bytes: 62, ede: [] };
}

describe("two ways of one question", () => {
  test("are the same where only times and the place of the match differ", () => {
    const a = journey({ attempts: [attempt(0, 12)], answer: answer(12, "60 A 192.0.2.1", "60 A 192.0.2.2") });
    const b = journey({
      steps: [ruleStep("quiet", "clients"), ruleStep("split", "decides", { ...match, line: 13 })],
      attempts: [attempt(1, 40)],
      answer: answer(40, "31 A 192.0.2.2", "31 A 192.0.2.1"),
    });
    expect(compareJourneys(a, b)).toEqual({ steps: new Set(), decision: false, routes: false, edits: false, answer: false });
  });

  test("differ exactly in the rule that comes out otherwise, not in those that one of them did not reach", () => {
    const others = journey({
      steps: [ruleStep("quiet", "clients"), ruleStep("split", "longest"), ruleStep("others", "decides")],
      decision: { rule: "others", route: null, near: "domestic", far: "overseas", answer: null },
    });
    const differences = compareJourneys(journey(), others);
    expect([...differences.steps]).toEqual(["rule split"]);
    expect(differences).toMatchObject({ decision: true, routes: false, answer: false });
  });

  test("differ in a rule that one of them lacks on its way", () => {
    const longer = journey({
      steps: [ruleStep("quiet", "clients"), ruleStep("new", "longest"), ruleStep("split", "decides", match)],
    });
    expect([...compareJourneys(journey(), longer).steps]).toEqual(["rule new"]);
    expect([...compareJourneys(longer, journey()).steps]).toEqual(["rule new"]);
  });
});

describe("the time axis of attempts", () => {
  test("is as long as people read numbers, and places each attempt where it began", () => {
    const { lengthMs, spans } = timeAxis([attempt(0, 14), attempt(0, 196), attempt(100, 50)]);
    expect(lengthMs).toBe(200);
    expect(spans).toEqual([
      { left: 0, width: 0.07 },
      { left: 0, width: 0.98 },
      { left: 0.5, width: 0.25 },
    ]);
  });

  test("begins before the query where an earlier one had asked", () => {
    expect(timeAxis([attempt(-40, 50)])).toEqual({ beginMs: -40, lengthMs: 50, spans: [{ left: 0, width: 1 }] });
  });

  test("has a length where nothing took any time", () => {
    expect(timeAxis([attempt(0, 0)]).lengthMs).toBe(1);
  });
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { nameFromText } from "../../src/dns/name.ts";
import { ImportLists } from "../../src/import/lists.ts";
import { type Action, type AskedGroup, asksOf, Lowering } from "../../src/import/lower.ts";
import { Findings, type ModelRule, type Outcome, type ResponseTest, type ServerGroup } from "../../src/import/model.ts";
import type { Atom, Step, Steps, Test } from "../../src/import/mosdns/steps.ts";
import { walk } from "../../src/import/mosdns/walk.ts";
import { serverGroup } from "../../src/import/servers.ts";
import { simplify } from "../../src/import/simplify.ts";
import { runs } from "../support/properties.ts";

const place = { file: "config.yaml", line: 1 };
const NAMES = ["a.example", "x.b.example", "b.example", "a.b.example", "c.example"];
const TYPES = [1, 28, 65, 12];
const CLIENTS = ["10.0.0.1", "10.0.7.1", "10.0.7.200"];
const GROUPS = ["near", "far", "third"];

/** A question, and what each group answers to it. */
interface Asked {
  readonly name: string;
  readonly type: number;
  readonly client: string;
  readonly answers: Readonly<Record<string, "home" | "empty" | "foreign">>;
}

const asked: fc.Arbitrary<Asked> = fc.record({
  name: fc.constantFrom(...NAMES),
  type: fc.constantFrom(...TYPES),
  client: fc.constantFrom(...CLIENTS),
  answers: fc.record(
    Object.fromEntries(GROUPS.map((group) => [group, fc.constantFrom("home", "empty", "foreign")])),
  ) as fc.Arbitrary<Asked["answers"]>,
});

const HOME = { networks: ["223.5.5.0/24", "119.29.0.0/16", "114.114.114.0/24", "180.76.76.0/24"], lists: [] };

const atom: fc.Arbitrary<Atom> = fc.oneof(
  fc
    .subarray(["a.example", "b.example", "full:b.example", "a.b.example"], { minLength: 1, maxLength: 2 })
    .map((patterns) => ({ kind: "names" as const, names: { patterns, lists: [] } })),
  fc.subarray(TYPES, { minLength: 1 }).map((types) => ({ kind: "types" as const, types })),
  fc
    .subarray(["10.0.0.0/24", "10.0.7.0/24", "10.0.7.128/25"], { minLength: 1, maxLength: 2 })
    .map((clients) => ({ kind: "clients" as const, clients })),
  fc.constantFrom<Atom>(
    { kind: "response", test: { kind: "addresses", networks: HOME } },
    { kind: "response", test: { kind: "valid" } },
    { kind: "has-response" },
    { kind: "mark", mark: "1" },
    { kind: "constant", value: true },
  ),
);

/** A condition that the reader of a source does not know. */
const UNKNOWN: Atom = { kind: "unknown", why: "not known" };

const conditionOf = (atoms: fc.Arbitrary<Atom>): fc.Arbitrary<Test> =>
  fc.letrec<{ test: Test }>((tie) => ({
    test: fc.oneof(
      { maxDepth: 2, depthSize: "small" },
      atoms,
      tie("test").map((of): Test => ({ kind: "not", of })),
      fc
        .array(tie("test"), { minLength: 1, maxLength: 2 })
        .chain((of) => fc.constantFrom<Test>({ kind: "all", of }, { kind: "any", of })),
    ),
  })).test;

const group = (name: string): ServerGroup =>
  serverGroup(name, [{ url: `udp://${name}.example`, addresses: [], tlsName: null }], place);

const stepsOf = (condition: fc.Arbitrary<Test>, more: readonly Step[]): fc.Arbitrary<Steps> =>
  fc.letrec<{ steps: Steps; step: Step }>((tie) => ({
    steps: fc.array(tie("step"), { maxLength: 4, depthIdentifier: "depth" }),
    step: fc.oneof(
      { maxDepth: 3, depthIdentifier: "depth" },
      fc.constantFrom(...GROUPS).map((tag): Step => ({ kind: "forward", tag, group: group(tag), place })),
      fc.constantFrom<Step>(
        { kind: "accept", place },
        { kind: "return", place },
        { kind: "drop-response", place },
        { kind: "answer", answer: "nodata", place },
        { kind: "mark", mark: "1", place },
        ...more,
      ),
      fc
        .tuple(condition, tie("steps"), fc.boolean(), tie("steps"))
        .map(([test, yes, hasNo, no]): Step => ({ kind: "if", test, yes, no: hasNo ? no : [], place })),
      fc
        .tuple(fc.constantFrom("run", "jump", "goto"), tie("steps"))
        .map(([mode, inner]): Step => ({ kind: "call", mode, steps: () => inner, place })),
      fc
        .tuple(tie("steps"), tie("steps"))
        .map(([first, second]): Step => ({ kind: "fallback", first, second, afterMs: 500, place })),
    ),
  })).steps;

/** The walk has reached an unknown part. */
class Unknown extends Error {}

/** The behaviour of mosdns, step by step: the group or the answer at the end; null = none. */
function interpret(program: Steps, question: Asked): string | null {
  const marks = new Set<string>();
  type State = { answer: string | null };
  const holds = (test: Test, state: State): boolean => {
    switch (test.kind) {
      case "all":
      case "any": {
        // A part that is not known matters where the others do not decide.
        const results = test.of.map((each) => attempt(() => holds(each, state)));
        const deciding = test.kind === "any";
        if (results.includes(deciding)) return deciding;
        if (results.includes(null)) throw new Unknown();
        return !deciding;
      }
      case "unknown":
        throw new Unknown();
      case "not":
        return !holds(test.of, state);
      case "names":
        return test.names.patterns.some((pattern) => matches(pattern, question.name));
      case "types":
        return test.types.includes(question.type);
      case "clients":
        return test.clients.some((client) => contains(client, question.client));
      case "response":
        return state.answer !== null && judge(test.test, question, state.answer);
      case "has-response":
        return state.answer !== null;
      case "mark":
        return marks.has(test.mark);
      default:
        return test.kind === "constant" && test.value;
    }
  };
  /**
   * How the sequence ended: `next` = at its end; `return` = the sequence was left; `accept` = so were the sequences that jumped to it; `failed` = so was
   * everything.
   */
  const run = (list: Steps, state: State): "next" | "return" | "accept" | "failed" => {
    for (const step of list) {
      if (step.kind === "accept" || step.kind === "return") return step.kind;
      if (step.kind === "unknown") throw new Unknown();
      if (step.kind === "drop-response") state.answer = null;
      else if (step.kind === "forward") state.answer = step.tag;
      else if (step.kind === "answer") state.answer = `!${step.answer}`;
      else if (step.kind === "mark") marks.add(step.mark);
      else if (step.kind === "if") {
        // Both branches are empty, so the condition does not matter.
        if (step.yes.length + step.no.length === 0) continue;
        const end = run(holds(step.test, state) ? step.yes : step.no, state);
        if (end !== "next") return end;
      } else if (step.kind === "call") {
        const end = run(step.steps(), state);
        if (end === "failed") return end;
        if (step.mode === "goto" || (step.mode === "jump" && end === "accept")) return "accept";
      } else if (step.kind === "fallback") {
        // Branches work on copies of the question and its answer: marks of theirs are gone afterwards.
        const before = [...marks];
        let answer: string | null = null;
        for (const inner of [step.first, step.second]) {
          const branch: State = { answer: state.answer };
          if (answer === null && run(inner, branch) !== "failed") answer = branch.answer;
          marks.clear();
          for (const mark of before) marks.add(mark);
        }
        if (answer === null) return "failed";
        state.answer = answer;
      }
    }
    return "next";
  };
  const state: State = { answer: null };
  return run(program, state) === "failed" ? null : state.answer;
}

function attempt(run: () => boolean): boolean | null {
  try {
    return run();
  } catch (error) {
    if (error instanceof Unknown) return null;
    throw error;
  }
}

/** An answer for another type than A and AAAA has no addresses. */
function judge(test: ResponseTest, { type, answers }: Asked, from: string): boolean {
  const answer = answers[from] ?? "empty";
  return test.kind === "addresses" ? answer === "home" && (type === 1 || type === 28) : answer !== "empty";
}

function matches(pattern: string, name: string): boolean {
  const bare = pattern.replace(/^full:/, "");
  return name === bare || (bare === pattern && name.endsWith(`.${bare}`));
}

function contains(network: string, address: string): boolean {
  const [base = "", prefix = "24"] = network.split("/");
  const last = Number(address.split(".")[3]);
  const isSame = base.split(".").slice(0, 3).join() === address.split(".").slice(0, 3).join();
  return isSame && (prefix === "24" || last >= 128);
}

/** The first rule that matches, and where its outcome ends for these answers. */
function decideBy(rules: readonly ModelRule[], question: Asked): string {
  const lists = new ImportLists();
  const name = nameFromText(question.name);
  const rule = rules.find(
    ({ condition: { names, except, types, clients } }) =>
      name !== null &&
      (names === null || lists.holds(names, name)) &&
      !lists.holds(except, name) &&
      types?.includes(question.type) !== false &&
      (clients === null || clients.some((client) => contains(client, question.client))),
  );
  if (rule?.kind !== "decide") throw new Error("no rule decides");
  return endOf(rule.outcome, question) ?? "!refused";
}

function endOf(outcome: Outcome, question: Asked): string | null {
  switch (outcome.kind) {
    case "ask":
      return outcome.group.name;
    case "answer":
      return `!${outcome.answer}`;
    case "judge": {
      const of = endOf(outcome.of, question);
      return endOf(judge(outcome.test, question, of ?? "") ? outcome.yes : outcome.no, question);
    }
    case "fallback":
      return endOf(outcome.first, question) ?? endOf(outcome.second, question);
    case "nothing":
      return null;
    case "unknown":
      return "closed";
    default:
      throw new Error(outcome.kind);
  }
}

/** Tries the rules of random sequences; gives how many could be walked. */
function checkWalks(
  programs: fc.Arbitrary<Steps>,
  check: (rules: readonly ModelRule[], program: Steps, question: Asked) => void,
): number {
  let walked = 0;
  fc.assert(
    fc.property(programs, fc.array(asked, { minLength: 10, maxLength: 10 }), fc.boolean(), (program, questions, joins) => {
      let rules: readonly ModelRule[];
      const findings = new Findings();
      try {
        rules = walk(program, place, findings, joins).rules;
      } catch (error) {
        // Two conditions on names that hang on one answer are refused.
        expect(String(error)).toMatch(/no rule can say it|in a circle/);
        return;
      }
      // No rule can ask whether a fallback failed: the report tells of the step that answers then.
      if (findings.all.some(({ what }) => what.includes("whose answer both branches drop"))) return;
      walked++;
      for (const question of questions) {
        check(rules, program, question);
        check(simplify(rules), program, question);
      }
    }),
    { numRuns: runs(4000) },
  );
  return walked;
}

test("for every sequence and question the rules come to what mosdns does, simplified or not", () => {
  const walked = checkWalks(stepsOf(conditionOf(atom), []), (rules, program, question) => {
    expect(decideBy(rules, question)).toBe(interpret(program, question) ?? "!refused");
  });
  expect(walked).toBeGreaterThan(runs(4000) / 2);
});

test("a query that reaches an unknown part is refused, and no other query is sent elsewhere", () => {
  const unknown = fc.oneof({ weight: 5, arbitrary: atom }, { weight: 1, arbitrary: fc.constant(UNKNOWN) });
  const programs = stepsOf(conditionOf(unknown), [{ kind: "unknown", why: "not known", place }]);
  const walked = checkWalks(programs, (rules, program, question) => {
    let expected: string;
    try {
      expected = interpret(program, question) ?? "!refused";
    } catch (error) {
      if (!(error instanceof Unknown)) throw error;
      expected = "closed";
    }
    expect(["closed", expected]).toContain(decideBy(rules, question));
  });
  expect(walked).toBeGreaterThan(runs(4000) / 2);
});

test("what a rule can say of an outcome differs only where the report says so, and never asks a group more", () => {
  const groups = (action: Action): readonly string[] => {
    if (action.kind === "answer") return [];
    return action.kind === "upstream" ? namesOfGroup(action.group) : [...namesOfGroup(action.near), ...namesOfGroup(action.far)];
  };
  const namesOfGroup = ({ group: { name }, fallback }: AskedGroup): readonly string[] => [
    name,
    ...(fallback === null ? [] : namesOfGroup(fallback)),
  ];
  checkWalks(stepsOf(conditionOf(atom), []), (rules, _program, question) => {
    for (const rule of rules) {
      if (rule.kind !== "decide") continue;
      const findings = new Findings();
      const { action, closed } = new Lowering(new ImportLists(), findings).lower(rule.outcome);
      const asked = asksOf(rule.outcome).map((each) => each.group.name);
      expect(asked).toEqual(expect.arrayContaining([...groups(action)]));
      if (closed !== null || findings.all.length > 0) continue;
      const expected = endOf(rule.outcome, question) ?? "!refused";
      const got = action.kind === "answer" ? `!${action.answer}` : action.kind === "upstream" ? action.group.group.name : null;
      // An empty answer of a group that is asked alone is its answer.
      if (got !== null) expect(got).toBe(expected);
    }
  });
});

test("conditions on one answer after another, each overwritten by the next, do not make too many ways", () => {
  const asks = (name: string): Step => ({ kind: "forward", group: group(name), tag: name, place });
  const unless: Test = { kind: "not", of: { kind: "response", test: { kind: "addresses", networks: HOME } } };
  const step = (index: number): Steps => [
    asks(GROUPS[index % 3] ?? ""),
    { kind: "if", test: unless, yes: [asks(GROUPS[(index + 1) % 3] ?? "")], no: [], place },
  ];
  const program = Array.from({ length: 20 }, (_, index) => step(index)).flat();
  const { rules } = walk(program, place, new Findings());
  expect(rules).toHaveLength(1);
  for (const near of ["home", "foreign"] as const) {
    const question: Asked = {
      name: "a.example",
      type: 1,
      client: "10.0.0.1",
      answers: { near, far: near === "home" ? "foreign" : "home" },
    };
    expect(decideBy(rules, question)).toBe(interpret(program, question));
  }
});

test("an answer that only chooses a client subnet for the same groups is not asked for, and one that chooses a group closes", () => {
  const ask = (name: string, ecs: string | null): Outcome => ({ kind: "ask", group: group(name), ecs, modifiers: {}, place });
  const lower = (yes: Outcome, no: Outcome) => {
    const findings = new Findings();
    const test: ResponseTest = { kind: "addresses", networks: HOME };
    const lowered = new Lowering(new ImportLists(), findings).lower({
      kind: "judge",
      of: ask("near", null),
      test,
      yes,
      no,
      place,
    });
    return { ...lowered, told: findings.all.map(({ kind, what }) => `${kind}: ${what}`).join("\n") };
  };
  const same = lower(ask("far", "192.0.2.0/24"), ask("far", null));
  expect(same.action).toMatchObject({ kind: "upstream", group: { group: { name: "far" } } });
  expect(same.told).toContain("changed: `near` was asked first, and the same groups in the end whatever it answered");
  expect(lower(ask("far", null), ask("third", null)).closed?.why).toBe(
    "`near` is asked only to find out whom to ask then: its own answer is used for no address",
  );
});

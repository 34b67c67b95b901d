import fc from "fast-check";
import {
  type Answerer,
  answerOf,
  BANNED,
  type Format,
  GROUPS,
  type Group,
  HOME,
  KINDS,
  type Question,
  questionOf,
  Rows,
} from "./program.ts";

/** mosdns 4: chains of steps with `if`, `else_exec` and `primary`, and conditions written as expressions. */

const NAMES = ["a.example", "x.b.example", "b.example", "a.b.example", "c.example"];
const TYPES = ["A", "AAAA", "TXT"];

export const MOSDNS4: Format<Program> = {
  kind: "easymosdns",
  get program() {
    return program;
  },
  question: questionOf(NAMES, TYPES, KINDS),
  make: (sequences, { servers, listen }) => {
    const shown = (group: Group) => `${servers[group].address}:${servers[group].port}`;
    const { text, lines } = writeProgram(sequences, shown, `${listen.address}:${listen.port}`);
    return {
      files: { "config.yaml": text },
      run: (question) => {
        const { answers, asked, ran } = runProgram(sequences, question);
        return { answers, asked, lines: new Set([...ran].flatMap((sequence) => lines.get(sequence) ?? [])) };
      },
    };
  },
};

/** The matchers of every configuration, by their tags. */
const QUERY_MATCHERS: Readonly<Record<string, { readonly domain?: readonly string[]; readonly qtype?: readonly number[] }>> = {
  is_a: { domain: ["a.example"] },
  is_b: { domain: ["b.example"] },
  is_just_b: { domain: ["full:b.example"] },
  is_ab: { domain: ["a.b.example", "full:c.example"] },
  is_txt: { qtype: [16] },
  is_v6_of_b: { domain: ["b.example"], qtype: [28] },
};
const RESPONSE_MATCHERS: Readonly<Record<string, { readonly ip?: readonly string[]; readonly rcode?: readonly number[] }>> = {
  has_home: { ip: HOME },
  has_banned: { ip: BANNED },
  has_failed: { rcode: [2] },
  has_none: { rcode: [3] },
};
const WORDS = [...Object.keys(QUERY_MATCHERS), ...Object.keys(RESPONSE_MATCHERS), "_response_valid_answer", "_qtype_AAAA"];

/** Tags of plugins that answer, and what A and AAAA and the other types get of them. */
const ANSWERS: Readonly<Record<string, readonly [addresses: Answerer | null, others: Answerer | null]>> = {
  black_hole: ["!zero", "!nodata"],
  _new_nxdomain_response: ["!nxdomain", "!nxdomain"],
  _new_empty_response: ["!nodata", "!nodata"],
  _new_servfail_response: ["!servfail", "!servfail"],
  _drop_response: [null, null],
};

type Test =
  | { readonly kind: "word"; readonly word: string }
  | { readonly kind: "not"; readonly of: Test }
  | { readonly kind: "&&" | "||"; readonly of: readonly [Test, Test] };

type Step =
  /** A tag of `GROUPS`, `ANSWERS`, `_return` or `ttl`. */
  | { readonly kind: "tag"; readonly tag: string }
  | { readonly kind: "call"; readonly to: number }
  | { readonly kind: "if"; readonly test: Test; readonly yes: Steps; readonly no: Steps }
  | {
      readonly kind: "fallback";
      readonly first: Steps;
      readonly second: Steps;
      readonly isFast: boolean;
      readonly standsBy: boolean;
    };
type Steps = readonly Step[];

/** Sequences, each of which calls later ones alone; the first is run. */
type Program = readonly Steps[];

const word: fc.Arbitrary<Test> = fc.constantFrom(...WORDS).map((each) => ({ kind: "word", word: each }));
const literal: fc.Arbitrary<Test> = fc.oneof(
  { weight: 3, arbitrary: word },
  { weight: 1, arbitrary: word.map((of): Test => ({ kind: "not", of })) },
);
const pair = (part: fc.Arbitrary<Test>): fc.Arbitrary<Test> =>
  fc
    .tuple(fc.constantFrom("&&" as const, "||" as const), part, part)
    .map(([kind, one, other]): Test => ({ kind, of: [one, other] }));
const test: fc.Arbitrary<Test> = fc.oneof(
  { weight: 4, arbitrary: literal },
  { weight: 2, arbitrary: pair(literal) },
  { weight: 1, arbitrary: pair(literal).map((of): Test => ({ kind: "not", of })) },
);

const SEQUENCES = 3;
const DEPTH = 2;

const stepOf = (index: number, depth: number): fc.Arbitrary<Step> => {
  const tag = (...tags: readonly string[]) => fc.constantFrom(...tags).map((each): Step => ({ kind: "tag", tag: each }));
  const later = Array.from({ length: SEQUENCES - 1 - index }, (_, after) => index + 1 + after);
  const plain = [
    { weight: 6, arbitrary: tag(...GROUPS) },
    { weight: 2, arbitrary: tag("_return") },
    { weight: 2, arbitrary: tag("ttl", ...Object.keys(ANSWERS)) },
  ];
  if (depth === 0) return fc.oneof(...plain);
  const inner = fc.array(stepOf(index, depth - 1), { minLength: 1, maxLength: 3 });
  const ifStep = fc
    .record({ test, yes: inner, no: fc.oneof({ weight: 2, arbitrary: fc.constant([]) }, { weight: 1, arbitrary: inner }) })
    .map((parts): Step => ({ kind: "if", ...parts }));
  const fallback = fc
    .record({
      first: inner,
      second: inner,
      isFast: fc.oneof({ weight: 4, arbitrary: fc.constant(true) }, { weight: 1, arbitrary: fc.constant(false) }),
      standsBy: fc.boolean(),
    })
    .map((parts): Step => ({ kind: "fallback", ...parts }));
  return fc.oneof(
    ...plain,
    { weight: 7, arbitrary: ifStep },
    { weight: 2, arbitrary: fallback },
    ...later.map((to) => ({ weight: 1, arbitrary: fc.constant<Step>({ kind: "call", to }) })),
  );
};

const program: fc.Arbitrary<Program> = fc.tuple(
  ...Array.from({ length: SEQUENCES }, (_, index) => fc.array(stepOf(index, DEPTH), { minLength: 1, maxLength: 4 })),
);

interface Written {
  readonly text: string;
  /** The lines of each sequence. */
  readonly lines: ReadonlyMap<number, readonly number[]>;
}

function writeProgram(sequences: Program, shown: (group: Group) => string, listen: string): Written {
  const rows = new Rows();
  rows.add("log: { level: error }\nplugins:");
  const plugin = (tag: string, type: string, args: unknown) => rows.add(`  - ${JSON.stringify({ tag, type, args })}`);
  for (const [tag, args] of Object.entries(QUERY_MATCHERS)) plugin(tag, "query_matcher", args);
  for (const [tag, args] of Object.entries(RESPONSE_MATCHERS)) plugin(tag, "response_matcher", args);
  for (const group of GROUPS) plugin(group, "fast_forward", { upstream: [{ addr: shown(group) }] });
  plugin("ttl", "ttl", { minimal_ttl: 60, maximum_ttl: 600 });
  plugin("black_hole", "blackhole", { rcode: 0, ipv4: "0.0.0.0", ipv6: "::" });
  const lines = new Map<number, readonly number[]>();
  for (const index of [...sequences.keys()].reverse()) {
    rows.add(`  - tag: s${index}\n    type: sequence\n    args:\n      exec:`);
    lines.set(
      index,
      (sequences[index] ?? []).map((step) => rows.add(`        - ${JSON.stringify(written(step))}`)),
    );
  }
  rows.add(`servers:\n  - { exec: s0, timeout: 5, listeners: [{ protocol: udp, addr: "${listen}" }] }`);
  return { text: rows.text, lines };
}

function written(step: Step): unknown {
  switch (step.kind) {
    case "tag":
      return step.tag;
    case "call":
      return `s${step.to}`;
    case "if":
      return {
        if: testText(step.test),
        exec: step.yes.map(written),
        ...(step.no.length === 0 ? {} : { else_exec: step.no.map(written) }),
      };
    default:
      return {
        primary: step.first.map(written),
        secondary: step.second.map(written),
        ...(step.isFast ? { fast_fallback: 2000 } : {}),
        always_standby: step.standsBy,
      };
  }
}

function testText(of: Test): string {
  if (of.kind === "word") return `[${of.word}]`;
  return of.kind === "not" ? `! (${testText(of.of)})` : `(${of.of.map(testText).join(` ${of.kind} `)})`;
}

/** An error ends the whole run: SERVFAIL. */
class Failed extends Error {}

interface Run {
  readonly answers: readonly Answerer[];
  readonly asked: ReadonlySet<Group>;
  /** The sequences that were run. */
  readonly ran: ReadonlySet<number>;
}

interface State {
  answer: Answerer | null;
}

/** What mosdns does: executable_seq and the plugins of version 4.5.3. */
function runProgram(sequences: Program, question: Question): Run {
  const { name, type, answers } = question;
  const asked = new Set<Group>();
  const ran = new Set<number>();
  const isAddress = type === "A" || type === "AAAA";
  const kindOf = ({ answer }: State) => (answer === null || answer.startsWith("!") ? null : answers[answer as Group]);
  const rcodeOf = (state: State): number | null => {
    if (state.answer === null) return null;
    const kind = kindOf(state) ?? state.answer.slice(1);
    return kind === "servfail" ? 2 : kind === "nxdomain" ? 3 : 0;
  };
  const wordHolds = (each: string, state: State): boolean => {
    if (each === "_qtype_AAAA") return type === "AAAA";
    const kind = kindOf(state);
    const query = QUERY_MATCHERS[each];
    if (query !== undefined)
      return (
        query.domain?.some((pattern) => isMatch(pattern, name)) !== false &&
        query.qtype?.some((code) => ({ 1: "A", 16: "TXT", 28: "AAAA" })[code] === type) !== false
      );
    const response = RESPONSE_MATCHERS[each];
    if (response?.ip !== undefined) return isAddress && kind === (response.ip === HOME ? "home" : "banned");
    if (response?.rcode !== undefined) return response.rcode.includes(rcodeOf(state) ?? -1);
    return state.answer === "!zero" || kind === "home" || kind === "foreign" || kind === "banned";
  };
  const holds = (of: Test, state: State): boolean => {
    if (of.kind === "word") return wordHolds(of.word, state);
    if (of.kind === "not") return !holds(of.of, state);
    const [one, other] = of.of;
    return of.kind === "&&" ? holds(one, state) && holds(other, state) : holds(one, state) || holds(other, state);
  };
  /** @returns whether the chain goes on after these steps. */
  const run = (steps: Steps, state: State): boolean => steps.every((step) => runStep(step, state));
  const runStep = (step: Step, state: State): boolean => {
    if (step.kind === "if") return run(holds(step.test, state) ? step.yes : step.no, state);
    if (step.kind === "call") {
      ran.add(step.to);
      run(sequences[step.to] ?? [], state);
      return true;
    }
    if (step.kind === "fallback") {
      if (step.isFast) state.answer = fallBack(step, state);
      else run(step.first, state);
      return true;
    }
    if (step.tag === "_return") return false;
    const own = ANSWERS[step.tag];
    if (own !== undefined) state.answer = own[isAddress ? 0 : 1];
    else if (step.tag !== "ttl") {
      asked.add(step.tag as Group);
      state.answer = step.tag as Group;
    }
    return true;
  };
  /** Each branch has a copy of the question, with the answer that is there; one that stands by asks whatever the first brings. */
  const fallBack = ({ first, second, standsBy }: Extract<Step, { kind: "fallback" }>, state: State): Answerer => {
    const one = branch(first, state);
    const other = one === null || standsBy ? branch(second, state) : null;
    const answer = one ?? other;
    if (answer === null) throw new Failed();
    return answer;
  };
  const branch = (steps: Steps, state: State): Answerer | null => {
    const copy = { ...state };
    try {
      run(steps, copy);
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      return null;
    }
    return copy.answer;
  };
  const state: State = { answer: null };
  ran.add(0);
  try {
    run(sequences[0] ?? [], state);
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    state.answer = null;
  }
  const { answer } = state;
  return {
    answers: [answer === null ? "!servfail" : kindOf(state) === null ? answer : answerOf(answer as Group, question)],
    asked,
    ran,
  };
}

function isMatch(pattern: string, name: string): boolean {
  const bare = pattern.replace(/^full:/, "");
  return name === bare || (bare === pattern && name.endsWith(`.${bare}`));
}

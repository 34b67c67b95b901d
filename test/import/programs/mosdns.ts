import fc from "fast-check";
import {
  type Answerer,
  BANNED,
  type Format,
  GROUPS,
  type Group,
  HOME,
  KINDS,
  type Kind,
  type Question,
  questionOf,
} from "./program.ts";

/** mosdns 5: sequences that call each other, with conditions on the question and on the answer. */

const NAMES = ["a.example", "x.b.example", "b.example", "a.b.example", "c.example"];
const TYPES = ["A", "AAAA", "TXT"];

export const MOSDNS: Format<Program> = {
  kind: "mosdns",
  get program() {
    return program;
  },
  question: questionOf(NAMES, TYPES, KINDS),
  make: (sequences, { servers, listen }) => {
    const shown = (group: Group) => `${servers[group].address}:${servers[group].port}`;
    const { text, lines } = writeProgram(
      sequences,
      { near: shown("near"), far: shown("far"), third: shown("third") },
      `${listen.address}:${listen.port}`,
    );
    return {
      files: { "config.yaml": text },
      run: (question) => {
        const { answer, asked, rules } = runProgram(sequences, question);
        return { answers: [answer], asked, lines: new Set([...rules].flatMap((rule) => lines.get(rule) ?? [])) };
      },
    };
  },
};

/** A condition, as it is written. */
type Match = { readonly negated: boolean } & (
  | { readonly kind: "qname"; readonly patterns: readonly string[] }
  | { readonly kind: "qtype"; readonly types: readonly string[] }
  | { readonly kind: "resp_ip"; readonly set: "home" | "banned" }
  | { readonly kind: "has_resp" | "has_wanted_ans" }
  | { readonly kind: "mark"; readonly mark: string }
);

type Exec =
  | { readonly kind: "forward"; readonly group: Group }
  | { readonly kind: "accept" | "return" | "drop_resp" | "ttl" | "query_summary" }
  | { readonly kind: "reject"; readonly code: 0 | 3 | 5 }
  | { readonly kind: "black_hole"; readonly address: "0.0.0.0" | "192.0.2.9" }
  | { readonly kind: "mark"; readonly mark: string }
  | { readonly kind: "call"; readonly mode: "$" | "jump " | "goto "; readonly to: number }
  | { readonly kind: "fallback"; readonly first: number; readonly second: number };

export interface Rule {
  readonly matches: readonly Match[];
  readonly exec: Exec;
}

/** Sequences, each of which calls later ones alone; the first is run. */
export type Program = readonly (readonly Rule[])[];

const matchOf: fc.Arbitrary<Match> = fc
  .tuple(
    fc.boolean(),
    fc.oneof(
      fc
        .subarray(["a.example", "b.example", "full:b.example", "a.b.example"], { minLength: 1, maxLength: 2 })
        .map((patterns) => ({ kind: "qname" as const, patterns })),
      fc.subarray(TYPES, { minLength: 1, maxLength: 2 }).map((types) => ({ kind: "qtype" as const, types })),
      fc.constantFrom("home" as const, "banned" as const).map((set) => ({ kind: "resp_ip" as const, set })),
      fc.constantFrom({ kind: "has_resp" as const }, { kind: "has_wanted_ans" as const }, { kind: "mark" as const, mark: "7" }),
    ),
  )
  .map(([negated, match]) => ({ negated, ...match }));

const SEQUENCES = 4;

const execOf = (index: number): fc.Arbitrary<Exec> => {
  const plain = fc.oneof(
    { weight: 5, arbitrary: fc.constantFrom(...GROUPS).map((group): Exec => ({ kind: "forward", group })) },
    {
      weight: 3,
      arbitrary: fc.constantFrom<Exec>({ kind: "accept" }, { kind: "return" }, { kind: "drop_resp" }, { kind: "query_summary" }),
    },
    { weight: 1, arbitrary: fc.constantFrom(0, 3, 5).map((code): Exec => ({ kind: "reject", code: code as 0 | 3 | 5 })) },
    {
      weight: 1,
      arbitrary: fc.constantFrom<Exec>({ kind: "mark", mark: "7" }, { kind: "ttl" }, { kind: "black_hole", address: "0.0.0.0" }),
    },
  );
  if (index === SEQUENCES - 1) return plain;
  const later = fc.integer({ min: index + 1, max: SEQUENCES - 1 });
  return fc.oneof(
    { weight: 10, arbitrary: plain },
    {
      weight: 4,
      arbitrary: fc
        .tuple(fc.constantFrom<"$" | "jump " | "goto ">("$", "jump ", "goto "), later)
        .map(([mode, to]): Exec => ({ kind: "call", mode, to })),
    },
    { weight: 2, arbitrary: fc.tuple(later, later).map(([first, second]): Exec => ({ kind: "fallback", first, second })) },
  );
};

const program: fc.Arbitrary<Program> = fc.tuple(
  ...Array.from({ length: SEQUENCES }, (_, index) =>
    fc.array(fc.record({ matches: fc.array(matchOf, { maxLength: 2 }), exec: execOf(index) }), { minLength: 1, maxLength: 5 }),
  ),
);

interface Written {
  readonly text: string;
  /** The line of each rule, and of the fallback that it runs. */
  readonly lines: ReadonlyMap<Rule, readonly number[]>;
}

/** @param servers addresses of the groups. @param listen where mosdns listens. */
export function writeProgram(sequences: Program, servers: Readonly<Record<Group, string>>, listen: string): Written {
  const rows = [
    "log: { level: error }",
    "plugins:",
    `  - { tag: home, type: ip_set, args: { ips: ${JSON.stringify(HOME)} } }`,
    `  - { tag: banned, type: ip_set, args: { ips: ${JSON.stringify(BANNED)} } }`,
    ...GROUPS.map((group) => `  - { tag: ${group}, type: forward, args: { upstreams: [{ addr: "${servers[group]}" }] } }`),
  ];
  const lines = new Map<Rule, readonly number[]>();
  for (const index of [...sequences.keys()].reverse()) {
    const rules = sequences[index] ?? [];
    const fallbacks = new Map<Rule, number>();
    for (const [place, rule] of rules.entries())
      if (rule.exec.kind === "fallback") {
        const { first, second } = rule.exec;
        rows.push(
          `  - { tag: f${index}_${place}, type: fallback, args: { primary: s${first}, secondary: s${second}, threshold: 5000 } }`,
        );
        fallbacks.set(rule, rows.length);
      }
    rows.push(`  - tag: s${index}`, "    type: sequence", "    args:");
    for (const [place, rule] of rules.entries()) {
      const matches = rule.matches.map(matchText);
      const exec = rule.exec.kind === "fallback" ? `$f${index}_${place}` : execText(rule.exec);
      rows.push(`      - ${JSON.stringify({ ...(matches.length === 0 ? {} : { matches }), exec })}`);
      lines.set(rule, [rows.length, ...(fallbacks.has(rule) ? [fallbacks.get(rule) ?? 0] : [])]);
    }
  }
  rows.push(`  - { type: udp_server, args: { entry: s0, listen: "${listen}" } }`, "");
  return { text: rows.join("\n"), lines };
}

function matchText(match: Match): string {
  const words = {
    qname: () => (match.kind === "qname" ? ` ${match.patterns.join(" ")}` : ""),
    qtype: () => (match.kind === "qtype" ? ` ${match.types.map((type) => ({ A: 1, AAAA: 28, TXT: 16 })[type]).join(" ")}` : ""),
    resp_ip: () => (match.kind === "resp_ip" ? ` $${match.set}` : ""),
    mark: () => (match.kind === "mark" ? ` ${match.mark}` : ""),
    has_resp: () => "",
    has_wanted_ans: () => "",
  };
  return `${match.negated ? "!" : ""}${match.kind}${words[match.kind]()}`;
}

function execText(exec: Exclude<Exec, { kind: "fallback" }>): string {
  switch (exec.kind) {
    case "forward":
      return `$${exec.group}`;
    case "reject":
      return `reject ${exec.code}`;
    case "black_hole":
      return `black_hole ${exec.address}`;
    case "mark":
      return `mark ${exec.mark}`;
    case "ttl":
      return "ttl 60-600";
    case "call":
      return `${exec.mode}s${exec.to}`;
    default:
      return exec.kind;
  }
}

interface Ran {
  readonly answer: Answerer;
  readonly asked: ReadonlySet<Group>;
  /** The rules of the sequences that were run. */
  readonly rules: ReadonlySet<Rule>;
}

/** An error ends the whole run: SERVFAIL. */
class Failed extends Error {}

interface State {
  answer: Answerer | null;
  marks: Set<string>;
}

/** What mosdns does: chain.go, built_in.go and the plugins of version 5.3.4. */
function runProgram(sequences: Program, { name, type, answers }: Question): Ran {
  const asked = new Set<Group>();
  const rules = new Set<Rule>();
  const isAddress = type === "A" || type === "AAAA";
  const kindOf = (answer: Answerer | null): Kind | null =>
    answer !== null && !answer.startsWith("!") ? answers[answer as Group] : null;
  const holds = (match: Match, state: State): boolean => {
    const kind = kindOf(state.answer);
    const isMade = state.answer === "!zero" || state.answer === "!made";
    switch (match.kind) {
      case "qname":
        return match.patterns.some((pattern) => {
          const bare = pattern.replace(/^full:/, "");
          return name === bare || (bare === pattern && name.endsWith(`.${bare}`));
        });
      case "qtype":
        return match.types.includes(type);
      case "resp_ip":
        return isAddress && kind === match.set;
      case "has_resp":
        return state.answer !== null;
      case "has_wanted_ans":
        return isMade || kind === "home" || kind === "foreign" || kind === "banned";
      default:
        return state.marks.has(match.mark);
    }
  };
  /** `next` = at the end; `return` = this sequence is left; `accept` = so are those that jumped here. */
  const run = (index: number, state: State): "next" | "return" | "accept" => {
    for (const rule of sequences[index] ?? []) rules.add(rule);
    for (const rule of sequences[index] ?? []) {
      if (!rule.matches.every((match) => holds(match, state) !== match.negated)) continue;
      const { exec } = rule;
      switch (exec.kind) {
        case "forward":
          asked.add(exec.group);
          state.answer = exec.group;
          break;
        case "accept":
        case "return":
          return exec.kind;
        case "reject":
          state.answer = exec.code === 3 ? "!nxdomain" : exec.code === 0 ? "!nodata" : "!refused";
          return "accept";
        case "drop_resp":
          state.answer = null;
          break;
        case "black_hole":
          if (type === "A") state.answer = exec.address === "0.0.0.0" ? "!zero" : "!made";
          break;
        case "mark":
          state.marks.add(exec.mark);
          break;
        case "call": {
          const end = run(exec.to, state);
          if (exec.mode === "goto " || (exec.mode === "jump " && end === "accept")) return "accept";
          break;
        }
        case "fallback": {
          state.answer = branch(exec.first, state) ?? branch(exec.second, state);
          if (state.answer === null) throw new Failed();
          break;
        }
        default:
      }
    }
    return "next";
  };
  /** On a copy of the question, with the answer that is there: marks of it are gone afterwards. */
  const branch = (index: number, { answer, marks }: State): Answerer | null => {
    const copy: State = { answer, marks: new Set(marks) };
    try {
      run(index, copy);
    } catch (error) {
      if (!(error instanceof Failed)) throw error;
      return null;
    }
    return copy.answer;
  };
  const state: State = { answer: null, marks: new Set() };
  try {
    run(0, state);
  } catch (error) {
    if (!(error instanceof Failed)) throw error;
    return { answer: "!servfail", asked, rules };
  }
  const answer = state.answer ?? "!refused";
  return { answer: kindOf(answer) === "servfail" ? "!servfail" : answer, asked, rules };
}

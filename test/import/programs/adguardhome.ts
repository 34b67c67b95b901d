import fc from "fast-check";
import { type Answerer, answerOf, domainsOf, type Format, type Group, type Question, questionOf, Rows } from "./program.ts";

/** AdGuard Home: rewrites come before blocking and its exceptions, and of the upstreams for domains the longest one counts. */

type Line =
  | { readonly kind: "upstream"; readonly domain: string; readonly target: Group | "#" }
  | { readonly kind: "rewrite"; readonly domain: string; readonly isWildcard: boolean }
  | { readonly kind: "rule"; readonly domain: string; readonly rule: Rule };

type Rule = "||d^" | "|d^" | "@@||d^" | "||d^$important" | "@@||d^$important" | "||d^$dnstype=AAAA";

interface Program {
  readonly standard: Group;
  readonly lines: readonly Line[];
}

const DOMAINS = ["example.com", "a.example.com", "b.a.example.com", "shop.example.com", "test.net", "sub.test.net"];
const NAMES = [...DOMAINS, "x.a.example.com", "y.example.com", "c.b.a.example.com", "w.org"];
const FOUR = "10.1.2.3";
const RULES: readonly Rule[] = ["||d^", "|d^", "@@||d^", "||d^$important", "@@||d^$important", "||d^$dnstype=AAAA"];

const domain = fc.constantFrom(...DOMAINS);
const line: fc.Arbitrary<Line> = fc.oneof(
  fc.record({
    kind: fc.constant("upstream" as const),
    domain,
    target: fc.constantFrom<Group | "#">("near", "far", "third", "#"),
  }),
  fc.record({ kind: fc.constant("rewrite" as const), domain, isWildcard: fc.boolean() }),
  fc.record({ kind: fc.constant("rule" as const), domain, rule: fc.constantFrom(...RULES) }),
);

const program: fc.Arbitrary<Program> = fc.record({
  standard: fc.constantFrom<Group>("near", "far"),
  lines: fc.array(line, { minLength: 1, maxLength: 7 }).map((lines) => lines.filter(isAlone)),
});

/** One upstream for a domain: several are asked by their speed. */
function isAlone(one: Line, index: number, all: readonly Line[]): boolean {
  const isSame = (other: Line) => other.kind === "upstream" && other.domain === one.domain;
  return one.kind !== "upstream" || !all.slice(0, index).some(isSame);
}

export const ADGUARDHOME: Format<Program> = {
  kind: "adguardhome",
  program,
  question: questionOf(NAMES, ["A", "AAAA", "TXT"], ["foreign"]),
  make: ({ standard, lines }, { servers, listen }) => {
    const rows = new Rows();
    const shown = (group: Group) => `${servers[group].address}:${servers[group].port}`;
    rows.add("http: { address: 127.0.0.1:3999 }\nusers: []\ndns:");
    rows.add(`  bind_hosts: [${listen.address}]\n  port: ${listen.port}`);
    rows.add("  cache_enabled: false\n  ratelimit: 0\n  upstream_mode: load_balance\n  upstream_dns:");
    const first = rows.add(`    - ${shown(standard)}`);
    const numbers = new Map<Line, number>();
    for (const each of lines)
      if (each.kind === "upstream")
        numbers.set(each, rows.add(`    - "[/${each.domain}/]${each.target === "#" ? "#" : shown(each.target)}"`));
    rows.add('user_rules:\n  - "! none"');
    for (const each of lines)
      if (each.kind === "rule") numbers.set(each, rows.add(`  - "${each.rule.replace("d^", `${each.domain}^`)}"`));
    rows.add("filtering:\n  filtering_enabled: true\n  protection_enabled: true\n  rewrites_enabled: true\n  rewrites:");
    rows.add("    - { domain: none.invalid, answer: 10.9.9.9, enabled: true }");
    for (const each of lines)
      if (each.kind === "rewrite")
        numbers.set(
          each,
          rows.add(`    - { domain: "${each.isWildcard ? "*." : ""}${each.domain}", answer: ${FOUR}, enabled: true }`),
        );
    rows.add("schema_version: 32");
    return {
      files: { "AdGuardHome.yaml": rows.text },
      run: (question) => {
        const { answer, group, passed } = decideBy(lines, question);
        const asked = group === "#" ? standard : group;
        return {
          answers: [answer ?? answerOf(asked, question)],
          asked: new Set(answer === null ? [asked] : []),
          lines: new Set([first, ...passed.flatMap((each) => numbers.get(each) ?? [])]),
        };
      },
    };
  },
};

interface Decided {
  /** null = the group answers. */
  readonly answer: Answerer | null;
  readonly group: Group | "#";
  readonly passed: readonly Line[];
}

function decideBy(lines: readonly Line[], { name, type }: Question): Decided {
  const domains = domainsOf(name);
  const passed = lines.filter((each) => domains.includes(each.domain));
  const answered = (answer: Answerer): Decided => ({ answer, group: "#", passed });
  const isRewritten = passed.some(
    (each) => each.kind === "rewrite" && (each.isWildcard ? each.domain !== name : each.domain === name),
  );
  if (isRewritten) return answered(type === "A" ? `=${FOUR}` : "!nodata");
  const holds = (...rules: readonly Rule[]) =>
    passed.some(
      (each) =>
        each.kind === "rule" &&
        rules.includes(each.rule) &&
        (each.rule !== "|d^" || each.domain === name) &&
        (each.rule !== "||d^$dnstype=AAAA" || type === "AAAA"),
    );
  const isBlocked = holds("||d^$important")
    ? !holds("@@||d^$important")
    : !holds("@@||d^", "@@||d^$important") && holds("||d^", "|d^", "||d^$dnstype=AAAA");
  if (isBlocked) return answered(type === "TXT" ? "!nodata" : "!zero");
  for (const each of domains)
    for (const one of passed)
      if (one.kind === "upstream" && one.domain === each) return { answer: null, group: one.target, passed };
  return { answer: null, group: "#", passed };
}

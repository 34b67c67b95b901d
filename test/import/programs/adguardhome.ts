import fc from "fast-check";
import { type Answerer, answerOf, domainsOf, type Format, type Group, type Question, questionOf, Rows } from "./program.ts";

/** AdGuard Home: rewrites come before blocking and its exceptions, and of the upstreams for domains the longest one counts. */

type Line =
  | { readonly kind: "upstream"; readonly domain: string; readonly target: Group | "#" }
  | { readonly kind: "rewrite"; readonly domain: string; readonly isWildcard: boolean }
  | { readonly kind: "rule"; readonly domain: string; readonly rule: Rule };

/** `d` is the domain. */
type Rule = (typeof RULES)[number];

interface Program {
  readonly standard: Group;
  readonly lines: readonly Line[];
}

const DOMAINS = ["example.com", "a.example.com", "b.a.example.com", "shop.example.com", "test.net", "sub.test.net"];
const NAMES = [...DOMAINS, "x.a.example.com", "y.example.com", "c.b.a.example.com", "w.org", "mytest.net", "test.net.org"];
const FOUR = "10.1.2.3";
const RULES = [
  ...(["||d^", "||d", "|d^", "|d", "d", "d^", ".d^", ".d", "*.d^", "0.0.0.0 d"] as const),
  ...(["@@||d^", "@@|d^", "@@d"] as const),
  ...(["||d^$important", "d$important", "@@||d^$important", "||d^$dnstype=AAAA", "d$dnstype=AAAA"] as const),
] as const;

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

/** One server for a domain, besides `#`: several are asked by their speed. */
function isAlone(one: Line, index: number, all: readonly Line[]): boolean {
  const isSame = (other: Line) => other.kind === "upstream" && other.domain === one.domain && other.target !== "#";
  return one.kind !== "upstream" || one.target === "#" || !all.slice(0, index).some(isSame);
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
    for (const each of lines) if (each.kind === "rule") numbers.set(each, rows.add(`  - "${ruleText(each)}"`));
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
  const passed = lines.filter((each) => (each.kind === "rule" ? holds(each, name, type) : domains.includes(each.domain)));
  const answered = (answer: Answerer): Decided => ({ answer, group: "#", passed });
  const isRewritten = passed.some(
    (each) => each.kind === "rewrite" && (each.isWildcard ? each.domain !== name : each.domain === name),
  );
  if (isRewritten) return answered(type === "A" ? `=${FOUR}` : "!nodata");
  const has = (isAllowed: boolean, isImportant: boolean) =>
    passed.some(
      (each) =>
        each.kind === "rule" && each.rule.startsWith("@@") === isAllowed && each.rule.endsWith("$important") === isImportant,
    );
  const isBlocked = has(false, true) ? !has(true, true) : !has(true, false) && !has(true, true) && has(false, false);
  if (isBlocked) return answered(type === "TXT" ? "!nodata" : "!zero");
  for (const each of domains) {
    // `#` takes back what stands before it.
    const own = passed.flatMap((one) => (one.kind === "upstream" && one.domain === each ? [one.target] : []));
    if (own.length > 0) return { answer: null, group: own.slice(own.lastIndexOf("#") + 1)[0] ?? "#", passed };
  }
  return { answer: null, group: "#", passed };
}

type RuleLine = Extract<Line, { kind: "rule" }>;

function ruleText({ domain, rule }: RuleLine): string {
  return rule.replace(/(^|[^a-z])d(?![a-z])/, `$1${domain}`);
}

/** A rule is an expression over the whole name, but for a bare name, which is that of a hosts file. */
function holds(line: RuleLine, name: string, type: string): boolean {
  const text = ruleText(line);
  if (text.endsWith("$dnstype=AAAA") && type !== "AAAA") return false;
  if (/^(0\.0\.0\.0 )?[\w.]+$/.test(text) && !text.startsWith(".")) return name === line.domain;
  const [, start = "", middle = "", end = ""] = /^(?:@@)?(\|{0,2})(.*?)(\^?)(?:\$.*)?$/.exec(text) ?? [];
  const begin = { "||": "(^|\\.)", "|": "^" }[start] ?? "";
  return new RegExp(`${begin}${middle.replaceAll(".", "\\.").replaceAll("*", ".*")}${end === "" ? "" : "$"}`).test(name);
}

import fc from "fast-check";
import {
  type Answerer,
  answerOf,
  domainsOf,
  type Format,
  familyOf,
  type Group,
  type Question,
  questionOf,
  type Ran,
  Rows,
  type Setting,
} from "./program.ts";

/** smartdns: of a domain the longest rule decides for each attribute on its own, and a server is of the default group too, unless it is excluded. */

export interface Server {
  readonly group: Group;
  /** The groups it is in besides the default one; a group of the file has the name of a group of ours. */
  readonly named: readonly Group[];
  readonly isExcluded: boolean;
  readonly filters: readonly ("-blacklist-ip" | "-whitelist-ip")[];
}

export type Line =
  | { readonly kind: "nameserver"; readonly domain: string; readonly target: Group | "-" }
  | { readonly kind: "address"; readonly domain: string; readonly rule: string }
  | { readonly kind: "rules"; readonly domain: string; readonly target: Group | null; readonly rule: string | null }
  | { readonly kind: "switch"; readonly text: (typeof SWITCHES)[number] };

interface Program {
  readonly servers: readonly Server[];
  readonly lines: readonly Line[];
}

const DOMAINS = ["example.com", "a.example.com", "b.a.example.com", "shop.example.com", "test.net", "sub.test.net", "net"];
export const NAMES = [
  ...DOMAINS.filter((each) => each !== "net"),
  "x.a.example.com",
  "y.example.com",
  "c.b.a.example.com",
  "z.net",
  "w.org",
];
const FOUR = "10.1.2.3";
const SIX = "fd00::1:2";
const SET = "domain-set:some";
export const SET_NAMES = ["a.example.com", "test.net"];

const SWITCHES = ["force-AAAA-SOA yes", "force-qtype-SOA 28", "force-qtype-SOA 16"] as const;

const domain = fc.constantFrom(...DOMAINS, ...DOMAINS, SET);
const target = fc.constantFrom<Group | "-">("near", "far", "third", "-");
const rule = fc.constantFrom(FOUR, SIX, "#", "#4", "#6", "-", "-4", "-6");

export const line: fc.Arbitrary<Line> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("nameserver" as const), domain, target }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("address" as const), domain, rule }) },
  {
    weight: 2,
    arbitrary: fc.record({
      kind: fc.constant("rules" as const),
      domain,
      target: fc.constantFrom<Group | null>("near", "far", null),
      rule: fc.option(rule),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("switch" as const),
      text: fc.constantFrom(...SWITCHES),
    }),
  },
);

const server = (group: Group): fc.Arbitrary<Server> =>
  fc.record({
    group: fc.constant(group),
    named: fc.subarray<Group>(["near", "far"]).map((others) => [...new Set([group, ...others])]),
    isExcluded: group === "near" ? fc.constant(false) : fc.boolean(),
    filters: fc.subarray(["-blacklist-ip" as const], { maxLength: 1 }),
  });

export const servers = fc.tuple(server("near"), server("far"), server("third"));

const program: fc.Arbitrary<Program> = fc.record({
  servers,
  lines: fc.array(line, { minLength: 1, maxLength: 7 }).map((lines) => lines.filter(isAlone)),
});

/** One line of `#` or `-` for a domain: what several of them come to is no man's rule. */
export function isAlone(one: Line, index: number, all: readonly Line[]): boolean {
  const marked = (line: Line) =>
    (line.kind === "address" || line.kind === "rules") && /^[#-]/.test(line.rule ?? "")
      ? line.domain === SET
        ? [SET, ...SET_NAMES]
        : [line.domain]
      : [];
  const own = new Set(marked(one));
  return !all.slice(0, index).some((before) => marked(before).some((each) => own.has(each)));
}

export const SMARTDNS: Format<Program> = {
  kind: "smartdns",
  program,
  question: questionOf(NAMES, ["A", "AAAA", "TXT"], ["home", "foreign", "banned"]),
  make: ({ servers, lines }, setting) => {
    const rows = new Rows();
    const ofServers = addHead(rows, servers, setting);
    const numbered = lines.map((each) => ({ ...each, number: rows.add(lineText(each)) }));
    return {
      files: { "smartdns.conf": rows.text, "some.txt": SET_TEXT },
      run: (question) => {
        const { answers, group, passed } = decideBy(numbered, question);
        return answers === null
          ? askedOf(servers, { group, passed, ofServers }, question)
          : { answers, asked: new Set(), lines: new Set(passed) };
      },
    };
  },
};

export const SET_TEXT = `${SET_NAMES.join("\n")}\n`;

/** @returns the lines of the servers. */
export function addHead(rows: Rows, servers: readonly Server[], setting: Setting): readonly number[] {
  rows.add(`bind ${setting.listen.address}:${setting.listen.port}`);
  rows.add("cache-size 0\nspeed-check-mode none\ndualstack-ip-selection no\nprefetch-domain no\nserve-expired no");
  rows.add("blacklist-ip 203.0.113.0/24\nblacklist-ip 2001:db8:113::/48\ndomain-set -name some -file some.txt");
  return servers.map(({ group, named, isExcluded, filters }) => {
    const { address, port } = setting.servers[group];
    const flags = [...named.map((each) => `-group ${each}`), ...(isExcluded ? ["-exclude-default-group"] : []), ...filters];
    return rows.add(`server ${address}:${port} ${flags.join(" ")}`);
  });
}

/** What the servers of a group answer. */
export function askedOf(
  servers: readonly Server[],
  { group, passed, ofServers }: Pick<Decided, "group" | "passed"> & { readonly ofServers: readonly number[] },
  question: Question,
): Ran {
  const members = servers.filter(({ named, isExcluded }) => (group === "-" ? !isExcluded : named.includes(group)));
  const answers = members.map((each): Answerer => {
    const isDropped = question.type !== "TXT" && question.answers[each.group] === "banned" && each.filters.length > 0;
    return isDropped ? "!nodata" : answerOf(each.group, question);
  });
  return {
    answers,
    asked: new Set(members.map((each) => each.group)),
    // Filters of addresses are told at the servers.
    lines: new Set(members.some((each) => question.answers[each.group] === "banned") ? [...passed, ...ofServers] : passed),
  };
}

export function lineText(each: Line): string {
  if (each.kind === "switch") return each.text;
  if (each.kind === "nameserver") return `nameserver /${each.domain}/${each.target}`;
  if (each.kind === "address") return `address /${each.domain}/${each.rule}`;
  const flags = [each.target === null ? "" : ` -n ${each.target}`, each.rule === null ? "" : ` -a ${each.rule}`];
  return `domain-rules /${each.domain}/${flags.join("")}`;
}

export interface Decided {
  /** null = servers answer. */
  readonly answers: readonly Answerer[] | null;
  readonly group: Group | "-";
  readonly passed: readonly number[];
}

export type Numbered = Line & { readonly number: number };

/**
 * From the shortest domain to the longest: each attribute of a longer one replaces that of a shorter one. `-`, `#` and their kin are one attribute, that of flags,
 * and after each domain what the flags ignore is forgotten.
 */
export function decideBy(numbered: readonly Numbered[], { name, type }: Question): Decided {
  const passed: number[] = [];
  const held: { group?: Group | undefined; A?: string | undefined; AAAA?: string | undefined } = {};
  let flags: ReadonlySet<string> = new Set();
  for (const each of domainsOf(name).toReversed()) {
    const marks = new Set<string>();
    // Sets are filled in when all lines were read.
    for (const one of numbered.toSorted((a, b) => Number(isOfSet(a)) - Number(isOfSet(b)))) {
      if (one.kind === "switch" || !(one.domain === each || (one.domain === SET && SET_NAMES.includes(each)))) continue;
      passed.push(one.number);
      const to = one.kind === "address" ? null : one.target;
      if (to === "-") marks.add("nameserver");
      else if (to !== null) held.group = to;
      const written = one.kind === "nameserver" ? null : one.rule;
      const family = written === null ? null : familyOf(written);
      if (family !== null && written !== null) held[family] = written;
      else if (written !== null) marks.add(written);
    }
    if (marks.size > 0) flags = marks;
    if (flags.has("nameserver")) held.group = undefined;
    if (flags.has("-") || flags.has("-4")) held.A = undefined;
    if (flags.has("-") || flags.has("-6")) held.AAAA = undefined;
  }
  for (const one of numbered) if (one.kind === "switch") passed.push(one.number);
  const hasSwitch = (...texts: readonly string[]) => numbered.some((one) => one.kind === "switch" && texts.includes(one.text));
  const group = held.group ?? "-";
  const answers = (answer: Answerer): Decided => ({ answers: [answer], group, passed });
  const own = { A: "4", AAAA: "6" }[type] ?? "none";
  if (type === "TXT" && hasSwitch("force-qtype-SOA 16")) return answers("!nodata");
  if (!flags.has("-")) {
    if (flags.has("#")) return answers("!nodata");
    const isFreed = flags.has(`-${own}`);
    if (!isFreed && (flags.has(`#${own}`) || (type === "AAAA" && hasSwitch("force-AAAA-SOA yes", "force-qtype-SOA 28"))))
      return answers("!nodata");
  }
  const address = type === "A" || type === "AAAA" ? held[type] : undefined;
  return address === undefined ? { answers: null, group, passed } : answers(`=${address}`);
}

function isOfSet(line: Line): boolean {
  return line.kind !== "switch" && line.domain === SET;
}

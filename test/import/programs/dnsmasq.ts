import fc from "fast-check";
import { type Answerer, domainsOf, type Format, familyOf, type Group, type Question, questionOf, Rows } from "./program.ts";

/** dnsmasq: of a domain the longest line decides. */

type Line =
  /** `server=/x/y`; target `#` = the servers of all names, `` = nobody. */
  | { readonly kind: "server"; readonly domain: string; readonly target: Group | "#" | "" }
  /** `address=/x/y`; an empty address says that there is no such name, `#` is 0.0.0.0 and ::. */
  | { readonly kind: "address"; readonly domain: string; readonly address: string }
  /** `host-record=x,y` */
  | { readonly kind: "host"; readonly domain: string; readonly address: string }
  /** `cname=x,y` */
  | { readonly kind: "alias"; readonly domain: string; readonly target: string }
  /** Of every name; it has no domain. */
  | { readonly kind: "switch"; readonly domain: ""; readonly text: (typeof SWITCHES)[number] };

const SWITCHES = ["filter-rr=TXT", "filter-AAAA", "filter-A"] as const;

interface Program {
  /** The servers of all names. */
  readonly defaults: readonly Group[];
  readonly lines: readonly Line[];
}

const DOMAINS = ["example.com", "a.example.com", "b.a.example.com", "shop.example.com", "test.net", "sub.test.net", "net"];
const FOUR = "10.1.2.3";
const SIX = "fd00::1:2";

const line: fc.Arbitrary<Line> = fc.oneof(
  {
    weight: 4,
    arbitrary: fc.record({
      kind: fc.constant("server" as const),
      domain: fc.constantFrom(...DOMAINS),
      target: fc.constantFrom<Group | "#" | "">("near", "far", "third", "#", ""),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      kind: fc.constant("address" as const),
      domain: fc.constantFrom(...DOMAINS),
      address: fc.constantFrom(FOUR, SIX, "#", "", "0.0.0.0", "::"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("host" as const),
      domain: fc.constantFrom("nas.example.com", "box.sub.test.net"),
      address: fc.constantFrom(FOUR, SIX),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("alias" as const),
      domain: fc.constantFrom("alias.example.com", "y.example.com"),
      target: fc.constantFrom("nas.example.com", "w.org"),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("switch" as const),
      domain: fc.constant("" as const),
      text: fc.constantFrom(...SWITCHES),
    }),
  },
);

const program: fc.Arbitrary<Program> = fc
  .record({
    defaults: fc.constantFrom<readonly Group[]>(["near"], ["far"], ["third"]),
    lines: fc.array(line, { minLength: 1, maxLength: 6 }),
  })
  .map(({ defaults, lines }) => ({ defaults, lines: lines.filter(isAlone) }));

/** One kind of answer for a domain: what several of them come to is no man's rule. */
function isAlone(one: Line, index: number, all: readonly Line[]): boolean {
  const before = all.slice(0, index).filter(({ kind, domain }) => kind === one.kind && domain === one.domain);
  return before.length === 0;
}

const NAMES = [
  ...DOMAINS,
  "x.a.example.com",
  "y.example.com",
  "alias.example.com",
  "nas.example.com",
  "box.sub.test.net",
  "z.net",
  "w.org",
];

export const DNSMASQ: Format<Program> = {
  kind: "dnsmasq",
  program,
  question: questionOf(NAMES, ["A", "AAAA", "TXT"], ["foreign"]),
  make: ({ defaults, lines }, { servers, listen }) => {
    const rows = new Rows();
    const shown = (group: Group) => `${servers[group].address}#${servers[group].port}`;
    rows.add(`port=${listen.port}\nlisten-address=${listen.address}`);
    rows.add("bind-interfaces\nno-resolv\nno-hosts\ncache-size=0");
    const ofDefaults = defaults.map((group) => rows.add(`server=${shown(group)}`));
    const numbered = lines.map((each) => ({ ...each, number: rows.add(lineText(each, shown)) }));
    return {
      files: { "dnsmasq.conf": rows.text },
      run: (question) => {
        const { answers, passed, isDefault } = decideBy(numbered, question);
        const all = isDefault ? [...answers, ...defaults] : answers;
        const asked = new Set(all.filter((each): each is Group => /^\w/.test(each)));
        const filter = question.type === "TXT" ? "filter-rr=TXT" : `filter-${question.type}`;
        const isFiltered = lines.some((each) => each.kind === "switch" && each.text === filter);
        const given = isFiltered && asked.size > 0 ? (["!nodata"] as const) : all;
        return { answers: given, asked, lines: new Set(isDefault ? [...ofDefaults, ...passed] : passed) };
      },
    };
  },
};

function lineText(line: Line, shown: (group: Group) => string): string {
  if (line.kind === "host") return `host-record=${line.domain},${line.address}`;
  if (line.kind === "alias") return `cname=${line.domain},${line.target}`;
  if (line.kind === "switch") return line.text;
  if (line.kind === "address") return `address=/${line.domain}/${line.address}`;
  return `server=/${line.domain}/${line.target === "#" || line.target === "" ? line.target : shown(line.target)}`;
}

interface Decided {
  readonly answers: readonly Answerer[];
  readonly passed: readonly number[];
  /** Whether the servers of all names may answer too. */
  readonly isDefault: boolean;
}

/** The longest domain whose lines say something of the type decides; a line for the other family says nothing. */
function decideBy(numbered: readonly (Line & { readonly number: number })[], { name, type }: Question): Decided {
  const own = numbered.filter((each) => each.kind === "host" && each.domain === name);
  const passed = own.map(({ number }) => number);
  const decided = (answers: readonly Answerer[], isDefault = false): Decided => ({ answers, passed, isDefault });
  for (const each of numbered) if (each.kind === "switch") passed.push(each.number);
  const alias = numbered.find((each) => each.kind === "alias" && each.domain === name);
  if (alias?.kind === "alias") {
    // Nobody is asked for it: it has what the file says of the other name.
    passed.push(alias.number);
    const target = numbered.flatMap((each) => (each.kind === "host" && each.domain === alias.target ? [each.address] : []));
    const given = target.filter((address) => familyOf(address) === type).map((address): Answerer => `=${address}`);
    return decided(given.length > 0 ? given : ["!nodata"]);
  }
  const held = own.flatMap((each) => (each.kind === "host" && familyOf(each.address) === type ? [each.address] : []));
  if (held.length > 0) return decided(held.map((address): Answerer => `=${address}`));
  for (const domain of domainsOf(name)) {
    const here = numbered.filter((each) => each.kind !== "host" && each.domain === domain);
    passed.push(...here.map(({ number }) => number));
    const literals = here.flatMap((each) => (each.kind === "address" ? [each.address] : []));
    const address = literals.find((each) => familyOf(each) === type);
    if (address !== undefined) return decided([/^(0\.0\.0\.0|::)$/.test(address) ? "!zero" : `=${address}`]);
    if (literals.includes("#") && type !== "TXT") return decided(["!zero"]);
    const targets = here.flatMap((each) => (each.kind === "server" ? [each.target] : []));
    const groups = targets.filter((target) => target !== "#" && target !== "");
    if (groups.length > 0 || targets.includes("#")) return decided(groups, targets.includes("#"));
    if (literals.includes("") || targets.includes("")) return decided(["!nxdomain", "!nodata"]);
  }
  return decided([], true);
}

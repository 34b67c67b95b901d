import fc from "fast-check";

/**
 * Random configurations of dnsmasq, and what dnsmasq does with a question. `lab/dnsmasq-programs.ts` holds this interpreter against dnsmasq itself.
 */

export const GROUPS = ["near", "far", "third"] as const;
export type Group = (typeof GROUPS)[number];

export type Line =
  /** `server=/x/y`; target `#` = the servers of all names, `` = nobody. */
  | { readonly kind: "server"; readonly domain: string; readonly target: Group | "#" | "" }
  /** `address=/x/y`; an empty address says that there is no such name, `#` is 0.0.0.0 and ::. */
  | { readonly kind: "address"; readonly domain: string; readonly address: string }
  /** `host-record=x,y` */
  | { readonly kind: "host"; readonly domain: string; readonly address: string };

export interface Program {
  /** The servers of all names. */
  readonly defaults: readonly Group[];
  readonly lines: readonly Line[];
}

export interface Question {
  readonly name: string;
  readonly type: "A" | "AAAA" | "TXT";
}

/** Who answers: a group, `!zero`, an address that stands in the file, or `!nothing`. */
export type Answerer = Group | "!zero" | "!nothing" | `=${string}`;

export interface Ran {
  /** Any one of these may answer: dnsmasq asks one, or all. */
  readonly answers: readonly Answerer[];
  /** The lines that had a say, by number from 0; those of `defaults` come before, so that the last of them is -1. */
  readonly lines: readonly number[];
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
      address: fc.constantFrom(FOUR, SIX, "#", "", "0.0.0.0"),
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
);

export const program: fc.Arbitrary<Program> = fc
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

export const question: fc.Arbitrary<Question> = fc.record({
  name: fc.constantFrom(...DOMAINS, "x.a.example.com", "y.example.com", "nas.example.com", "box.sub.test.net", "z.net", "w.org"),
  type: fc.constantFrom("A", "AAAA", "TXT"),
});

/** @param servers `address#port` of each group. The line of the program with number n is line `n + first` of the text. */
export function writeProgram(
  { defaults, lines }: Program,
  servers: Readonly<Record<Group, string>>,
  port: number,
): { readonly text: string; readonly first: number } {
  const head = [`port=${port}`, "listen-address=127.0.0.1", "bind-interfaces", "no-resolv", "no-hosts", "cache-size=0"];
  const asked = defaults.map((group) => `server=${servers[group]}`);
  const written = lines.map((each) => {
    if (each.kind === "host") return `host-record=${each.domain},${each.address}`;
    if (each.kind === "address") return `address=/${each.domain}/${each.address}`;
    return `server=/${each.domain}/${each.target === "#" || each.target === "" ? each.target : servers[each.target]}`;
  });
  return { text: [...head, ...asked, ...written, ""].join("\n"), first: head.length + asked.length + 1 };
}

/** The longest domain whose lines say something of the type decides; a line for the other family says nothing. */
export function runProgram({ defaults, lines }: Program, { name, type }: Question): Ran {
  const passed: number[] = [];
  const ofDefaults = defaults.map((_, index) => index - defaults.length);
  const numbered = lines.map((each, number) => ({ ...each, number }));
  const own = numbered.filter((each) => each.kind === "host" && each.domain === name);
  passed.push(...own.map(({ number }) => number));
  const held = own.flatMap((each) => (each.kind === "host" && familyOf(each.address) === type ? [each.address] : []));
  if (held.length > 0) return { answers: held.map((address): Answerer => `=${address}`), lines: passed };
  const labels = name.split(".");
  for (const [index] of labels.entries()) {
    const domain = labels.slice(index).join(".");
    const here = numbered.filter((each) => each.kind !== "host" && each.domain === domain);
    passed.push(...here.map(({ number }) => number));
    const literals = here.flatMap((each) => (each.kind === "address" ? [each.address] : []));
    const address = literals.find((each) => familyOf(each) === type);
    if (address !== undefined) return { answers: [address === "0.0.0.0" ? "!zero" : `=${address}`], lines: passed };
    if (literals.includes("#") && type !== "TXT") return { answers: ["!zero"], lines: passed };
    const targets = here.flatMap((each) => (each.kind === "server" ? [each.target] : []));
    const groups = targets.flatMap((target) => (target === "#" ? defaults : target === "" ? [] : [target]));
    if (groups.length > 0) return { answers: groups, lines: targets.includes("#") ? [...ofDefaults, ...passed] : passed };
    if (literals.includes("") || targets.includes("")) return { answers: ["!nothing"], lines: passed };
  }
  return { answers: defaults, lines: [...ofDefaults, ...passed] };
}

function familyOf(address: string): "A" | "AAAA" | null {
  return address.includes(":") ? "AAAA" : address.includes(".") ? "A" : null;
}

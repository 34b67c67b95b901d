/**
 * What a configuration of another server means, in the terms that all of them share: who is asked for which names, types and clients, in which
 * order, how answers are judged, what is answered here, and where each statement stands.
 *
 * A reader (one folder a source) makes a `Meaning`; `write.ts` makes a fenliu.yaml of it. The model says more than the configuration language can
 * say today: what the writer cannot carry over it reports at its place, and closes.
 */

/** A line of the source. */
export interface Place {
  readonly file: string;
  /** From 1. */
  readonly line: number;
}

/** A list that is read where it lies. */
export interface ListFile {
  /** Absolute. */
  readonly path: string;
  /** What follows `#` in section `lists`: the format of a text, the category of a .dat file. null for addresses in a text. */
  readonly category: string | null;
  readonly kind: "domains" | "addresses";
  /** What the source calls it. */
  readonly tag: string;
  readonly place: Place;
  /** Whether the source reads it again when it changes. */
  readonly reloads: boolean;
  /** The name of the list whose sources these files are together, so that exceptions of one hold for all. */
  readonly joint?: string;
  /** Whether a star in a name is no wildcard for the source: nobody asks for such a name. */
  readonly starsMatchNothing?: boolean;
  /** Of rules as AdGuard Home writes them that OxiDNS reads: what they are asked for, the name or the question. */
  readonly asked?: "name" | "question";
  /** Whether the source knows bare names alone: with a dot at its end or a prefix such as `full:` a line matches nothing there. */
  readonly bareNames?: boolean;
}

/** The union of patterns, as section `rules` writes them, and lists of domains. */
export interface Names {
  readonly patterns: readonly string[];
  readonly lists: readonly ListFile[];
}

/** The union of networks and lists of addresses. */
export interface Networks {
  readonly networks: readonly string[];
  readonly lists: readonly ListFile[];
}

/** All parts must hold; null and empty = no such condition. */
export interface RuleCondition {
  readonly names: Names | null;
  /** Names that are left out. */
  readonly except: Names;
  readonly types: readonly number[] | null;
  /** Networks and client ids. */
  readonly clients: readonly string[] | null;
}

export interface SourceServer {
  /** As section `upstreams` writes it. */
  readonly url: string;
  readonly addresses: readonly string[];
  readonly tlsName: string | null;
}

export interface ServerGroup {
  /** The name it would like to have. */
  readonly name: string;
  readonly servers: readonly SourceServer[];
  readonly strategy: "fastest" | "race" | "failover" | "spread";
  readonly proxy: string | null;
  readonly volatile: boolean;
  readonly asksFrom: readonly string[];
  /** Asked when every server has failed. */
  readonly fallback: ServerGroup | null;
  /** Addresses that its answers may have alone, and those that are taken out. */
  readonly accept?: readonly string[];
  readonly drop?: readonly string[];
  readonly place: Place;
}

/** What a rule changes besides its action. Texts are those of the configuration. */
export interface Modifiers {
  readonly ipv6?: "pass" | "nodata" | "prefer-ipv4";
  readonly ipv4?: "pass" | "nodata" | "prefer-ipv6";
  readonly https?: "nodata";
  readonly ttl?: { readonly min?: string; readonly max?: string };
  readonly rebinding?: "allow" | "nodata";
}

export type OwnAnswer = "nodata" | "nxdomain" | "zero" | "refused" | "drop";

/** A question about the answer of a group. */
export type ResponseTest =
  | { readonly kind: "addresses"; readonly networks: Networks }
  /** Whether it holds a record of the type that was asked for. */
  | { readonly kind: "valid" }
  | { readonly kind: "rcode"; readonly codes: readonly number[] }
  | { readonly kind: "unknown"; readonly why: string };

/** The question is sent to a group. */
export interface Ask {
  readonly kind: "ask";
  readonly group: ServerGroup;
  /** EDNS Client Subnet as section `upstreams` writes it; null = none is added. */
  readonly ecs: string | null;
  readonly modifiers: Modifiers;
  readonly place: Place;
}

/** What becomes of a question. */
export type Outcome =
  | Ask
  | { readonly kind: "answer"; readonly answer: OwnAnswer; readonly place: Place }
  /** The answer of `of` is looked at: `of` itself stands in `yes` or `no` where it is kept. */
  | {
      readonly kind: "judge";
      readonly of: Outcome;
      readonly test: ResponseTest;
      readonly yes: Outcome;
      readonly no: Outcome;
      readonly place: Place;
      /** What the source does otherwise than `compare`, where the test is not one of any answer by any of its addresses, after the answer has come. */
      readonly differs?: string;
    }
  /** `second` is asked when `first` brings nothing, or nothing within `afterMs`. */
  | {
      readonly kind: "fallback";
      readonly first: Outcome;
      readonly second: Outcome;
      readonly afterMs: number | null;
      readonly place: Place;
    }
  /** The answer of `of` with its addresses replaced by chosen ones. */
  | { readonly kind: "replace"; readonly of: Outcome; readonly addresses: readonly string[]; readonly place: Place }
  /** An answer that came is thrown away, or nobody was asked. */
  | { readonly kind: "nothing"; readonly place: Place }
  /** The reader does not know: the writer closes it. */
  | { readonly kind: "unknown"; readonly why: string; readonly place: Place };

/** Rules in their order: the first `decide` or `longest` that matches decides, each `modify` before it changes something. */
export type ModelRule =
  | {
      readonly kind: "decide";
      readonly label: string;
      readonly condition: RuleCondition;
      readonly outcome: Outcome;
      readonly place: Place;
    }
  | {
      readonly kind: "modify";
      readonly label: string;
      readonly condition: RuleCondition;
      readonly modifiers: Modifiers;
      readonly place: Place;
    }
  /** The longest pattern among the choices decides; one without a match lets the question pass. */
  | {
      readonly kind: "longest";
      readonly label: string;
      readonly condition: RuleCondition;
      readonly choices: Choices;
      readonly place: Place;
    };

/** Who is asked for the names of each. */
export type Choices = readonly { readonly names: Names; readonly outcome: Outcome; readonly place: Place }[];

/** A name that is answered here. */
export interface Host {
  readonly name: string;
  /** Whether names below it are meant and not the name itself. */
  readonly wildcard: boolean;
  readonly addresses: readonly string[];
  readonly cname: string | null;
  readonly others: "nodata" | "forward";
  /** Whether A or AAAA, where it has no address of it, is empty although other types are forwarded. */
  readonly closesFamily?: boolean;
  /** What the rules answer all the same: some families, or everything, which takes the name out of a wildcard. */
  readonly opens?: readonly ("a" | "aaaa")[] | "all";
  readonly place: Place;
}

export interface Meaning {
  /** The kind of the source, for the heading of the file. */
  readonly origin: string;
  readonly file: string;
  readonly rules: readonly ModelRule[];
  readonly hosts: readonly Host[];
  readonly bootstrap: readonly string[];
  /** Addresses of forged answers, and of those given instead of NXDOMAIN. */
  readonly poison: Networks;
  readonly bogus: Networks;
  /** Sections that are plain settings, as they are written: listen, tls, answers, cache, access, trustedProxies. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** What a reader may not guess. */
export interface ReaderOptions {
  /** The proxy that proxies of the source stand for, as section `upstreams` writes it. */
  readonly proxy: string | null;
}

/**
 * What became of a statement. `leak`: names could go to another side than before, so that no file is written unless it is wished. `blank`: names get
 * no answer that had one. `risk`: carried over as it was, and dangerous there already. `left`: nothing here corresponds to it.
 */
export interface Finding extends Place {
  readonly kind: "leak" | "blank" | "risk" | "changed" | "left" | "carried";
  readonly what: string;
}

/** Why nothing can be made of the source. */
export class ImportError extends Error {
  readonly place: Place;

  constructor(place: Place, message: string) {
    super(message);
    this.name = "ImportError";
    this.place = place;
  }
}

/** Collects what is told to the user, each thing once. */
export class Findings {
  readonly #all = new Map<string, Finding>();

  add(kind: Finding["kind"], { file, line }: Place, what: string): void {
    this.#all.set(JSON.stringify([kind, file, line, what]), { kind, file, line, what });
  }

  get all(): readonly Finding[] {
    return [...this.#all.values()];
  }

  has(kind: Finding["kind"]): boolean {
    return this.all.some((finding) => finding.kind === kind);
  }
}

export const NO_NAMES: Names = { patterns: [], lists: [] };
export const NO_NETWORKS: Networks = { networks: [], lists: [] };
export const ANYTHING: RuleCondition = { names: null, except: NO_NAMES, types: null, clients: null };

/** The reverse zones of the addresses of a house. */
export const PRIVATE_REVERSE: readonly string[] = [
  "10.in-addr.arpa",
  "168.192.in-addr.arpa",
  ...Array.from({ length: 16 }, (_, index) => `${16 + index}.172.in-addr.arpa`),
  "d.f.ip6.arpa",
];

/** Names alone as a condition. */
export function forNames(names: Names, except: Names = NO_NAMES): RuleCondition {
  return { ...ANYTHING, names, except };
}

/** The union, each entry once. */
export function joinNames(all: readonly Names[]): Names {
  const lists = new Map(all.flatMap((names) => names.lists).map((list) => [listKey(list), list]));
  return { patterns: [...new Set(all.flatMap(({ patterns }) => patterns))], lists: [...lists.values()] };
}

/** Equal for the same entries of the same file. */
export function listKey({ path, category, kind }: ListFile): string {
  return JSON.stringify([kind, path, category]);
}

/** Outcomes are trees that share their branches, and are compared again and again. */
const keys = new WeakMap<object, string>();

/** Equal for what means the same; places do not count. The value must not change afterwards. */
export function meaningKey(value: unknown): string {
  const shared = typeof value === "object" && value !== null ? value : null;
  const known = shared === null ? undefined : keys.get(shared);
  if (known !== undefined) return known;
  const text = JSON.stringify(value, (key, part: unknown) => (key === "place" || key === "tag" ? undefined : part));
  if (shared !== null) keys.set(shared, text);
  return text;
}

export function namesOf(patterns: readonly string[]): Names {
  return { patterns, lists: [] };
}

export function namesIn(lists: readonly ListFile[]): Names {
  return { patterns: [], lists };
}

/** A list of domains that the source reads again when it changes. */
export function domainList(path: string, category: string, tag: string, place: Place): ListFile {
  return { path, category, kind: "domains", tag, place, reloads: true };
}

export function decide(condition: RuleCondition, outcome: Outcome, place: Place = outcome.place, label = ""): ModelRule {
  return { kind: "decide", label, condition, outcome, place };
}

export function modify(condition: RuleCondition, modifiers: Modifiers, place: Place): ModelRule {
  return { kind: "modify", label: "", condition, modifiers, place };
}

export function answered(answer: OwnAnswer, place: Place): Outcome {
  return { kind: "answer", answer, place };
}

/** The longest pattern decides; no rule where there is nothing to choose. */
export function longest(choices: Choices, label: string, condition: RuleCondition = ANYTHING): readonly ModelRule[] {
  const [first] = choices;
  return first === undefined ? [] : [{ kind: "longest", label, condition, choices, place: first.place }];
}

/**
 * The longest pattern decides, and for all other names that of the pattern `.`, or `rest`.
 * @param label what the source calls it; empty = the rules of all clients.
 */
export function routes(choices: Choices, rest: Outcome, label = "", condition: RuleCondition = ANYTHING): readonly ModelRule[] {
  const { outcome, place } = choices.find(({ names }) => names.patterns.includes(".")) ?? { outcome: rest, place: rest.place };
  const named = choices.map(({ names, ...choice }) => ({
    ...choice,
    names: { ...names, patterns: names.patterns.filter((pattern) => pattern !== ".") },
  }));
  const kept = named.filter(({ names }) => names.patterns.length + names.lists.length > 0);
  return [
    ...longest(kept, label === "" ? "split" : `${label}-split`, condition),
    decide(condition, outcome, place, label || "others"),
  ];
}

/** The near answer where its addresses are in one of the lists, else the far one. @param differs what the source does otherwise. */
export function compareOf(
  near: Ask,
  far: Outcome,
  { lists, place, differs }: { readonly lists: readonly ListFile[]; readonly place: Place; readonly differs: string },
): Outcome {
  const test = { kind: "addresses", networks: { networks: [], lists } } as const;
  return { kind: "judge", of: near, test, yes: near, no: far, place, differs };
}

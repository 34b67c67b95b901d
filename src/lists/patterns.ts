import { type Name, nameFromText, nameText } from "../dns/name.ts";
import { boundedRegexp } from "../lib/bounded-regexp.ts";
import type { DomainSet, Match } from "./domain-set.ts";

/** What a domain set is made of. A suffix stands for the name itself and everything below it; that of the root is everything. */
export type Pattern =
  | { readonly kind: "suffix" | "full"; readonly name: Name }
  | { readonly kind: "keyword" | "regexp"; readonly text: string };

export interface BadPattern {
  readonly kind: "bad";
  readonly reason: string;
}

/** One element of a rule's `domains`: a pattern or a list, perhaps excepted by `!`. */
interface DomainCondition {
  readonly excepted: boolean;
  readonly target: Pattern | { readonly kind: "list"; readonly list: string };
}

/** Reads `x`, `domain:x`, `.`, `full:x`, `keyword:x`, `regexp:x`. */
export function parsePattern(text: string): Pattern | BadPattern {
  const [, prefix = "", rest = text] = /^(full|domain|keyword|regexp):(.*)$/s.exec(text) ?? [];
  if (prefix === "keyword" || prefix === "regexp") {
    if (rest === "") return bad(`${text} has nothing after ${prefix}:`);
    const bounded = prefix === "regexp" ? boundedRegexp(rest) : null;
    return bounded?.kind === "refused" ? bad(`${text} is ${bounded.reason}`) : { kind: prefix, text: rest };
  }
  if (/(^|\.)\d+\.?$/.test(rest)) return bad(`${text} is an address or a part of one, where a domain name belongs`);
  const name = /[\s/:*|^@#,;()"'!]/.test(rest) ? null : nameFromText(rest);
  if (name !== null) return { kind: prefix === "full" ? "full" : "suffix", name };
  const bare = rest.replace(/^(\*\.|\+\.|\.)/, "");
  return bad(
    bare === rest || bare === ""
      ? `${text} is no domain name`
      : `${text} is no domain name; ${bare} stands for it and everything below it`,
  );
}

/** Reads what stands in a rule's `domains` or a group's `never`: a pattern or `list:NAME`, each perhaps after `!`. */
export function parseDomainCondition(text: string): DomainCondition | BadPattern {
  const excepted = text.startsWith("!");
  const plain = excepted ? text.slice(1).trimStart() : text;
  if (plain.startsWith("list:")) return { excepted, target: { kind: "list", list: plain.slice("list:".length) } };
  const target = parsePattern(plain);
  return target.kind === "bad" ? target : { excepted, target };
}

/** The pattern as it would be written. */
export function patternText(pattern: Pattern): string {
  switch (pattern.kind) {
    case "suffix":
      return nameText(pattern.name);
    case "full":
      return `full:${nameText(pattern.name)}`;
    case "keyword":
    case "regexp":
      return `${pattern.kind}:${pattern.text}`;
  }
}

function bad(reason: string): BadPattern {
  return { kind: "bad", reason };
}

/**
 * How an entry of a set meets one of another: `tie` = both hold the same name with what is below it, or both the name alone; `split` = it
 * is the name alone, and the other holds what is below as well; `inside` = it lies below a shorter suffix of the other.
 */
export type OverlapKind = "tie" | "split" | "inside";

export interface Overlap {
  readonly kind: OverlapKind;
  /** A name that the entry decides. */
  readonly name: Name;
  readonly own: Match;
  readonly other: Match;
}

/** No list holds such a label, so that a name with it before stands for whatever is below. */
const ANY_LABEL = "\x01*";

/**
 * The entries of `set` that meet an entry of `other`, each once, in the order of `set`; its time grows with the entries of `set` alone. Keywords
 * and regular expressions are left out: they give way to every name.
 */
export function* overlaps(set: DomainSet, other: DomainSet): Generator<Overlap, void, undefined> {
  const met = new Set<number>();
  for (const row of set.names()) {
    const name = row.startsWith(ANY_LABEL) ? (row.slice(ANY_LABEL.length) as Name) : row;
    for (const overlap of [overlapAt(set, other, { asked: name, name }), overlapAt(set, other, { asked: below(name), name })]) {
      if (overlap === null || met.has(overlap.own.entry)) continue;
      met.add(overlap.own.entry);
      yield overlap;
    }
  }
}

function below(name: Name): Name {
  return `${ANY_LABEL}${name}` as Name;
}

interface Probe {
  /** The name of the entry, or one below it. */
  readonly asked: Name;
  readonly name: Name;
}

function overlapAt(set: DomainSet, other: DomainSet, { asked, name }: Probe): Overlap | null {
  const theirs = other.matchName(asked);
  if (theirs === null) return null;
  const own = set.matchName(asked);
  if (own === null || own.octets !== name.length) return null;
  // What holds for the name and below it is looked at below it.
  if (own.kind === "suffix" && asked === name) return null;
  const kind = theirs.octets < own.octets ? "inside" : theirs.kind === own.kind ? "tie" : "split";
  return { kind, name: asked, own, other: theirs };
}

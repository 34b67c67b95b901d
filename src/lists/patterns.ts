import { type Name, nameFromText, nameText } from "../dns/name.ts";
import { boundedRegexp } from "../lib/bounded-regexp.ts";
import type { DomainSet, Match } from "./domain-set.ts";

/** An element of a domain set. A suffix stands for the name itself and everything below it; the suffix of the root is everything. */
export type Pattern =
  | { readonly kind: "suffix" | "full"; readonly name: Name }
  | { readonly kind: "keyword" | "regexp"; readonly text: string }
  /** Every name of one label. */
  | { readonly kind: "single"; readonly text: "" };

export interface BadPattern {
  readonly kind: "bad";
  readonly reason: string;
}

/** One element of a rule's `domains`: a pattern or a list; `excepted` = it began with `!`. */
interface DomainCondition {
  readonly excepted: boolean;
  readonly target: Pattern | { readonly kind: "list"; readonly list: string };
}

/** Reads `x`, `domain:x`, `.`, `full:x`, `keyword:x`, `regexp:x`, `single:`. */
export function parsePattern(text: string): Pattern | BadPattern {
  if (text === "single:") return { kind: "single", text: "" };
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

/** Reads an element of a rule's `domains` or a group's `never`: a pattern or `list:NAME`, each perhaps after `!`. */
export function parseDomainCondition(text: string): DomainCondition | BadPattern {
  const excepted = text.startsWith("!");
  const plain = excepted ? text.slice(1).trimStart() : text;
  if (plain.startsWith("list:")) return { excepted, target: { kind: "list", list: plain.slice("list:".length) } };
  const target = parsePattern(plain);
  return target.kind === "bad" ? target : { excepted, target };
}

/** The pattern in the form that `parsePattern` reads. */
export function patternText(pattern: Pattern): string {
  switch (pattern.kind) {
    case "suffix":
      return nameText(pattern.name);
    case "full":
      return `full:${nameText(pattern.name)}`;
    case "keyword":
    case "regexp":
    case "single":
      return `${pattern.kind}:${pattern.text}`;
  }
}

function bad(reason: string): BadPattern {
  return { kind: "bad", reason };
}

/**
 * How an entry of one set overlaps an entry of another: `tie` = both mean the same names; `split` = the entry is a name alone, and the
 * other is that name with everything below it; `inside` = the entry lies below a shorter suffix of the other set.
 */
export type OverlapKind = "tie" | "split" | "inside";

export interface Overlap {
  readonly kind: OverlapKind;
  /** A name that the entry decides. */
  readonly name: Name;
  readonly own: Match;
  readonly other: Match;
}

/** No list has this label, so a name that begins with it stands for any name below. */
const ANY_LABEL = "\x01*";

/**
 * The entries of `set` that overlap an entry of `other`, each once, in the order of `set`. Takes time in proportion to the entries of `set`
 * alone. Keywords and regular expressions are left out: every name beats them.
 */
export function* overlaps(set: DomainSet, other: DomainSet): Generator<Overlap, void, undefined> {
  const found = new Set<number>();
  for (const row of set.names()) {
    const name = row.startsWith(ANY_LABEL) ? (row.slice(ANY_LABEL.length) as Name) : row;
    for (const probe of [name, `${ANY_LABEL}${name}` as Name]) {
      const overlap = overlapAt(set, other, { probe, name });
      if (overlap === null || found.has(overlap.own.entry)) continue;
      found.add(overlap.own.entry);
      yield overlap;
    }
  }
}

/** @param probe the name of an entry, or a name below it. */
function overlapAt(
  set: DomainSet,
  other: DomainSet,
  { probe, name }: { readonly probe: Name; readonly name: Name },
): Overlap | null {
  const theirs = other.match(probe, false);
  if (theirs === null) return null;
  const own = set.match(probe, false);
  if (own === null || own.wireLength !== name.length) return null;
  // An entry for the name and everything below it is compared by the probe below the name.
  if (own.kind === "suffix" && probe === name) return null;
  const kind = theirs.wireLength < own.wireLength ? "inside" : theirs.kind === own.kind ? "tie" : "split";
  return { kind, name: probe, own, other: theirs };
}

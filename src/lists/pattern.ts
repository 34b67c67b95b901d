import { type Name, nameFromText, nameText } from "../dns/name.ts";
import { boundedRegexp } from "../lib/bounded-regexp.ts";

/** What a domain set is made of. A suffix stands for the name itself and everything below it; that of the root is everything. */
export type Pattern =
  | { readonly kind: "suffix" | "full"; readonly name: Name }
  | { readonly kind: "keyword" | "regexp"; readonly text: string };

export interface BadPattern {
  readonly kind: "bad";
  readonly reason: string;
}

/** One element of a rule's `domains`: a pattern or a list, perhaps excepted by `!`. */
export interface DomainCondition {
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

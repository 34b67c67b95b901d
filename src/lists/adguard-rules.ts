import { isWithin, type Name, nameText, parentOf, ROOT } from "../dns/name.ts";
import { MAX_SUBJECT_LENGTH } from "../lib/bounded-regexp.ts";
import type { Requester } from "../lib/client.ts";
import type { ClientCondition } from "./clients.ts";
import { regexpHints } from "./text-patterns.ts";
import type { AdguardRule, Rewrite } from "./types.ts";

/** A question, for rules that hold for some questions alone. */
export interface Asked {
  readonly type: number;
  readonly requester: Requester;
  /** Whether rules with an answer of their own count. */
  readonly rewrites: boolean;
}

/** A rule of a list, ready for matching. */
export interface CompiledRule extends AdguardRule {
  readonly source: string;
  readonly line: number;
  /** null for a pattern that is a name. */
  readonly matches: ((nameText: string) => boolean) | null;
  /** null = all clients. */
  readonly clientCondition: ClientCondition | null;
}

/** What the rules with an answer of their own give for a name together. */
export type Rewritten =
  | { readonly kind: "addresses"; readonly addresses: readonly Uint8Array[] }
  | Exclude<Rewrite, { readonly kind: "address" | "all" }>;

/**
 * The rules of a set that a name table cannot hold. A list has few of them, or none: then the set has no such object, and a look-up costs nothing.
 * What a rule means is as AdGuard's engine takes it. Immutable.
 */
export class AdguardRules {
  readonly #byName = new Map<Name, CompiledRule[]>();
  readonly #texts: readonly { readonly rule: CompiledRule; readonly literal: string }[];
  /** The names of the rules and all names above; true where one of those rules takes something out. */
  readonly #above = new Map<Name, boolean>();
  /** Those that block. */
  readonly size: number;
  readonly clients: readonly ClientCondition[];

  constructor(rules: readonly CompiledRule[]) {
    this.size = rules.filter(({ isException }) => !isException).length;
    this.clients = [...new Set(rules.flatMap(({ clientCondition }) => clientCondition ?? []))];
    this.#texts = rules.flatMap((rule) =>
      rule.pattern.kind === "regexp" ? [{ rule, literal: regexpHints(rule.pattern.source).literal }] : [],
    );
    for (const rule of rules) if (rule.pattern.kind !== "regexp") this.#add(rule, rule.pattern.name);
  }

  get hasTexts(): boolean {
    return this.#texts.length > 0;
  }

  /** The rules that hold for a question, in no order of rank. @param asked null = only those that hold for every question. */
  holding(name: Name, texts: boolean, asked: Asked | null): readonly CompiledRule[] {
    const found: CompiledRule[] = [];
    for (let suffix = name; ; suffix = parentOf(suffix)) {
      for (const rule of this.#byName.get(suffix) ?? [])
        if (holdsAt(rule, suffix === name) && holdsFor(rule, name, asked)) found.push(rule);
      if (suffix === ROOT) break;
    }
    if (!texts || this.#texts.length === 0) return found;
    const text = nameText(name);
    if (text.length > MAX_SUBJECT_LENGTH) return found;
    for (const { rule, literal } of this.#texts)
      if (text.includes(literal) && holdsFor(rule, name, asked) && rule.matches?.(text) === true) found.push(rule);
    return found;
  }

  /** What the rules that hold answer; null = nothing of their own. The rule is the first of them. */
  rewrite(name: Name, holding: readonly CompiledRule[]): { readonly rewritten: Rewritten; readonly rule: CompiledRule } | null {
    const exceptions = holding.filter(({ isException }) => isException);
    const left = holding.filter((rule) => !rule.isException && !exceptions.some((except) => takesAway(except, rule)));
    const addresses: Uint8Array[] = [];
    let first: CompiledRule | null = null;
    for (const rule of left) {
      const { rewrite } = rule;
      if (rewrite === null || rewrite.kind === "all") continue;
      if (rewrite.kind === "cname" || rewrite.kind === "nxdomain" || rewrite.kind === "refused") {
        // An alias of itself is no alias.
        return rewrite.kind === "cname" && rewrite.target === name ? null : { rewritten: rewrite, rule };
      }
      first ??= rule;
      if (rewrite.kind === "address") addresses.push(rewrite.address);
    }
    if (first === null) return null;
    return { rewritten: addresses.length === 0 ? { kind: "nodata" } : { kind: "addresses", addresses }, rule: first };
  }

  /**
   * Whether the pattern of a rule stands for this name or one below it, whoever asks. @param takingOut only rules that take names out of the set for
   * some questions, or answer otherwise; those by expression count too.
   */
  reaches(name: Name, takingOut: boolean): boolean {
    const below = this.#above.get(name);
    if (below === true || (below === false && !takingOut)) return true;
    if (takingOut && this.#texts.some(({ rule }) => takesOut(rule))) return true;
    for (let suffix = name; suffix !== ROOT; suffix = parentOf(suffix))
      if (this.#byName.get(suffix)?.some((rule) => !takingOut || takesOut(rule)) === true) return true;
    return false;
  }

  #add(rule: CompiledRule, name: Name): void {
    const known = this.#byName.get(name);
    if (known === undefined) this.#byName.set(name, [rule]);
    else known.push(rule);
    const isTakingOut = takesOut(rule);
    for (let above = name; ; above = parentOf(above)) {
      const before = this.#above.get(above);
      if (before === true || before === isTakingOut) break;
      this.#above.set(above, isTakingOut);
      if (above === ROOT) break;
    }
  }
}

function holdsAt({ pattern: { kind } }: CompiledRule, isSameName: boolean): boolean {
  return kind === "suffix" || (kind === "full") === isSameName;
}

function holdsFor(
  { clientCondition, types, exceptTypes, denyallow, rewrite }: CompiledRule,
  name: Name,
  asked: Asked | null,
): boolean {
  if (denyallow.some((zone) => isWithin(name, zone))) return false;
  if (asked === null) return rewrite === null && clientCondition === null && types.length === 0 && exceptTypes.length === 0;
  if (rewrite !== null && !asked.rewrites) return false;
  if (exceptTypes.includes(asked.type) || (types.length > 0 && !types.includes(asked.type))) return false;
  return clientCondition === null || clientCondition.matches(asked.requester);
}

/** Whether a name at or below that of the rule is not in the set for some questions, or is answered otherwise. */
function takesOut({ isException, rewrite, denyallow }: CompiledRule): boolean {
  return isException || rewrite !== null || denyallow.length > 0;
}

/** Whether an exception with `$dnsrewrite` takes the answer of a rule away. */
function takesAway({ rewrite: wanted, isImportant }: CompiledRule, { rewrite, isImportant: resists }: CompiledRule): boolean {
  if (wanted === null || rewrite === null || (resists && !isImportant)) return false;
  if (wanted.kind === "all") return true;
  if (wanted.kind === "address") return rewrite.kind === "address" && Buffer.compare(wanted.address, rewrite.address) === 0;
  return wanted.kind === "cname" ? rewrite.kind === "cname" && rewrite.target === wanted.target : rewrite.kind === wanted.kind;
}

import { alternativesOf, type Expression, type Literal } from "./conditions.ts";
import type { DraftConditions } from "./draft.ts";
import type { Matcher } from "./matchers.ts";

export interface ReadConditions {
  /** Each makes a rule of its own; none = it never holds. */
  readonly any: readonly DraftConditions[];
  /** Alternatives that no rule can ask for. */
  readonly left: readonly string[];
}

/** Turns an expression into conditions of rules, at a point where nobody has been asked yet. */
export function conditionsOf(expression: Expression<Matcher>): ReadConditions {
  const alternatives = alternativesOf(expression);
  if (alternatives === null) return { any: [], left: ["a condition with too many alternatives"] };
  const read = alternatives.map(conditionOf);
  const left = read.flatMap((each) => (typeof each === "string" ? [each] : []));
  const any = read.flatMap((each) => (typeof each === "string" || each === null ? [] : [each]));
  return { any: merged(any), left };
}

/** null = it never holds; a text = what cannot be asked for. */
function conditionOf(literals: readonly Literal<Matcher>[]): DraftConditions | string | null {
  let domains: readonly string[] | undefined;
  let types: readonly string[] | undefined;
  let clients: readonly string[] | undefined;
  const excepted: string[] = [];
  for (const { negated, leaf } of literals) {
    switch (leaf.kind) {
      case "domains":
        if (negated) excepted.push(...leaf.patterns.map((pattern) => `!${pattern}`));
        else if (domains !== undefined) return "names that are in two lists at once";
        else domains = leaf.patterns;
        break;
      case "types": {
        if (negated) return `all types but ${leaf.types.join(", ")}`;
        const held = types;
        types = held === undefined ? leaf.types : leaf.types.filter((type) => held.includes(type));
        break;
      }
      case "clients":
        if (negated || clients !== undefined) return "a condition that excepts clients";
        clients = leaf.clients;
        break;
      case "answered":
      case "answer-in":
        if (!negated) return null;
        break;
      case "other":
        return leaf.what;
    }
  }
  if ([domains, types, clients].some((condition) => condition?.length === 0)) return null;
  const patterns = [...(domains ?? []), ...excepted];
  return {
    ...(patterns.length === 0 ? {} : { domains: patterns }),
    ...(clients === undefined ? {} : { clients }),
    ...(types === undefined ? {} : { types }),
  };
}

/** One rule for alternatives that differ in their names alone, or in their types alone. */
function merged(conditions: readonly DraftConditions[]): readonly DraftConditions[] {
  // What holds for all leaves nothing to the others.
  const everything = conditions.find((each) => Object.keys(each).length === 0);
  if (everything !== undefined) return [everything];
  const result: DraftConditions[] = [];
  for (const each of conditions) {
    const index = result.findIndex((other) => canJoin(other, each));
    const found = result[index];
    if (found === undefined) result.push(each);
    else result[index] = joined(found, each);
  }
  return result;
}

function canJoin(one: DraftConditions, other: DraftConditions): boolean {
  const [left, right] = [Object.keys(one).join(), Object.keys(other).join()];
  if (left !== right || (left !== "domains" && left !== "types")) return false;
  return ![...(one.domains ?? []), ...(other.domains ?? [])].some((pattern) => pattern.startsWith("!"));
}

function joined(one: DraftConditions, other: DraftConditions): DraftConditions {
  const union = (left: readonly string[] = [], right: readonly string[] = []) => [...new Set([...left, ...right])];
  return one.domains === undefined ? { types: union(one.types, other.types) } : { domains: union(one.domains, other.domains) };
}

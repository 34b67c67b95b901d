import { joinNames } from "../model.ts";
import type { Atom, Test } from "./steps.ts";

/** Conditions of the walk as alternatives, each of literals that must all hold. */

export interface Literal {
  readonly atom: Atom;
  readonly negated: boolean;
}

const MAX_ALTERNATIVES = 64;

/** The test as alternatives, each of literals that must all hold. null = too many of them. */
export function alternativesOf(test: Test, negated: boolean): readonly (readonly Literal[])[] | null {
  if (test.kind === "not") return alternativesOf(test.of, !negated);
  if (!("of" in test)) return [[{ atom: test, negated }]];
  const isSum = (test.kind === "any") !== negated;
  let sum: readonly (readonly Literal[])[] = isSum ? [] : [[]];
  for (const part of test.of) {
    const inner = alternativesOf(part, negated);
    if (inner === null) return null;
    sum = isSum ? [...sum, ...inner] : sum.flatMap((left) => inner.map((right) => [...left, ...right]));
    if (sum.length > MAX_ALTERNATIVES) return null;
  }
  return sum;
}

/** Alternatives that are each one condition of the same kind become one. */
export function mergeAlternatives(alternatives: readonly (readonly Literal[])[]): readonly (readonly Literal[])[] {
  const merged: (readonly Literal[])[] = [];
  for (const literals of alternatives) {
    const last = merged.at(-1);
    const union = last?.length === 1 && literals.length === 1 ? unionOf(last[0], literals[0]) : null;
    if (union === null) merged.push(literals);
    else merged.splice(-1, 1, [union]);
  }
  return merged;
}

function unionOf(one: Literal | undefined, other: Literal | undefined): Literal | null {
  if (one === undefined || other === undefined || one.negated || other.negated) return null;
  const [a, b] = [one.atom, other.atom];
  if (a.kind === "names" && b.kind === "names")
    return { negated: false, atom: { kind: "names", names: joinNames([a.names, b.names]) } };
  if (a.kind === "types" && b.kind === "types")
    return { negated: false, atom: { kind: "types", types: [...new Set([...a.types, ...b.types])] } };
  if (a.kind === "clients" && b.kind === "clients")
    return { negated: false, atom: { kind: "clients", clients: [...a.clients, ...b.clients] } };
  return null;
}

export function looksAtAnswer(test: Test): boolean {
  if (test.kind === "not") return looksAtAnswer(test.of);
  return "of" in test ? test.of.some(looksAtAnswer) : test.kind === "response";
}

import { unreachable } from "../../lib/unreachable.ts";
import type { Modifiers, Outcome, Place } from "../model.ts";

/** What the walk asks of an outcome, and makes of it: how large it is, whether it can fail, two of them as a fallback, a TTL on its answers. */

const sizes = new WeakMap<Outcome, number>();

/** Asks and tests of an outcome, those of shared branches each time: it is written out where outcomes are compared. */
export function sizeOf(outcome: Outcome): number {
  const known = sizes.get(outcome);
  if (known !== undefined) return known;
  const parts = Object.values(outcome).filter(
    (part): part is Outcome => typeof part === "object" && part !== null && "kind" in part,
  );
  const size = parts.reduce((sum, part) => sum + sizeOf(part), 1);
  sizes.set(outcome, size);
  return size;
}

export function joinFallback(
  first: Outcome,
  second: Outcome,
  { afterMs, place }: { readonly afterMs: number | null; readonly place: Place },
): Outcome {
  if (first.kind === "unknown" || second.kind === "nothing" || first.kind === "answer") return first;
  if (second.kind === "unknown" || first.kind === "nothing") return second;
  return { kind: "fallback", first, second, afterMs, place };
}

/** Whether some answers of the servers leave no answer in the end. */
export function canBeNothing(outcome: Outcome): boolean {
  switch (outcome.kind) {
    case "nothing":
      return true;
    case "judge":
      return canBeNothing(outcome.yes) || canBeNothing(outcome.no);
    case "fallback":
      return canBeNothing(outcome.first) && canBeNothing(outcome.second);
    case "replace":
      return canBeNothing(outcome.of);
    case "ask":
    case "answer":
    case "unknown":
      return false;
    default:
      return unreachable(outcome);
  }
}

/** A part of an outcome that is not known; null = there is none. */
export function unknownIn(outcome: Outcome): Outcome | null {
  switch (outcome.kind) {
    case "unknown":
      return outcome;
    case "judge":
      return unknownIn(outcome.of) ?? unknownIn(outcome.yes) ?? unknownIn(outcome.no);
    case "fallback":
      return unknownIn(outcome.first) ?? unknownIn(outcome.second);
    case "replace":
      return unknownIn(outcome.of);
    case "ask":
    case "answer":
    case "nothing":
      return null;
    default:
      return unreachable(outcome);
  }
}

/** The same with a TTL on every answer of a group; what is equal stays equal. */
export function limitTtls(outcome: Outcome, ttl: NonNullable<Modifiers["ttl"]>): Outcome {
  switch (outcome.kind) {
    case "ask":
      return { ...outcome, modifiers: { ...outcome.modifiers, ttl } };
    case "judge":
      return {
        ...outcome,
        of: limitTtls(outcome.of, ttl),
        yes: limitTtls(outcome.yes, ttl),
        no: limitTtls(outcome.no, ttl),
      };
    case "fallback":
      return { ...outcome, first: limitTtls(outcome.first, ttl), second: limitTtls(outcome.second, ttl) };
    case "replace":
      return { ...outcome, of: limitTtls(outcome.of, ttl) };
    case "answer":
    case "nothing":
    case "unknown":
      return outcome;
    default:
      return unreachable(outcome);
  }
}

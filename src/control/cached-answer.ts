import type { Held, Inspected } from "../cache/entry.ts";
import { ageSeconds, type Limits, lifetimeSeconds } from "../cache/lifetime.ts";
import { clientSubnetText } from "../dns/edns-options.ts";
import { nameText } from "../dns/name.ts";
import { rcodeName, typeName } from "../dns/types.ts";
import type { CachedAnswer } from "../log/record.ts";
import { sentOf } from "./record-of-sent.ts";

/** An answer that the cache holds, as people see it. How long it is fresh depends on the limits of whoever asks. */
export function cachedAnswer(
  inspected: Inspected,
  { limits, nowMs }: { readonly limits: Limits; readonly nowMs: number },
): CachedAnswer {
  const { parts, outcome, held, bytes } = inspected;
  return {
    name: nameText(held.answer.name),
    type: parts.type === null ? "ANY" : typeName(parts.type),
    route: parts.route,
    dnssecOk: parts.dnssecOk,
    checkingDisabled: parts.checkingDisabled,
    subnet: parts.clientSubnet === null ? null : clientSubnetText(parts.clientSubnet),
    outcome,
    rcode: rcodeName(held.answer.rcode),
    answers: sentOf(held.answer.wire).answers,
    ageSeconds: ageSeconds(held, nowMs),
    remainingSeconds: remainingSeconds(held, { limits, nowMs }),
    hits: held.hits,
    volatile: held.volatile,
    made: held.made,
    bytes,
  };
}

/** Full seconds that it is still fresh; below zero, for how long it has not been. */
export function remainingSeconds(held: Held, { limits, nowMs }: { readonly limits: Limits; readonly nowMs: number }): number {
  return lifetimeSeconds(held.answer, limits) - ageSeconds(held, nowMs);
}

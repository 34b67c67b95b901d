import { bareAnswer } from "../answers/empty.ts";
import { EDE, RCODE } from "../dns/types.ts";
import type { Compare, Forward } from "../rules/decision.ts";
import { withinMs } from "./deadline.ts";
import type { Resolution } from "./resolution.ts";
import type { Asked } from "./resolve.ts";
import type { Resolver } from "./resolver.ts";
import type { Side } from "./verdicts.ts";

/** The same question, sent to one side of a comparison. */
export function towards(asked: Asked<Compare>, side: Side): Asked<Forward> {
  const { compare, rule, match, shaping, stale, ecs, log } = asked.decision;
  return { ...asked, decision: { kind: "forward", group: compare[side], rule, match, shaping, stale, ecs, log } };
}

/** A resolution that began after its query came: what takes longer than the query has is a failure. */
export async function inTime(
  resolver: Resolver,
  resolution: Resolution | Promise<Resolution>,
  { asked, untilMs }: { readonly asked: Asked<Compare>; readonly untilMs: number },
): Promise<Resolution> {
  if (!(resolution instanceof Promise)) return resolution;
  const found = await withinMs(resolver.clock, untilMs - resolver.clock.now(), resolution);
  return found ?? outOfTime(asked);
}

function outOfTime({ query, decision }: Asked<Compare>): Resolution {
  return {
    decision,
    source: "failure",
    action: "none",
    answer: bareAnswer(query, RCODE.SERVFAIL),
    ttl: { kind: "failure" },
    authenticated: false,
    extendedErrors: [{ code: EDE.NO_REACHABLE_AUTHORITY, text: "no answer in time" }],
    attempts: [],
    comparison: { side: "far", group: decision.compare.far, near: null, by: "failure" },
  };
}

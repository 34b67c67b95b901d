import { withinMs } from "../lib/deadline.ts";
import type { Compare, Forward } from "../rules/decision.ts";
import { outOfTime } from "./outcomes.ts";
import type { Resolution } from "./resolution.ts";
import type { Asked } from "./resolve.ts";
import type { Resolver } from "./resolver.ts";
import type { Side } from "./verdicts.ts";

/** The same question, sent to one side of a comparison. */
export function towards(asked: Asked<Compare>, side: Side): Asked<Forward> {
  const { compare, rule, match, shaping, stale, ecs, rebinding, log } = asked.decision;
  return { ...asked, decision: { kind: "forward", group: compare[side], rule, match, shaping, stale, ecs, rebinding, log } };
}

/** A resolution that began after its query came: what takes longer than the query has is a failure. */
export async function inTime(
  resolver: Resolver,
  resolution: Resolution | Promise<Resolution>,
  { asked, untilMs }: { readonly asked: Asked<Compare>; readonly untilMs: number },
): Promise<Resolution> {
  if (!(resolution instanceof Promise)) return resolution;
  const found = await withinMs(resolver.clock, untilMs - resolver.clock.now(), resolution);
  return found ?? compareOutOfTime(asked);
}

function compareOutOfTime(asked: Asked<Compare>): Resolution {
  const { far } = asked.decision.compare;
  return { ...outOfTime(asked), route: far, comparison: { side: "far", group: far, near: null, by: "failure" } };
}

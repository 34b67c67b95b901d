import { formatDuration } from "../config/units.ts";
import type { Decision } from "../rules/decision.ts";

/** The modifiers in force, as they would be written in a rule. `ecs` is left out where it is the group's affair. */
export function settingsOf({ shaping, stale, ecs, rebinding, log }: Decision): Readonly<Record<string, unknown>> {
  const { https, ipv6, ipv4, ttl, negative } = shaping;
  return {
    https,
    ipv6,
    ipv4,
    ttl: { min: written(ttl.minSeconds), max: written(ttl.maxSeconds) },
    negative: {
      min: written(negative.minSeconds),
      max: written(negative.maxSeconds),
      block: written(negative.blockSeconds),
      bare: written(negative.bareSeconds),
      failure: written(negative.failureSeconds),
    },
    stale,
    ...(ecs === null ? {} : { ecs }),
    rebinding: rebinding ?? shaping.rebinding,
    log,
  };
}

function written(seconds: number): string {
  return formatDuration(seconds * 1000);
}

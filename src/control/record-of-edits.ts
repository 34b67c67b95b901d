import type { TtlLimits } from "../answers/options.ts";
import { lifetimeSeconds } from "../cache/lifetime.ts";
import { type Answer, ttlAt } from "../dns/answer.ts";
import { SOA_MADE } from "../resolve/forward.ts";
import type { Resolution } from "../resolve/types.ts";

/** What was changed in an answer on its way, in words; null = there was none. `truncated` = of the reply as sent. */
export function editsOf(resolution: Resolution | null, truncated: boolean): readonly string[] {
  const edits =
    resolution === null ? [] : [...(resolution.edits ?? []), ...actionEdits(resolution.action), ...ttlEdits(resolution)];
  if (truncated) edits.push("truncated");
  return edits;
}

function actionEdits(action: string): string[] {
  if (action === "nxdomain:guarded") return ["made NXDOMAIN NODATA"];
  return action === "rebinding:nodata" ? ["left out addresses at home"] : [];
}

function ttlEdits({ answer, ttl, decision, edits = [] }: Resolution): string[] {
  if (answer === null) return [];
  switch (ttl.kind) {
    case "age":
      return positiveEdits(answer, ttl.limits);
    case "negative":
      // The SOA is ours then, and says what it was made to.
      return edits.includes(SOA_MADE) ? [] : negativeEdits(answer, lifetimeSeconds(answer, decision.shaping));
    case "stale":
      return [`set the TTL to ${ttl.ttlSeconds} s`];
    default:
      return [];
  }
}

function positiveEdits({ wire, ttlOffsets, answerRecords }: Answer, { minSeconds, maxSeconds }: TtlLimits): string[] {
  let lowest = maxSeconds;
  let highest = minSeconds;
  for (let index = 0; index < answerRecords; index++) {
    const ttlSeconds = ttlAt(wire, ttlOffsets[index] ?? 0);
    lowest = Math.min(lowest, ttlSeconds);
    highest = Math.max(highest, ttlSeconds);
  }
  return [
    ...(lowest < minSeconds ? [`raised TTLs to ${minSeconds} s`] : []),
    ...(highest > maxSeconds ? [`lowered TTLs to ${maxSeconds} s`] : []),
  ];
}

function negativeEdits({ soa, lowestTtlSeconds }: Answer, lifeSeconds: number): string[] {
  if (soa === null) return [];
  const saidSeconds = Math.min(soa.ttlSeconds, soa.minimumSeconds, lowestTtlSeconds ?? Number.POSITIVE_INFINITY);
  if (saidSeconds === lifeSeconds) return [];
  return [`${saidSeconds < lifeSeconds ? "raised" : "lowered"} the negative TTL from ${saidSeconds} s to ${lifeSeconds} s`];
}

import { unreachable } from "../lib/unreachable.ts";
import type { Strategy } from "./options.ts";

/** In which order a group's members are asked one question. */
export interface Plan<Candidate> {
  /** Every candidate, once. */
  readonly order: readonly Candidate[];
  /** How many of them are asked at once; the others join as these fail or stay silent. At least 1. */
  readonly together: number;
  /** One that is asked besides, for its latency alone; null = none. */
  readonly measure: Candidate | null;
}

/** What a strategy looks at. */
export interface Standing {
  readonly well: boolean;
  /** Smoothed; null = never measured. */
  readonly latencyMs: number | null;
  /** The last measurement alone. */
  readonly lastMs: number | null;
  /** When that was made. */
  readonly measuredMs: number;
  readonly weight: number;
}

/**
 * Plans one question: the well first, as the strategy orders them, then the ill in the order of the file. Where nobody is well all are asked
 * at once: whoever has recovered then answers without delay.
 */
export function planFor<Candidate extends Standing>(
  strategy: Strategy,
  candidates: readonly Candidate[],
  random: () => number,
): Plan<Candidate> {
  const well = candidates.filter((candidate) => candidate.well);
  const ill = candidates.filter((candidate) => !candidate.well);
  if (well.length === 0) return { order: ill, together: ill.length, measure: null };
  const { order, together, measure } = planForWell(strategy, well, random);
  return { order: [...order, ...ill], together, measure };
}

function planForWell<Candidate extends Standing>(
  strategy: Strategy,
  well: readonly Candidate[],
  random: () => number,
): Plan<Candidate> {
  switch (strategy) {
    case "fastest":
      return fastest(well, random);
    case "race":
      return { order: well, together: well.length, measure: null };
    case "failover":
      return { order: well, together: 1, measure: null };
    case "spread":
      return { order: shuffled(well, random), together: 1, measure: null };
    default:
      return unreachable(strategy);
  }
}

/** One question in so many is also put to a member that is not the quickest, to see whether it has become so. */
export const MEASURED_SHARE = 50;

// Before anything is known all are asked; then the quickest alone. Measuring costs the client no time: it waits for the quickest all the same.
function fastest<Candidate extends Standing>(well: readonly Candidate[], random: () => number): Plan<Candidate> {
  const order = well.toSorted((a, b) => expectedMs(a) - expectedMs(b));
  const [best, ...others] = order;
  if (best === undefined || best.latencyMs === null) return { order, together: order.length, measure: null };
  return { order, together: 1, measure: toMeasure(expectedMs(best), others, random) };
}

// Whoever was never measured, or was quicker than the best when last measured, has its turn with the next question: so a recovered member
// proves itself within some dozen questions, and one that was quick by chance is dropped at once. Else the one measured longest ago, now and then.
function toMeasure<Candidate extends Standing>(
  bestMs: number,
  others: readonly Candidate[],
  random: () => number,
): Candidate | null {
  const promising = others.find(({ lastMs }) => lastMs === null || lastMs < bestMs);
  if (promising !== undefined) return promising;
  const [longestAgo] = others.toSorted((a, b) => a.measuredMs - b.measuredMs);
  return longestAgo !== undefined && random() * MEASURED_SHARE < 1 ? longestAgo : null;
}

// The difference of two infinities is no number, so the unmeasured count as slower than any measurement can be.
function expectedMs({ latencyMs }: Standing): number {
  return latencyMs ?? Number.MAX_VALUE;
}

// Each draws an exponential waiting time with its weight as the rate: the chance of being first is its share of the weights,
// and the same holds for the followers among themselves.
function shuffled<Candidate extends Standing>(well: readonly Candidate[], random: () => number): Candidate[] {
  return well
    .map((candidate) => ({ candidate, drawn: -Math.log(1 - random()) / candidate.weight }))
    .sort((a, b) => a.drawn - b.drawn)
    .map(({ candidate }) => candidate);
}

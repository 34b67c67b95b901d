import { unreachable } from "../unreachable.ts";
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
  readonly latencyMs: number | null;
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

// Before anything is known all are asked; then the quickest alone. One never measured is measured with the next question; after that the
// others take turns, the one measured longest ago first. Measuring costs the client no time: it waits for the quickest all the same.
function fastest<Candidate extends Standing>(well: readonly Candidate[], random: () => number): Plan<Candidate> {
  const order = well.toSorted((a, b) => expectedMs(a) - expectedMs(b));
  if (order.every(({ latencyMs }) => latencyMs === null)) return { order, together: order.length, measure: null };
  const [longestAgo] = order.slice(1).sort((a, b) => a.measuredMs - b.measuredMs);
  if (longestAgo === undefined) return { order, together: 1, measure: null };
  const due = longestAgo.latencyMs === null || random() * MEASURED_SHARE < 1;
  return { order, together: 1, measure: due ? longestAgo : null };
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

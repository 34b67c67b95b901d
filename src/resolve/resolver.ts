import type { AnswerCache } from "../cache/answer-cache.ts";
import type { StaleOptions } from "../cache/options.ts";
import type { AddressSet } from "../dns/address.ts";
import type { Clock } from "../lib/clock.ts";
import type { Decider } from "../rules/decider.ts";
import type { Groups } from "../upstreams/group.ts";
import type { Flights } from "./flights.ts";
import type { Measures } from "./measures.ts";
import type { Fetching } from "./order.ts";
import type { Rechecks } from "./rechecks.ts";
import type { Verdicts } from "./verdicts.ts";

/** Everything the spine works with. Immutable: a reload makes another one and swaps the reference. */
export interface Resolver {
  readonly decider: Decider;
  readonly groups: Groups;
  readonly cache: AnswerCache;
  readonly clock: Clock;
  /** Questions to upstreams under way, by cache key. Each resolver has its own: what comes is believed by the hosts and measures of whoever asked. */
  readonly flights: Flights<string, Fetching>;
  /** When the refreshes of troubled answers were last tried. */
  readonly rechecks: Rechecks;
  /** Which side of a comparison answers which name. */
  readonly verdicts: Verdicts;
  /** What near answers are measured by, and what makes any answer void. */
  readonly measures: Measures;
  /** Every query has its reply by then, counted from its arrival. */
  readonly deadlineMs: number;
  /** Whether answers in demand are renewed before they expire. */
  readonly prefetch: boolean;
  /** Answers with one of these addresses are for the moment: fake-ip ranges and `cache.volatile`. */
  readonly volatileAddresses: AddressSet;
  /** null = stale answers are never given. */
  readonly stale: StaleOptions | null;
}

import type { Transport } from "../lib/client.ts";
import type { RecordSource } from "../log/record.ts";
import { ACTION_KINDS, type ActionKind, actionIndex } from "./action-kinds.ts";
import { HISTOGRAM_SLOTS, type Histogram, observe, readHistogram } from "./histogram.ts";
import { LabelledCounts } from "./labelled-counts.ts";

/** What of a query is counted. */
export interface CountedQuery {
  readonly client: { readonly transport: Transport };
  /** null where nothing was decided. */
  readonly resolution: {
    readonly source: Exclude<RecordSource, "refused">;
    readonly action: string;
    readonly route: string | null;
    readonly decision: { readonly rule: string | null };
  } | null;
  /** On one scale. */
  readonly startedMs: number;
  readonly endedMs: number;
}

/** How a query ended that nothing was decided about. */
export type UndecidedEnding = "malformed" | "unsupported" | "access" | "rate" | "fault";

const TRANSPORTS: readonly Transport[] = ["udp", "tcp", "dot", "doh"];
const SOURCES: readonly RecordSource[] = ["hosts", "special", "rule", "cache", "stale", "upstream", "failure", "refused"];

/** Sixteen of the header, BADVERS, and one for what nothing was sent to. */
const RCODES = 18;
const NOTHING_SENT = 17;

/** Who answered: what a cache hit takes and what an upstream takes have nothing to do with each other. */
export const ANSWERERS = ["cache", "upstream", "local"] as const;
export type Answerer = (typeof ANSWERERS)[number];

const QUERY_SLOTS = TRANSPORTS.length * SOURCES.length * RCODES;
const DURATIONS_AT = QUERY_SLOTS;
const ACTIONS_AT = DURATIONS_AT + ANSWERERS.length * HISTOGRAM_SLOTS;
const SLOTS = ACTIONS_AT + ACTION_KINDS.length;

const transportIndex = indexOf(TRANSPORTS);
const sourceIndex = indexOf(SOURCES);
const answererIndex: Readonly<Record<RecordSource, number>> = {
  hosts: 2,
  special: 2,
  rule: 2,
  cache: 0,
  stale: 1,
  upstream: 1,
  failure: 1,
  refused: 2,
};

/** Counts queries as they end, by plain additions, so that it may be done for each of them. Lives as long as the process. */
export class Counters {
  readonly #slots = new Float64Array(SLOTS);
  readonly rules = new LabelledCounts();
  readonly groups = new LabelledCounts();
  /** Records that were not made, because too many were waiting to be, or for a fault. */
  recordsDropped = 0;

  /** @param rcode as sent, 0 to 16; null = nothing was. @param undecided how it ended where `resolution` is null. */
  count({ client, resolution, startedMs, endedMs }: CountedQuery, rcode: number | null, undecided: UndecidedEnding | null): void {
    const slots = this.#slots;
    const source: RecordSource = resolution === null ? (undecided === "fault" ? "failure" : "refused") : resolution.source;
    const query = (transportIndex[client.transport] * SOURCES.length + sourceIndex[source]) * RCODES + (rcode ?? NOTHING_SENT);
    slots[query] = (slots[query] ?? 0) + 1;
    observe(slots, DURATIONS_AT + answererIndex[source] * HISTOGRAM_SLOTS, endedMs - startedMs);
    const action = resolution === null ? undecided : resolution.action;
    if (action !== null && action !== "none") {
      const slot = ACTIONS_AT + actionIndex(action);
      slots[slot] = (slots[slot] ?? 0) + 1;
    }
    if (resolution === null) return;
    if (resolution.decision.rule !== null) this.rules.add(resolution.decision.rule);
    if (resolution.route !== null) this.groups.add(resolution.route);
  }

  /** Every combination that was seen. */
  *queries(): Generator<{ transport: Transport; source: RecordSource; rcode: number | null; count: number }> {
    for (let slot = 0; slot < QUERY_SLOTS; slot++) {
      const count = this.#slots[slot] ?? 0;
      if (count === 0) continue;
      const place = Math.floor(slot / RCODES);
      const transport = TRANSPORTS[Math.floor(place / SOURCES.length)];
      const source = SOURCES[place % SOURCES.length];
      if (transport === undefined || source === undefined) throw new Error("a slot beyond the table");
      const rcode = slot % RCODES;
      yield { transport, source, rcode: rcode === NOTHING_SENT ? null : rcode, count };
    }
  }

  durations(answerer: Answerer): Histogram {
    return readHistogram(this.#slots, DURATIONS_AT + ANSWERERS.indexOf(answerer) * HISTOGRAM_SLOTS);
  }

  actions(): { kind: ActionKind; count: number }[] {
    return ACTION_KINDS.map((kind, index) => ({ kind, count: this.#slots[ACTIONS_AT + index] ?? 0 }));
  }
}

function indexOf<Label extends string>(labels: readonly Label[]): Readonly<Record<Label, number>> {
  // The cast is safe: every label is a key.
  return Object.fromEntries(labels.map((label, index) => [label, index])) as Record<Label, number>;
}

import type { Transport } from "../lib/client.ts";
import { countDuration, HISTOGRAM_SLOTS, type Histogram, readHistogram } from "../lib/histogram.ts";
import type { RecordSource } from "../log/record.ts";

/** Kinds of actions on queries. An action in the log names types and parameters, so actions themselves are too many to count. */
export const ACTION_KINDS = [
  "block",
  "drop",
  /** A type that is switched off. */
  "filter",
  /** Parameters or records left out. */
  "strip",
  "guard",
  "rebinding",
  "unproven",
  "loop",
  "never",
  /** Refused, because too many queries wait. */
  "shed",
  "minimal",
  "malformed",
  "unsupported",
  "access",
  "rate",
  "fault",
  "other",
] as const;

type ActionKind = (typeof ACTION_KINDS)[number];

const EXACT = new Map<string, ActionKind>([
  ["nxdomain:guarded", "guard"],
  ["void:nodata", "guard"],
  ["rebinding:nodata", "rebinding"],
  ["compare:unproven", "unproven"],
  ["any:minimal", "minimal"],
  ["type64:nodata", "filter"],
  ["type65:nodata", "filter"],
  ["ipv4:nodata", "filter"],
  ["ipv6:nodata", "filter"],
  ["ipv4:prefer-ipv6", "filter"],
  ["ipv6:prefer-ipv4", "filter"],
  ...ACTION_KINDS.map((kind) => [kind, kind] as const),
]);

const indices = new Map<string, number>([...EXACT].map(([action, kind]) => [action, ACTION_KINDS.indexOf(kind)]));
const STRIP = ACTION_KINDS.indexOf("strip");
const OTHER_ACTION = ACTION_KINDS.indexOf("other");

/** The index in `ACTION_KINDS` for an action of a record. */
export function actionIndex(action: string): number {
  return indices.get(action) ?? (/^type6[45]:strip-/.test(action) ? STRIP : OTHER_ACTION);
}

/** The counted part of a query. */
interface CountedQuery {
  readonly client: { readonly transport: Transport };
  /** null = the query ended before a decision. */
  readonly resolution: {
    readonly source: Exclude<RecordSource, "refused">;
    readonly action: string;
    readonly route: string | null;
    readonly decision: { readonly context: { readonly rule: string | null } };
  } | null;
  /** Both times by the same clock. */
  readonly startedMs: number;
  readonly endedMs: number;
}

/** What is counted of a query that was answered from the cache. */
interface RepeatedQuery {
  readonly transport: Transport;
  readonly rcode: number;
  readonly rule: string | null;
  readonly route: string;
}

/** How a query ended before a decision. */
type UndecidedEnding = "malformed" | "unsupported" | "access" | "rate" | "fault";

const TRANSPORTS: readonly Transport[] = ["udp", "tcp", "dot", "doh"];
const SOURCES: readonly RecordSource[] = ["hosts", "special", "rule", "cache", "stale", "upstream", "failure", "refused"];

/** Sixteen rcodes of the header, BADVERS, and one slot for queries without a reply. */
const RCODES = 18;
const NOTHING_SENT = 17;

/** Durations are counted apart by these: a cache hit and an upstream take very different times. */
export const ANSWERERS = ["cache", "upstream", "local"] as const;
type Answerer = (typeof ANSWERERS)[number];

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

/** Counts queries as they end. A count is a few additions, cheap enough for every query. Lives as long as the process. */
export class Counters {
  readonly #slots = new Float64Array(SLOTS);
  readonly rules = new LabelledCounts();
  readonly groups = new LabelledCounts();
  /** Records that were not made, because too many were waiting or because of a fault. */
  recordsDropped = 0;

  /** @param rcode of the reply, 0 to 16; null = none was sent. @param undecided how the query ended if `resolution` is null. */
  count({ client, resolution, startedMs, endedMs }: CountedQuery, rcode: number | null, undecided: UndecidedEnding | null): void {
    const slots = this.#slots;
    const source: RecordSource = resolution === null ? (undecided === "fault" ? "failure" : "refused") : resolution.source;
    const query = (transportIndex[client.transport] * SOURCES.length + sourceIndex[source]) * RCODES + (rcode ?? NOTHING_SENT);
    slots[query] = (slots[query] ?? 0) + 1;
    countDuration(slots, DURATIONS_AT + answererIndex[source] * HISTOGRAM_SLOTS, endedMs - startedMs);
    const action = resolution === null ? undecided : resolution.action;
    if (action !== null && action !== "none") {
      const slot = ACTIONS_AT + actionIndex(action);
      slots[slot] = (slots[slot] ?? 0) + 1;
    }
    if (resolution === null) return;
    const { rule } = resolution.decision.context;
    if (rule !== null) this.rules.add(rule);
    if (resolution.route !== null) this.groups.add(resolution.route);
  }

  /** Counts queries that were answered by repeating the reply to one that was counted by `count`. */
  countRepeats({ transport, rcode, rule, route }: RepeatedQuery, times: number): void {
    const query = (transportIndex[transport] * SOURCES.length + sourceIndex.cache) * RCODES + rcode;
    this.#slots[query] = (this.#slots[query] ?? 0) + times;
    if (rule !== null) this.rules.add(rule, times);
    this.groups.add(route, times);
  }

  /** Counts the duration of one answer that `countRepeats` counts later. */
  countCacheDuration(durationMs: number): void {
    countDuration(this.#slots, DURATIONS_AT + answererIndex.cache * HISTOGRAM_SLOTS, durationMs);
  }

  /** Adds what another thread has counted of its answers from the cache: the slots of a histogram (`lib/histogram.ts`), or how much they grew. */
  addCacheDurations(grown: Float64Array): void {
    const start = DURATIONS_AT + answererIndex.cache * HISTOGRAM_SLOTS;
    for (const [index, count] of grown.entries()) this.#slots[start + index] = (this.#slots[start + index] ?? 0) + count;
  }

  /** Every combination that was counted. */
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

/** Limit for labels; further names of the configuration count as `other`. */
const MAX_LABELS = 1000;

const OTHER_LABEL = "other";

/** Counts by names of the configuration and by no others: clients must not be able to add labels. */
export class LabelledCounts {
  #indices: ReadonlyMap<string, number> = new Map();
  #counts = new Float64Array(1);

  /** Counts by these labels from now on. Labels that stay keep their counts. */
  use(labels: Iterable<string>): void {
    const before = new Map(this.entries());
    const used = [...new Set(labels)].filter((label) => label !== OTHER_LABEL).slice(0, MAX_LABELS);
    this.#indices = new Map(used.map((label, index) => [label, index + 1]));
    this.#counts = Float64Array.from([OTHER_LABEL, ...used], (label) => before.get(label) ?? 0);
  }

  add(label: string, times = 1): void {
    const index = this.#indices.get(label) ?? 0;
    this.#counts[index] = (this.#counts[index] ?? 0) + times;
  }

  /** All labels in use, and `other` if its count is above zero. */
  *entries(): Generator<readonly [label: string, count: number]> {
    for (const [label, index] of this.#indices) yield [label, this.#counts[index] ?? 0];
    const other = this.#counts[0] ?? 0;
    if (other > 0) yield [OTHER_LABEL, other];
  }
}

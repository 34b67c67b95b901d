import type { Attempt, CachedAnswer, Explained, QueryRecord, TraceStep } from "../api/calls.ts";

/** The way of one query, whether it was recorded, is really asked now, or would go so: what the picture shows. */
export interface Journey {
  readonly provenance: Provenance;
  readonly name: string;
  readonly type: string;
  readonly client: string;
  readonly clientId: string | null;
  /** How it came: `DoH · HTTP/1.1 · GET`; null = no client sent it. */
  readonly listener: string | null;
  /** null = the version of the time is not kept any more. */
  readonly steps: readonly TraceStep[] | null;
  readonly decision: JourneyDecision;
  readonly source: string | null;
  readonly action: string;
  readonly attempts: readonly Attempt[];
  /** The server whose answer was given. */
  readonly usedServer: string | null;
  /** What the cache holds for it: its age, and for how long it is still fresh. */
  readonly cached: Pick<CachedAnswer, "ageSeconds" | "remainingSeconds" | "rcode" | "answers"> | null;
  readonly edits: readonly string[];
  /** null = nobody asked. */
  readonly answer: JourneyAnswer | null;
}

export interface JourneyDecision {
  readonly rule: string | null;
  /** The group that is asked or answered; null = it is answered here. */
  readonly route: string | null;
  readonly near: string | null;
  readonly far: string | null;
  /** What is answered here, as it would be written in a rule. */
  readonly answer: string | null;
}

export interface JourneyAnswer {
  readonly rcode: string | null;
  readonly records: readonly string[];
  readonly ms: number;
  /** null = not known. */
  readonly bytes: number | null;
  readonly ede: readonly string[];
}

export type Provenance =
  | { readonly kind: "recorded"; readonly id: number; readonly time: string; readonly version: string }
  | { readonly kind: "live" | "expected"; readonly version: string };

const TRANSPORTS: Readonly<Record<QueryRecord["transport"], string>> = { udp: "UDP", tcp: "TCP", dot: "DoT", doh: "DoH" };

export function journeyOfRecord(record: QueryRecord): Journey {
  const { transport, http, method, answers, rcode, durationUs, size, ede } = record;
  const parts = [TRANSPORTS[transport], ...(http === null ? [] : [`HTTP/${http}`]), ...(method === null ? [] : [method])];
  return {
    provenance: { kind: "recorded", id: record.id, time: record.time, version: record.version },
    name: record.name,
    type: record.type,
    client: record.client,
    clientId: record.clientId,
    listener: parts.join(" · "),
    steps: record.trace,
    decision: { rule: record.rule, route: record.route, near: null, far: null, answer: null },
    source: record.source,
    action: record.action,
    attempts: record.attempts,
    usedServer: record.upstream,
    cached: null,
    edits: record.edits,
    answer: { rcode, records: answers, ms: durationUs / 1000, bytes: size, ede },
  };
}

export function journeyOfExplained(explained: Explained): Journey {
  const { question, decision, outcome, version, trace, cache } = explained;
  const held = cache.find(({ type, route }) => type === question.type && (decision.route === null || route === decision.route));
  const used = outcome?.attempts.findLast(({ rcode }) => rcode !== null);
  return {
    provenance: { kind: outcome === null ? "expected" : "live", version },
    name: question.name,
    type: question.type,
    client: question.client,
    clientId: question.clientId,
    listener: null,
    steps: trace,
    decision,
    source: outcome?.source ?? null,
    action: outcome?.action ?? decision.action,
    attempts: outcome?.attempts ?? [],
    usedServer: used?.server ?? null,
    cached: held ?? null,
    edits: outcome?.edits ?? [],
    answer:
      outcome === null
        ? null
        : { rcode: outcome.rcode, records: outcome.answers, ms: outcome.durationUs / 1000, bytes: null, ede: outcome.ede },
  };
}

/** A span of the time axis: where an attempt began and ended, as shares of the whole. */
export interface AttemptSpan {
  readonly left: number;
  readonly width: number;
}

/** The time axis of some attempts, from the first of them or the query on: its beginning and its length in ms, which people can read, and the place of each. */
export function timeAxis(attempts: readonly Attempt[]): {
  readonly beginMs: number;
  readonly lengthMs: number;
  readonly spans: readonly AttemptSpan[];
} {
  // An attempt that an earlier query began started before this one.
  const beginMs = Math.min(0, ...attempts.map(({ startMs }) => startMs));
  const needed = Math.max(1, ...attempts.map(({ startMs, ms }) => startMs + ms - beginMs));
  const unit = 10 ** Math.floor(Math.log10(needed));
  const lengthMs = [1, 2, 2.5, 5, 10].map((factor) => factor * unit).find((length) => length >= needed) ?? needed;
  const spans = attempts.map(({ startMs, ms }) => ({ left: (startMs - beginMs) / lengthMs, width: ms / lengthMs }));
  return { beginMs, lengthMs, spans };
}

/** The name by which steps of two journeys are the same step. */
export function stepKey(step: TraceStep): string {
  return step.kind === "rule" ? `rule ${step.rule}` : step.kind;
}

/** Where two ways of the same question differ. */
export interface Differences {
  /** Keys of steps that came out otherwise, or that one side alone has. */
  readonly steps: ReadonlySet<string>;
  readonly decision: boolean;
  readonly routes: boolean;
  readonly edits: boolean;
  readonly answer: boolean;
}

export function compareJourneys(a: Journey, b: Journey): Differences {
  const [left, right] = [stepsOf(a), stepsOf(b)];
  const differs = (one: unknown, other: unknown) => JSON.stringify(one) !== JSON.stringify(other);
  const places = ({ decision: { rule, route, near, far } }: Journey) => [rule, route, near, far];
  return {
    steps: new Set([...differingSteps(left, right), ...differingSteps(right, left)]),
    decision: differs(places(a), places(b)),
    // Times differ from one asking to the next.
    routes: a.attempts.length > 0 && b.attempts.length > 0 && differs(asked(a), asked(b)),
    edits: differs(a.edits, b.edits),
    answer: a.answer !== null && b.answer !== null && differs(said(a.answer), said(b.answer)),
  };
}

/** Each step by its key, in order, with what came of it. */
function stepsOf({ steps }: Journey): ReadonlyMap<string, string> {
  return new Map((steps ?? []).map((step) => [stepKey(step), JSON.stringify(comparable(step))]));
}

/** Keys of `own` that came out otherwise in `other`, or that it lacks. A step after the one that ended `other` was not reached there: it is no difference. */
function differingSteps(own: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>): readonly string[] {
  const keys = [...own.keys()];
  const end = keys.indexOf([...other.keys()].at(-1) ?? "");
  const isReached = (key: string) => end === -1 || keys.indexOf(key) <= end;
  return keys.filter((key) => (other.has(key) ? own.get(key) !== other.get(key) : isReached(key)));
}

/** A match moves within its file without meaning anything else. */
function comparable(step: TraceStep): unknown {
  if (step.kind !== "rule" || step.match === null) return step;
  const { list, pattern } = step.match;
  return { ...step, match: { list, pattern } };
}

function asked({ attempts }: Journey): unknown {
  return attempts.map(({ group, server, rcode, failure }) => [group, server, rcode, failure]);
}

/** The records without their TTLs, in no order: a cache counts TTLs down, servers turn records. */
function said({ rcode, records }: JourneyAnswer): unknown {
  return [rcode, records.map((record) => record.replace(/^\d+ /, "")).sort()];
}

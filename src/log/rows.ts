import type { AttemptRecord, QueryRecord, TraceStep } from "./record.ts";
import { KIND_COLUMNS, type KindColumn, reversedName, wallMsOf } from "./schema.ts";
import { withTtl } from "./sent.ts";

/** What a query comes to in the store. Texts that many rows share are the same objects in all of them: dictionaries find those at once. */
export interface Row {
  readonly id: number;
  /** See `reversedName`. */
  readonly reversed: string;
  readonly client: RowClient;
  readonly kind: RowKind;
  /** JSON of `Details`; null = all of them are empty. */
  readonly details: string | null;
  /** Of the answer section all but the TTLs, one record a line; null = it is empty. */
  readonly answers: string | null;
  /** The TTL of all answers; as text where they differ: one for each, parted by commas, empty for a line without TTL. */
  readonly ttls: number | string | null;
  readonly durationUs: number;
  readonly size: number;
  /** Of the list; -1 where there is none. */
  readonly line: number;
  /** As `attemptTimes` gives it. */
  readonly attemptMs: number | string | null;
  readonly negativeTtl: number | null;
  /** How much earlier the query came than its id says, in milliseconds; null = not at all. */
  readonly lagMs: number | null;
  /** The same in all rows of a reply that was repeated; null = it was not. */
  readonly repeat: RepeatedReply | null;
}

/** Rows of a batch by their places, each made when it is asked for, which is once: all of them at once would be moved about by the collector of garbage. */
export interface RowBatch {
  /** By place. */
  readonly ids: readonly number[];
  /** null = there is none. */
  rowAt(place: number): Row | null;
}

/** Rows of one repeated reply have their name, kind, details, answers, size and line in common. */
export interface RepeatedReply {
  /** What the store remembers: under which numbers a part of it has the texts. */
  stored: {
    readonly part: object;
    readonly name: number;
    readonly details: number | null;
    readonly answers: number | null;
  } | null;
}

export interface RowClient {
  readonly address: string;
  readonly clientId: string | null;
  /** Of both together. */
  readonly key: string;
}

/** What few combinations of values there are. */
export interface RowKind {
  readonly values: Readonly<Record<KindColumn, string | null>>;
  /** Whether a rule kept the answer from the client: by one of its own, or by silence. */
  readonly blocked: boolean;
  /** Of all values together. */
  readonly key: string;
}

/** What rows of most queries have in common, and others in few combinations. */
export type Details = readonly [
  /** How a comparison chose; null = there was none. Up to version 1 of the tables the whole trace stood here, without lines and patterns. */
  compared: ComparedStep | null,
  attempts: readonly Omit<AttemptRecord, "ms" | "startMs">[],
  ede: readonly string[],
  edits: readonly string[],
];

export type ComparedStep = Extract<TraceStep, { readonly kind: "compared" }>;

export function rowClient(address: string, clientId: string | null): RowClient {
  return { address, clientId, key: clientId === null ? address : `${address}\0${clientId}` };
}

export function rowKind(values: RowKind["values"]): RowKind {
  const blocked = values.action === "block" || values.action === "drop";
  return { values, blocked, key: KIND_COLUMNS.map((column) => values[column] ?? "\0").join("\x01") };
}

/** A row as a SELECT over a partition gives it (`selectRecords`), with the texts of the dictionaries in place of their ids. */
export interface StoredRow extends Pick<QueryRecord, KindColumn>, Omit<Row, "client" | "kind" | "line" | "repeat"> {
  readonly address: string;
  readonly clientId: string | null;
  /** Of version 1 of the tables: JSON without its brackets: line and pattern of each match in the trace; a number for a pattern is where it begins in the name. */
  readonly matches: string | null;
  /** As in `Row`; null = that of the last match in a trace that is stored. */
  readonly line: number | null;
}

/** A row as it will be read from the store. */
export function storedRowOf({ client: { address, clientId }, kind, repeat: _repeat, ...row }: Row): StoredRow {
  // The columns of a kind are those of a record.
  return { ...row, ...(kind.values as Pick<QueryRecord, KindColumn>), address, clientId, matches: null };
}

/** A record, and what of its trace cannot be worked out anew. `record.trace` is null where it was not stored. */
export interface FoundRecord {
  readonly record: QueryRecord;
  readonly compared: ComparedStep | null;
}

export function decodeRow(row: StoredRow): FoundRecord {
  const name = reversedName(row.reversed);
  const { trace, compared, attempts, ede, edits } = detailsOf(row, name);
  const line = row.line ?? lastLine(trace ?? []);
  const record: QueryRecord = {
    id: row.id,
    time: new Date(wallMsOf(row.id) - (row.lagMs ?? 0)).toISOString(),
    client: row.address,
    clientId: row.clientId,
    transport: row.transport,
    http: row.http,
    method: row.method,
    name,
    type: row.type,
    rcode: row.rcode,
    answers: answersOf(row.answers, row.ttls),
    source: row.source,
    action: row.action,
    rule: row.rule,
    list: row.list,
    line: line === null || line < 0 ? null : line,
    route: row.route,
    upstream: row.upstream,
    attempts,
    negativeTtl: row.negativeTtl,
    durationUs: row.durationUs,
    size: row.size,
    ede,
    edits,
    trace,
    version: row.version,
  };
  return { record, compared };
}

type ReadDetails = Pick<QueryRecord, "trace" | "attempts" | "ede" | "edits"> & Pick<FoundRecord, "compared">;

function detailsOf(row: StoredRow, name: string): ReadDetails {
  // No rule was asked about what was turned away, and a fault leaves no decision: their traces are empty.
  const none = row.source === "refused" || row.action === "fault" ? [] : null;
  if (row.details === null) return { trace: none, compared: null, attempts: [], ede: [], edits: [] };
  const [first, attempts, ede, edits]: StoredDetails = JSON.parse(row.details);
  const times =
    row.attemptMs === null
      ? []
      : String(row.attemptMs)
          .split(",")
          .map((text) => text.split("@").map(Number));
  return {
    trace: isTrace(first) ? storedTrace(first, row.matches, name) : none,
    compared: isTrace(first) ? null : first,
    attempts: attempts.map(({ group, server, transport, ...rest }, index) => ({
      group,
      server,
      transport,
      startMs: times[index]?.[1] ?? 0,
      ms: times[index]?.[0] ?? 0,
      ...rest,
    })),
    ede,
    edits,
  };
}

type StoredDetails = readonly [first: Details[0] | readonly TraceStep[], ...rest: [Details[1], Details[2], Details[3]]];

function isTrace(first: StoredDetails[0]): first is readonly TraceStep[] {
  return Array.isArray(first);
}

/** The trace of a row of version 1. */
function storedTrace(steps: readonly TraceStep[], matches: string | null, name: string): readonly TraceStep[] {
  const matched: (number | string)[] = matches === null ? [] : JSON.parse(`[${matches}]`);
  return steps.map((step) => withMatch(step, name, matched));
}

/** Takes the line and the pattern of a step off the beginning of `matched`. */
function withMatch(step: TraceStep, name: string, matched: (number | string)[]): TraceStep {
  if (step.kind !== "hosts" && (step.kind !== "rule" || step.match === null)) return step;
  const line = Number(matched.shift());
  const place = matched.shift() ?? "";
  const pattern = typeof place === "number" ? name.slice(place) : place;
  return step.kind === "hosts"
    ? { ...step, line, pattern }
    : { ...step, match: step.match === null ? null : { ...step.match, line, pattern } };
}

/** The line of the list that matched last, which is most often that of the rule that decided. */
function lastLine(trace: readonly TraceStep[]): number | null {
  const step = trace.findLast((step) => step.kind === "rule" && step.match !== null && step.match.list !== null);
  return step?.kind === "rule" ? (step.match?.line ?? null) : null;
}

/** TTLs count down while an answer is held, so texts with them would never repeat. One value for all where they are alike. */
export function ttlsTogether(ttls: readonly (number | string)[]): Row["ttls"] {
  const [first] = ttls;
  if (first === undefined) return null;
  if (ttls.every((ttl) => ttl === first)) return first === "" ? null : first;
  return ttls.join(",");
}

function answersOf(answers: string | null, ttls: Row["ttls"]): readonly string[] {
  if (answers === null) return [];
  const each = typeof ttls === "string" ? ttls.split(",") : null;
  return answers.split("\n").map((text, index) => withTtl(each === null ? ttls : each[index], text));
}

/** How long attempts took, parted by commas, each with `@` and its start where that is not the beginning of the query; as a number where it is one. */
export function attemptTimes(attempts: readonly Pick<AttemptRecord, "ms" | "startMs">[]): Row["attemptMs"] {
  const [first] = attempts;
  if (first === undefined) return null;
  if (attempts.length === 1 && first.startMs === 0) return first.ms;
  return attempts.map(({ ms, startMs }) => (startMs === 0 ? ms : `${ms}@${startMs}`)).join(",");
}

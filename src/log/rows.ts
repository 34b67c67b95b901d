import type { AttemptRecord, QueryRecord, TraceStep } from "./record.ts";
import { type KindColumn, reversedName, wallMsOf } from "./schema.ts";

/** A record as a SELECT over a part gives it (`selectRecords`), with the texts of the dictionaries in place of their ids. */
export interface StoredRow extends Pick<QueryRecord, KindColumn> {
  readonly id: number;
  readonly reversed: string;
  readonly address: string;
  readonly clientId: string | null;
  /** JSON: trace, attempts, extended errors, edits; without lines, patterns and milliseconds. null = all are empty. */
  readonly details: string | null;
  /** Of the answer section all but the TTLs, one record a line; null = it is empty. */
  readonly answers: string | null;
  /** The TTL of all answers; as text where they differ: one for each, parted by commas, empty for a line that begins with no TTL. */
  readonly ttls: number | string | null;
  readonly durationUs: number;
  readonly size: number;
  /** JSON without its brackets: line and pattern of each match in the trace; a number for a pattern is where it begins in the name. */
  readonly matches: string | null;
  /** Of the list; null = that of the last match in the trace. -1 where the record has none. */
  readonly line: number | null;
  /** Of the only attempt; as text where there are several, parted by commas. */
  readonly attemptMs: number | string | null;
  readonly negativeTtl: number | null;
  /** How much earlier the query came than its id says, in milliseconds; null = not at all. */
  readonly lagMs: number | null;
}

/** What a record comes to in the store. `buildRecord(rowOf(record))` equals the record, but for fractions of microseconds. */
export function encodeRow(record: QueryRecord): StoredRow {
  const { id, name } = record;
  const matched: (number | string)[] = [];
  const trace = record.trace.map((step) => withoutMatch(step, name, matched));
  const attempts = record.attempts.map(withoutMs);
  const lagMs = wallMsOf(id) - Date.parse(record.time);
  const bare = trace.length === 0 && attempts.length === 0 && record.ede.length === 0 && record.edits.length === 0;
  return {
    id,
    reversed: reversedName(name),
    address: record.client,
    clientId: record.clientId,
    transport: record.transport,
    http: record.http,
    method: record.method,
    type: record.type,
    rcode: record.rcode,
    source: record.source,
    action: record.action,
    rule: record.rule,
    list: record.list,
    route: record.route,
    upstream: record.upstream,
    version: record.version,
    details: bare ? null : JSON.stringify([trace, attempts, record.ede, record.edits]),
    ...answersApart(record.answers),
    durationUs: Math.round(record.durationUs),
    size: record.size,
    matches: matched.length === 0 ? null : JSON.stringify(matched).slice(1, -1),
    line: record.line === lastLine(record.trace) ? null : (record.line ?? NO_LINE),
    attemptMs: oneOrList(record.attempts.map(({ ms }) => ms)),
    negativeTtl: record.negativeTtl,
    lagMs: lagMs === 0 ? null : lagMs,
  };
}

export function decodeRow(row: StoredRow): QueryRecord {
  const name = reversedName(row.reversed);
  const { trace, attempts, ede, edits } = detailsOf(row, name);
  return {
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
    answers: answersTogether(row.answers, row.ttls),
    source: row.source,
    action: row.action,
    rule: row.rule,
    list: row.list,
    line: row.line === null ? lastLine(trace) : row.line === NO_LINE ? null : row.line,
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
}

const NO_LINE = -1;

/** What `details` holds, as JSON: far fewer texts than there are queries. */
type Details = readonly [
  trace: readonly TraceStep[],
  attempts: readonly Omit<AttemptRecord, "ms">[],
  ede: readonly string[],
  edits: readonly string[],
];

function detailsOf(row: StoredRow, name: string): Pick<QueryRecord, "trace" | "attempts" | "ede" | "edits"> {
  if (row.details === null) return { trace: [], attempts: [], ede: [], edits: [] };
  const [trace, attempts, ede, edits]: Details = JSON.parse(row.details);
  const matched: (number | string)[] = row.matches === null ? [] : JSON.parse(`[${row.matches}]`);
  const ms = row.attemptMs === null ? [] : String(row.attemptMs).split(",").map(Number);
  return {
    trace: trace.map((step) => withMatch(step, name, matched)),
    attempts: attempts.map(({ group, server, transport, ...rest }, index) => ({
      group,
      server,
      transport,
      ms: ms[index] ?? 0,
      ...rest,
    })),
    ede,
    edits,
  };
}

function withoutMs({ group, server, transport, rcode, failure }: AttemptRecord): Omit<AttemptRecord, "ms"> {
  return { group, server, transport, rcode, failure };
}

/** Takes out of a step what differs from name to name, and puts it at the end of `matched`. */
function withoutMatch(step: TraceStep, name: string, matched: (number | string)[]): TraceStep {
  if (step.kind === "hosts") {
    matched.push(step.line, placeOf(step.pattern, name));
    return { ...step, line: 0, pattern: "" };
  }
  if (step.kind !== "rule" || step.match === null) return step;
  matched.push(step.match.line, placeOf(step.match.pattern, name));
  return { ...step, match: { ...step.match, line: 0, pattern: "" } };
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

/** Most patterns are the end of the name that they match: then where it begins. */
function placeOf(pattern: string, name: string): number | string {
  return pattern !== "" && name.endsWith(pattern) ? name.length - pattern.length : pattern;
}

/** The line of the list that matched last, which is most often that of the rule that decided. */
function lastLine(trace: readonly TraceStep[]): number | null {
  const step = trace.findLast((step) => step.kind === "rule" && step.match !== null && step.match.list !== null);
  return step?.kind === "rule" ? (step.match?.line ?? null) : null;
}

/** TTLs count down while an answer is held, so texts with them would never repeat. */
function answersApart(answers: readonly string[]): Pick<StoredRow, "answers" | "ttls"> {
  if (answers.length === 0) return { answers: null, ttls: null };
  const ttls: string[] = [];
  const lines: string[] = [];
  for (const answer of answers) {
    const space = /^(?:0|[1-9]\d{0,9}) /.test(answer) ? answer.indexOf(" ") : -1;
    ttls.push(answer.slice(0, Math.max(0, space)));
    lines.push(answer.slice(space + 1).replaceAll("\n", " "));
  }
  const [first = ""] = ttls;
  const alike = ttls.every((ttl) => ttl === first);
  return { answers: lines.join("\n"), ttls: !alike ? ttls.join(",") : first === "" ? null : Number(first) };
}

function answersTogether(answers: string | null, ttls: number | string | null): readonly string[] {
  if (answers === null) return [];
  const each = typeof ttls === "string" ? ttls.split(",") : null;
  return answers.split("\n").map((line, index) => {
    const ttl = each === null ? ttls : each[index];
    return ttl === null || ttl === undefined || ttl === "" ? line : `${ttl} ${line}`;
  });
}

function oneOrList(values: readonly number[]): number | string | null {
  return values.length > 1 ? values.join(",") : (values[0] ?? null);
}

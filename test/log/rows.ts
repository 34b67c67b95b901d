import type { QueryRecord } from "../../src/log/record.ts";
import {
  attemptTimes,
  type ComparedStep,
  type Details,
  type Row,
  type RowBatch,
  rowClient,
  rowKind,
  ttlsTogether,
} from "../../src/log/rows.ts";
import { reversedName, wallMsOf } from "../../src/log/schema.ts";

/** The row of a record, as plainly as it can be written: what entries of a ring must come to. */
export function rowOf(record: QueryRecord, compared: ComparedStep | null = null): Row {
  const { id, transport, http, method, type, rcode, source, action, rule, list, route, upstream, version } = record;
  const { attempts, ede, edits } = record;
  const told = attempts.map(({ group, server, transport, rcode, failure }) => ({ group, server, transport, rcode, failure }));
  const isPlain = compared === null && told.length === 0 && ede.length === 0 && edits.length === 0;
  const lagMs = wallMsOf(id) - Date.parse(record.time);
  return {
    id,
    reversed: reversedName(record.name),
    client: rowClient(record.client, record.clientId),
    kind: rowKind({ transport, http, method, type, rcode, source, action, rule, list, route, upstream, version }),
    details: isPlain ? null : JSON.stringify([compared, told, ede, edits] satisfies Details),
    ...answersApart(record.answers),
    durationUs: record.durationUs,
    size: record.size,
    line: record.line ?? -1,
    attemptMs: attemptTimes(attempts),
    negativeTtl: record.negativeTtl,
    lagMs: lagMs === 0 ? null : lagMs,
    repeat: null,
  };
}

/** The rows of records, as a store takes them. */
export function batchOf(records: readonly QueryRecord[]): RowBatch {
  const rows = records.map((record) => rowOf(record));
  return { ids: rows.map(({ id }) => id), rowAt: (place) => rows[place] ?? null };
}

function answersApart(answers: readonly string[]): Pick<Row, "answers" | "ttls"> {
  if (answers.length === 0) return { answers: null, ttls: null };
  const parts = answers.map((answer) => /^(?:(0|[1-9]\d{0,9}) )?(.*)$/s.exec(answer) ?? []);
  const ttls = parts.map(([, ttl]) => (ttl === undefined ? "" : Number(ttl)));
  return { answers: parts.map(([, , text = ""]) => text).join("\n"), ttls: ttlsTogether(ttls) };
}

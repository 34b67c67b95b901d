import { expect } from "vitest";
import { traceOfRecord } from "../../src/control/records.ts";
import { EntryReader } from "../../src/log/entries.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import { decodeRow, storedRowOf } from "../../src/log/rows.ts";
import type { QueryEvent } from "../../src/server/query-event.ts";
import type { TestSite } from "../support/site.ts";
import { buildRecord } from "./reference-record.ts";

/**
 * Records the queries of a site. @returns what gives their records, in the order of their endings, since the last time. Each is what the plain
 * reference makes of the same query, its trace included, which is worked out anew under the policy of now.
 */
export function recorder({ app }: TestSite, clients: "full" | "prefix" | "none" = "full"): () => QueryRecord[] {
  const { recorder: queries } = app;
  const { feed } = queries;
  const reader = new EntryReader(feed.texts);
  const events: QueryEvent[] = [];
  const observe = queries.observe.bind(queries);
  queries.observe = (event) => {
    const before = feed.written;
    observe(event);
    if (feed.written > before) events.push(event);
  };
  queries.use({ enabled: true, clients });
  return () => {
    const { written, taken } = feed.ring;
    const rows = feed.ring.spans(taken, written).flatMap((span) => reader.rows(span));
    feed.ring.release(written);
    const asked = events.splice(0);
    expect(rows).toHaveLength(asked.length);
    return rows.map((row, index) => {
      const found = decodeRow(storedRowOf(row));
      const { record } = found;
      const event = asked[index] ?? expect.unreachable();
      const wallOffsetMs = Date.parse(record.time) - event.startedMs;
      const reference = buildRecord(event, { ids: { next: () => record.id }, clients, wallOffsetMs });
      expect({ ...record, trace: [] }).toEqual({ ...reference, trace: [] });
      const isPolicyOfNow = event.state === app.state;
      const trace = record.trace ?? (isPolicyOfNow ? traceOfRecord(app.state.policy.decider, found) : null);
      if (isPolicyOfNow && clients === "full") expect(trace).toEqual(reference.trace);
      return { ...record, trace };
    });
  };
}

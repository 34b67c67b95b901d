import fc from "fast-check";
import type { AttemptRecord, QueryRecord } from "../../src/log/record.ts";

/** 2026-11-21T21:03:11.482Z */
export const SOME_WALL_MS = Date.UTC(2026, 10, 21, 21, 3, 11, 482);

/** A record of a forwarded A query with a rule of a list, or what `changes` make of it. */
export function record(changes: Partial<QueryRecord> = {}): QueryRecord {
  const id = changes.id ?? SOME_WALL_MS * 1024;
  return {
    id,
    time: new Date(Math.floor(id / 1024)).toISOString(),
    client: "192.168.88.20",
    clientId: null,
    transport: "udp",
    http: null,
    method: null,
    name: "www.taobao.com",
    type: "A",
    rcode: "NOERROR",
    answers: ["60 CNAME www.taobao.com.danuoyi.tbcache.com.", "60 A 192.0.2.1", "60 A 192.0.2.2"],
    source: "upstream",
    action: "none",
    rule: "split",
    list: "cn",
    line: 4711,
    route: "domestic",
    upstream: "udp://223.5.5.5",
    attempts: [
      { group: "domestic", server: "udp://223.5.5.5", transport: "udp", startMs: 0, ms: 7, rcode: "NOERROR", failure: null },
    ],
    negativeTtl: null,
    durationUs: 7312,
    size: 109,
    ede: [],
    edits: [],
    trace: null,
    version: "7f3a91c2",
    ...changes,
  };
}

const text = fc
  .string({ unit: "grapheme", maxLength: 20 })
  .map((made) => made.replaceAll("\n", "").replaceAll(/[\ud800-\udfff]/g, ""));
const count = fc.nat(4_000_000_000);
const maybe = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: null });
const label = fc.stringMatching(/^(?:[a-z0-9_-]|\\\.|\\\\|\\[0-2][0-9][0-9]){1,8}$/);

export const anyLabels: fc.Arbitrary<string[]> = fc.array(label, { minLength: 1, maxLength: 5 });

export const anyName: fc.Arbitrary<string> = fc.oneof(
  fc.constantFrom("", "."),
  anyLabels.map((labels) => labels.join(".")),
);

const anyAttempt: fc.Arbitrary<AttemptRecord> = fc.record({
  group: maybe(text),
  server: text,
  transport: fc.constantFrom("udp", "tcp", "tls", "https"),
  startMs: fc.oneof(fc.constant(0), fc.integer({ min: -5000, max: 5000 })),
  ms: fc.oneof(fc.nat(5000), fc.double({ min: 0, max: 5000, noNaN: true, noDefaultInfinity: true }).map(Math.abs)),
  rcode: maybe(text),
  failure: maybe(text),
});

/** Any record that could be stored, and many that could not be made. */
export const anyRecord: fc.Arbitrary<QueryRecord> = fc
  .record({
    name: anyName,
    wallMs: fc.integer({ min: 0, max: Date.UTC(2200, 0) }),
    counter: fc.nat(1023),
    lagMs: fc.oneof(fc.constant(0), fc.integer({ min: -100_000, max: 100_000 })),
    client: text,
    clientId: maybe(text),
    transport: fc.constantFrom("udp", "tcp", "dot", "doh"),
    http: maybe(fc.constantFrom("1.0", "1.1", "2")),
    method: maybe(fc.constantFrom("GET", "POST")),
    type: text,
    rcode: maybe(text),
    answers: fc.array(
      fc.oneof(
        text,
        fc.tuple(fc.constantFrom(0, 60, 300, 86_400), text).map((parts) => parts.join(" ")),
      ),
      { maxLength: 4 },
    ),
    source: fc.constantFrom("hosts", "special", "rule", "cache", "stale", "upstream", "failure", "refused"),
    action: text,
    rule: maybe(text),
    list: maybe(text),
    line: maybe(count),
    route: maybe(text),
    upstream: maybe(text),
    attempts: fc.array(anyAttempt, { maxLength: 3 }),
    negativeTtl: maybe(count),
    durationUs: count,
    size: fc.nat(65_535),
    ede: fc.array(text, { maxLength: 2 }),
    edits: fc.array(text, { maxLength: 2 }),
    version: text,
  })
  .map(({ wallMs, counter, lagMs, ...rest }) =>
    asFound({
      id: wallMs * 1024 + counter,
      time: new Date(wallMs - lagMs).toISOString(),
      ...rest,
      trace: null,
    }),
  );

/** A record as the log finds it: traces are not stored, and of what was refused they are empty. */
export function asFound(record: QueryRecord): QueryRecord {
  return { ...record, trace: record.source === "refused" || record.action === "fault" ? [] : null };
}

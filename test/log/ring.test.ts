import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { EntryReader } from "../../src/log/entries.ts";
import { QueryFeed } from "../../src/log/feed.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import { copySpan, countEntries, ENTRY, KIND, nextEntry, QueryRing, RingWalk, TextTable } from "../../src/log/ring.ts";
import { decodeRow, type Row, storedRowOf } from "../../src/log/rows.ts";
import { append } from "./entries.ts";
import { record, SOME_WALL_MS } from "./records.ts";

const FIRST = SOME_WALL_MS * 1024;

/** Everything in the ring, which is empty afterwards. */
function taken({ ring, texts }: QueryFeed): Row[] {
  const reader = new EntryReader(new TextTable(texts.memory));
  const rows = ring.spans(ring.taken, ring.written).flatMap((span) => reader.rows(span));
  ring.release(ring.written);
  return rows;
}

function recordOf(row: Row): QueryRecord {
  return decodeRow(storedRowOf(row)).record;
}

describe("entries", () => {
  test("say what the record says, in another thread's memory of the texts", () => {
    const feed = new QueryFeed(64 * 1024);
    const made = [
      record({ id: FIRST }),
      record({
        id: FIRST + 1,
        clientId: "tv",
        transport: "doh",
        http: "2",
        method: "POST",
        edits: ["strip-hints", "made an SOA"],
      }),
      record({ id: FIRST + 2, rcode: "NXDOMAIN", answers: [], negativeTtl: 30, rule: null, list: null, line: null }),
      record({ id: FIRST + 3, name: ".", type: "NS", answers: [], source: "cache", upstream: null, attempts: [] }),
      record({
        id: FIRST + 4,
        name: "",
        type: "",
        rcode: "FORMERR",
        answers: [],
        source: "refused",
        action: "malformed",
        route: null,
        upstream: null,
        attempts: [],
        trace: [],
      }),
      record({
        id: FIRST + 5,
        rcode: null,
        answers: [],
        action: "drop",
        source: "rule",
        route: null,
        upstream: null,
        attempts: [],
      }),
      record({
        id: FIRST + 6,
        answers: ["9 CNAME edge.example.net.", "60 A 192.0.2.7"],
        time: new Date(SOME_WALL_MS - 700).toISOString(),
      }),
    ];
    append(feed, made);
    const found = taken(feed).map(recordOf);
    expect(found.map((each) => ({ ...each, size: 0 }))).toEqual(made.map((each) => ({ ...each, size: 0 })));
  });

  test("that say the same but for TTLs and time share their texts", () => {
    const feed = new QueryFeed(64 * 1024);
    append(feed, [record({ id: FIRST, answers: ["60 A 192.0.2.7"] }), record({ id: FIRST + 5000, answers: ["17 A 192.0.2.7"] })]);
    const [first, second] = taken(feed);
    expect([second?.answers, second?.kind, second?.client, second?.details]).toEqual([
      first?.answers,
      first?.kind,
      first?.client,
      first?.details,
    ]);
    expect(second?.kind).toBe(first?.kind);
    expect([first?.ttls, second?.ttls]).toEqual([60, 17]);
  });
});

describe("a ring", () => {
  test("gives entries in their order, whatever is written and taken in between, and none that was not written", () => {
    const step = fc.oneof(fc.record({ write: fc.integer({ min: 1, max: 60 }) }), fc.constant("take" as const));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const feed = new QueryFeed(8 * 1024);
        const wanted: number[] = [];
        const found: number[] = [];
        let next = 0;
        for (const each of steps) {
          if (each === "take") {
            found.push(...taken(feed).map(({ id }) => id));
            continue;
          }
          const made = Array.from({ length: each.write }, () =>
            record({ id: FIRST + next++, name: `${"x".repeat(1 + (next % 50))}.test` }),
          );
          // What finds no room is not written, and what is smaller may still be.
          for (const one of made) if (append(feed, [one]) === 1) wanted.push(one.id);
        }
        found.push(...taken(feed).map(({ id }) => id));
        expect(found).toEqual(wanted);
      }),
      { numRuns: 50 },
    );
  });

  test("goes on where the count of words wraps", () => {
    const ring = new QueryRing(1024);
    const header = new Int32Array(ring.memory, 0, 2);
    // Sixteen words before 2 ** 32.
    header.fill(-16);
    for (let round = 0; round < 100; round++) {
      const at = ring.reserve(8);
      expect(at).toBeGreaterThanOrEqual(0);
      ring.words.set([8, KIND.query, round], at);
      ring.publish(8);
      const [span] = ring.spans(ring.taken, ring.written).slice(-1);
      expect(span?.words[span.from + 2]).toBe(round);
      ring.release(ring.written);
    }
  });

  test("is copied and walked over in parts, without losing an entry", () => {
    const feed = new QueryFeed(64 * 1024);
    append(
      feed,
      Array.from({ length: 25 }, (_, index) => record({ id: FIRST + index })),
    );
    const [span] = feed.ring.spans(0, feed.ring.written);
    if (span === undefined) throw new Error("nothing was written");
    const walk = new RingWalk(feed.ring, 0, feed.ring.written);
    const parts = Array.from({ length: 4 }, () => walk.take(10, FIRST + 100));
    expect(parts.map((part) => part?.entries)).toEqual([10, 10, 5, undefined]);
    expect(parts.map((part) => (part === null ? 0 : countEntries(part.span)))).toEqual([10, 10, 5, 0]);
    expect(new EntryReader(feed.texts).rows(copySpan(span))).toEqual(new EntryReader(feed.texts).rows(span));
  });
});

test("a walk over rings takes their queries in the order of their ids, and ends where the rings do", () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.boolean(), fc.nat(5)), { maxLength: 60 }),
      fc.integer({ min: 1, max: 9 }),
      (steps, count) => {
        const rings = [new QueryRing(2048), new QueryRing(2048)] as const;
        const ids: number[] = [];
        // Entries of uneven sizes, some of which were taken before: the rings go round.
        for (const [index, [isSecond, extra]] of steps.entries()) {
          const ring = rings[isSecond ? 1 : 0];
          const length = ENTRY.words + 2 * extra;
          let at = ring.reserve(length);
          if (at < 0) {
            ids.splice(0, ids.length, ...ids.filter((id) => steps[id]?.[0] !== isSecond));
            ring.release(ring.written);
            at = ring.reserve(length);
          }
          ring.words.set([length, KIND.query, 0, index], at);
          ring.publish(length);
          ids.push(index);
        }
        const walks = rings.map((ring) => new RingWalk(ring, ring.taken, ring.written));
        const walked: number[] = [];
        while (walked.length < ids.length) {
          const [first, second] = walks.toSorted((left, right) => left.nextId - right.nextId);
          const taken = first?.take(count, second?.nextId ?? 0) ?? expect.unreachable();
          expect(taken.entries).toBe(countEntries(taken.span));
          for (let at = taken.span.from; at < taken.span.to; at = nextEntry(taken.span, at))
            walked.push(taken.span.words[at + ENTRY.idLow] ?? -1);
        }
        expect(walked).toEqual(ids);
        expect(walks.map(({ position }) => position)).toEqual(rings.map(({ written }) => written));
      },
    ),
  );
});

describe("words that nobody wrote", () => {
  test("are read without an error, and in bounded time", () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 600 }),
        fc.array(fc.tuple(fc.nat(200), fc.integer()), { maxLength: 10 }),
        (bytes, changes) => {
          const memory = new Uint8Array(1024);
          memory.set(bytes);
          const words = new Int32Array(memory.buffer);
          words[ENTRY.length] = 20 + (bytes.length & 0x3e);
          words[ENTRY.kind] = KIND.query;
          for (const [place, value] of changes) words[place] = value;
          const span = { words, bytes: Buffer.from(memory.buffer), from: 0, to: words.length };
          for (const row of new EntryReader(new TextTable()).rows(span))
            expect(recordOf(row).durationUs).toBeGreaterThanOrEqual(0);
        },
      ),
      { numRuns: 2000 },
    );
  });

  test("in an entry that was good are read without an error", () => {
    const feed = new QueryFeed(16 * 1024);
    append(feed, [record({ edits: ["made an SOA"] })]);
    const [good] = feed.ring.spans(0, feed.ring.written);
    if (good === undefined) throw new Error("nothing was written");
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(good.to * 4 - 1), fc.nat(255)), { maxLength: 8 }), (changes) => {
        const span = copySpan(good);
        for (const [place, value] of changes) span.bytes[place] = value;
        for (const row of new EntryReader(feed.texts).rows(span)) recordOf(row);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("texts", () => {
  test("have the same number in every thread, whatever their letters and their length", () => {
    fc.assert(
      fc.property(
        fc.array(fc.oneof(fc.string({ unit: "grapheme" }), fc.string({ minLength: 1000, maxLength: 5000 }))),
        (made) => {
          const table = new TextTable();
          const other = new TextTable(table.memory);
          for (const text of made) {
            const wellFormed = text.toWellFormed();
            expect(other.textOf(table.numberOf(wellFormed))).toBe(wellFormed);
            expect(table.numberOf(wellFormed)).toBe(table.numberOf(wellFormed));
          }
          expect(table.numberOf(null)).toBe(0);
          expect(other.textOf(0)).toBeNull();
          expect(other.textOf(1_000_000)).toBeNull();
        },
      ),
      { numRuns: 30 },
    );
  });
});

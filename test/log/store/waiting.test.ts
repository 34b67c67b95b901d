import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Chunk, recordsIn } from "../../../src/log/packing.ts";
import type { QueryRecord } from "../../../src/log/record.ts";
import { countOf, WriteBuffer } from "../../../src/log/write-buffer.ts";
import { anyRecord, record } from "../records.ts";

describe("records that wait", () => {
  test("come out as they went in, in their order", () => {
    fc.assert(
      fc.property(fc.array(anyRecord), (records) => {
        expect(all(filled(records).take(Number.POSITIVE_INFINITY))).toEqual(records);
      }),
    );
  });

  test("keep their order whatever is taken, stored and put back in between", () => {
    const step = fc.oneof(fc.nat(900), fc.constantFrom("stored", "put back"));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 30 }), (steps) => {
        const waiting = new WriteBuffer();
        const stored: number[] = [];
        let added = 0;
        for (const step of steps) {
          if (typeof step === "number") {
            for (const one of numbered(step, added)) expect(waiting.add(one)).toBe(true);
            added += step;
          } else {
            const chunks = waiting.take(512);
            const ids = all(chunks).map(({ id }) => id);
            if (step === "put back") waiting.putBack(chunks);
            else {
              waiting.done(chunks);
              stored.push(...ids);
            }
          }
          expect(stored.length + waiting.records).toBe(added);
        }
        stored.push(...all(waiting.take(Number.POSITIVE_INFINITY)).map(({ id }) => id));
        expect(stored).toEqual(Array.from({ length: added }, (_, index) => index));
      }),
      { numRuns: 30 },
    );
  });

  test("are taken a chunk at the least, and no more than were asked for where there are several", () => {
    const waiting = filled(numbered(3000));
    const [first] = waiting.take(1);
    const size = first?.records ?? 0;
    expect(size).toBeGreaterThan(1);
    expect(countOf(waiting.take(size * 2))).toBeLessThanOrEqual(size * 2);
  });

  test("one that is larger than a chunk is kept whole", () => {
    const large = record({ answers: Array.from({ length: 5000 }, (_, index) => `60 TXT "${index} ${"x".repeat(200)}"`) });
    const records = [record({ id: 1 }), large, record({ id: 3 })];
    expect(all(filled(records).take(3))).toEqual(records);
  });

  test("one for which there can be no room is turned away, and those after it are not", () => {
    const waiting = new WriteBuffer();
    expect(waiting.add(record({ edits: ["x".repeat(5_000_000)] }))).toBe(false);
    expect(waiting.add(record())).toBe(true);
    expect(all(waiting.take(2))).toEqual([record()]);
  });

  test("one that is not as its type says throws, and those beside it are kept", () => {
    const waiting = filled(numbered(2));
    const broken = { ...record({ rule: "a text of its own" }), trace: null } as unknown as QueryRecord;
    expect(() => waiting.add(broken)).toThrow(TypeError);
    waiting.add(record({ id: 2, rule: "a text of its own" }));
    waiting.add(record({ id: 3, rule: "a text of its own" }));
    expect(waiting.records).toBe(4);
    expect(all(waiting.take(4)).map(({ id, rule }) => [id, rule])).toEqual([
      [0, "split"],
      [1, "split"],
      [2, "a text of its own"],
      [3, "a text of its own"],
    ]);
  });

  test("the memory of what was stored is filled again", () => {
    const waiting = filled(numbered(10));
    const first = waiting.take(10);
    waiting.done(first);
    waiting.add(record());
    expect(waiting.take(1)[0]?.octets).toBe(first[0]?.octets);
  });

  test("the memory of what was put back is not filled again: a thread that does not answer may read it", () => {
    const waiting = filled(numbered(2000));
    const first = waiting.take(Number.POSITIVE_INFINITY);
    const before = first.map(({ octets }) => Buffer.from(octets.slice(0)));
    waiting.putBack(first);
    waiting.done(waiting.take(Number.POSITIVE_INFINITY));
    for (const one of numbered(2000, 5000)) waiting.add(one);
    expect(first.map(({ octets }) => Buffer.from(octets))).toEqual(before);
    expect(all(waiting.take(Number.POSITIVE_INFINITY)).map(({ id }) => id)).toEqual(numbered(2000, 5000).map(({ id }) => id));
  });

  test("a store that fails again and again takes no more memory than the records do", () => {
    const waiting = new WriteBuffer();
    for (const one of numbered(2000)) {
      expect(waiting.add(one)).toBe(true);
      waiting.putBack(waiting.take(512));
    }
    const chunks = waiting.take(Number.POSITIVE_INFINITY);
    expect(all(chunks)).toEqual(numbered(2000));
    expect(chunks.reduce((sum, { octets }) => sum + octets.byteLength, 0)).toBeLessThan(2000 * 1024);
  });

  test("large ones take no more than a bounded memory", () => {
    const waiting = new WriteBuffer();
    const large = record({ answers: ["x".repeat(100_000)] });
    let added = 0;
    while (waiting.add(large)) added++;
    expect(added).toBe(512);
    const octets = waiting.take(added).reduce((sum, chunk) => sum + chunk.octets.byteLength, 0);
    expect(octets).toBe(64 * 2 ** 20);
    expect(waiting.add(large)).toBe(true);
  });

  test("large ones that are put back take their room as before", () => {
    const waiting = new WriteBuffer();
    const large = record({ answers: ["x".repeat(1_000_000)] });
    while (waiting.add(large));
    waiting.putBack(waiting.take(Number.POSITIVE_INFINITY));
    let added = 0;
    while (waiting.add(large)) added++;
    // What is put back takes no more than it needs, which leaves room for a few.
    expect(added).toBeLessThan(8);
    const octets = waiting.take(Number.POSITIVE_INFINITY).reduce((sum, chunk) => sum + chunk.octets.byteLength, 0);
    expect(octets).toBeLessThanOrEqual(64 * 2 ** 20);
  });

  test("no more memory is kept to be filled again than a few chunks, all of one size", () => {
    const waiting = filled([record({ answers: ["x".repeat(1_000_000)] }), ...numbered(15_000)]);
    const first = waiting.take(Number.POSITIVE_INFINITY);
    expect(first.length).toBeGreaterThan(16);
    waiting.done(first);
    for (const one of numbered(15_000)) waiting.add(one);
    const second = waiting.take(Number.POSITIVE_INFINITY);
    expect(second.filter(({ octets }) => first.some((before) => before.octets === octets))).toHaveLength(8);
    expect(new Set(second.map(({ octets }) => octets.byteLength)).size).toBe(1);
  });
});

function filled(records: readonly QueryRecord[]): WriteBuffer {
  const waiting = new WriteBuffer();
  for (const one of records) expect(waiting.add(one)).toBe(true);
  return waiting;
}

function numbered(count: number, from = 0): QueryRecord[] {
  return Array.from({ length: count }, (_, index) => record({ id: from + index }));
}

function all(chunks: readonly Chunk[]): QueryRecord[] {
  return chunks.flatMap(recordsIn);
}

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ConnectionError, ERROR } from "../../../src/listen/http2/frames.ts";
import { type HeaderField, STATIC_TABLE } from "../../../src/listen/http2/hpack.ts";
import { runs } from "../../support/properties.ts";
import { added, bytesOf, decoderOf, indexed, integer, pairsOf, string, tableOf, tableSize } from "../support/hpack-blocks.ts";

describe("the static table (RFC 7541 Appendix A)", () => {
  test("has 61 entries, and each is found by its index", () => {
    expect(STATIC_TABLE).toHaveLength(61);
    for (const [position, field] of STATIC_TABLE.entries()) {
      expect(decoderOf().decode(indexed(position + 1))).toEqual([field]);
    }
  });

  test.each([
    [1, ":authority", ""],
    [2, ":method", "GET"],
    [3, ":method", "POST"],
    [8, ":status", "200"],
    [14, ":status", "500"],
    [16, "accept-encoding", "gzip, deflate"],
    [19, "accept", ""],
    [28, "content-length", ""],
    [31, "content-type", ""],
    [38, "host", ""],
    [44, "last-modified", ""],
    [50, "range", ""],
    [58, "user-agent", ""],
    [61, "www-authenticate", ""],
  ])("has at %i %s: %s", (index, name, value) => {
    expect(pairsOf(decoderOf().decode(indexed(index)))).toEqual([[name, value]]);
  });
});

describe("each kind of literal", () => {
  const custom = { name: "custom-key", value: "custom-value" };
  const spelt = Buffer.concat([string("custom-key"), string("custom-value", true)]);

  test.each([
    ["that enters the table", 0x40, [custom]],
    ["that does not", 0x00, []],
    ["that never must", 0x10, []],
  ])("%s is read (RFC 7541 §6.2)", (_title, mark, table) => {
    const decoder = decoderOf();
    expect(decoder.decode(Buffer.concat([Buffer.of(mark), spelt]))).toEqual([custom]);
    expect(tableOf(decoder)).toEqual(table);
  });

  test.each([
    ["that enters the table", 0x40, 6],
    ["that does not", 0x00, 4],
    ["that never must", 0x10, 4],
  ])("%s may take its name from either table", (_title, mark, prefixBits) => {
    for (const [index, name] of [
      [58, "user-agent"],
      [62, "custom-key"],
    ] as const) {
      const block = Buffer.concat([integer(mark, prefixBits, index), string("v")]);
      expect(pairsOf(decoderOf().decode(Buffer.concat([added(custom), block])))?.at(-1)).toEqual([name, "v"]);
    }
  });
});

test("an empty block is an empty list", () => {
  expect(decoderOf().decode(new Uint8Array())).toEqual([]);
});

test("a block may be part of a larger buffer", () => {
  const block = added({ name: "a", value: "b" });
  const chunk = Buffer.concat([Buffer.from("before"), block, Buffer.from("behind")]);
  const view = new Uint8Array(chunk.buffer, chunk.byteOffset + 6, block.length);
  expect(pairsOf(decoderOf().decode(view))).toEqual([["a", "b"]]);
});

test("the table keeps its entries when the block's bytes change afterwards", () => {
  const decoder = decoderOf();
  const block = Buffer.concat([added({ name: "plain", value: "text" }), added({ name: "huffman", value: "text" }, true)]);
  decoder.decode(block);
  block.fill(0);
  expect(pairsOf(tableOf(decoder))).toEqual([
    ["huffman", "text"],
    ["plain", "text"],
  ]);
});

describe("the table", () => {
  const fields = ["a", "b", "c"].map((name) => ({ name, value: "" }));
  const [a, b, c] = fields;

  test("holds an entry of exactly its size, and not of one byte more (RFC 7541 §4.1)", () => {
    const decoder = decoderOf({ tableBytes: 100 });
    const just = { name: "n".repeat(34), value: "v".repeat(34) };
    decoder.decode(added(just));
    expect(tableOf(decoder)).toEqual([just]);
    decoder.decode(added({ ...just, value: "v".repeat(35) }));
    expect(tableOf(decoder)).toEqual([]);
  });

  test("evicts its oldest entries for a new one (RFC 7541 §4.4)", () => {
    const decoder = decoderOf({ tableBytes: 66 });
    decoder.decode(Buffer.concat(fields.map((field) => added(field))));
    expect(tableOf(decoder)).toEqual([c, b]);
  });

  test("lends its name to an entry for which it is evicted (RFC 7541 §4.4)", () => {
    const decoder = decoderOf({ tableBytes: 40 });
    decoder.decode(added({ name: "name", value: "one" }));
    expect(pairsOf(decoder.decode(Buffer.concat([integer(0x40, 6, 62), string("two")])))).toEqual([["name", "two"]]);
    expect(pairsOf(tableOf(decoder))).toEqual([["name", "two"]]);
  });

  test("gets smaller and larger by updates, also by several in one block (RFC 7541 §4.2, §4.3)", () => {
    const decoder = decoderOf();
    decoder.decode(Buffer.concat(fields.map((field) => added(field))));
    decoder.decode(tableSize(70));
    expect(tableOf(decoder)).toEqual([c, b]);
    decoder.decode(Buffer.concat([tableSize(0), tableSize(4096), added({ name: "a", value: "" })]));
    expect(tableOf(decoder)).toEqual([a]);
  });

  test("has 4096 bytes until an update, even if more are allowed", () => {
    const decoder = decoderOf({ tableBytes: 10_000 });
    const large = { name: "large", value: "v".repeat(5000) };
    decoder.decode(added(large));
    expect(tableOf(decoder)).toEqual([]);
    decoder.decode(Buffer.concat([tableSize(10_000), added(large)]));
    expect(tableOf(decoder)).toEqual([large]);
  });
});

describe("refused is", () => {
  const spelt = Buffer.concat([Buffer.of(0x00), string("name"), string("value")]);

  test.each([
    ["the index 0", Buffer.of(0x80)],
    ["the index of no entry", indexed(62)],
    ["the index of no entry as a name", Buffer.concat([integer(0x40, 6, 62), string("v")])],
    ["a table size above the limit", tableSize(4097)],
    ["a table size behind a field", Buffer.concat([indexed(2), tableSize(100)])],
    ["an integer of more bytes than any needs", Buffer.from("3f8080808000", "hex")],
    ["an integer that is too large", Buffer.from("ffffffffff7f", "hex")],
    ["an integer without an end", Buffer.alloc(1000, 0xff)],
    ["EOS in a value", Buffer.concat([integer(0, 4, 1), Buffer.from("84ffffffff", "hex")])],
    ["a name without a value", Buffer.concat([Buffer.of(0x00), string("name")])],
  ])("%s", (_title, block) => {
    expect(() => decoderOf().decode(block)).toThrow(ConnectionError);
  });

  test.each([
    ["longer than the block", 0x00, 6],
    ["of 2^28 bytes", 0x00, 2 ** 28],
    ["of 2^28 bytes in Huffman code", 0x80, 2 ** 28],
  ])("a string %s, by its length alone, before anything is allocated for it", (_title, mark, length) => {
    const block = Buffer.concat([Buffer.of(0x00), integer(mark, 7, length), Buffer.from("name")]);
    expect(() => decoderOf().decode(block)).toThrow(
      new ConnectionError(ERROR.COMPRESSION_ERROR, "a string that does not end within the block"),
    );
  });

  test("a field that the end of the block cuts, at any place", () => {
    for (let length = 1; length < spelt.length; length++) {
      expect(() => decoderOf().decode(spelt.subarray(0, length))).toThrow(ConnectionError);
    }
    expect(pairsOf(decoderOf().decode(spelt))).toEqual([["name", "value"]]);
  });

  test("a fault after the place where the list became too large", () => {
    const block = Buffer.concat([spelt, spelt, Buffer.of(0x80)]);
    expect(() => decoderOf({ maxListBytes: 50 }).decode(block)).toThrow(ConnectionError);
  });
});

describe("a list of more bytes than allowed", () => {
  test("is null, and a list of exactly the limit is not (RFC 9113 §6.5.2)", () => {
    const block = Buffer.concat([indexed(2), indexed(4)]);
    const bytes = bytesOf(decoderOf().decode(block) ?? []);
    expect(bytes).toBe(2 * 32 + ":methodGET:path/".length);
    expect(decoderOf({ maxListBytes: bytes }).decode(block)).toHaveLength(2);
    expect(decoderOf({ maxListBytes: bytes - 1 }).decode(block)).toBe(null);
  });

  test("still updates the table, so later blocks are decoded", () => {
    const decoder = decoderOf({ maxListBytes: 100 });
    const fields = Array.from({ length: 10 }, (_, index) => ({ name: `name-${index}`, value: "value" }));
    expect(decoder.decode(Buffer.concat(fields.map((field) => added(field))))).toBe(null);
    expect(tableOf(decoder)).toEqual(fields.toReversed());
  });

  test("may be 100,000 references to one large entry (RFC 7541 §7.3)", () => {
    const decoder = decoderOf();
    const large = { name: "large", value: "v".repeat(4000) };
    expect(decoder.decode(Buffer.concat([added(large), Buffer.alloc(100_000, 0xbe)]))).toBe(null);
    expect(tableOf(decoder)).toEqual([large]);
  });

  test("may be 100,000 values for one large name", () => {
    const decoder = decoderOf();
    const start = added({ name: "n".repeat(4000), value: "" });
    const again = Buffer.concat([integer(0x40, 6, 62), string("")]);
    expect(decoder.decode(Buffer.concat([start, ...Array.from({ length: 100_000 }, () => again)]))).toBe(null);
    expect(bytesOf(tableOf(decoder))).toBe(4032);
  });
});

/** A table after RFC 7541 §4 as plainly as can be: the newest entry first. */
class Model {
  entries: readonly HeaderField[] = [];
  maxBytes: number;

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes;
  }

  set(maxBytes: number, added: readonly HeaderField[] = []): void {
    this.maxBytes = maxBytes;
    this.entries = [...added, ...this.entries];
    while (bytesOf(this.entries) > maxBytes) this.entries = this.entries.slice(0, -1);
  }
}

const TEXT = fc.uint8Array({ maxLength: 150, size: "max" }).map((bytes) => Buffer.from(bytes).toString("latin1"));
const STEP = fc.oneof(
  fc.record({ kind: fc.constant("add" as const), name: TEXT, value: TEXT, isHuffman: fc.boolean() }),
  fc.record({ kind: fc.constant("add named" as const), pick: fc.nat(), value: TEXT, isHuffman: fc.boolean() }),
  fc.record({ kind: fc.constant("refer" as const), pick: fc.nat() }),
);
const BLOCK = fc.record({ sizes: fc.array(fc.nat({ max: 4096 }), { maxLength: 3 }), steps: fc.array(STEP, { maxLength: 30 }) });

test("any references, additions and updates are decoded as a simple model does", () => {
  fc.assert(
    fc.property(fc.array(BLOCK, { maxLength: 5 }), (blocks) => {
      const decoder = decoderOf();
      const model = new Model(4096);
      for (const { sizes, steps } of blocks) {
        const bytes = sizes.map((size) => tableSize(size));
        for (const size of sizes) model.set(size);
        const expected: HeaderField[] = [];
        for (const step of steps) {
          const all = [...STATIC_TABLE, ...model.entries];
          const position = step.kind === "add" ? 0 : step.pick % all.length;
          const picked = all[position] ?? { name: "", value: "" };
          if (step.kind === "refer") {
            expected.push(picked);
            bytes.push(indexed(position + 1));
            continue;
          }
          const field = { name: step.kind === "add" ? step.name : picked.name, value: step.value };
          expected.push(field);
          bytes.push(
            step.kind === "add"
              ? added(field, step.isHuffman)
              : Buffer.concat([integer(0x40, 6, position + 1), string(field.value, step.isHuffman)]),
          );
          model.set(model.maxBytes, [field]);
        }
        expect(decoder.decode(Buffer.concat(bytes))).toEqual(expected);
        expect(tableOf(decoder)).toEqual(model.entries);
      }
    }),
  );
});

/** Mostly fields that are right or nearly so, that what is wrong comes late. */
const FUZZ_BLOCK = fc
  .array(
    fc.oneof(
      { weight: 4, arbitrary: fc.tuple(TEXT, TEXT, fc.boolean()).map(([name, value, code]) => added({ name, value }, code)) },
      { weight: 4, arbitrary: fc.nat({ max: 63 }).map(indexed) },
      { weight: 1, arbitrary: fc.nat({ max: 600 }).map(tableSize) },
      { weight: 1, arbitrary: fc.uint8Array({ maxLength: 30 }) },
    ),
    { maxLength: 12 },
  )
  .map((parts) => Buffer.concat(parts));

test("any bytes give a list within the limit, null or an error, and the table never exceeds its size", () => {
  const limits = { tableBytes: 500, maxListBytes: 600 };
  const seen = new Set<string>();
  fc.assert(
    fc.property(fc.array(FUZZ_BLOCK, { maxLength: 6 }), (blocks) => {
      const decoder = decoderOf(limits);
      for (const block of blocks) {
        try {
          const fields = decoder.decode(block);
          seen.add(fields === null ? "null" : "list");
          expect(bytesOf(fields ?? [])).toBeLessThanOrEqual(limits.maxListBytes);
        } catch (error) {
          expect(error).toBeInstanceOf(ConnectionError);
          seen.add("refused");
          break;
        }
        expect(bytesOf(tableOf(decoder))).toBeLessThanOrEqual(limits.tableBytes);
      }
    }),
    { numRuns: runs(2000) },
  );
  expect(seen).toEqual(new Set(["list", "null", "refused"]));
});

test("a repeated block means what the table says now", () => {
  const a = { name: "a", value: "1" };
  const b = { name: "b", value: "2" };
  const block = fc.constantFrom(
    indexed(62),
    indexed(63),
    Buffer.concat([indexed(2), indexed(62)]),
    Buffer.concat([indexed(2), indexed(4)]),
    added(a),
    added(b),
    Buffer.concat([indexed(62), added(a)]),
    Buffer.concat([tableSize(0), tableSize(4096)]),
  );
  fc.assert(
    fc.property(fc.array(block, { maxLength: 12 }), (blocks) => {
      const decoder = decoderOf();
      // A block between two others makes that none is repeated.
      const reference = decoderOf();
      for (const each of [added(a), added(b), ...blocks]) {
        reference.decode(indexed(3));
        const expected = resultOf(() => reference.decode(each));
        expect(resultOf(() => decoder.decode(each))).toEqual(expected);
        if (expected === "refused") return;
      }
    }),
    { numRuns: runs(2000) },
  );
});

function resultOf(decode: () => readonly HeaderField[] | null): readonly HeaderField[] | "refused" | null {
  try {
    return decode();
  } catch {
    return "refused";
  }
}

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  isName,
  isWithin,
  labelsOf,
  type Name,
  nameEnd,
  nameFromText,
  nameOfLabels,
  nameText,
  nameWire,
  parentOf,
  plainName,
  plainNameEnd,
  ROOT,
  readName,
} from "../../src/dns/name.ts";
import { anyString, runs } from "../support/properties.ts";
import { label, labels, name } from "./arbitraries.ts";
import { nameOf } from "./zone.ts";

function wireOf(parts: readonly string[]): Buffer {
  return Buffer.from(`${parts.map((part) => String.fromCharCode(part.length) + part).join("")}\0`, "latin1");
}

function readPlain(wire: Uint8Array): Name {
  return plainName(wire, 0, plainNameEnd(wire, 0));
}

/** Lowers what RFC 4343 lowers, by other means than the code under test. */
function lowered(text: string): string {
  return Array.from(text, (character) => (/[A-Z]/.test(character) ? character.toLowerCase() : character)).join("");
}

describe("the canonical form", () => {
  test("two names are equal exactly if their labels are, without regard to ASCII case", () => {
    fc.assert(
      fc.property(labels, labels, (left, right) => {
        const same = left.length === right.length && left.every((part, index) => lowered(part) === lowered(right[index] ?? ""));
        expect(readPlain(wireOf(left)) === readPlain(wireOf(right))).toBe(same);
      }),
    );
  });

  test.each([
    ["a dot in a label", ["a.b", "c"], ["a", "b.c"]],
    ["a dot and a border", ["a.b"], ["a", "b"]],
    ["a zero byte", ["a\0b"], ["a", "b"]],
    ["a zero byte at the end", ["a\0"], ["a"]],
    ["a length byte in a label", ["a\x01b"], ["a", "b"]],
    ["high bytes", ["\xe9"], ["\xc9"]],
    ["a high byte and its escape", ["\xe9"], ["\\233"]],
    ["characters 0x40 and 0x60", ["@"], ["`"]],
    ["characters 0x5b and 0x7b", ["["], ["{"]],
  ])("%s sets names apart", (_, left, right) => {
    expect(readPlain(wireOf(left))).not.toBe(readPlain(wireOf(right)));
  });

  test("letters of ASCII have no case, all 26 of them", () => {
    expect(readPlain(wireOf(["ABCDEFGHIJKLMNOPQRSTUVWXYZ"]))).toBe(readPlain(wireOf(["abcdefghijklmnopqrstuvwxyz"])));
  });

  test("length bytes of long labels are not lowered", () => {
    const long = ["x".repeat(63), "y".repeat(62)];
    expect(labelsOf(readPlain(wireOf(long)))).toEqual(long);
  });

  test("the wire format comes back with letters lowered", () => {
    fc.assert(
      fc.property(labels, (parts) => {
        expect(nameWire(readPlain(wireOf(parts)))).toEqual(wireOf(parts.map(lowered)));
      }),
    );
  });

  test("labels and names are each other's inverse", () => {
    fc.assert(
      fc.property(labels, (parts) => {
        expect(labelsOf(nameOfLabels(parts) ?? ROOT)).toEqual(parts.map(lowered));
        expect(nameOfLabels(parts)).toBe(readPlain(wireOf(parts)));
      }),
    );
  });

  test.each([
    ["an empty label", ["a", "", "b"]],
    ["a label of 64 bytes", ["x".repeat(64)]],
    ["256 bytes in all", ["x".repeat(63), "x".repeat(63), "x".repeat(63), "x".repeat(62)]],
  ])("%s is no name", (_, parts) => {
    expect(nameOfLabels(parts)).toBeNull();
  });

  test("255 bytes in all are a name", () => {
    const parts = ["x".repeat(63), "x".repeat(63), "x".repeat(63), "x".repeat(61)];
    expect(nameOfLabels(parts)).toHaveLength(255);
    expect(plainNameEnd(wireOf(parts), 0)).toBe(255);
  });
});

describe("above and below", () => {
  test("the parent has the labels but the first, and is a suffix", () => {
    fc.assert(
      fc.property(name, (child) => {
        expect(labelsOf(parentOf(child))).toEqual(labelsOf(child).slice(1));
        expect(child.endsWith(parentOf(child))).toBe(true);
      }),
    );
  });

  test("the root is its own parent", () => {
    expect(parentOf(ROOT)).toBe(ROOT);
  });

  test("a name is within a zone exactly if the zone's labels are its last", () => {
    const related = fc.tuple(labels, labels, fc.boolean()).map(([below, zone, joined]) => ({
      name: nameOfLabels(joined ? [...below.slice(0, 2), ...zone.slice(0, 2)] : below) ?? ROOT,
      zone: nameOfLabels(zone.slice(0, 2)) ?? ROOT,
    }));
    fc.assert(
      fc.property(related, ({ name, zone }) => {
        const all = labelsOf(name);
        const last = labelsOf(zone);
        const expected = last.length <= all.length && last.every((part, index) => part === all[all.length - last.length + index]);
        expect(isWithin(name, zone)).toBe(expected);
      }),
    );
  });

  test("a label that contains the bytes of a zone is not below the zone", () => {
    const inner = nameOfLabels(["x\x07example"]) ?? ROOT;
    expect(inner.endsWith(nameOf("example"))).toBe(true);
    expect(isWithin(inner, nameOf("example"))).toBe(false);
  });
});

describe("presentation", () => {
  test("text gives the same bytes again", () => {
    fc.assert(
      fc.property(name, (made) => {
        expect(nameFromText(nameText(made))).toBe(made);
        expect(nameFromText(`${nameText(made)}${made === ROOT ? "" : "."}`)).toBe(made);
      }),
    );
  });

  test("text is printable ASCII without spaces", () => {
    fc.assert(
      fc.property(name, (made) => {
        expect(nameText(made)).toMatch(/^[!-~]+$/);
      }),
    );
  });

  test.each([
    [["a.b", "c"], "a\\.b.c"],
    [["\0"], "\\000"],
    [["\xff "], "\\255\\032"],
    [["_dns", "a-b"], "_dns.a-b"],
    [["*", "page"], "*.page"],
    [['a"\\;()@$'], 'a\\"\\\\\\;\\(\\)\\@\\$'],
  ])("%j is shown as %s", (parts, text) => {
    expect(nameText(nameOfLabels(parts) ?? ROOT)).toBe(text);
  });

  test.each([
    ["Page.Example", ["page", "example"]],
    ["page.example.", ["page", "example"]],
    ["a\\.b.", ["a.b"]],
    ["a\\046b", ["a.b"]],
    ["\\000\\255", ["\0\xff"]],
    ["\\A", ["a"]],
    ["a\\\\.b", ["a\\", "b"]],
    ["中国.example", ["xn--fiqs8s", "example"]],
    ["_sip.中国", ["_sip", "xn--fiqs8s"]],
    ["*.中国", ["*", "xn--fiqs8s"]],
    ["中国。example", ["xn--fiqs8s", "example"]],
    ["BÜCHER.example.", ["xn--bcher-kva", "example"]],
  ])("%s is read", (text, parts) => {
    expect(labelsOf(nameOf(text))).toEqual(parts);
  });

  test.each(["", "..", ".a", "a..b", "a.b..", "\\", "a\\", "\\256", "\\25", "\\1a", "x".repeat(64), `${"x.".repeat(128)}`])(
    "%j is no name",
    (text) => {
      expect(nameFromText(text)).toBeNull();
    },
  );

  test.each(["中.example/a", "中?a", "中#a", "中\\.a", "中%41", "中:53", "中 a", "１２７.１", "中..a", "[中]", "a@中"])(
    "%j is no internationalized name: nothing is dropped or turned into an address on the way",
    (text) => {
      expect(nameFromText(text)).toBeNull();
    },
  );

  test("reading takes any text", () => {
    fc.assert(
      fc.property(anyString(), (text) => {
        const read = nameFromText(text);
        if (read !== null) expect(nameFromText(nameText(read))).toBe(read);
      }),
      { numRuns: runs(1000) },
    );
  });
});

describe("names in messages", () => {
  const message = Buffer.from("\x01a\x03com\0\x01b\xc0\x02\xc0\x07", "latin1");

  test("pointers are followed to earlier places", () => {
    expect(readName(message, 0)).toBe(nameOf("a.com"));
    expect(readName(message, 7)).toBe(nameOf("b.com"));
    expect(readName(message, 11)).toBe(nameOf("b.com"));
    expect([nameEnd(message, 0), nameEnd(message, 7), nameEnd(message, 11)]).toEqual([7, 11, 13]);
  });

  test.each([
    ["a pointer to itself", [0xc0, 0]],
    ["a pointer forward", [0xc0, 2, 0]],
    ["a pointer cut in two", [0xc0]],
    ["a label cut off", [5, 0x61, 0x61]],
    ["no root label", [1, 0x61]],
    ["a label type of RFC 6891 §5", [0x41, 0x61, 0]],
    ["the label type 0x80", [0x80, 0]],
    ["no byte at all", []],
  ])("%s makes no name", (_, bytes) => {
    expect(readName(Uint8Array.from(bytes), 0)).toBeNull();
    expect(plainNameEnd(Uint8Array.from(bytes), 0)).toBe(-1);
  });

  test("two pointers to each other make no name", () => {
    const loop = Uint8Array.of(0xc0, 2, 0xc0, 0);
    expect([readName(loop, 0), readName(loop, 2)]).toEqual([null, null]);
  });

  test("a loop through labels makes no name", () => {
    expect(readName(Uint8Array.of(1, 0x61, 0xc0, 0), 0)).toBeNull();
    expect(readName(Uint8Array.of(1, 0x61, 0xc0, 0), 2)).toBeNull();
  });

  test("a compressed name is refused where none may be", () => {
    expect(plainNameEnd(message, 7)).toBe(-1);
  });

  test("on any bytes, reading, checking and measuring agree", () => {
    const anyBytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }),
      fc.array(fc.constantFrom(0, 1, 2, 0x61, 0x62, 0xc0, 4, 6), { maxLength: 60 }).map((bytes) => Uint8Array.from(bytes)),
    );
    fc.assert(
      fc.property(anyBytes, fc.nat(60), (bytes, offset) => {
        const read = readName(bytes, offset);
        expect(isName(bytes, offset)).toBe(read !== null);
        if (read !== null) expect(nameEnd(bytes, offset)).toBeGreaterThan(offset);
        const plainEnd = plainNameEnd(bytes, offset);
        if (plainEnd >= 0) {
          expect(plainName(bytes, offset, plainEnd)).toBe(read);
          expect(nameEnd(bytes, offset)).toBe(plainEnd);
        }
      }),
      { numRuns: runs(2000) },
    );
  });

  test("a name written before another with the same labels reads back whatever stands before it", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 20 }), fc.array(label, { maxLength: 3 }), (before, parts) => {
        const wire = Buffer.concat([before, wireOf(parts)]);
        expect(readName(wire, before.length)).toBe(nameOfLabels(parts));
      }),
    );
  });
});

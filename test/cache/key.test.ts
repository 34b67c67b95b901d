import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cacheKey, keyFromText, nxdomainKey, readKey, scopeOf, scopeOfKey } from "../../src/cache/key.ts";
import type { ClientSubnet } from "../../src/dns/edns.ts";
import { type Name, nameOfLabels, plainName, ROOT } from "../../src/dns/name.ts";
import type { Question } from "../../src/dns/query.ts";
import { TYPE } from "../../src/dns/types.ts";
import { anyString, runs } from "../support/properties.ts";
import { question } from "./answers.ts";

// Few bytes, those among them that stand for flags, lengths and classes in a key, so that near misses are common.
const label = fc.string({ unit: fc.constantFrom("a", "A", "\0", "\x01", "\x08", "\x1c", "."), minLength: 1, maxLength: 3 });
const names = fc.array(label, { maxLength: 3 }).map((labels): Name => nameOfLabels(labels) ?? ROOT);
const subnets = fc.record({
  family: fc.constantFrom<1 | 2>(1, 2),
  sourcePrefix: fc.constantFrom(0, 8, 9, 24),
  scopePrefix: fc.constant(0),
  bytes: fc.uint8Array({ minLength: 3, maxLength: 3 }),
});
const clientSubnets = subnets.map(
  ({ bytes, ...subnet }): ClientSubnet => ({
    ...subnet,
    prefixHex: Buffer.from(bytes.subarray(0, Math.ceil(subnet.sourcePrefix / 8))).toString("hex"),
  }),
);
const questions = fc.record<Question>({
  name: names,
  type: fc.constantFrom(0, 1, 28, 65, 256, 257),
  class: fc.constantFrom(1, 3, 256),
  dnssecOk: fc.boolean(),
  checkingDisabled: fc.boolean(),
  clientSubnet: fc.option(clientSubnets, { nil: null, freq: 2 }),
});
const routes = fc.constantFrom("", "\0", "domestic", "\x01domestic", "overseas", "海外");

describe("the cache key", () => {
  test("questions have the same key exactly if they are equal", () => {
    fc.assert(
      fc.property(questions, routes, questions, routes, (one, routeOne, other, routeOther) => {
        const equal = JSON.stringify([one, routeOne]) === JSON.stringify([other, routeOther]);
        expect(cacheKey(one, routeOne) === cacheKey(other, routeOther)).toBe(equal);
      }),
      { numRuns: runs(1000) },
    );
  });

  test("questions that differ in one thing only have different keys", () => {
    fc.assert(
      fc.property(questions, routes, questions, (base, route, other) => {
        for (const field of ["name", "type", "class", "dnssecOk", "checkingDisabled", "clientSubnet"] as const) {
          const changed: Question = { ...base, [field]: other[field] };
          const equal = JSON.stringify(base[field]) === JSON.stringify(other[field]);
          expect(cacheKey(changed, route) === cacheKey(base, route)).toBe(equal);
        }
      }),
      { numRuns: runs(500) },
    );
  });

  test("the letter case of the wire name does not change the key, and any other change does", () => {
    const wires = fc.array(fc.uint8Array({ minLength: 1, maxLength: 4 }), { maxLength: 3 });
    fc.assert(
      fc.property(wires, wires, fc.boolean(), (one, other, related) => {
        const otherWire = wireOf(related ? one.map(swapCase) : other);
        const equal = lowered(wireOf(one)) === lowered(otherWire);
        expect(cacheKey(asked(wireOf(one)), "r") === cacheKey(asked(otherWire), "r")).toBe(equal);
      }),
    );
  });

  test("can be parsed back into its question and route", () => {
    fc.assert(
      fc.property(questions, routes, (asked, route) => {
        expect(readKey(cacheKey(asked, route))).toEqual({ ...asked, route });
        expect(scopeOfKey(cacheKey(asked, route))).toBe(scopeOf(asked.class, route));
      }),
    );
  });

  test("can be parsed from a text, and a malformed text is refused", () => {
    fc.assert(
      fc.property(questions, routes, anyString(), (asked, route, text) => {
        const key = cacheKey(asked, route);
        expect(keyFromText(key)).toBe(key);
        expect(keyFromText(nxdomainKey(key))).toBe(nxdomainKey(key));
        const least = key.length - route.length;
        for (let end = 0; end < least; end++) expect(keyFromText(key.slice(0, end))).toBeNull();
        const taken = keyFromText(text);
        if (taken !== null)
          expect(cacheKey({ ...asked, ...readKey(taken), type: 1 }, readKey(taken).route)).toHaveLength(text.length);
      }),
    );
    expect(keyFromText("")).toBeNull();
    expect(keyFromText(`${"\x01a".repeat(127)}\0\0\0\x01\0\x01`)).not.toBeNull();
    expect(keyFromText(`${"\x01a".repeat(128)}\0\0\0\x01\0\x01`)).toBeNull();
    expect(keyFromText(`\x40${"a".repeat(64)}\0\0\0\x01\0\x01`)).toBeNull();
  });

  test("is the same after many other routes were used", () => {
    const before = cacheKey(question("page.example"), "domestic");
    for (let index = 0; index < 1000; index++) cacheKey(question("page.example"), `route${index}`);
    expect(cacheKey(question("page.example"), "domestic")).toBe(before);
  });
});

describe("the key of a whole name", () => {
  test("is the same for every type, and differs from the key of every question", () => {
    fc.assert(
      fc.property(questions, routes, fc.constantFrom(0, 1, 28, 65), (asked, route, type) => {
        const whole = nxdomainKey(cacheKey(asked, route));
        expect(nxdomainKey(cacheKey({ ...asked, type }, route))).toBe(whole);
        expect(nxdomainKey(whole)).toBe(whole);
        expect(cacheKey({ ...asked, type }, route)).not.toBe(whole);
        expect(readKey(whole)).toEqual({ ...asked, type: null, route });
      }),
    );
  });

  test("differs where anything but the type does", () => {
    const whole = (changed: Partial<Question>, route = "domestic") =>
      nxdomainKey(cacheKey(question("page.example", TYPE.A, changed), route));
    const plain = whole({});
    expect(whole({ dnssecOk: true })).not.toBe(plain);
    expect(whole({ checkingDisabled: true })).not.toBe(plain);
    expect(whole({ class: 3 })).not.toBe(plain);
    expect(whole({}, "overseas")).not.toBe(plain);
  });
});

function asked(wire: Uint8Array): Question {
  return question(".", TYPE.A, { name: plainName(wire, 0, wire.length) });
}

function wireOf(labels: readonly Uint8Array[]): Uint8Array {
  return Buffer.concat([...labels.map((bytes) => Buffer.concat([Uint8Array.of(bytes.length), bytes])), Uint8Array.of(0)]);
}

function swapCase(bytes: Uint8Array): Uint8Array {
  return bytes.map((byte) => (/[a-z]/i.test(String.fromCharCode(byte)) ? byte ^ 0x20 : byte));
}

function lowered(wire: Uint8Array): string {
  return Buffer.from(wire)
    .toString("latin1")
    .replace(/[A-Z]/g, (letter) => letter.toLowerCase());
}

import { expect, test } from "vitest";
import { AddressSet } from "../../src/dns/address.ts";
import { addressClassifier } from "../../src/resolve/classify.ts";
import type { RuleOptions } from "../../src/rules/options.ts";

const compare = { near: "near", far: "far", keepNearIf: "cn-ip", withinMs: 800, verdictMs: 1000 };
const rules: RuleOptions[] = [
  { name: "others", domains: [], clients: [], types: [], action: { kind: "compare", compare }, modifiers: {} },
];

function measures(list: string, poison: readonly string[] = ["list:poison", "203.0.113.0/31"]) {
  const lists = new Map([
    ["cn-ip", AddressSet.of(list)],
    ["poison", AddressSet.of("198.51.100.1")],
  ]);
  return addressClassifier({ rules, poison, bogus: ["2001:db8::1"], addresses: (name) => lists.get(name) ?? null });
}

test("poison and bogus together are what makes an answer void", () => {
  const { forged, farGroups } = measures("192.0.2.0/24");
  for (const address of ["198.51.100.1", "203.0.113.1", "2001:db8::1"]) expect(forged.hasText(address)).toBe(true);
  for (const address of ["198.51.100.2", "203.0.113.2", "192.0.2.1"]) expect(forged.hasText(address)).toBe(false);
  expect([...farGroups]).toEqual(["far"]);
});

test("the fingerprint follows the addresses, not their spelling", () => {
  const { fingerprint } = measures("192.0.2.0/24").near("cn-ip");
  expect(measures("192.0.2.0-192.0.2.255").near("cn-ip").fingerprint).toBe(fingerprint);
  expect(measures("192.0.2.0/25").near("cn-ip").fingerprint).not.toBe(fingerprint);
  expect(measures("192.0.2.0/24", []).near("cn-ip").fingerprint).not.toBe(fingerprint);
});

test("the fingerprint of what is forged follows the addresses, be they in a list or in the file, and nothing else", () => {
  const { forgedFingerprint } = measures("192.0.2.0/24");
  const written = ["203.0.113.1", "203.0.113.0", "198.51.100.1", "::ffff:198.51.100.1"];
  expect(measures("192.0.2.0/25", written).forgedFingerprint).toBe(forgedFingerprint);
  for (const other of [[], ["list:poison"], ["list:poison", "203.0.113.0/30"], ["list:poison", "203.0.113.2/31"]])
    expect(measures("192.0.2.0/24", other).forgedFingerprint).not.toBe(forgedFingerprint);
});

test("a list that is not there is a fault", () => {
  expect(() => measures("192.0.2.0/24", ["list:other"])).toThrow("there is no list of addresses other");
  expect(() => measures("192.0.2.0/24").near("other")).toThrow("no rule compares by the list other");
});

import fc from "fast-check";
import { expect, test } from "vitest";
import { emptyAnswer, negativeAnswer } from "../../src/answers/negative.ts";
import { AddressSet } from "../../src/dns/address.ts";
import { type Answer, indexAnswer } from "../../src/dns/answer.ts";
import { RCODE } from "../../src/dns/types.ts";
import { addressClassifier, classify } from "../../src/resolve/classify.ts";
import type { RuleOptions } from "../../src/rules/options.ts";
import { nameOf, question, responseWire, zone } from "../dns/zone.ts";

const sets = { near: AddressSet.of("192.0.2.0/24", "203.0.113.0/24"), forged: AddressSet.of("203.0.113.1") };
const asked = { ...question("page.example"), dnssecOk: false, checkingDisabled: false, clientSubnet: null };

test("one address outside the list makes an answer foreign, one forged address makes it void", () => {
  const addresses = fc.array(fc.constantFrom("192.0.2.1", "192.0.2.255", "203.0.113.1", "203.0.113.2", "198.51.100.1"), {
    minLength: 1,
    maxLength: 8,
  });
  fc.assert(
    fc.property(addresses, (given) => {
      const wanted = given.includes("203.0.113.1") ? "void" : given.includes("198.51.100.1") ? "foreign" : "kept";
      expect(classify({ source: "upstream", answer: answerWith(given) }, sets)).toBe(wanted);
    }),
  );
});

test("silence, failure and empty answers have different classes", () => {
  const empty = { soaOwner: nameOf("example"), ttlSeconds: 60 };
  expect(classify(null, sets)).toBe("silent");
  expect(classify({ source: "failure", answer: emptyAnswer(asked, RCODE.SERVFAIL) }, sets)).toBe("failed");
  expect(classify({ source: "upstream", answer: emptyAnswer(asked, RCODE.REFUSED) }, sets)).toBe("failed");
  expect(classify({ source: "rule", answer: null }, sets)).toBe("failed");
  for (const rcode of [RCODE.NOERROR, RCODE.NXDOMAIN])
    expect(classify({ source: "upstream", answer: negativeAnswer(asked, { ...empty, rcode }) }, sets)).toBe("empty");
  expect(classify({ source: "upstream", answer: emptyAnswer(asked, RCODE.NOERROR) }, sets)).toBe("empty");
});

test("a stale near answer counts as a failure of the group", () => {
  expect(classify({ source: "stale", answer: answerWith(["192.0.2.1"]) }, sets)).toBe("failed");
});

function answerWith(addresses: readonly string[]): Answer {
  const answers = zone(...addresses.map((address) => `page.example A ${address}`));
  const answer = indexAnswer(responseWire({ questions: [question("page.example")], answers }));
  if (answer === null) throw new Error("a malformed answer");
  return answer;
}

const compare = { near: "near", far: "far", keepNearIf: "cn-ip", first: "near", withinMs: 800, verdictMs: 1000 } as const;
const rules: RuleOptions[] = [
  {
    name: "others",
    domains: [],
    alsoDomains: [],
    clients: [],
    types: [],
    exceptTypes: [],
    action: { kind: "compare", compare },
    modifiers: {},
  },
];

function classifierOf(list: string, poison: readonly string[] = ["list:poison", "203.0.113.0/31"]) {
  const lists = new Map([
    ["cn-ip", AddressSet.of(list)],
    ["poison", AddressSet.of("198.51.100.1")],
  ]);
  return addressClassifier({ groups: [], rules, poison, bogus: ["2001:db8::1"], addresses: (name) => lists.get(name) ?? null });
}

test("an address of `poison` or `bogus` makes an answer void", () => {
  const { forged, farGroups } = classifierOf("192.0.2.0/24");
  for (const address of ["198.51.100.1", "203.0.113.1", "2001:db8::1"]) expect(forged.hasText(address)).toBe(true);
  for (const address of ["198.51.100.2", "203.0.113.2", "192.0.2.1"]) expect(forged.hasText(address)).toBe(false);
  expect([...farGroups]).toEqual(["far"]);
});

test("the fingerprint follows the addresses, not their spelling", () => {
  const { fingerprint } = classifierOf("192.0.2.0/24").near("cn-ip");
  expect(classifierOf("192.0.2.0-192.0.2.255").near("cn-ip").fingerprint).toBe(fingerprint);
  expect(classifierOf("192.0.2.0/25").near("cn-ip").fingerprint).not.toBe(fingerprint);
  expect(classifierOf("192.0.2.0/24", []).near("cn-ip").fingerprint).not.toBe(fingerprint);
});

test("the fingerprint of the forged set depends on the addresses only, not on where they are written", () => {
  const fingerprint = classifierOf("192.0.2.0/24").fingerprintFor("main");
  const written = ["203.0.113.1", "203.0.113.0", "198.51.100.1", "::ffff:198.51.100.1"];
  expect(classifierOf("192.0.2.0/25", written).fingerprintFor("main")).toBe(fingerprint);
  for (const other of [[], ["list:poison"], ["list:poison", "203.0.113.0/30"], ["list:poison", "203.0.113.2/31"]])
    expect(classifierOf("192.0.2.0/24", other).fingerprintFor("main")).not.toBe(fingerprint);
});

test("an unknown list is an error", () => {
  expect(() => classifierOf("192.0.2.0/24", ["list:other"])).toThrow("there is no list of addresses other");
  expect(() => classifierOf("192.0.2.0/24").near("other")).toThrow("no rule compares by the list other");
});

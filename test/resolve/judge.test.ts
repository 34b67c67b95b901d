import fc from "fast-check";
import { expect, test } from "vitest";
import { emptyAnswer, negativeAnswer } from "../../src/answers/negative.ts";
import { AddressSet } from "../../src/dns/address.ts";
import { type Answer, indexAnswer } from "../../src/dns/answer.ts";
import { RCODE } from "../../src/dns/types.ts";
import { classify } from "../../src/resolve/classify.ts";
import { nameOf, question, responseWire, zone } from "../dns/zone.ts";

const sets = { near: AddressSet.of("192.0.2.0/24", "203.0.113.0/24"), forged: AddressSet.of("203.0.113.1") };
const asked = { ...question("page.example"), dnssecOk: false, checkingDisabled: false, clientSubnet: null };

test("one address outside the list makes an answer foreign, one that is forged makes it void, whatever the others are", () => {
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

test("silence, failure and emptiness are told apart", () => {
  const empty = { soaOwner: nameOf("example"), ttlSeconds: 60 };
  expect(classify(null, sets)).toBe("silent");
  expect(classify({ source: "failure", answer: emptyAnswer(asked, RCODE.SERVFAIL) }, sets)).toBe("failed");
  expect(classify({ source: "upstream", answer: emptyAnswer(asked, RCODE.REFUSED) }, sets)).toBe("failed");
  expect(classify({ source: "rule", answer: null }, sets)).toBe("failed");
  for (const rcode of [RCODE.NOERROR, RCODE.NXDOMAIN])
    expect(classify({ source: "upstream", answer: negativeAnswer(asked, { ...empty, rcode }) }, sets)).toBe("empty");
  expect(classify({ source: "upstream", answer: emptyAnswer(asked, RCODE.NOERROR) }, sets)).toBe("empty");
});

test("a stale answer tells that the group failed", () => {
  expect(classify({ source: "stale", answer: answerWith(["192.0.2.1"]) }, sets)).toBe("failed");
});

function answerWith(addresses: readonly string[]): Answer {
  const answers = zone(...addresses.map((address) => `page.example A ${address}`));
  const answer = indexAnswer(responseWire({ questions: [question("page.example")], answers }));
  if (answer === null) throw new Error("a malformed answer");
  return answer;
}

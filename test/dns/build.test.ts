import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addressesOf, type BuiltRecord, buildAnswer, negativeSoa, outcomeOf } from "../../src/dns/answer.ts";
import { decodeMessage, type ResourceRecord } from "../../src/dns/message.ts";
import {
  answersQuestion,
  askMessage,
  isRejection,
  parseQuery,
  QUERY_PADDING_BYTES,
  type Query,
  type Question,
} from "../../src/dns/query.ts";
import { CLASS, RCODE, TYPE } from "../../src/dns/types.ts";
import { rdataBytes } from "../support/encode.ts";
import { name, uint16 } from "./arbitraries.ts";
import { blankResponse, nameOf, question, zone } from "./zone.ts";

const asked: Question = { ...question("page.example", "AAAA"), dnssecOk: false, checkingDisabled: false, clientSubnet: null };

function built(records: readonly ResourceRecord[]): BuiltRecord[] {
  return records.map(({ owner, type, ttlSeconds, data }) => ({ owner, type, ttlSeconds, data: rdataBytes(data) }));
}

describe("an answer made here", () => {
  test("decodes to its parts", () => {
    const answers = zone("page.example CNAME cdn.example", "cdn.example 60 AAAA 2001:db8::7");
    const authority = zone("example NS ns.example");
    const answer = buildAnswer({ ...asked, rcode: RCODE.NOERROR, answers: built(answers), authority: built(authority) });
    expect(decodeMessage(answer.wire)).toEqual({
      ...blankResponse,
      recursionDesired: false,
      questions: [question("page.example", "AAAA")],
      answers,
      authority,
    });
    expect(answer).toMatchObject({ chainEnd: nameOf("cdn.example"), answered: true, lowestTtlSeconds: 60 });
    expect(addressesOf(answer)).toHaveLength(1);
  });

  test("decodes for every name, type, class and rcode, which never reaches the flags", () => {
    const rcode = fc.integer({ min: 0, max: 0xfff });
    fc.assert(
      fc.property(name, uint16, rcode, (owner, type, code) => {
        fc.pre(type !== TYPE.OPT);
        const soa = negativeSoa(owner, 60);
        const answer = buildAnswer({ name: owner, type, class: CLASS.IN, rcode: code, answers: [], authority: [soa] });
        expect(answer).toMatchObject({ name: owner, type, rcode: code, truncated: false, authenticData: false });
        expect(decodeMessage(answer.wire)).toMatchObject({
          rcode: code & 15,
          authenticData: false,
          checkingDisabled: false,
          id: 0,
        });
      }),
    );
  });

  test("a negative answer has an SOA whose TTL and MINIMUM are equal (RFC 2308 §5)", () => {
    const authority = [negativeSoa(asked.name, 45)];
    const answer = buildAnswer({ ...asked, rcode: RCODE.NOERROR, answers: [], authority });
    expect(outcomeOf(answer)).toBe("nodata");
    expect(answer.soa).toMatchObject({ owner: asked.name, ttlSeconds: 45, minimumSeconds: 45 });
    expect(decodeMessage(answer.wire)?.authority[0]?.data).toMatchObject({
      kind: "SOA",
      primary: asked.name,
      mailbox: nameOf("nobody.invalid"),
    });
  });

  test("data that do not fit their type throw", () => {
    const cname = { owner: asked.name, type: TYPE.CNAME, ttlSeconds: 60, data: Uint8Array.of(5) };
    expect(() => buildAnswer({ ...asked, rcode: 0, answers: [cname], authority: [] })).toThrow();
  });
});

describe("the message that asks an upstream", () => {
  const options = { id: 0x4321, edns: true, padded: false };

  function parsed(wire: Uint8Array): Query {
    const query = parseQuery(wire);
    if (query === null || isRejection(query)) throw new Error("not a query");
    return query;
  }

  test("carries the question and nothing of the client", () => {
    expect(decodeMessage(askMessage(asked, options))).toMatchObject({
      id: 0x4321,
      response: false,
      recursionDesired: true,
      authenticData: true,
      checkingDisabled: false,
      questions: [question("page.example", "AAAA")],
      edns: { udpPayloadBytes: 1232, version: 0, dnssecOk: false, options: [] },
    });
  });

  test("repeats CD, DO and the subnet", () => {
    const clientSubnet = { family: 2, sourcePrefix: 56, scopePrefix: 0, prefixHex: "20010db8000001" } as const;
    const query = parsed(askMessage({ ...asked, dnssecOk: true, checkingDisabled: true, clientSubnet }, options));
    expect(query).toMatchObject({ dnssecOk: true, checkingDisabled: true, clientSubnet });
  });

  test("without EDNS there is no OPT, whatever the question wants", () => {
    expect(parsed(askMessage({ ...asked, dnssecOk: true }, { ...options, edns: false })).edns).toBeNull();
  });

  test("padded, it is a whole number of blocks long for every name (RFC 8467 §4.1)", () => {
    fc.assert(
      fc.property(name, fc.boolean(), (owner, dnssecOk) => {
        const wire = askMessage({ ...asked, name: owner, dnssecOk }, { ...options, padded: true });
        expect(wire.length % QUERY_PADDING_BYTES).toBe(0);
        expect(wire.length).toBeLessThanOrEqual(owner.length + 16 + 11 + 4 + QUERY_PADDING_BYTES);
        expect(parsed(wire)).toMatchObject({ name: owner, edns: { padded: true } });
      }),
    );
  });

  test("an answer counts for the same name, type and class only", () => {
    const answerTo = (other: Partial<Question>) => buildAnswer({ ...asked, ...other, rcode: 0, answers: [], authority: [] });
    expect(answersQuestion(answerTo({}), asked)).toBe(true);
    expect(answersQuestion(answerTo({ name: nameOf("PAGE.example") }), asked)).toBe(true);
    expect(answersQuestion(answerTo({ name: nameOf("pag.example") }), asked)).toBe(false);
    expect(answersQuestion(answerTo({ type: TYPE.A }), asked)).toBe(false);
    expect(answersQuestion(answerTo({ class: CLASS.CH }), asked)).toBe(false);
  });
});

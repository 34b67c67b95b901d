import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Answer, addressesOf, indexAnswer, outcomeOf, recordsOf, ttlAt } from "../../src/dns/answer.ts";
import { decodeMessage, type Message, type MessageEdns, type ResourceRecord } from "../../src/dns/message.ts";
import { RCODE, TYPE } from "../../src/dns/types.ts";
import { encodeMessage } from "../support/encode.ts";
import { runs } from "../support/properties.ts";
import { message as anyMessage } from "./arbitraries.ts";
import { blankResponse, extendedError, nameOf, question, responseWire, zone } from "./zone.ts";

const edns: MessageEdns = { udpPayloadBytes: 1232, version: 0, dnssecOk: false, otherFlags: 0, options: [] };
const SOA = "example SOA ns.example mail.example 1 7200 3600 1209600 900";

function indexed(wire: Uint8Array): Answer {
  const answer = indexAnswer(wire);
  if (answer === null) throw new Error("refused");
  return answer;
}

function answerTo(name: string, type: string, parts: Partial<Message> = {}): Answer {
  return indexed(responseWire({ questions: [question(name, type)], ...parts }));
}

function decoded(wire: Uint8Array): Message {
  const message = decodeMessage(wire);
  if (message === null) throw new Error("refused");
  return message;
}

/** The wire forms of one section's records, each by itself and uncompressed but for the owner. */
function recordWire(record: ResourceRecord): Buffer {
  return responseWire({ answers: [record] }).subarray(12);
}

describe("the index", () => {
  test("says what was asked and what the flags are", () => {
    expect(answerTo("Page.Example", "AAAA", { authenticData: true, truncated: true, rcode: RCODE.REFUSED })).toMatchObject({
      name: nameOf("page.example"),
      type: TYPE.AAAA,
      class: 1,
      rcode: RCODE.REFUSED,
      authenticData: true,
      truncated: true,
    });
  });

  test("TTL offsets, sections and the lowest TTL agree with the message decoded", () => {
    fc.assert(
      fc.property(anyMessage, (made) => {
        const wire = encodeMessage({ ...made, response: true, questions: [question("page.example")] });
        const answer = indexAnswer(wire);
        if (answer === null) return;
        const message = decoded(answer.wire);
        const records = [...message.answers, ...message.authority, ...message.additional];
        expect([...answer.ttlOffsets].map((offset) => ttlAt(answer.wire, offset))).toEqual(
          records.map(({ ttlSeconds }) => ttlSeconds),
        );
        expect(answer.answerRecords).toBe(message.answers.length);
        expect(answer.lowestTtlSeconds).toBe(
          message.answers.length === 0 ? null : Math.min(...message.answers.map(({ ttlSeconds }) => ttlSeconds)),
        );
        const places = recordsOf(answer);
        expect(places.map(({ type }) => type)).toEqual(records.map(({ type }) => type));
        expect(places.find(({ section }) => section === "additional")?.owner ?? answer.wire.length).toBe(answer.additionalOffset);
        expect(answer.signed).toBe(records.some(({ type }) => type === TYPE.RRSIG));
      }),
      { numRuns: runs(500) },
    );
  });

  test("a well-formed response to one question is never refused", () => {
    fc.assert(
      fc.property(anyMessage, (made) => {
        const wire = encodeMessage({ ...made, response: true, questions: [question("page.example")] });
        expect(indexAnswer(wire)).not.toBeNull();
      }),
      { numRuns: runs(300) },
    );
  });

  test("a TTL with its highest bit set is zero (RFC 2181 §8)", () => {
    const wire = responseWire({ questions: [question("a")], answers: zone("a 5 A 192.0.2.1", "a 9 A 192.0.2.2") });
    wire[wire.length - 10] = 0xff;
    expect(indexed(wire).lowestTtlSeconds).toBe(0);
  });

  test("addresses are copies, and come from the answer section", () => {
    const wire = responseWire({
      questions: [question("a")],
      answers: zone("a A 192.0.2.1", "a AAAA 2001:db8::1", "a TXT abc"),
      additional: zone("b A 192.0.2.2"),
    });
    const answer = indexed(wire);
    const addresses = addressesOf(answer);
    expect(addresses.map(({ length }) => length)).toEqual([4, 16]);
    addresses[0]?.fill(0);
    expect(addressesOf(answer)[0]).toEqual(Uint8Array.of(192, 0, 2, 1));
  });
});

describe("OPT", () => {
  const asked = { questions: [question("page.example")] };
  const answers = zone("page.example A 192.0.2.7");
  const additional = zone("x.example A 192.0.2.8");

  test("is left out of the answer, and the message given is unchanged", () => {
    const wire = responseWire({ ...asked, answers, additional, edns });
    const before = Buffer.from(wire);
    const answer = indexed(wire);
    expect(decoded(answer.wire)).toEqual({ ...blankResponse, ...asked, answers, additional });
    expect(wire).toEqual(before);
    expect(answer.additionalOffset).toBe(responseWire({ ...asked, answers }).length);
  });

  test("is left out wherever it stands, together with the records after it", () => {
    const opt = responseWire({ edns }).subarray(12);
    const records = [...additional, ...zone("y.example A 192.0.2.9")].map(recordWire);
    for (let before = 0; before <= 2; before++) {
      const wire = Buffer.concat([
        responseWire({ ...asked, answers }),
        ...records.slice(0, before),
        opt,
        ...records.slice(before),
      ]);
      wire[11] = 3;
      const original = Buffer.from(wire);
      const answer = indexed(wire);
      const kept = [...additional, ...zone("y.example A 192.0.2.9")].slice(0, before);
      expect(decoded(answer.wire)).toEqual({ ...blankResponse, ...asked, answers, additional: kept });
      expect(answer.ttlOffsets).toHaveLength(1 + before);
      expect(wire).toEqual(original);
    }
  });

  test("gives the upper bits of the rcode, malformed options or not", () => {
    expect(answerTo("a", "A", { rcode: RCODE.BADVERS, edns }).rcode).toBe(16);
    const options = [{ code: 8, data: Uint8Array.of(1) }];
    expect(answerTo("a", "A", { rcode: 0xfff, edns: { ...edns, options } })).toMatchObject({ rcode: 0xfff, extendedErrors: [] });
  });

  test("gives the extended errors, in order", () => {
    const options = [extendedError(15, "ads"), extendedError(0)];
    expect(answerTo("a", "A", { edns: { ...edns, options } }).extendedErrors).toEqual([
      { code: 15, text: "ads" },
      { code: 0, text: "" },
    ]);
  });

  test.each([
    [
      "twice",
      [
        [0, 0, 41],
        [0, 0, 41],
      ],
      10,
    ],
    ["in the answer section", [[0, 0, 41]], 6],
    ["in the authority section", [[0, 0, 41]], 8],
    ["with an owner", [[1, 97, 0, 0, 41]], 10],
  ])("%s makes a response malformed (RFC 6891 §6.1.1)", (_, owners, countAt) => {
    const records = owners.map((owner) => Uint8Array.from([...owner, 4, 208, 0, 0, 0, 0, 0, 0]));
    const wire = Buffer.concat([responseWire(asked), ...records]);
    wire.writeUInt16BE(records.length, countAt);
    expect(indexAnswer(wire)).toBeNull();
  });
});

describe("aliases", () => {
  test.each<[string, string[], string, boolean]>([
    ["no record", [], "a", false],
    ["an address", ["a A 192.0.2.1"], "a", true],
    ["an address of another name", ["b A 192.0.2.1"], "a", false],
    ["one alias", ["a CNAME b", "b A 192.0.2.1"], "b", true],
    ["an alias to nothing", ["a CNAME b"], "b", false],
    ["a chain", ["a CNAME b", "b CNAME c", "c CNAME d", "d A 192.0.2.1"], "d", true],
    ["a chain in any order", ["d A 192.0.2.1", "c CNAME d", "a CNAME b", "b CNAME c"], "d", true],
    ["letters of both cases", ["A CNAME B", "b A 192.0.2.1"], "b", true],
    ["another type at the end", ["a CNAME b", "b AAAA 2001:db8::1"], "b", false],
    ["a chain that is not the question's", ["x CNAME b", "b A 192.0.2.1"], "a", false],
    ["an alias to itself", ["a CNAME a"], "a", false],
    ["a DNAME with the CNAME made of it", ["z DNAME y", "a CNAME a.y", "a.y A 192.0.2.1"], "a.y", true],
    ["a DNAME alone", [". DNAME y", "a.y A 192.0.2.1"], "a", false],
    ["signatures beside the records", ["a CNAME b", "a RRSIG CNAME 8 1 60 0 0 1 . AA==", "b A 192.0.2.1"], "b", true],
  ])("%s", (_, lines, chainEnd, answered) => {
    expect(answerTo("a", "A", { answers: zone(...lines) })).toMatchObject({ chainEnd: nameOf(chainEnd), answered });
  });

  test("a loop ends, unanswered, on a name of the loop", () => {
    const answer = answerTo("a", "A", { answers: zone("a CNAME b", "b CNAME c", "c CNAME a") });
    expect(answer.answered).toBe(false);
    expect(["a", "b", "c"].map(nameOf)).toContain(answer.chainEnd);
  });

  test("a chain longer than any resolver follows is cut", () => {
    const links = Array.from({ length: 100 }, (_, index) => `n${index} CNAME n${index + 1}`);
    expect(answerTo("n0", "A", { answers: zone(...links, "n100 A 192.0.2.1") }).answered).toBe(false);
  });

  test("a question for CNAME is answered by the CNAME, and the chain is not followed", () => {
    expect(answerTo("a", "CNAME", { answers: zone("a CNAME b", "b CNAME c") })).toMatchObject({
      chainEnd: nameOf("a"),
      answered: true,
    });
  });

  test("any record of the name answers ANY", () => {
    expect(answerTo("a", "ANY", { answers: zone('a HINFO RFC8482 ""') }).answered).toBe(true);
  });

  test("records of the authority section are no aliases", () => {
    expect(answerTo("a", "A", { authority: zone("a CNAME b", "b A 192.0.2.1") })).toMatchObject({
      chainEnd: nameOf("a"),
      answered: false,
    });
  });

  test("an alias whose target does not fill its data is malformed", () => {
    for (const data of ["\\# 0", "\\# 4 01620000", "\\# 2 0162"])
      expect(
        indexAnswer(responseWire({ questions: [question("a")], answers: zone(`a CNAME ${data}`, "b A 192.0.2.1") })),
      ).toBeNull();
  });
});

describe("the SOA", () => {
  test("is found in the authority section, with the places of its TTL and MINIMUM", () => {
    const answer = answerTo("a.example", "A", {
      rcode: RCODE.NXDOMAIN,
      authority: zone("example NS ns.example", `${SOA.replace(" ", " 600 ")}`),
    });
    expect(answer.soa).toMatchObject({ owner: nameOf("example"), ttlSeconds: 600, minimumSeconds: 900 });
    expect(ttlAt(answer.wire, answer.soa?.ttlOffset ?? 0)).toBe(600);
    expect(ttlAt(answer.wire, answer.soa?.minimumOffset ?? 0)).toBe(900);
  });

  test("is not taken from other sections or classes", () => {
    expect(answerTo("a", "SOA", { answers: zone(SOA) }).soa).toBeNull();
    expect(answerTo("a", "SOA", { additional: zone(SOA) }).soa).toBeNull();
    expect(answerTo("a", "A", { authority: zone(SOA.replace("SOA", "CH SOA")) }).soa).toBeNull();
  });

  test.each(["\\# 0", "\\# 23 00 00 00 00000001 00000002 00000003 00000004 00000005"])("with data %s is malformed", (data) => {
    expect(indexAnswer(responseWire({ questions: [question("a")], authority: zone(`a SOA ${data}`) }))).toBeNull();
  });
});

describe("the outcome", () => {
  test.each<[string, Partial<Message>, string]>([
    ["an address", { answers: zone("a A 192.0.2.1") }, "positive"],
    ["an alias and an address", { answers: zone("a CNAME b", "b A 192.0.2.1") }, "positive"],
    ["nothing with an SOA", { authority: zone(SOA) }, "nodata"],
    ["an alias to nothing with an SOA", { answers: zone("a CNAME b"), authority: zone(SOA) }, "nodata"],
    ["nothing at all", {}, "nodataWithoutSoa"],
    ["a referral", { authority: zone("a NS ns.a") }, "nodataWithoutSoa"],
    ["NXDOMAIN", { rcode: RCODE.NXDOMAIN, authority: zone(SOA) }, "nxdomain"],
    ["NXDOMAIN behind an alias", { rcode: RCODE.NXDOMAIN, answers: zone("a CNAME b") }, "nxdomain"],
    ["SERVFAIL", { rcode: RCODE.SERVFAIL }, "failure"],
    ["REFUSED with an address", { rcode: RCODE.REFUSED, answers: zone("a A 192.0.2.1") }, "failure"],
    ["BADVERS, whose lower bits are NOERROR's", { rcode: RCODE.BADVERS, edns }, "failure"],
  ])("of %s", (_, parts, outcome) => {
    expect(outcomeOf(answerTo("a", "A", parts))).toBe(outcome);
  });
});

describe("what is no answer", () => {
  const wire = responseWire({
    questions: [question("page.example")],
    answers: zone("page.example A 192.0.2.7"),
    authority: zone(SOA),
    edns,
  });

  test("a response cut anywhere", () => {
    for (let end = 0; end < wire.length; end++) expect(indexAnswer(wire.subarray(0, end))).toBeNull();
  });

  test("bytes behind the last record are left out, and the answer counts", () => {
    const withRest = indexAnswer(new Uint8Array(Buffer.concat([wire, Buffer.from("rest")])));
    expect(withRest).toEqual(indexAnswer(new Uint8Array(wire)));
    expect(withRest?.answered).toBe(true);
  });

  test("a response longer than any transport takes", () => {
    const filler = Array.from({ length: 7 }, () => `a TYPE65280 \\# 10000 ${"00".repeat(10_000)}`);
    const parts = responseWire({ questions: [question("a")], answers: zone(...filler.slice(0, 6)) });
    const long = Buffer.concat([parts, responseWire({ answers: zone(filler[0] ?? "") }).subarray(12)]);
    long[7] = 7;
    expect(long.length).toBeGreaterThan(0xffff);
    expect(indexAnswer(long)).toBeNull();
  });

  test("a query, and a response without exactly one question", () => {
    expect(indexAnswer(responseWire({ response: false, questions: [question("a")] }))).toBeNull();
    expect(indexAnswer(responseWire({}))).toBeNull();
    expect(indexAnswer(responseWire({ questions: [question("a"), question("a")] }))).toBeNull();
  });

  test.each([7, 9, 11])("a record whose owner is malformed, in any section (count at byte %i)", (countAt) => {
    const head = responseWire({ questions: [question("a")] });
    const withOwner = (...owner: number[]) => {
      const wire = Buffer.concat([head, Uint8Array.from([...owner, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 1])]);
      wire[countAt] = 1;
      return indexAnswer(wire);
    };
    expect(withOwner(0xc0, 12)).not.toBeNull();
    expect(withOwner(0xc0, head.length)).toBeNull();
    expect(withOwner(0xff, 0xff)).toBeNull();
    expect(withOwner(0x40, 0)).toBeNull();
  });
});

describe("truncation", () => {
  const whole = responseWire({
    truncated: true,
    questions: [question("page.example")],
    answers: zone("page.example A 192.0.2.7"),
    edns,
  });
  const questionEnd = responseWire({ questions: [question("page.example")] }).length;

  test("a response with TC that is whole is kept whole", () => {
    expect(indexed(whole)).toMatchObject({ truncated: true, answered: true });
  });

  test("a response with TC that ends anywhere after its question is truncated and has no records", () => {
    for (let end = questionEnd; end < whole.length; end++) {
      const answer = indexed(whole.subarray(0, end));
      expect(answer).toMatchObject({ truncated: true, answered: false, answerRecords: 0, name: nameOf("page.example") });
      expect(decoded(answer.wire)).toEqual({ ...blankResponse, truncated: true, questions: [question("page.example")] });
    }
  });

  test("a response with TC that ends within its question is malformed", () => {
    for (let end = 0; end < questionEnd; end++) expect(indexAnswer(whole.subarray(0, end))).toBeNull();
  });
});

describe("any bytes", () => {
  test("never throw, and an accepted message decodes", () => {
    const mutations = fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 });
    fc.assert(
      fc.property(anyMessage, mutations, (made, changes) => {
        const wire = encodeMessage({ ...made, response: true, questions: [question("page.example")] });
        for (const [at, byte] of changes) wire[at % wire.length] = byte;
        const before = Buffer.from(wire);
        const answer = indexAnswer(wire);
        expect(wire).toEqual(before);
        if (answer === null) return;
        const message = decoded(answer.wire);
        expect(message.edns).toBeNull();
        expect(answer.ttlOffsets).toHaveLength(message.answers.length + message.authority.length + message.additional.length);
      }),
      { numRuns: runs(1500) },
    );
  });

  test("random ones are refused or decode", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => {
        const answer = indexAnswer(bytes);
        if (answer !== null) decoded(answer.wire);
      }),
      { numRuns: runs(2000) },
    );
  });

  test("a message full of chained pointers is refused at the first of them", () => {
    // One record holds a chain of 8,000 pointers, the first of which leads to the root at 12; thousands of owners are its end.
    const head = responseWire({ questions: [question(".")] });
    const start = head.length + 11;
    const chain = Array.from({ length: 8000 }, (_, index) => (index === 0 ? 12 : start + 2 * (index - 1)));
    const pointers = chain.flatMap((place) => [0xc0 | (place >> 8), place & 255]);
    const holder = [0, 0xff, 0, 0, 1, 0, 0, 0, 0, pointers.length >> 8, pointers.length & 255, ...pointers];
    const last = [0xc0 | ((start + 15_998) >> 8), (start + 15_998) & 255];
    const records = Array.from({ length: 3900 }, () => [...last, 0, 1, 0, 1, 0, 0, 0, 0, 0, 0]);
    const wire = Buffer.concat([head, Uint8Array.from([...holder, ...records.flat()])]);
    wire.writeUInt16BE(3901, 6);
    expect(wire.length).toBeLessThanOrEqual(0xffff);
    expect(indexAnswer(wire)).toBeNull();
    expect(decodeMessage(wire)).toBeNull();
  });
});

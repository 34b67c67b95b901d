import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { addSoa, negativeAnswer, nodataAnswer, toNodata } from "../../src/answers/negative.ts";
import { type Rendering, render, replyLimit, type TtlEdit } from "../../src/answers/render.ts";
import { type Answer, indexAnswer, ttlAt } from "../../src/dns/answer.ts";
import { decodeMessage } from "../../src/dns/message.ts";
import { ROOT } from "../../src/dns/name.ts";
import { isRejection, parseQuery, type Query, type Question } from "../../src/dns/query.ts";
import { RCODE } from "../../src/dns/types.ts";
import { message, name } from "../dns/arbitraries.ts";
import { responseWire } from "../dns/zone.ts";
import { queryWire, readReply } from "../support/message.ts";

function queryOf(wire: Uint8Array): Query {
  const parsed = parseQuery(wire);
  if (parsed === null || isRejection(parsed)) throw new Error("no query");
  return parsed;
}

const query = fc
  .record({ id: fc.integer({ min: 0, max: 0xffff }), edns: fc.option(fc.integer({ min: 0, max: 0xffff })), do: fc.boolean() })
  .map(({ edns, ...options }) => queryOf(queryWire("Page.Example", "A", { ...options, edns })));

/** Any answer to "page.example A" that an upstream could send, with everything that other messages have in their sections. */
const answer: fc.Arbitrary<Answer> = fc
  .record({ parts: message, rcode: fc.constantFrom(0, 2, 3, 5) })
  .map(({ parts: { answers, authority, additional }, rcode }) => {
    const [question] = decodeMessage(queryWire("page.example", "A"))?.questions ?? [];
    if (question === undefined) throw new Error("no question");
    return indexAnswer(responseWire({ rcode, questions: [question], answers, authority, additional }));
  })
  .filter((indexed) => indexed !== null);

const seconds = fc.integer({ min: 0, max: 100_000 });
const edit: fc.Arbitrary<TtlEdit> = fc.oneof(
  fc.record({
    kind: fc.constant("age"),
    ageSeconds: seconds,
    limits: fc.record({ minSeconds: fc.constant(0), maxSeconds: seconds }),
  }),
  fc.record({ kind: fc.constant("negative"), remainingSeconds: seconds }),
  fc.record({ kind: fc.constant("stale"), ttlSeconds: seconds }),
  fc.constantFrom({ kind: "keep" }, { kind: "failure" }),
);

const extendedErrors = fc.array(
  fc.record({
    code: fc.integer({ min: 0, max: 0xffff }),
    text: fc.oneof(fc.constant(""), fc.string({ maxLength: 40 }), fc.constant("x".repeat(900))),
  }),
  { maxLength: 3 },
);

function rendering(parts: Partial<Rendering> & Pick<Rendering, "query" | "answer" | "ttl">): Rendering {
  return { authenticated: false, extendedErrors: [], limitBytes: replyLimit(parts.query, true), encrypted: false, ...parts };
}

describe("whatever the answer, a reply", () => {
  test("parses, repeats id and question, never exceeds the limit, and has TC where records of its answer are missing", () => {
    fc.assert(
      fc.property(query, answer, edit, extendedErrors, (asked, given, ttl, errors) => {
        const parts = rendering({ query: asked, answer: given, ttl, extendedErrors: errors });
        const { wire } = render(parts);
        expect(wire.length).toBeLessThanOrEqual(parts.limitBytes);
        const reply = decodeMessage(wire);
        const whole = decodeMessage(given.wire);
        if (reply === null || whole === null) throw new Error("no message");
        expect(reply).toMatchObject({ id: asked.id, response: true, recursionAvailable: true });
        expect(Buffer.from(wire.subarray(12, 12 + asked.questionWire.length))).toEqual(Buffer.from(asked.questionWire));
        expect(reply.edns === null).toBe(asked.edns === null);
        const isComplete = reply.answers.length === whole.answers.length && reply.authority.length === whole.authority.length;
        expect(reply.truncated).toBe(!isComplete);
      }),
    );
  });

  test("has extended errors as far as there is room: texts are left out first, then codes, and never a record", () => {
    const given = negativeAnswer(queryOf(queryWire("page.example", "A")), { rcode: 3, soaOwner: ROOT, ttlSeconds: 5 });
    const asked = queryOf(queryWire("page.example", "A", { edns: 512 }));
    const sent = (errors: readonly { code: number; text: string }[]) =>
      readReply(render(rendering({ query: asked, answer: given, ttl: { kind: "keep" }, extendedErrors: errors })).wire);
    const short = sent([{ code: 22, text: "why" }]);
    expect(short).toMatchObject({ ede: [22], edeTexts: ["why"], soa: {} });
    const long = sent([{ code: 22, text: "x".repeat(500) }]);
    expect(long).toMatchObject({ flags: "qr rd ra", ede: [22], edeTexts: [""], soa: {} });
    const many = sent(Array.from({ length: 100 }, (_, code) => ({ code, text: "" })));
    expect(many).toMatchObject({ flags: "qr rd ra", ede: [], soa: {} });
  });

  test("has no TTL above the stored one, and the stored answer does not change", () => {
    fc.assert(
      fc.property(query, answer, edit, (asked, given, ttl) => {
        if (ttl.kind === "stale") return;
        const before = Buffer.from(given.wire);
        const { wire, maxAgeSeconds } = render(rendering({ query: asked, answer: given, ttl, limitBytes: 0xffff }));
        expect(Buffer.from(given.wire)).toEqual(before);
        const soaTtlOffset = ttl.kind === "negative" ? given.soa?.ttlOffset : undefined;
        for (const offset of given.ttlOffsets) {
          if (offset === soaTtlOffset)
            expect(ttlAt(wire, offset)).toBeLessThanOrEqual(Math.max(ttlAt(before, offset), maxAgeSeconds ?? 0));
          else expect(ttlAt(wire, offset)).toBeLessThanOrEqual(ttlAt(before, offset));
        }
      }),
    );
  });

  test("without edits is the upstream's answer byte for byte after the header", () => {
    fc.assert(
      fc.property(answer, (given) => {
        const asked = queryOf(queryWire("page.example", "A", { edns: null }));
        const { wire } = render(rendering({ query: asked, answer: given, ttl: { kind: "keep" }, limitBytes: 0xffff }));
        expect(Buffer.from(wire.subarray(12))).toEqual(Buffer.from(given.wire.subarray(12)));
      }),
    );
  });
});

describe("answers without records", () => {
  const asked = (of: Question["name"]): Question => ({
    name: of,
    type: 65,
    class: 1,
    dnssecOk: false,
    checkingDisabled: false,
    clientSubnet: null,
  });

  test("of any name are one SOA of that name, TTL = MINIMUM", () => {
    fc.assert(
      fc.property(name, seconds, (of, ttlSeconds) => {
        const made = nodataAnswer(asked(of), ttlSeconds);
        expect(made).toMatchObject({ rcode: RCODE.NOERROR, answerRecords: 0, name: of });
        expect(made.soa).toMatchObject({ owner: of, ttlSeconds, minimumSeconds: ttlSeconds });
        expect(decodeMessage(made.wire)?.authority).toHaveLength(1);
      }),
    );
  });

  test("a made SOA replaces all records after the answers", () => {
    fc.assert(
      fc.property(answer, seconds, (given, ttlSeconds) => {
        const made = addSoa(given, ttlSeconds);
        const [before, after] = [decodeMessage(given.wire), decodeMessage(made.wire)];
        expect(after?.answers).toEqual(before?.answers);
        expect(after?.authority).toHaveLength(1);
        expect(after?.additional).toEqual([]);
        expect(made).toMatchObject({ rcode: given.rcode, chainEnd: given.chainEnd });
        expect(made.soa).toMatchObject({ owner: given.chainEnd, ttlSeconds, minimumSeconds: ttlSeconds });
      }),
    );
  });

  test("an NXDOMAIN turned into NODATA is NOERROR without AD, with no longer lifetime than wanted", () => {
    const question = asked(queryOf(queryWire("page.example", "A")).name);
    const denial = negativeAnswer(question, { rcode: RCODE.NXDOMAIN, soaOwner: question.name, ttlSeconds: 100 });
    const authentic = {
      ...denial,
      authenticData: true,
      wire: Uint8Array.from(denial.wire, (byte, at) => (at === 3 ? byte | 0x20 : byte)),
    };
    for (const given of [denial, authentic]) {
      expect(toNodata(given, null)).toMatchObject({ rcode: RCODE.NOERROR, authenticData: false, soa: { ttlSeconds: 100 } });
      expect(toNodata(given, 3)).toMatchObject({ rcode: RCODE.NOERROR, soa: { ttlSeconds: 3 } });
      expect(toNodata(given, 300)).toMatchObject({ soa: { ttlSeconds: 100 } });
    }
  });
});

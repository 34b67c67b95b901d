import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Answer, indexAnswer } from "../../src/dns/answer.ts";
import { decodeMessage, type Message } from "../../src/dns/message.ts";
import { moveRecords, writeMessage } from "../../src/dns/rebuild.ts";
import { encodeMessage } from "../support/encode.ts";
import { runs } from "../support/properties.ts";
import { message } from "./arbitraries.ts";
import { question, responseWire, zone } from "./zone.ts";

function indexed(wire: Uint8Array): Answer {
  const answer = indexAnswer(wire);
  if (answer === null) throw new Error("no answer");
  return answer;
}

function rebuilt(answer: Answer): Buffer | null {
  const { name, type, class: klass } = answer;
  return writeMessage({ header: answer.wire, name, type, class: klass }, moveRecords(answer));
}

/** The rebuilt form of a response with these parts. */
function rebuild(parts: Partial<Message>): Buffer {
  const wire = rebuilt(indexed(responseWire({ questions: [question("www.page.example")], ...parts })));
  if (wire === null) throw new Error("too long");
  return wire;
}

describe("a message of moved records", () => {
  test("decodes to the same as the message before", () => {
    fc.assert(
      fc.property(message, (made) => {
        const answer = indexed(encodeMessage({ ...made, response: true, questions: [question("page.example")] }));
        expect(decodeMessage(rebuilt(answer) ?? Buffer.alloc(0))).toEqual(decodeMessage(answer.wire));
      }),
      { numRuns: runs(300) },
    );
  });

  test("takes any data, also data that do not fit their type", () => {
    const types = fc.constantFrom(2, 5, 6, 12, 15, 17, 18, 33, 35, 39, 64, 65_280);
    fc.assert(
      fc.property(types, fc.uint8Array({ maxLength: 40 }), (type, data) => {
        const fixed = Buffer.from([0, type >> 8, type & 255, 0, 1, 0, 0, 0, 60, data.length >> 8, data.length & 255]);
        const wire = Buffer.concat([responseWire({ questions: [question("page.example")] }), fixed, data]);
        wire[9] = 1;
        const answer = indexAnswer(wire);
        if (answer === null) return;
        expect(decodeMessage(rebuilt(answer) ?? Buffer.alloc(0))).not.toBeNull();
      }),
      { numRuns: runs(1000) },
    );
  });

  test("is null where it would be longer than 65535 bytes", () => {
    const answer = indexed(responseWire({ questions: [question("page.example")], answers: zone("page.example TXT x") }));
    const { name, type, class: klass } = answer;
    const [record] = moveRecords(answer);
    if (record === undefined) throw new Error("no record");
    const start = { header: answer.wire, name, type, class: klass };
    expect(
      writeMessage(
        start,
        Array.from({ length: 60 }, () => ({ ...record, data: [Buffer.alloc(1000)] })),
      )?.length,
    ).toBeLessThan(65_536);
    expect(
      writeMessage(
        start,
        Array.from({ length: 70 }, () => ({ ...record, data: [Buffer.alloc(1000)] })),
      ),
    ).toBeNull();
  });
});

describe("name compression", () => {
  test("owners and the names in data of RFC 1035 types are written once", () => {
    const answers = zone("www.page.example CNAME page.example", "page.example A 192.0.2.7");
    const wire = rebuild({
      answers,
      authority: zone("example NS ns.page.example", "example SOA ns.page.example mail.page.example 1 2 3 4 5"),
      additional: zone("page.example MX 10 ns.page.example"),
    });
    expect(wire.toString("latin1").split("example")).toHaveLength(2);
    expect(decodeMessage(wire)?.answers).toEqual(answers);
  });

  test.each([
    "DNAME page.example",
    "SRV 0 0 1 page.example",
    "NSEC page.example A",
    "HTTPS 0 page.example",
    "RP page.example page.example",
    'NAPTR 1 2 "s" "" "" page.example',
  ])("%s keeps its name in full, and nothing points into it (RFC 3597 §4)", (data) => {
    const questions = [question("page.example")];
    const wire = rebuild({ questions, answers: zone(`page.example ${data}`, "page.example A 10.0.0.7", `x.example ${data}`) });
    const copies = wire.toString("latin1").split("\x04page\x07example\0").length - 1;
    expect(copies).toBeGreaterThanOrEqual(3);
    for (const [index, byte] of wire.entries()) if (byte === 0xc0) expect([12, 17]).toContain(wire[index + 1]);
  });

  test("names beyond the reach of a pointer are written in full", () => {
    const filler = zone(...Array.from({ length: 80 }, (_, index) => `f${index}.example TXT "${"x".repeat(240)}"`));
    const late = zone("late.test A 192.0.2.1", "late.test A 192.0.2.2");
    const wire = rebuild({ answers: [...filler, ...late] });
    expect(wire.length).toBeGreaterThan(0x4000);
    expect(decodeMessage(wire)?.answers.slice(-2)).toEqual(late);
  });
});

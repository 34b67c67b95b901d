import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { RCODE, TYPE } from "../../../src/dns/types.ts";
import { readReply } from "../../../src/upstreams/reply.ts";
import { addressMessage, nameOf, questionFor, rcodeMessage } from "../messages.ts";

const question = questionFor("www.example");

function withId(message: Uint8Array, id: number): Uint8Array {
  return Uint8Array.of(id >> 8, id & 255, ...message.subarray(2));
}

describe("a message from a server", () => {
  test("never makes reading throw", () => {
    const right = addressMessage(question, ["192.0.2.1"]);
    const anything = fc.oneof(
      fc.uint8Array({ maxLength: 100 }),
      fc.uint8Array({ maxLength: 60 }).map((rest) => Uint8Array.from([...right.subarray(0, 29), ...rest])),
    );
    fc.assert(fc.property(anything, (message) => void readReply(message, 0, question)));
  });

  test("is the answer when id and question match", () => {
    const reply = readReply(withId(addressMessage(question, ["192.0.2.1"]), 0x1234), 0x1234, question);
    expect(reply).toMatchObject({ kind: "answer", answer: { rcode: 0, name: question.name } });
  });

  test("may have other letter cases (RFC 4343)", () => {
    const message = addressMessage(question, ["192.0.2.1"]);
    message.set(Buffer.from("WwW"), 13);
    expect(readReply(message, 0, question).kind).toBe("answer");
  });

  test.each<[string, Uint8Array]>([
    ["another id", withId(addressMessage(question, ["192.0.2.1"]), 1)],
    ["another name", addressMessage({ ...question, name: nameOf("xww.example") }, ["192.0.2.1"])],
    ["a longer name", addressMessage({ ...question, name: nameOf("www.example.example") }, ["192.0.2.1"])],
    ["another type", addressMessage({ ...question, type: TYPE.AAAA }, ["192.0.2.1"])],
    ["another class", addressMessage({ ...question, class: 3 }, ["192.0.2.1"])],
    ["no answer flag", addressMessage(question, ["192.0.2.1"]).map((byte, index) => (index === 2 ? byte & 0x7f : byte))],
    ["another opcode", addressMessage(question, ["192.0.2.1"]).map((byte, index) => (index === 2 ? byte | 0x28 : byte))],
    [
      "no question and no error",
      rcodeMessage(question, RCODE.NOERROR)
        .slice(0, 12)
        .map((byte, index) => (index === 5 ? 0 : byte)),
    ],
    [
      "no question and NXDOMAIN",
      rcodeMessage(question, RCODE.NXDOMAIN)
        .slice(0, 12)
        .map((byte, index) => (index === 5 ? 0 : byte)),
    ],
    ["nothing in it", new Uint8Array()],
  ])("with %s is not ours", (_, message) => {
    expect(readReply(message, 0, question)).toEqual({ kind: "foreign" });
  });

  test("with an error and no question is an error for the pending question", () => {
    const message = rcodeMessage(question, RCODE.FORMERR).slice(0, 12);
    message[5] = 0;
    expect(readReply(message, 0, question)).toMatchObject({
      kind: "answer",
      answer: { rcode: RCODE.FORMERR, name: question.name },
    });
  });
});

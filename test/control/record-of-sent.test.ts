import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeMessage, type Message, type MessageEdns, type ResourceRecord } from "../../src/dns/message.ts";
import { rdataText } from "../../src/dns/rdata.ts";
import { extendedErrorTexts } from "../../src/dns/text.ts";
import { RCODE, rcodeName, typeName } from "../../src/dns/types.ts";
import { sentOf } from "../../src/log/sent.ts";
import { message } from "../dns/arbitraries.ts";
import { question, responseWire, zone } from "../dns/zone.ts";
import { encodeMessage } from "../support/encode.ts";

const edns: MessageEdns = { udpPayloadBytes: 1232, version: 0, dnssecOk: false, otherFlags: 0, options: [] };

describe("the sent reply in a record", () => {
  test("agrees with a decoder of whole messages", () => {
    fc.assert(
      fc.property(message, (made) => {
        const wire = encodeMessage({ ...made, questions: made.questions.slice(0, 1) });
        const whole = decodeMessage(wire);
        if (whole === null) throw new Error("a message of ours cannot be read");
        const sent = sentOf(wire);
        expect(sent.rcode).toBe(rcodeName(whole.rcode));
        expect(sent.truncated).toBe(whole.truncated);
        expect(sent.answers).toEqual(shown(whole));
        expect(sent.ede).toEqual(extendedErrorTexts(whole.edns?.options ?? []).map(shortened));
      }),
    );
  });

  test("never throws for any bytes", () => {
    fc.assert(fc.property(fc.uint8Array({ minLength: 12, maxLength: 120 }), (bytes) => void sentOf(bytes)));
  });

  test("shows sixteen records, and the number of further ones", () => {
    const answers = zone(...Array.from({ length: 40 }, (_, index) => `page.example 300 A 192.0.2.${index}`));
    const sent = sentOf(responseWire({ questions: [question("page.example")], answers }));
    expect(sent.answers).toHaveLength(17);
    expect(sent.answers.slice(-2)).toEqual(["300 A 192.0.2.15", "… and 24 more"]);
  });

  test("shows the beginning of a long record", () => {
    const answers = zone(`page.example 300 TXT ${"x".repeat(250)} ${"y".repeat(250)}`);
    const [text = ""] = sentOf(responseWire({ questions: [question("page.example", "TXT")], answers })).answers;
    expect(text).toHaveLength(4 + 257);
    expect(text).toMatch(/^300 TXT "x{250}"…$/);
  });

  test("has all twelve bits of the rcode", () => {
    expect(sentOf(responseWire({ rcode: RCODE.BADVERS, edns }))).toMatchObject({ rcode: "BADVERS" });
  });

  test.each([
    { ttl: 900, minimum: 300, seconds: 300 },
    { ttl: 60, minimum: 300, seconds: 60 },
  ])("of an SOA with TTL $ttl and MINIMUM $minimum the lesser counts (RFC 2308 §5)", ({ ttl, minimum, seconds }) => {
    const authority = zone(`example ${ttl} SOA ns.example hostmaster.example 1 3600 600 86400 ${minimum}`);
    expect(sentOf(responseWire({ questions: [question("page.example")], authority }))).toMatchObject({ soaSeconds: seconds });
  });

  test("ignores an SOA in the answer section", () => {
    const answers = zone("example 900 SOA ns.example hostmaster.example 1 3600 600 86400 300");
    expect(sentOf(responseWire({ questions: [question("example", "SOA")], answers }))).toMatchObject({ soaSeconds: null });
  });
});

function shown({ answers }: Message): string[] {
  const texts = answers.slice(0, 16).map(textOf);
  return answers.length > 16 ? [...texts, `… and ${answers.length - 16} more`] : texts;
}

function textOf({ ttlSeconds, type, data }: ResourceRecord): string {
  return `${ttlSeconds} ${shortened(`${typeName(type)} ${rdataText(data)}`.trimEnd())}`;
}

function shortened(text: string): string {
  return text.length > 256 ? `${text.slice(0, 256)}…` : text;
}

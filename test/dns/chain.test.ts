import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Answer, indexAnswer, recordsOf } from "../../src/dns/answer.ts";
import { keepChain } from "../../src/dns/chain.ts";
import { decodeMessage, type Message } from "../../src/dns/message.ts";
import { recordText } from "../../src/dns/text.ts";
import { encodeMessage } from "../support/encode.ts";
import { runs } from "../support/properties.ts";
import { message as anyMessage } from "./arbitraries.ts";
import { question, responseWire, zone } from "./zone.ts";

function answerTo(type: string, parts: Partial<Message>): Answer {
  const answer = indexAnswer(responseWire({ questions: [question("page.example", type)], ...parts }));
  if (answer === null) throw new Error("refused");
  return answer;
}

/** The records of an answer after `keepChain`, without TTL and class. */
function left(answer: Answer): string[] {
  const message = decodeMessage(keepChain(answer).wire);
  if (message === null) throw new Error("refused");
  const records = [...message.answers, ...message.authority, ...message.additional];
  return records.map((record) => recordText(record).replace(/ 300 IN/, ""));
}

const signature = (owner: string, covered: string) =>
  `${owner} RRSIG ${covered} 13 2 300 20270101000000 20260101000000 1 example. AAAA`;

describe("an answer in which everything belongs to the question is the same one", () => {
  test.each<[string, string, Partial<Message>]>([
    ["an address", "A", { answers: zone("page.example A 192.0.2.7", signature("page.example", "A")) }],
    ["an alias", "A", { answers: zone("page.example CNAME cdn.example", "cdn.example CNAME host.net", "host.net A 192.0.2.7") }],
    ["aliases out of order", "A", { answers: zone("cdn.example A 192.0.2.7", "page.example CNAME cdn.example") }],
    [
      "a DNAME",
      "A",
      { answers: zone("example DNAME other.net", "page.example CNAME page.other.net", "page.other.net A 192.0.2.7") },
    ],
    [
      "an alias without an end",
      "A",
      { answers: zone("page.example CNAME cdn.example"), authority: zone("example SOA a. b. 1 2 3 4 5") },
    ],
    ["a circle", "A", { answers: zone("page.example CNAME page.example") }],
    ["any type", "ANY", { answers: zone("page.example A 192.0.2.7", "page.example TXT x", signature("page.example", "TXT")) }],
    ["signatures", "RRSIG", { answers: zone(signature("page.example", "TXT")) }],
    [
      "a signed denial",
      "A",
      {
        authority: zone(
          ". SOA a. b. 1 2 3 4 5",
          signature(".", "SOA"),
          "exampla. NSEC examplf. NS",
          signature("exampla.", "NSEC"),
          "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom.example NSEC3 1 0 0 - 2t7b4g4vsa5smi47k61mv5bv1a22bojr NS SOA",
        ),
      },
    ],
    [
      "targets of service bindings, their records and addresses",
      "HTTPS",
      { answers: zone("page.example HTTPS 0 svc.net."), additional: zone("svc.net HTTPS 1 a.svc.net.", "a.svc.net A 192.0.2.7") },
    ],
    [
      "the address beside a binding of its own name",
      "HTTPS",
      { answers: zone("page.example HTTPS 1 ."), additional: zone("page.example A 192.0.2.7") },
    ],
    ["name servers", "NS", { answers: zone("page.example NS ns.net"), additional: zone("ns.net A 192.0.2.53") }],
    ["mail servers", "MX", { answers: zone("page.example MX 10 mail.net"), additional: zone("mail.net A 192.0.2.25") }],
    [
      "services",
      "SRV",
      { answers: zone("page.example SRV 1 1 1 a.net"), additional: zone("a.net AAAA 2001:db8::1", "a.net TXT x") },
    ],
  ])("%s", (_, type, parts) => {
    const answer = answerTo(type, parts);
    expect(keepChain(answer)).toBe(answer);
  });
});

describe("what a server was not asked for goes (RFC 5452 §6)", () => {
  test("an answer whose owner is another name is empty", () => {
    const answer = keepChain(answerTo("A", { answers: zone("bank.example A 203.0.113.9") }));
    expect(answer).toMatchObject({ answered: false, answerRecords: 0, dropped: [{ section: "answer", type: 1 }] });
    expect(left(answer)).toEqual([]);
  });

  test("foreign records beside the chain go, with their signatures", () => {
    const answer = answerTo("A", {
      answers: zone(
        "page.example CNAME cdn.example",
        "cdn.example A 192.0.2.7",
        "page.example A 203.0.113.9",
        "cdn.example AAAA 2001:db8::9",
        "bank.example A 203.0.113.9",
        "page.example TXT x",
        signature("page.example", "TXT"),
      ),
    });
    // The name has an address of its own, so nothing shows that the alias is right.
    expect(left(answer)).toEqual(["page.example. A 203.0.113.9"]);
  });

  test("authority and additional section", () => {
    const answer = answerTo("A", {
      answers: zone("page.example A 192.0.2.7"),
      authority: zone("bank.test NS evil.test", "example NS ns.example", "example A 203.0.113.9"),
      additional: zone("ns.example A 192.0.2.53", "bank.test A 203.0.113.9", "evil.test A 203.0.113.9"),
    });
    expect(left(answer)).toEqual(["page.example. A 192.0.2.7"]);
  });

  test("a delegation, also where it is all there is", () => {
    const answer = answerTo("A", {
      authority: zone("example NS ns.example", "example DS 1 13 2 AB", signature("example", "DS")),
      additional: zone("ns.example A 192.0.2.53"),
    });
    expect(left(answer)).toEqual([]);
  });

  test("records of another type beside an address: they would pass by what a rule says of their type", () => {
    const answer = answerTo("A", {
      answers: zone("page.example CNAME cdn.example", "cdn.example A 192.0.2.7"),
      additional: zone("cdn.example AAAA 2001:db8::7", "page.example HTTPS 1 . ipv4hint=203.0.113.9"),
    });
    expect(left(answer)).toEqual(["page.example. CNAME cdn.example.", "cdn.example. A 192.0.2.7"]);
  });

  test("addresses in answer to HTTPS go", () => {
    const answer = keepChain(answerTo("HTTPS", { answers: zone("page.example A 203.0.113.9") }));
    expect(answer).toMatchObject({ answered: false, dropped: [{ section: "answer", type: 1 }] });
  });
});

test("where only the end of a message is foreign, the bytes before it stay as they came", () => {
  const answer = answerTo("A", {
    answers: zone("page.example CNAME cdn.example", "cdn.example A 192.0.2.7"),
    authority: zone("example NS ns.example", "example NS ns.net"),
    additional: zone("ns.example A 192.0.2.53"),
  });
  const kept = keepChain(answer);
  const belonging = answerTo("A", { answers: zone("page.example CNAME cdn.example", "cdn.example A 192.0.2.7") });
  const { length } = belonging.wire;
  expect(kept.wire).toHaveLength(length);
  expect(Buffer.from(kept.wire.subarray(12))).toEqual(Buffer.from(answer.wire.subarray(12, length)));
  expect(left(answer)).toEqual(["page.example. CNAME cdn.example.", "cdn.example. A 192.0.2.7"]);
  expect(kept.dropped).toHaveLength(3);
});

test("of any answer the rest is kept in order, and a second time changes nothing", () => {
  fc.assert(
    fc.property(anyMessage, (made) => {
      const answer = indexAnswer(encodeMessage({ ...made, response: true, questions: [question("page.example")] }));
      if (answer === null) return;
      const once = keepChain(answer);
      expect(keepChain(once)).toBe(once);
      expect(once).toMatchObject({
        rcode: answer.rcode,
        name: answer.name,
        chainEnd: answer.chainEnd,
        answered: answer.answered,
      });
      expect(recordsOf(once).length + (once.dropped?.length ?? 0)).toBe(recordsOf(answer).length);
    }),
    { numRuns: runs(500) },
  );
});

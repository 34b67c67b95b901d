import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type BindingEdit, type BindingTerms, editBindings } from "../../src/answers/svcb.ts";
import { type Answer, indexAnswer, recordsOf } from "../../src/dns/answer.ts";
import { decodeMessage, type Message, type ResourceRecord } from "../../src/dns/message.ts";
import { nameText, nameWire } from "../../src/dns/name.ts";
import type { SvcParam } from "../../src/dns/svcb.ts";
import { recordText } from "../../src/dns/text.ts";
import { typeName } from "../../src/dns/types.ts";
import { svcParams as anyParams } from "../dns/arbitraries.ts";
import { nameOf, question, responseWire, zone } from "../dns/zone.ts";
import { rdataBytes } from "../support/encode.ts";
import { runs } from "../support/properties.ts";

const PASS: BindingTerms = { strips: [], hintsFor: () => ({ ipv4: true, ipv6: true }) };

function stripping(...strips: BindingTerms["strips"]): BindingTerms {
  return { ...PASS, strips };
}

function answerOf(parts: Partial<Message>): Answer {
  const answer = indexAnswer(responseWire({ questions: [question("page.example", "HTTPS")], ...parts }));
  if (answer === null) throw new Error("not an answer");
  return answer;
}

/** An edit that leaves an answer. */
function edit(answer: Answer, terms: BindingTerms): { readonly answer: Answer; readonly edits: readonly BindingEdit[] } {
  const { answer: edited, edits } = editBindings(answer, terms);
  if (edited === null) throw new Error("too long");
  return { answer: edited, edits };
}

function messageOf({ wire }: Answer): Message {
  const message = decodeMessage(wire);
  if (message === null) throw new Error("not a message");
  return message;
}

/** What one HTTPS record of page.example comes to. */
function edited(data: string, terms: BindingTerms): string {
  const { answer } = edit(answerOf({ answers: zone(`page.example HTTPS ${data}`) }), terms);
  const [record] = messageOf(answer).answers;
  return record === undefined ? "" : recordText(record).replace(/^.* HTTPS /, "");
}

const ech = `ech=${Buffer.from("0045fe0d0041c80020002093f8a2b1", "hex").toString("base64")}`;
const hints4 = "ipv4hint=104.16.132.229,104.16.133.229";
const hints6 = "ipv6hint=2606:4700::6810:84e5,2606:4700::6810:85e5";

const SIGNATURE = "page.example RRSIG HTTPS 13 2 300 20270101000000 20260101000000 1 example. AAAA";

/** HTTPS records as large sites publish them, and forms from RFC 9460. */
const records = [
  `1 . alpn=h3,h2 ${hints4} ${ech} ${hints6}`,
  "1 . alpn=h2,h3",
  "1 . alpn=h3,h2 port=443 ipv4hint=17.253.144.10 ipv6hint=2620:149:af0::10",
  "0 svc.page.example.",
  "0 .",
  "1 .",
  "16 foo.example.com. port=53",
  "1 foo.example.com. key667=hello\\210qoo",
  "1 foo.example.com. ipv6hint=2001:db8::1,2001:db8::53:1",
  "16 foo.example.org. mandatory=alpn,ipv4hint alpn=h2,h3-19 ipv4hint=192.0.2.1",
  "16 foo.example.org. alpn=f\\\\\\\\oo\\\\,bar,h2",
  `1 . mandatory=alpn,ech alpn=h2 no-default-alpn port=8443 ${ech} dohpath=/dns-query{?dns} ohttp key65400=\\000\\255 key65535`,
];

describe("with `pass` an answer is the same one", () => {
  test.each(records)("%s", (data) => {
    const record = zone(`page.example HTTPS ${data}`);
    const answer = answerOf({ authenticData: true, answers: [...record, ...zone(SIGNATURE)], additional: record });
    const result = edit(answer, PASS);
    expect(result.answer).toBe(answer);
    expect(result.edits).toEqual([]);
  });

  test("an answer without the parts to strip stays the same", () => {
    const answer = answerOf({ authenticData: true, answers: zone("page.example HTTPS 1 . alpn=h2 port=8443 key667=x") });
    expect(edit(answer, stripping("strip-ech", "strip-hints", "strip-ipv6hint", "strip-h3")).answer).toBe(answer);
  });
});

describe("stripping takes out what it names and mends what spoke of it", () => {
  const full = `1 . mandatory=alpn,ipv4hint,ech alpn=h3,h2,h3-29 port=8443 ipv4hint=192.0.2.1 ${ech} ipv6hint=2001:db8::1 key667=x`;
  test.each<[BindingTerms["strips"], string]>([
    [["strip-ech"], "1 . mandatory=alpn,ipv4hint alpn=h3,h2,h3-29 port=8443 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1 key667=x"],
    [["strip-hints"], `1 . mandatory=alpn,ech alpn=h3,h2,h3-29 port=8443 ${ech} key667=x`],
    [["strip-ipv6hint"], `1 . mandatory=alpn,ipv4hint,ech alpn=h3,h2,h3-29 port=8443 ipv4hint=192.0.2.1 ${ech} key667=x`],
    [["strip-h3"], `1 . mandatory=alpn,ipv4hint,ech alpn=h2 port=8443 ipv4hint=192.0.2.1 ${ech} ipv6hint=2001:db8::1 key667=x`],
    [["strip-ech", "strip-h3"], "1 . mandatory=alpn,ipv4hint alpn=h2 port=8443 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1 key667=x"],
    [["strip-h3", "strip-hints", "strip-ech", "strip-ipv6hint"], "1 . mandatory=alpn alpn=h2 port=8443 key667=x"],
  ])("%j", (strips, left) => expect(edited(full, stripping(...strips))).toBe(left));

  test.each([
    ["the last key of mandatory goes with it", `1 . mandatory=ech ${ech} key667=x`, "1 . key667=x"],
    ["HTTP/3 alone leaves the protocols of the scheme", "1 . alpn=h3 port=8443", "1 . port=8443"],
    ["no-default-alpn stays with what is left of alpn", "1 . alpn=h3,h2 no-default-alpn", "1 . alpn=h2 no-default-alpn"],
    ["what only looks like HTTP/3 stays", "1 . alpn=h30,xh3,h3x", "1 . alpn=h30,xh3,h3x"],
    ["AliasMode has no parameters that mean anything (RFC 9460 §2.4.2)", `0 cdn.example. ${ech}`, `0 cdn.example. ${ech}`],
    ["a target other than the owner stays", `1 cdn.example. ${ech}`, "1 cdn.example."],
  ])("%s", (_, data, left) => {
    expect(edited(data, stripping("strip-ech", "strip-h3"))).toBe(left);
  });

  test("a record that offers HTTP/3 and nothing else goes: without no-default-alpn it would promise HTTP/1.1 (RFC 9460 §7.1.2)", () => {
    const onlyHttp3 = `page.example HTTPS 1 . mandatory=alpn,no-default-alpn alpn=h3,h3-29 no-default-alpn port=8443 ${ech}`;
    const answer = answerOf({
      authenticData: true,
      answers: zone(onlyHttp3, "page.example HTTPS 2 . alpn=h2", SIGNATURE),
      additional: zone(onlyHttp3.replace("page", "cdn")),
    });
    const result = edit(answer, stripping("strip-h3"));
    const message = messageOf(result.answer);
    expect(result.edits).toEqual(["strip-h3"]);
    expect(result.answer.authenticData).toBe(false);
    expect(message.answers.map(recordText)).toEqual(["page.example. 300 IN HTTPS 2 . alpn=h2"]);
    expect(message.additional).toEqual([]);
    expect(edit(answer, stripping("strip-hints", "strip-ipv6hint")).answer).toBe(answer);
  });

  test("SVCB records likewise, in every section, and other records stay where they are", () => {
    const lines = [`page.example SVCB 1 . ${ech} port=853`, "page.example A 192.0.2.7", `page.example HTTPS 1 . ${ech} port=443`];
    const answer = answerOf({
      answers: zone(...lines),
      authority: zone("page.example NS ns.example"),
      additional: zone(...lines),
    });
    const message = messageOf(edit(answer, stripping("strip-ech")).answer);
    const left = [
      "page.example. 300 IN SVCB 1 . port=853",
      "page.example. 300 IN A 192.0.2.7",
      "page.example. 300 IN HTTPS 1 . port=443",
    ];
    expect(message.answers.map(recordText)).toEqual(left);
    expect(message.authority.map(recordText)).toEqual(["page.example. 300 IN NS ns.example."]);
    expect(message.additional.map(recordText)).toEqual(left);
  });

  test("a malformed value does not keep the others from being stripped", () => {
    const data = "0001 00 0003 0003 001122 0005 0002 abcd 029b 0001 78".replaceAll(" ", "");
    const answer = answerOf({ authenticData: true, answers: zone(`page.example HTTPS \\# ${data.length / 2} ${data}`) });
    const result = edit(answer, stripping("strip-ech"));
    expect(result.edits).toEqual(["strip-ech"]);
    const [record] = messageOf(result.answer).answers;
    expect(record && Buffer.from(rdataBytes(record.data)).toString("hex")).toBe("00010000030003001122029b000178");
  });

  describe("a record whose framing is broken", () => {
    // The second key is cut off, and before it stands ipv4hint=192.168.1.1.
    const data = "00010000040004c0a80101000a";
    const answer = answerOf({ authenticData: true, answers: zone(`page.example HTTPS \\# ${data.length / 2} ${data}`) });

    test("goes where something may have to be stripped, for a lenient client may read what stands in it", () => {
      const hintsFor = () => ({ ipv4: false, ipv6: true });
      for (const terms of [stripping("strip-hints"), { ...PASS, hintsFor }, { ...PASS, allows: () => false }]) {
        const result = edit(answer, terms);
        expect(result.edits).toEqual(["strip-malformed"]);
        expect(messageOf(result.answer).answers).toEqual([]);
      }
    });

    test("passes as it is where nothing is stripped", () => {
      expect(edit(answer, PASS).answer).toBe(answer);
    });
  });

  test("2,300 different names beside the record do not keep the hint in it", () => {
    const others = Array.from({ length: 2300 }, (_, index) => `n${index}.${"x".repeat(60)}.page.example A 192.0.2.7`);
    const answer = answerOf({ answers: zone("page.example HTTPS 1 . ipv4hint=192.168.1.1", ...others) });
    const result = edit(answer, stripping("strip-hints"));
    expect(result.answer).not.toBeNull();
    expect(Buffer.from(result.answer?.wire ?? []).includes(Buffer.from([192, 168, 1, 1]))).toBe(false);
  });

  test("there is no answer where the edited one would not fit a message", () => {
    // 3,000 SRV records whose target is a pointer, which an edited message may not have there (RFC 2782), so each of them grows by 186 bytes.
    const target = nameWire(nameOf(`${"y".repeat(60)}.${"y".repeat(60)}.${"y".repeat(60)}.example`));
    const start = Buffer.from(answerOf({ answers: zone("page.example HTTPS 1 . ipv4hint=192.168.1.1") }).wire);
    const srv = (data: Uint8Array) => [
      Buffer.from("c00c00210001000000ff", "hex"),
      Buffer.from([0, 6 + data.length, 0, 1, 0, 1, 0, 1]),
      data,
    ];
    const pointer = Buffer.from([0xc0 | ((start.length + 18) >> 8), (start.length + 18) & 255]);
    start.writeUInt16BE(3001, 10);
    const answer = indexAnswer(
      Buffer.concat([start, ...srv(target), ...Array.from({ length: 3000 }, () => srv(pointer)).flat()]),
    );
    expect(answer && editBindings(answer, stripping("strip-hints"))).toEqual({ answer: null, edits: ["strip-hints"] });
  });
});

describe("what an edit makes untrue goes, and nothing else", () => {
  const rrsig = (owner: string, covered: string) =>
    `${owner} RRSIG ${covered} 13 2 300 20270101000000 20260101000000 1 example. AAAA`;
  const answer = answerOf({
    authenticData: true,
    answers: zone(
      "www.example CNAME page.example",
      rrsig("www.example", "CNAME"),
      `page.example HTTPS 1 . alpn=h2 ${ech}`,
      "page.example HTTPS 2 . alpn=h2",
      rrsig("page.example", "HTTPS"),
    ),
    additional: zone(
      "cdn.example HTTPS 1 . alpn=h2",
      rrsig("cdn.example", "HTTPS"),
      "page.example A 192.0.2.7",
      rrsig("page.example", "A"),
    ),
  });

  test("AD and the signatures over the records that changed", () => {
    const result = edit(answer, stripping("strip-ech"));
    expect(result.answer.authenticData).toBe(false);
    const { answers, additional } = messageOf(result.answer);
    expect(answers.map(summary)).toEqual([
      "www.example CNAME",
      "www.example RRSIG CNAME",
      "page.example HTTPS",
      "page.example HTTPS",
    ]);
    expect(additional.map(summary)).toEqual([
      "cdn.example HTTPS",
      "cdn.example RRSIG HTTPS",
      "page.example A",
      "page.example RRSIG A",
    ]);
  });

  test("AD and signatures stay where nothing is edited", () => {
    expect(edit(answer, stripping("strip-hints")).answer).toBe(answer);
  });
});

function summary({ owner, data }: ResourceRecord): string {
  return `${nameText(owner)} ${data.kind}${data.kind === "RRSIG" ? ` ${typeName(data.covered)}` : ""}`;
}

describe("hints stay only where the addresses of the target come alike", () => {
  const data = "alpn=h2 ipv4hint=192.0.2.1 port=8443 ipv6hint=2001:db8::1";
  const terms = (target: string, comes: { ipv4: boolean; ipv6: boolean }): BindingTerms => ({
    strips: [],
    hintsFor: (name) => (name === nameOf(target) ? comes : { ipv4: true, ipv6: true }),
  });
  test.each<[string, string, { ipv4: boolean; ipv6: boolean }, string, BindingEdit[]]>([
    ["1 .", "page.example", { ipv4: true, ipv6: false }, "1 . alpn=h2 port=8443 ipv4hint=192.0.2.1", ["strip-ipv6hint"]],
    ["1 .", "page.example", { ipv4: false, ipv6: true }, "1 . alpn=h2 port=8443 ipv6hint=2001:db8::1", ["strip-ipv4hint"]],
    ["1 .", "page.example", { ipv4: false, ipv6: false }, "1 . alpn=h2 port=8443", ["strip-ipv4hint", "strip-ipv6hint"]],
    [
      "1 cdn.example.",
      "cdn.example",
      { ipv4: false, ipv6: false },
      "1 cdn.example. alpn=h2 port=8443",
      ["strip-ipv4hint", "strip-ipv6hint"],
    ],
    [
      "1 cdn.example.",
      "page.example",
      { ipv4: false, ipv6: false },
      `1 cdn.example. alpn=h2 port=8443 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1`,
      [],
    ],
    [
      "0 cdn.example.",
      "cdn.example",
      { ipv4: false, ipv6: false },
      `0 cdn.example. alpn=h2 port=8443 ipv4hint=192.0.2.1 ipv6hint=2001:db8::1`,
      [],
    ],
  ])("%s, addresses of %s: %j", (start, target, comes, left, edits) => {
    const answer = answerOf({ answers: zone(`page.example HTTPS ${start} ${data}`) });
    expect(edit(answer, terms(target, comes)).edits).toEqual(edits);
    expect(edited(`${start} ${data}`, terms(target, comes))).toBe(left);
  });
});

describe("address records beside the bindings stay only where asking would give them (RFC 9460 §4.2)", () => {
  const cdn = ["cdn.example A 192.0.2.1", "cdn.example AAAA 2001:db8::1", "cdn.example AAAA fd00::1"];
  const signature = (covered: string) => `cdn.example RRSIG ${covered} 13 2 300 20270101000000 20260101000000 1 example. AAAA`;
  const answer = answerOf({
    authenticData: true,
    answers: zone("page.example HTTPS 1 cdn.example. alpn=h2", SIGNATURE),
    additional: zone(...cdn, signature("A"), signature("AAAA"), "ns.example A 192.0.2.53"),
  });
  const cdnOnly = (comes: { ipv4: boolean; ipv6: boolean }): BindingTerms => ({
    strips: [],
    hintsFor: (name) => (name === nameOf("cdn.example") ? comes : { ipv4: true, ipv6: true }),
  });
  const left = (terms: BindingTerms): string[] => messageOf(edit(answer, terms).answer).additional.map(summary);

  test.each([
    [{ ipv4: true, ipv6: false }, ["cdn.example A", "cdn.example RRSIG A", "ns.example A"]],
    [{ ipv4: false, ipv6: true }, ["cdn.example AAAA", "cdn.example AAAA", "cdn.example RRSIG AAAA", "ns.example A"]],
    [{ ipv4: false, ipv6: false }, ["ns.example A"]],
  ])("with %j, and their signatures with them", (comes, records) => {
    expect(left(cdnOnly(comes))).toEqual(records);
  });

  test("AD goes, and what was asked for stays with its signature", () => {
    const result = edit(answer, cdnOnly({ ipv4: true, ipv6: false }));
    expect(result.edits).toEqual(["strip-addresses"]);
    expect(result.answer.authenticData).toBe(false);
    expect(messageOf(result.answer).answers.map(summary)).toEqual(["page.example HTTPS", "page.example RRSIG HTTPS"]);
  });

  test("one address that may not be given takes its whole set along, as it does where it is asked for", () => {
    const allows = (address: Uint8Array) => address[0] !== 0xfd;
    expect(left({ ...PASS, allows })).toEqual(["cdn.example A", "cdn.example RRSIG A", "ns.example A"]);
  });

  test("strips of hints are about hints: who asks gets the same addresses", () => {
    expect(edit(answer, stripping("strip-hints", "strip-ipv6hint", "strip-ech", "strip-h3")).answer).toBe(answer);
  });

  test("beside an empty answer likewise", () => {
    const empty = answerOf({ authority: zone("page.example NS cdn.example"), additional: zone(...cdn) });
    const result = edit(empty, cdnOnly({ ipv4: true, ipv6: false }));
    expect(messageOf(result.answer).additional.map(summary)).toEqual(["cdn.example A"]);
    expect(messageOf(result.answer).authority.map(recordText)).toEqual(["page.example. 300 IN NS cdn.example."]);
  });
});

describe("for any parameters and every combination of strips", () => {
  const anyTerms = fc.record({
    strips: fc.subarray<BindingTerms["strips"][number]>(["strip-ech", "strip-hints", "strip-ipv6hint", "strip-h3"]),
    ipv4: fc.boolean(),
    ipv6: fc.boolean(),
  });
  const keysGone = ({ strips, ipv4, ipv6 }: { strips: BindingTerms["strips"]; ipv4: boolean; ipv6: boolean }): Set<number> => {
    const hints = strips.includes("strip-hints");
    return new Set([
      ...(strips.includes("strip-ech") ? [5] : []),
      ...(hints || !ipv4 ? [4] : []),
      ...(hints || !ipv6 || strips.includes("strip-ipv6hint") ? [6] : []),
    ]);
  };

  test("what is not named stays byte for byte and in order", () => {
    fc.assert(
      fc.property(
        fc.oneof(anyParams, anyParams.map(withHttp3Alone)),
        anyTerms,
        fc.constantFrom(".", "cdn.example"),
        (params, terms, target) => {
          const data = { kind: "HTTPS", priority: 1, target: nameOf(target), params } as const;
          const [record] = zone("page.example HTTPS 1 .");
          const answer = answerOf({ authenticData: true, answers: record === undefined ? [] : [{ ...record, data }] });
          const result = edit(answer, { strips: terms.strips, hintsFor: () => terms });
          if (terms.strips.includes("strip-h3") && offersOnlyHttp3(params)) {
            expect(recordsOf(result.answer)).toEqual([]);
            expect(result.answer.authenticData).toBe(false);
            return;
          }
          const left = paramsOf(result.answer);
          const gone = keysGone(terms);
          const stays = ({ key }: SvcParam) => key > 2 && !gone.has(key);
          expect(left.filter(({ key }) => key > 2)).toEqual(params.filter(stays));
          expect(protocolsIn(left)).toEqual(
            protocolsIn(params).filter((id) => !(terms.strips.includes("strip-h3") && (id === "h3" || id.startsWith("h3-")))),
          );
          const keys = left.map(({ key }) => key);
          expect(keys).toEqual(keys.toSorted((a, b) => a - b));
          // RFC 9460 §8: whatever is mandatory is there, and was mandatory before.
          expect(mandatoryIn(left)).toEqual(mandatoryIn(params).filter((key) => keys.includes(key)));
          if (keys.includes(2)) expect(keys).toContain(1);
          expect(result.answer === answer).toBe(result.edits.length === 0);
          expect(result.answer.authenticData).toBe(result.edits.length === 0);
          // Twice is once.
          expect(edit(result.answer, { strips: terms.strips, hintsFor: () => terms }).answer).toBe(result.answer);
        },
      ),
      { numRuns: runs(1000) },
    );
  });
});

function isHttp3(id: string): boolean {
  return id === "h3" || id.startsWith("h3-");
}

function offersOnlyHttp3(params: readonly SvcParam[]): boolean {
  return params.some(({ key }) => key === 2) && protocolsIn(params).every(isHttp3);
}

/** The same parameters where all of `alpn` is HTTP/3. */
function withHttp3Alone(params: readonly SvcParam[]): readonly SvcParam[] {
  return params.map((param) => (param.key === 1 ? { ...param, value: Uint8Array.from(Buffer.from("\x02h3\x05h3-29")) } : param));
}

function paramsOf(answer: Answer): readonly SvcParam[] {
  const [record] = messageOf(answer).answers;
  if (record?.data.kind !== "HTTPS") throw new Error("no HTTPS record");
  expect(recordsOf(answer)).toHaveLength(1);
  return record.data.params;
}

function protocolsIn(params: readonly SvcParam[]): string[] {
  const value = Buffer.from(params.find(({ key }) => key === 1)?.value ?? []);
  const ids: string[] = [];
  for (let at = 0; at < value.length; at += 1 + (value[at] ?? 0))
    ids.push(value.toString("latin1", at + 1, at + 1 + (value[at] ?? 0)));
  return ids;
}

function mandatoryIn(params: readonly SvcParam[]): number[] {
  const value = Buffer.from(params.find(({ key }) => key === 0)?.value ?? []);
  return Array.from({ length: value.length / 2 }, (_, index) => value.readUInt16BE(index * 2));
}

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Message } from "../../src/dns/message.ts";
import { ROOT } from "../../src/dns/name.ts";
import { rdataText } from "../../src/dns/rdata.ts";
import { jsonMessage, messageText, recordText } from "../../src/dns/text.ts";
import { TYPE } from "../../src/dns/types.ts";
import { rdataBytes } from "../support/encode.ts";
import { parseRecord, rdataFromText } from "../support/master-file.ts";
import { runs } from "../support/properties.ts";
import { message, record, typedData } from "./arbitraries.ts";
import { blankResponse, extendedError, question, zone } from "./zone.ts";

describe("a record", () => {
  test("comes back from its text", () => {
    fc.assert(
      fc.property(record, (made) => {
        expect(parseRecord(recordText(made))).toEqual(made);
      }),
      { numRuns: runs(500) },
    );
  });

  test.each(typedData)("$kind data comes back from its text, in the generic form too (RFC 3597 §5)", ({ arbitrary }) => {
    fc.assert(
      fc.property(arbitrary, ({ type, data }) => {
        expect(rdataFromText(type, rdataText(data))).toEqual(data);
        const bytes = Buffer.from(rdataBytes(data));
        expect(rdataFromText(type, `\\# ${bytes.length} ${bytes.toString("hex")}`)).toEqual(data);
      }),
      { numRuns: 40 },
    );
  });

  test("text is one line of printable ASCII", () => {
    fc.assert(
      fc.property(record, (made) => {
        expect(recordText(made)).toMatch(/^[ -~]+$/);
      }),
    );
  });

  test.each([
    "page.example. 60 IN A 192.0.2.7",
    "page.example. 60 IN AAAA 2001:db8::7",
    "page.example. 60 IN AAAA ::ffff:192.0.2.7",
    "page.example. 60 IN CNAME cdn.example.",
    "page.example. 60 IN MX 10 mail.example.",
    "page.example. 60 IN MX 0 .",
    "example. 60 IN SOA ns.example. mail.example. 2026112101 7200 3600 1209600 900",
    'page.example. 60 IN TXT "v=spf1 -all" "second \\"part\\" \\\\ \\200"',
    'version.bind. 0 CH TXT "9"',
    "_sip._tcp.example. 60 IN SRV 10 60 5060 sip.example.",
    'example. 60 IN CAA 128 issue "ca.example; policy=ev"',
    'example. 60 IN NAPTR 100 50 "s" "http+I2R" "" _http._tcp.example.',
    'host.example. 60 IN HINFO "RFC8482" ""',
    "example. 60 IN DS 60485 5 1 2bb183af5f22588179a53b0a98631fad1a292118",
    "example. 60 IN DNSKEY 256 3 8 AQPSKmynfzW4kyBv015MUG2DeIQ3Cbl+BBZH4b/0PY1kxkmvHjcZc8no",
    "host.example. 60 IN RRSIG A 5 3 86400 20030322173103 20030220173103 2642 example. oJB1W6WNGv+ldvQ3WDG0MQkg5IEhjRip8WTr",
    "alfa.example. 60 IN NSEC host.example. A MX RRSIG NSEC TYPE1234",
    "x.example. 60 IN NSEC3 1 1 12 aabbccdd 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR A RRSIG",
    "x.example. 60 IN NSEC3 1 0 0 - 2T7B4G4VSA5SMI47K61MV5BV1A22BOJR",
    "example. 60 IN NSEC3PARAM 1 0 12 aabbccdd",
    "_443._tcp.example. 60 IN TLSA 3 1 1 0d6fce3b8df9a3c3",
    "host.example. 60 IN SSHFP 4 2 123456789abcdef6",
    '_http._tcp.example. 60 IN URI 10 1 "https://page.example/"',
    "page.example. 60 IN HTTPS 1 . alpn=h3,h2 ech=AEX+DQ==",
    "page.example. 60 IN TYPE65280 \\# 3 010203",
    "page.example. 60 CLASS4711 TYPE65280 \\# 0",
    "a\\.b.example. 60 IN A 192.0.2.7",
    ". 60 IN NS a.root-servers.example.",
  ])("%s", (text) => {
    expect(recordText(parseRecord(text))).toBe(text);
  });
});

describe("a message", () => {
  test("is shown with header, EDNS and sections", () => {
    const shown = messageText({
      ...blankResponse,
      id: 4711,
      rcode: 3,
      authenticData: true,
      questions: [question("page.example", "AAAA")],
      answers: zone("page.example CNAME cdn.example"),
      authority: zone("example 60 SOA ns.example mail.example 1 2 3 4 5"),
      edns: {
        udpPayloadBytes: 1232,
        version: 0,
        dnssecOk: true,
        otherFlags: 0,
        options: [
          { code: 15, data: Buffer.from("\0\x0fads") },
          { code: 8, data: Uint8Array.of(0, 1, 24, 16, 192, 0, 2) },
        ],
      },
    });
    expect(shown).toBe(
      [
        ";; opcode: QUERY, status: NXDOMAIN, id: 4711",
        ";; flags: qr rd ra ad; QUERY: 1, ANSWER: 1, AUTHORITY: 1, ADDITIONAL: 1",
        "",
        ";; OPT PSEUDOSECTION:",
        "; EDNS: version: 0, flags: do; udp: 1232",
        "; EDE: 15 (Blocked): ads",
        "; CLIENT-SUBNET: 192.0.2.0/24/16",
        "",
        ";; QUESTION SECTION:",
        ";page.example. IN AAAA",
        "",
        ";; ANSWER SECTION:",
        "page.example. 300 IN CNAME cdn.example.",
        "",
        ";; AUTHORITY SECTION:",
        "example. 60 IN SOA ns.example. mail.example. 1 2 3 4 5",
        "",
      ].join("\n"),
    );
  });

  test("names the codes that have no name", () => {
    const odd: Message = { ...blankResponse, opcode: 7, rcode: 12, questions: [{ name: ROOT, type: 65_280, class: 4711 }] };
    expect(messageText(odd)).toContain(";; opcode: OPCODE7, status: RCODE12, id: 0\n");
    expect(messageText(odd)).toContain("\n;. CLASS4711 TYPE65280\n");
  });

  test("says why data is shown as bytes", () => {
    const data = { kind: "opaque", bytes: Uint8Array.of(1, 2), note: "the data ends within a field" } as const;
    const answers = [{ owner: ROOT, type: TYPE.A, class: 1, ttlSeconds: 0, data }];
    expect(messageText({ ...blankResponse, answers })).toContain(
      ". 0 IN A \\# 2 0102 ; malformed: the data ends within a field\n",
    );
  });

  test("lets no control character of the network reach a terminal", () => {
    fc.assert(
      fc.property(message, (made) => {
        expect(messageText(made).replaceAll("\n", "")).not.toMatch(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
      }),
    );
  });
});

const edns = { udpPayloadBytes: 1232, version: 0, dnssecOk: false, otherFlags: 0 };

describe("application/dns-json", () => {
  test("has header, question and answer as Google and Cloudflare send them", () => {
    const message = {
      ...blankResponse,
      authenticData: true,
      questions: [question("page.example", "AAAA")],
      answers: zone("page.example CNAME cdn.example", "cdn.example 60 AAAA 2001:db8::7"),
    };
    expect(jsonMessage(message)).toEqual({
      Status: 0,
      TC: false,
      RD: true,
      RA: true,
      AD: true,
      CD: false,
      Question: [{ name: "page.example.", type: 28 }],
      Answer: [
        { name: "page.example.", type: 5, TTL: 300, data: "cdn.example." },
        { name: "cdn.example.", type: 28, TTL: 60, data: "2001:db8::7" },
      ],
    });
  });

  test("has authority and additional where there are any, without OPT", () => {
    const message = {
      ...blankResponse,
      rcode: 3,
      questions: [question("page.example")],
      authority: zone("example 60 SOA ns.example mail.example 1 2 3 4 5"),
      additional: zone("ns.example A 192.0.2.53"),
      edns: { ...edns, options: [] },
    };
    expect(jsonMessage(message)).toMatchObject({
      Status: 3,
      Authority: [{ name: "example.", type: 6, TTL: 60, data: "ns.example. mail.example. 1 2 3 4 5" }],
      Additional: [{ name: "ns.example.", type: 1, TTL: 300, data: "192.0.2.53" }],
    });
    expect(jsonMessage(message)).not.toHaveProperty("Answer");
    expect(jsonMessage(message)).not.toHaveProperty("Comment");
  });

  test("has the extended errors in its comment", () => {
    const options = [extendedError(15, "ads"), { code: 12, data: new Uint8Array(4) }, extendedError(3)];
    expect(jsonMessage({ ...blankResponse, edns: { ...edns, options } }).Comment).toBe(
      "EDE 15 (Blocked): ads; EDE 3 (Stale Answer)",
    );
  });

  test("gives unknown types and odd names as presentation format has them", () => {
    const answers = zone("a\\.b.example TYPE65280 \\# 2 0102", 'x TXT "a b"', "x HTTPS 1 . alpn=h2");
    expect(jsonMessage({ ...blankResponse, answers }).Answer?.map(({ name, data }) => [name, data])).toEqual([
      ["a\\.b.example.", "\\# 2 0102"],
      ["x.", '"a b"'],
      ["x.", "1 . alpn=h2"],
    ]);
  });
});

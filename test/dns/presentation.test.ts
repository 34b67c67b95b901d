import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Message } from "../../src/dns/message.ts";
import { ROOT } from "../../src/dns/name.ts";
import { rdataBytes, rdataFromText, rdataText } from "../../src/dns/rdata.ts";
import { hexText } from "../../src/dns/rdata-fields.ts";
import { messageText, parseRecord, recordText } from "../../src/dns/text.ts";
import { PresentationError } from "../../src/dns/text-reader.ts";
import { TYPE } from "../../src/dns/types.ts";
import { runs } from "../support/properties.ts";
import { message, record, typedData } from "./arbitraries.ts";
import { blankResponse, nameOf, question, zone } from "./zone.ts";

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
        const octets = rdataBytes(data);
        expect(rdataFromText(type, `\\# ${octets.length} ${hexText(octets)}`)).toEqual(data);
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

  test.each([
    ["page.example A 192.0.2.7", "page.example. 3600 IN A 192.0.2.7"],
    ["page.example IN 60 A 192.0.2.7", "page.example. 60 IN A 192.0.2.7"],
    ["page.example 60 a 192.0.2.7", "page.example. 60 IN A 192.0.2.7"],
    ["page.example TYPE1 192.0.2.7", "page.example. 3600 IN A 192.0.2.7"],
    ["page.example A \\# 4 c0 00 02 07", "page.example. 3600 IN A 192.0.2.7"],
    ["page.example A \\# 2 c000", "page.example. 3600 IN A \\# 2 c000"],
    ["x SOA ns mail ( 1 ; serial\n 2 3\n 4 5 ) ; end", "x. 3600 IN SOA ns. mail. 1 2 3 4 5"],
    ["x TXT unquoted words", 'x. 3600 IN TXT "unquoted" "words"'],
    ['x TXT "a;b" ; c', 'x. 3600 IN TXT "a;b"'],
    ['x TXT "line\nbreak"', 'x. 3600 IN TXT "line\\010break"'],
    ["x TXT \\;\\ \\(", 'x. 3600 IN TXT "; ("'],
    ['x TXT "\\#" 1', 'x. 3600 IN TXT "#" "1"'],
    ["x TXT é", 'x. 3600 IN TXT "\\195\\169"'],
    ["中国 NS ns.中国", "xn--fiqs8s. 3600 IN NS ns.xn--fiqs8s."],
    ["x NSEC y MX A A", "x. 3600 IN NSEC y. A MX"],
    ["x TLSA 3 1 1 0D6F CE3B", "x. 3600 IN TLSA 3 1 1 0d6fce3b"],
    [
      "x RRSIG A 5 3 86400 1048354263 1045762263 2642 . AA==",
      "x. 3600 IN RRSIG A 5 3 86400 20030322173103 20030220173103 2642 . AA==",
    ],
  ])("%j is read as %s", (text, shown) => {
    expect(recordText(parseRecord(text))).toBe(shown);
  });

  test("names without a final dot are below the origin, the TTL is the default one", () => {
    const origin = nameOf("example");
    expect(recordText(parseRecord("www CNAME @", origin, 60))).toBe("www.example. 60 IN CNAME example.");
    expect(recordText(parseRecord("@ CNAME www.", origin))).toBe("example. 3600 IN CNAME www.");
    expect(recordText(parseRecord("a\\. CNAME a\\\\.", origin))).toBe("a\\..example. 3600 IN CNAME a\\\\.");
    const long = `${"x".repeat(63)}.`.repeat(3) + "y".repeat(60);
    expect(() => parseRecord(`${long} A 192.0.2.7`, origin)).toThrow(/too long/);
  });
});

describe("what is no record", () => {
  test.each([
    ["", /ends where/],
    ["page.example", /ends where/],
    ["page.example A", /ends where/],
    ["page.example 60 IN", /ends where/],
    ["page..example A 192.0.2.7", /no domain name/],
    ['"page" A 192.0.2.7', /quoted/],
    ["page.example B 192.0.2.7", /B is no type/],
    ["page.example 60 60 A 192.0.2.7", /60 is no type/],
    ["page.example 2147483648 A 192.0.2.7", /no number/],
    ["page.example A 192.0.2", /no IPv4 address/],
    ["page.example A 192.0.2.07", /no IPv4 address/],
    ["page.example A 2001:db8::7", /no IPv4 address/],
    ["page.example AAAA 192.0.2.7", /no IPv6 address/],
    ["page.example AAAA fe80::1%eth0", /no IPv6 address/],
    ["page.example A 192.0.2.7 192.0.2.8", /after the last value/],
    ["page.example MX mail.example 10", /no number/],
    ["page.example MX 65536 mail.example", /no number/],
    ["page.example TXT", /ends where/],
    [`page.example TXT ${"x".repeat(256)}`, /255/],
    ['page.example TXT "x', /not closed/],
    ["page.example TXT \\", /backslash/],
    ["page.example TXT \\25", /backslash/],
    ["page.example TXT \\256", /backslash/],
    ["x SOA ns mail ( 1 2 3 4 5", /not closed/],
    ["x SOA ns mail 1 2 3 4 5 )", /not opened/],
    ["x A 192.0.2.7\ny A 192.0.2.8", /parentheses/],
    ["x TYPE65280 c000", /\\# 2 c0de/],
    ["x TYPE65280 \\# 3 c000", /2 octets, not 3/],
    ["x TYPE65280 \\# 1 c", /hexadecimal/],
    ["x DS 1 8 2 xyz", /hexadecimal/],
    ["x DNSKEY 256 3 8 AQP", /base64/],
    ["x NSEC3 1 0 0 - W", /base32hex/],
    ["x NSEC y BOGUS", /no type/],
    ["x CAA 0 is-sue x", /CAA tag/],
    ["x RRSIG A 5 3 60 20031322173103 20030220173103 2642 . AA==", /no moment/],
    ["x RRSIG A 5 3 60 21070101000000 20030220173103 2642 . AA==", /no moment/],
  ])("%j", (text, reason) => {
    expect(() => parseRecord(text)).toThrow(reason);
    expect(() => parseRecord(text)).toThrow(PresentationError);
  });

  test("reading takes any text, and what it reads is shown and read the same", () => {
    const words = fc.constantFrom(
      "page",
      "A",
      "TXT",
      "HTTPS",
      "1",
      "60",
      "IN",
      ".",
      "@",
      '"',
      "\\",
      "(",
      ")",
      ";",
      "\n",
      " ",
      "\\#",
      "192.0.2.7",
      "=",
      "alpn",
      "é",
      "\\032",
    );
    const text = fc.oneof(
      fc.string(),
      fc.array(words, { maxLength: 12 }).map((all) => all.join("")),
      fc.array(words, { maxLength: 12 }).map((all) => all.join(" ")),
    );
    fc.assert(
      fc.property(text, (given) => {
        try {
          const read = parseRecord(given);
          expect(parseRecord(recordText(read))).toEqual(read);
        } catch (error) {
          if (!(error instanceof PresentationError)) throw error;
        }
      }),
      { numRuns: runs(3000) },
    );
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
          { kind: "extendedError", code: 15, text: "ads" },
          { kind: "clientSubnet", subnet: { family: 1, sourcePrefix: 24, scopePrefix: 16, prefixHex: "c00002" } },
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

  test("says why data is shown as octets", () => {
    const data = { kind: "opaque", octets: Uint8Array.of(1, 2), note: "the data ends within a field" } as const;
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

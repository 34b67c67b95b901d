import { describe, expect, test } from "vitest";
import { jsonMessage } from "../../src/dns/text.ts";
import { blankResponse, extendedError, question, zone } from "./zone.ts";

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

  test("says in its comment what the extended errors say", () => {
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

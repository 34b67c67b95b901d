import { stripVTControlCharacters } from "node:util";
import { describe, expect, test } from "vitest";
import { lineHeading, recordDetails, recordLine } from "../../src/log/text.ts";
import { sampleRecord } from "./record-samples.ts";

/** 21:03:11.482 wherever the tests run. */
const time = new Date(2026, 10, 21, 21, 3, 11, 482).toISOString();

describe("a record as a line", () => {
  test("says when, who, what, how it ended and why, in this order", () => {
    const words = recordLine(sampleRecord({ time }), { color: false }).split(/ {2,}/);
    expect(words).toEqual([
      "11-21 21:03:11.482",
      "192.168.88.1",
      "A",
      "www.example.com",
      "NOERROR",
      "upstream",
      "split (cn:12)",
      "domestic 223.5.5.5",
      "12.3 ms",
    ]);
  });

  test("columns stand below their titles", () => {
    const line = recordLine(sampleRecord(), { color: false });
    const heading = lineHeading({ color: false });
    expect(line.indexOf("www.example.com")).toBe(heading.indexOf("name"));
    expect(line.indexOf("12.3 ms")).toBe(heading.lastIndexOf("ms"));
  });

  test("what there is not is a dash", () => {
    const dropped = sampleRecord({
      name: "",
      type: "",
      rcode: null,
      source: "refused",
      action: "rate",
      rule: null,
      route: null,
      upstream: null,
    });
    expect(recordLine(dropped, { color: false })).toMatch(/ {2}- +- +- +refused\/rate +- +- +12\.3 ms$/);
  });

  test("colours change nothing but colours", () => {
    for (const rcode of ["NOERROR", "NXDOMAIN", "SERVFAIL", null]) {
      const record = sampleRecord({ rcode });
      const painted = recordLine(record, { color: true });
      expect(painted).not.toBe(recordLine(record, { color: false }));
      expect(stripVTControlCharacters(painted)).toBe(recordLine(record, { color: false }));
    }
  });

  test("nothing that a client or a server sent steers the terminal", () => {
    const hostile = sampleRecord({ name: "a\u001b[2Jb", answers: ["60 TXT \u009b31m"], ede: ["0 \u202etxt\r\n"] });
    const text = [recordLine(hostile, { color: false }), ...recordDetails(hostile)].join("");
    expect(text).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });
});

describe("a record in full", () => {
  test("tells what was looked at, who was asked, and what was changed", () => {
    const record = sampleRecord({
      time,
      clientId: "tv",
      transport: "doh",
      http: "2",
      method: "POST",
      type: "HTTPS",
      answers: [],
      negativeTtl: 60,
      ede: ["17 filtered"],
      edits: ["ttl 3600 to 60"],
      trace: [{ kind: "first-group", group: "domestic" }],
      attempts: [
        { group: "domestic", server: "119.29.29.29", transport: "udp", ms: 600, rcode: null, failure: "timed out" },
        { group: "domestic", server: "223.5.5.5", transport: "udp", ms: 8.5, rcode: "NOERROR", failure: null },
      ],
    });
    expect(recordDetails(record)).toEqual([
      `2026-11-21 21:03:11.482  www.example.com HTTPS  (${record.id})`,
      "  asked by  192.168.88.1, client id tv, over DoH (HTTP/2 POST)",
      "  answered  NOERROR, 61 octets, after 12.3 ms",
      "  from      upstream",
      "  rule      split (cn:12)",
      "  upstream  domestic 223.5.5.5",
      "  negative  may be held for 60 s",
      "  errors    17 filtered",
      "  edited    ttl 3600 to 60",
      "  decided   no rule decides, so it goes to the first group, domestic",
      "  asked     119.29.29.29 of domestic over UDP: timed out after 600 ms",
      "            223.5.5.5 of domestic over UDP: NOERROR after 8.50 ms",
    ]);
  });

  test("a query that got no answer says so", () => {
    const details = recordDetails(
      sampleRecord({ client: "", rcode: null, size: 0, name: "", type: "", source: "refused", action: "access" }),
    );
    expect(details.join("\n")).toContain("no readable question");
    expect(details.join("\n")).toContain("nothing was sent");
    expect(details.join("\n")).toContain("an address that is not kept, over UDP");
  });
});

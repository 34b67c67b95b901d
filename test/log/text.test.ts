import { describe, expect, test } from "vitest";
import { recordDetails } from "../../src/log/text.ts";
import { record } from "./records.ts";

/** 21:03:11.482 wherever the tests run. */
const id = new Date(2026, 10, 21, 21, 3, 11, 482).getTime() * 1024;

describe("a record in full", () => {
  test("shows what was examined, which servers were asked and what was changed", () => {
    const made = record({
      id,
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
        { group: "domestic", server: "119.29.29.29", transport: "udp", startMs: 0, ms: 600, rcode: null, failure: "timed out" },
        { group: "domestic", server: "223.5.5.5", transport: "udp", startMs: 0, ms: 8.5, rcode: "NOERROR", failure: null },
      ],
    });
    expect(recordDetails(made)).toEqual([
      `2026-11-21 21:03:11.482  www.taobao.com HTTPS  (${id})`,
      "  asked by  192.168.88.20, client id tv, over DoH (HTTP/2 POST)",
      "  answered  NOERROR, 109 bytes, after 7.31 ms",
      "  from      upstream",
      "  rule      split (cn:4711)",
      "  upstream  domestic udp://223.5.5.5",
      "  negative  may be held for 60 s",
      "  errors    17 filtered",
      "  edited    ttl 3600 to 60",
      "  decided   no rule decides, so it goes to the first group, domestic",
      "  asked     119.29.29.29 of domestic over UDP: timed out after 600 ms",
      "            223.5.5.5 of domestic over UDP: NOERROR after 8.50 ms",
      "  version   7f3a91c2",
    ]);
  });

  test("a query without an answer says so", () => {
    const details = recordDetails(
      record({ client: "", rcode: null, size: 0, name: "", type: "", source: "refused", action: "access" }),
    );
    expect(details.join("\n")).toContain("no readable question");
    expect(details.join("\n")).toContain("nothing was sent");
    expect(details.join("\n")).toContain("an address that is not kept, over UDP");
  });

  test("no text from a client or a server controls the terminal", () => {
    const hostile = record({ name: "a\u001b[2Jb", answers: ["60 TXT \u009b31m"], ede: ["0 \u202etxt\r\n"] });
    expect(recordDetails(hostile).join("")).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });
});

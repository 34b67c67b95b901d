import { describe, expect, test } from "vitest";
import { siteWith } from "../support/site.ts";
import { deny, honest, withRcode } from "../support/zone-script.ts";

const zone = [
  "good.example A 192.0.2.7",
  "mixed.example A 192.0.2.7",
  "mixed.example A 203.0.113.9",
  "bad.example A 203.0.113.9",
  "bad.example AAAA 2001:db8::7",
  "bad.example HTTPS 1 . alpn=h2 ipv4hint=203.0.113.9 ipv6hint=2001:db8::7",
  "alias.example CNAME mixed.example",
  "bad.example TXT text",
];
const other = honest("bad.example A 198.51.100.7");

function siteOf(keys: string, main = [honest(...zone)], yaml = "") {
  return siteWith({ upstreams: { main: { servers: main, keys } }, yaml });
}

describe("addresses that a group does not take", () => {
  test.each([["accept: 192.0.2.0/24"], ["drop: [203.0.113.0/24]"]])(
    "with %s others are taken out, and what is left is given",
    async (keys) => {
      const site = await siteOf(keys);
      expect(await site.ask("good.example")).toMatchObject({ answers: ["192.0.2.7"] });
      expect(await site.ask("mixed.example")).toMatchObject({ answers: ["192.0.2.7"] });
      expect(await site.ask("alias.example")).toMatchObject({ answers: ["192.0.2.7"] });
      expect(await site.ask("bad.example", "TXT")).toMatchObject({
        rcode: "NOERROR",
        records: [expect.stringContaining("text")],
      });
    },
  );

  test("an answer without any left counts as none: another member is asked, and then the group has failed", async () => {
    const both = await siteOf("strategy: failover, drop: 203.0.113.0/24", [honest(...zone), other]);
    expect(await both.ask("bad.example")).toMatchObject({ answers: ["198.51.100.7"] });
    const alone = await siteOf("drop: 203.0.113.0/24");
    for (const _turn of ["fetched", "held"])
      expect(await alone.ask("bad.example")).toMatchObject({
        rcode: "SERVFAIL",
        edeTexts: [expect.stringContaining("no address that its group takes")],
      });
  });

  test("an address taken out never makes an empty answer, whatever other members say of the name", async () => {
    const site = await siteOf("strategy: failover, drop: 203.0.113.0/24", [honest(...zone), (asked) => withRcode(asked, 5)]);
    expect(await site.ask("bad.example")).toMatchObject({ rcode: "SERVFAIL" });
    const denied = await siteOf("strategy: failover, drop: 203.0.113.0/24", [honest(...zone), deny]);
    expect(await denied.ask("bad.example")).toMatchObject({ rcode: "NXDOMAIN" });
  });

  test("a family of which `accept` names no address may have any", async () => {
    const site = await siteOf("accept: 192.0.2.0/24");
    expect(await site.ask("bad.example", "AAAA")).toMatchObject({ answers: ["2001:db8::7"] });
  });

  test("hints go too, and the rest of the record stays", async () => {
    const site = await siteOf("drop: 203.0.113.0/24");
    expect(await site.ask("bad.example", "HTTPS")).toMatchObject({
      records: [expect.stringMatching(/alpn=h2 ipv6hint=2001:db8::7$/)],
    });
  });

  test("the answers of a fallback are measured by its own lists", async () => {
    const site = await siteWith({
      upstreams: {
        main: { servers: [honest(...zone)], keys: "drop: 203.0.113.0/24, fallback: second" },
        second: { servers: [honest(...zone)], keys: "" },
      },
    });
    expect(await site.ask("bad.example")).toMatchObject({ answers: ["203.0.113.9"] });
  });
});

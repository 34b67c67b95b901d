import { describe, expect, test } from "vitest";
import { hypotheticalQuery } from "../../src/control/explain-live.ts";
import { nameText } from "../../src/dns/name.ts";

const asked = { name: "page.example", type: "A", client: null, clientId: null };

describe("a question that is explained", () => {
  test.each([
    ["Page.Example.", "page.example"],
    ["münchen.example", "xn--mnchen-3ya.example"],
    ["a\\.b.example", "a\\.b.example"],
    ["\\065.example", "a.example"],
    [".", "."],
  ])("is for the name %s", (name, canonical) => {
    expect(nameText(hypotheticalQuery({ ...asked, name }).query.name)).toBe(canonical);
  });

  test.each([
    ["::FFFF:10.0.0.1", "10.0.0.1"],
    ["2001:DB8::0:1", "2001:db8::1"],
    ["fe80::1%eth0", "fe80::1%eth0"],
    [null, "127.0.0.1"],
  ])("is asked by %s, written as listeners write it", (client, address) => {
    expect(hypotheticalQuery({ ...asked, client }).client.address).toBe(address);
  });

  test.each(["10.0.0.1%eth0", "fe80::1%", "fe80::1%a%b", "10.0.0", "", "tv"])("is not asked by %j", (client) => {
    expect(() => hypotheticalQuery({ ...asked, client })).toThrow("is no address");
  });

  test("everything that is wrong with it is told at once", () => {
    expect(() => hypotheticalQuery({ name: "a..b", type: "XYZ", client: "x", clientId: "UPPER" })).toThrow(
      /no domain name\n.*no record type.*\n.*no address.*\n.*no client id/,
    );
  });
});

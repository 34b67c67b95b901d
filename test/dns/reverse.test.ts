import { describe, expect, test } from "vitest";
import { addressFromText, reverseName } from "../../src/dns/address.ts";
import { nameText } from "../../src/dns/name.ts";

describe("the name of an address's PTR", () => {
  test.each([
    ["192.0.2.7", "7.2.0.192.in-addr.arpa"],
    ["2001:db8::567:89ab", "b.a.9.8.7.6.5.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.8.b.d.0.1.0.0.2.ip6.arpa"],
  ])("%s has its PTR at %s", (address, name) => {
    expect(nameText(reverseName(addressFromText(address) ?? new Uint8Array()))).toBe(name);
  });
});

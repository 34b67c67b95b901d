import fc from "fast-check";
import { expect, test } from "vitest";
import { clientShown } from "../../src/log/record.ts";

test("a client is shown in full, by its network, or not at all", () => {
  expect(clientShown("192.168.88.20", "full")).toBe("192.168.88.20");
  expect(clientShown("fe80::1%eth0", "full")).toBe("fe80::1%eth0");
  expect(clientShown("192.168.88.20", "prefix")).toBe("192.168.88.0/24");
  expect(clientShown("2001:db8:1:2:3:4:5:6", "prefix")).toBe("2001:db8:1::/48");
  expect(clientShown("fe80::1%eth0", "prefix")).toBe("fe80::/48");
  expect(clientShown("::1", "prefix")).toBe("::/48");
  expect(clientShown("192.168.88.20", "none")).toBe("");
});

test("text that is no address is hidden where only the client's network may be shown", () => {
  expect(clientShown("somebody", "prefix")).toBe("");
});

test("two clients of one network look the same where only networks are shown", () => {
  fc.assert(
    fc.property(fc.ipV4(), fc.nat(255), (address, host) => {
      const other = `${address.split(".").slice(0, 3).join(".")}.${host}`;
      expect(clientShown(other, "prefix")).toBe(clientShown(address, "prefix"));
    }),
  );
});

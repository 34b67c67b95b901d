import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { clientShown } from "../../src/log/privacy.ts";
import { RecordIds } from "../../src/log/record-ids.ts";

describe("what is kept of a client", () => {
  test.each([
    ["10.1.2.3", "10.1.2.0/24"],
    ["2001:db8:1:2::7", "2001:db8:1::/48"],
    ["2001:db8::7", "2001:db8:0::/48"],
    ["fe80::1%eth0", "fe80:0:0::/48"],
    ["::1", "0:0:0::/48"],
    ["", ""],
  ])("of %j, by prefix, %j", (address, shown) => {
    expect(clientShown(address, "prefix")).toBe(shown);
  });

  test("everything, or nothing", () => {
    expect([clientShown("10.1.2.3", "full"), clientShown("10.1.2.3", "none")]).toEqual(["10.1.2.3", ""]);
  });

  test("two clients of one /48 are shown alike, however they are written", () => {
    fc.assert(
      fc.property(fc.ipV6(), (address) => {
        const shown = clientShown(address, "prefix");
        expect(clientShown(new URL(`http://[${address}]/`).hostname.slice(1, -1), "prefix")).toBe(shown);
        expect(shown).toMatch(/^([0-9a-f]{1,4}:){3}:\/48$/);
      }),
    );
  });
});

test("ids rise, whatever the wall clock does, and tell the time where it does not run backwards", () => {
  const ids = new RecordIds();
  expect(ids.next(5)).toBe(5 * 1024);
  fc.assert(
    fc.property(fc.array(fc.nat(2 ** 41)), (times) => {
      const made = new RecordIds();
      const given = times.map((time) => made.next(time));
      given.reduce((before, id) => {
        expect(id).toBeGreaterThan(before);
        return id;
      }, 0);
    }),
  );
});

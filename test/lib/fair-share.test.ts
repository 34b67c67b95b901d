import { expect, test } from "vitest";
import { networkOfAddress } from "../../src/dns/address.ts";
import { FairShare } from "../../src/lib/fair-share.ts";

function takeAll(shares: FairShare, client: string): number {
  let taken = 0;
  for (; shares.hasRoom(client); taken++) shares.take(client);
  return taken;
}

test("one greedy client gets half of the places, and gives way to those that have fewer", () => {
  const shares = new FairShare(1000, networkOfAddress);
  expect(takeAll(shares, "10.0.0.1")).toBe(500);
  expect(takeAll(shares, "10.0.0.2")).toBe(250);
  expect(takeAll(shares, "10.0.0.3")).toBe(125);
});

test("among 200 greedy clients a quiet one still gets places", () => {
  const shares = new FairShare(1000, networkOfAddress);
  for (let round = 0; round < 1000; round++) {
    const client = `10.0.0.${round % 200}`;
    if (shares.hasRoom(client)) shares.take(client);
  }
  expect(takeAll(shares, "10.0.0.250")).toBeGreaterThan(1);
});

test("an attacker with all addresses of an IPv6 network leaves a quarter to others", () => {
  const shares = new FairShare(1000, networkOfAddress);
  for (let host = 1; host < 2000; host++) takeAll(shares, `2001:db8::${host.toString(16)}`);
  expect(shares.taken).toBe(750);
  expect(takeAll(shares, "2001:db8:0:1::1")).toBe(125);
  expect(takeAll(shares, "192.0.2.1")).toBeGreaterThan(60);
});

test("places that are given back are free again, for everybody", () => {
  const shares = new FairShare(10, networkOfAddress);
  takeAll(shares, "2001:db8::1");
  takeAll(shares, "192.0.2.1");
  for (let taken = 0; taken < 5; taken++) shares.release("2001:db8::1");
  while (shares.taken > 0) shares.release("192.0.2.1");
  expect(takeAll(shares, "2001:db8::1")).toBe(5);
});

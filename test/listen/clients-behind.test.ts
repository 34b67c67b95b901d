import { expect, test } from "vitest";
import { ClientsBehind } from "../../src/listen/client-address.ts";

const clients = new ClientsBehind(["127.0.0.0/8", "::1"]);
const NOTHING = { forwardedFor: undefined, realIp: undefined };

test.each([
  ["192.0.2.7", "192.0.2.7"],
  ["::ffff:192.0.2.7", "192.0.2.7"],
  ["2001:db8:1:2:3::4", "8193:3512:1:2"],
  ["fe80::1%eth0", "65152:0:0:0"],
])("%s counts as client %s", (peer, network) => {
  expect(clients.networkOf(peer, NOTHING)).toBe(network);
});

test.each(["127.0.0.1", "::1", "::ffff:127.0.0.1"])("%s, which is trusted, speaks for others", (peer) => {
  expect(clients.isProxy(peer)).toBe(true);
  expect(clients.networkOf(peer, { forwardedFor: "203.0.113.9, 192.0.2.7", realIp: undefined })).toBe("192.0.2.7");
  expect(clients.networkOf(peer, { forwardedFor: undefined, realIp: "192.0.2.7" })).toBe("192.0.2.7");
});

test("who is not trusted speaks for nobody", () => {
  expect(clients.isProxy("192.0.2.1")).toBe(false);
  expect(clients.networkOf("192.0.2.1", { forwardedFor: "192.0.2.7", realIp: "192.0.2.8" })).toBe("192.0.2.1");
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Access, localPrefixes } from "../../src/access/access.ts";
import type { AccessOptions } from "../../src/access/options.ts";
import { rangeFromText } from "../../src/dns/address.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { runs } from "../support/properties.ts";

function accessWith(options: Partial<AccessOptions>, prefixes: () => readonly string[] = () => []) {
  const clock = fakeClock();
  const access = new Access({ clients: ["private"], rateLimit: null, ...options }, { clock, localPrefixes: prefixes });
  return {
    access,
    clock,
    ask: (address: string, clientId: string | null = null) => access.admit({ address, clientId }, clock.now()),
  };
}

describe("access of clients", () => {
  test.each([
    ["127.0.0.1", "admitted"],
    ["::1", "admitted"],
    ["10.255.255.255", "admitted"],
    ["172.16.0.1", "admitted"],
    ["172.32.0.1", "forbidden"],
    ["192.168.88.1", "admitted"],
    ["100.64.0.1", "admitted"],
    ["100.128.0.1", "forbidden"],
    ["169.254.7.7", "admitted"],
    ["fe80::1%eth0", "admitted"],
    ["fd12:3456::1", "admitted"],
    ["2001:db8::1", "forbidden"],
    ["198.51.100.1", "forbidden"],
    ["not an address", "forbidden"],
  ])("with `private`, %s is %s", (address, admission) => {
    expect(accessWith({}).ask(address)).toBe(admission);
  });

  test("`private` includes the current networks of this host", async () => {
    let prefixes = ["203.0.113.9/28"];
    const { ask, clock } = accessWith({}, () => prefixes);
    expect(ask("203.0.113.1")).toBe("admitted");
    expect(ask("203.0.113.16")).toBe("forbidden");
    prefixes = ["2001:db8:1:2::5/64"];
    await clock.advance(5_000);
    expect(ask("203.0.113.1")).toBe("forbidden");
    expect(ask("2001:db8:1:2::77")).toBe("admitted");
  });

  test("the networks of this host are not read after close, and a second close is harmless", async () => {
    let reads = 0;
    const { access, clock } = accessWith({}, () => {
      reads++;
      return [];
    });
    await access.close();
    await access.close();
    await clock.advance(60_000);
    expect(reads).toBe(1);
  });

  test("the networks of this host are not read if no setting uses `private`", () => {
    accessWith({ clients: ["10.0.0.0/8"] }, () => expect.fail("was read"));
  });

  test("a known client id gives access from any address, an unknown id from none", () => {
    const { ask } = accessWith({ clients: ["10.0.0.0/8", "tv"] });
    expect(ask("198.51.100.1", "tv")).toBe("admitted");
    expect(ask("198.51.100.1", "radio")).toBe("forbidden");
    expect(ask("198.51.100.1", "private")).toBe("forbidden");
    expect(ask("198.51.100.1")).toBe("forbidden");
    expect(ask("10.0.0.1", "radio")).toBe("admitted");
  });

  test("a single address, a CIDR with host bits and `::/0` are accepted", () => {
    const { ask } = accessWith({ clients: ["192.0.2.7", "10.1.2.3/8", "::/0"] });
    expect(ask("192.0.2.7")).toBe("admitted");
    expect(ask("192.0.2.8")).toBe("forbidden");
    expect(ask("10.200.0.1")).toBe("admitted");
    expect(ask("2001:db8::1")).toBe("admitted");
  });

  test("the networks of this host are well-formed and include its loopback", () => {
    const prefixes = localPrefixes();
    expect(prefixes.filter((prefix) => rangeFromText(prefix) === null)).toEqual([]);
    expect(prefixes).toContain("127.0.0.1/8");
  });
});

test("a stranger may connect only where a client id could admit them", () => {
  const mayConnect = (clients: readonly string[], address: string) => {
    const access = new Access({ clients, rateLimit: null }, { clock: fakeClock(), localPrefixes: () => [] });
    return access.mayConnect(address);
  };
  expect(mayConnect(["10.0.0.0/8"], "10.0.0.1")).toBe(true);
  expect(mayConnect(["10.0.0.0/8"], "192.0.2.1")).toBe(false);
  expect(mayConnect(["10.0.0.0/8", "tv"], "192.0.2.1")).toBe(true);
});

describe("rate limits", () => {
  const rateLimit = { perSecond: 10, burst: 3, exempt: [] };

  test("a burst passes, queries beyond it are limited, and tokens come back with time", async () => {
    const { ask, clock } = accessWith({ rateLimit });
    expect([1, 2, 3, 4].map(() => ask("10.0.0.1"))).toEqual(["admitted", "admitted", "admitted", "limited"]);
    await clock.advance(100);
    expect([1, 2].map(() => ask("10.0.0.1"))).toEqual(["admitted", "limited"]);
    await clock.advance(3_600_000);
    expect([1, 2, 3, 4].map(() => ask("10.0.0.1"))).toEqual(["admitted", "admitted", "admitted", "limited"]);
  });

  test("each IPv4 address has its own rate, and all addresses of an IPv6 /64 share one", () => {
    const { ask } = accessWith({ clients: ["0.0.0.0/0", "::/0"], rateLimit: { ...rateLimit, burst: 1 } });
    expect([ask("192.0.2.1"), ask("192.0.2.2"), ask("192.0.2.1")]).toEqual(["admitted", "admitted", "limited"]);
    expect([ask("2001:db8::1"), ask("2001:db8::ffff"), ask("2001:db8:0:1::1")]).toEqual(["admitted", "limited", "admitted"]);
  });

  test("a forbidden client is forbidden at any rate", () => {
    const { ask } = accessWith({ rateLimit: { ...rateLimit, burst: 1 } });
    expect([ask("198.51.100.1"), ask("198.51.100.1")]).toEqual(["forbidden", "forbidden"]);
  });

  test("exempt networks and client ids have no limit", () => {
    const { ask } = accessWith({
      clients: ["0.0.0.0/0", "tv"],
      rateLimit: { perSecond: 1, burst: 1, exempt: ["private", "tv"] },
    });
    expect([1, 2, 3].map(() => ask("10.0.0.1"))).toEqual(["admitted", "admitted", "admitted"]);
    expect([1, 2, 3].map(() => ask("192.0.2.1", "tv"))).toEqual(["admitted", "admitted", "admitted"]);
    expect([1, 2].map(() => ask("192.0.2.1"))).toEqual(["admitted", "limited"]);
  });

  test("a changed network of this host does not refill a bucket", async () => {
    let prefixes: string[] = [];
    const { ask, clock } = accessWith({ rateLimit: { perSecond: 0.001, burst: 1, exempt: [] } }, () => prefixes);
    expect(ask("10.0.0.1")).toBe("admitted");
    prefixes = ["203.0.113.9/28"];
    await clock.advance(5_000);
    expect(ask("10.0.0.1")).toBe("limited");
  });

  test("no series of queries passes more than the burst and the rate allow", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 50 }),
        fc.integer({ min: 1, max: 20 }),
        fc.array(fc.integer({ min: 0, max: 300 }), { maxLength: 60 }),
        async (perSecond, burst, pausesMs) => {
          const { ask, clock } = accessWith({ rateLimit: { perSecond, burst, exempt: [] } });
          let admitted = 0;
          for (const pauseMs of pausesMs) {
            await clock.advance(pauseMs);
            if (ask("10.0.0.1") === "admitted") admitted++;
          }
          const elapsedMs = pausesMs.reduce((sum, pauseMs) => sum + pauseMs, 0);
          expect(admitted).toBeLessThanOrEqual(burst + (elapsedMs * perSecond) / 1000 + 1e-6);
          if (pausesMs.length <= burst) expect(admitted).toBe(pausesMs.length);
        },
      ),
      { numRuns: runs(50) },
    );
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Name, nameFromText, nameText, readName } from "../../src/dns/name.ts";
import { readSvcParams, SVC_KEY } from "../../src/dns/svcb.ts";
import { TYPE } from "../../src/dns/types.ts";
import { SpecialZones } from "../../src/rules/special-zones.ts";

const off = { firefoxCanary: false, privateRelay: false, ddr: null };

const ddr = { name: "doh.example.com", httpsPorts: [443], tlsPorts: [853], dohPath: "/dns-query" };

function name(text: string): Name {
  return nameFromText(text) ?? expect.fail(`${text} is no name`);
}

function zoneOf(text: string, type: number = TYPE.A, options = off): string | null {
  const zone = new SpecialZones(options).find(name(text), type);
  return zone === null ? null : nameText(zone.name);
}

describe("special zones", () => {
  test.each([
    "localhost",
    "invalid",
    "test",
    "onion",
    "alt",
    "local",
    "home.arpa",
    "lan",
    "internal",
    "10.in-addr.arpa",
    "16.172.in-addr.arpa",
    "31.172.in-addr.arpa",
    "168.192.in-addr.arpa",
    "0.in-addr.arpa",
    "127.in-addr.arpa",
    "254.169.in-addr.arpa",
    "2.0.192.in-addr.arpa",
    "100.51.198.in-addr.arpa",
    "113.0.203.in-addr.arpa",
    "255.255.255.255.in-addr.arpa",
    "64.100.in-addr.arpa",
    "127.100.in-addr.arpa",
    "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
    "d.f.ip6.arpa",
    "8.e.f.ip6.arpa",
    "b.e.f.ip6.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
  ])("%s and all below it are answered here for every type", (zone) => {
    for (const type of [TYPE.A, TYPE.NS, TYPE.SOA, TYPE.PTR, TYPE.HTTPS, TYPE.ANY]) {
      expect(zoneOf(zone, type)).toBe(zone);
      expect(zoneOf(`a.${zone}`, type)).toBe(zone);
      expect(zoneOf(`x.y.${zone}`, type)).toBe(zone);
    }
  });

  test.each([
    "www.example.com",
    "nothome.arpa",
    "in-addr.arpa",
    "172.in-addr.arpa",
    "15.172.in-addr.arpa",
    "32.172.in-addr.arpa",
    "63.100.in-addr.arpa",
    "128.100.in-addr.arpa",
    "8.8.8.8.in-addr.arpa",
    "c.f.ip6.arpa",
    "f.ip6.arpa",
    "ip6.arpa",
    "www.example",
    "lan.example.com",
    "a.vlan",
    "x.mylocalhost",
    "x.intranet",
    "use-application-dns.net",
    "mask.icloud.com",
  ])("%s is a name like any other", (text) => {
    expect(zoneOf(text)).toBeNull();
    expect(zoneOf(text, TYPE.DS)).toBeNull();
  });

  test("a label that only ends like a zone is not in the zone, whatever its bytes are", () => {
    const zones = new SpecialZones(off);
    // One label of the bytes "a", 3, "lan".
    expect(zones.find(name("a\\003lan.example"), TYPE.A)).toBeNull();
    expect(zones.find(name("x.a\\003lan"), TYPE.A)).toBeNull();
  });

  test("a single label is its own zone for A, AAAA, SVCB and HTTPS, and is forwarded for every other type", () => {
    for (const type of [TYPE.A, TYPE.AAAA, TYPE.SVCB, TYPE.HTTPS]) expect(zoneOf("printer", type)).toBe("printer");
    for (const type of [TYPE.NS, TYPE.DS, TYPE.SOA, TYPE.DNSKEY, TYPE.TXT, TYPE.ANY]) expect(zoneOf("printer", type)).toBeNull();
  });

  test("the root is forwarded for every type", () => {
    for (const type of [TYPE.A, TYPE.NS, TYPE.DNSKEY]) expect(zoneOf(".", type)).toBeNull();
  });

  test("DS of a zone is forwarded, because it belongs to the parent zone (RFC 4035 §3.1.4.1); DS of a name below is not", () => {
    for (const zone of ["home.arpa", "10.in-addr.arpa", "localhost", "resolver.arpa"]) {
      expect(zoneOf(zone, TYPE.DS)).toBeNull();
      expect(zoneOf(`a.${zone}`, TYPE.DS)).toBe(zone);
    }
  });

  test("resolver.arpa and names below it are never forwarded, whatever the rules say (RFC 9462 §6.4)", () => {
    const zone = new SpecialZones(off).find(name("_dns.resolver.arpa"), TYPE.SVCB);
    expect(zone).toMatchObject({ name: name("resolver.arpa"), apex: "nodata", below: "nodata", opens: false });
  });

  test("the switched names are denied only where the switch is on", () => {
    expect(zoneOf("use-application-dns.net", TYPE.A, { ...off, firefoxCanary: true })).toBe("use-application-dns.net");
    expect(zoneOf("mask.icloud.com", TYPE.A, { ...off, firefoxCanary: true })).toBeNull();
    const relay = { ...off, privateRelay: true };
    expect(zoneOf("mask.icloud.com", TYPE.HTTPS, relay)).toBe("mask.icloud.com");
    expect(zoneOf("mask-h2.icloud.com", TYPE.AAAA, relay)).toBe("mask-h2.icloud.com");
    expect(zoneOf("www.icloud.com", TYPE.A, relay)).toBeNull();
    expect(zoneOf("use-application-dns.net", TYPE.A, relay)).toBeNull();
  });

  test("a name of two labels or more is special exactly if one of its suffixes is a zone", () => {
    const zones = ["localhost", "test", "lan", "home.arpa", "10.in-addr.arpa"];
    const label = fc.constantFrom("a", "lan", "arpa", "home", "10", "in-addr", "test", "com", "localhost");
    fc.assert(
      fc.property(fc.array(label, { minLength: 2, maxLength: 5 }), (labels) => {
        const suffixes = labels.map((_, index) => labels.slice(index).join("."));
        expect(zoneOf(labels.join("."))).toBe(suffixes.find((suffix) => zones.includes(suffix)) ?? null);
      }),
    );
  });
});

test("clients are told of the encrypted listeners at _dns.resolver.arpa alone, and only by option (RFC 9462)", () => {
  const zones = new SpecialZones({ ...off, ddr });
  const asked = name("_dns.resolver.arpa");
  const record = zones.recordOf(asked, TYPE.SVCB);
  if (record?.kind !== "svcb") throw new Error("there are records");
  const told = record.data.map((data) => [data[1], nameText(readName(data, 2) ?? asked), readSvcParams(data.subarray(2 + 17))]);
  expect(told).toEqual([
    [
      1,
      "doh.example.com",
      [
        { key: SVC_KEY.ALPN, value: Buffer.from("\x02h2\x08http/1.1") },
        { key: SVC_KEY.PORT, value: Buffer.from([1, 187]) },
        { key: SVC_KEY.DOHPATH, value: Buffer.from("/dns-query{?dns}") },
      ],
    ],
    [
      2,
      "doh.example.com",
      [
        { key: SVC_KEY.ALPN, value: Buffer.from("\x03dot") },
        { key: SVC_KEY.PORT, value: Buffer.from([3, 85]) },
      ],
    ],
  ]);
  expect([zones.recordOf(asked, TYPE.A), zones.recordOf(name("resolver.arpa"), TYPE.SVCB), zones.hasRecords(asked)]).toEqual([
    null,
    null,
    true,
  ]);
  expect(new SpecialZones(off).recordOf(asked, TYPE.SVCB)).toBeNull();
});

import { isWithin, type Name, nameFromText, nameWire, parentOf, ROOT } from "../dns/name.ts";
import { SVC_KEY, writeSvcParam } from "../dns/svcb.ts";
import { TYPE } from "../dns/types.ts";
import type { DdrOptions, SpecialOptions } from "./options.ts";

/** A zone that Fenliu answers by itself (RFC 6761). */
export interface SpecialZone {
  readonly name: Name;
  /** The answer for the name of the zone itself. */
  readonly apex: "nodata" | "nxdomain";
  /** The answer for names below it. */
  readonly below: "nodata" | "nxdomain";
  /** Whether a rule with a pattern at or below the zone can let names out. */
  readonly opens: boolean;
  /** Whether the zone is any single label, and none of those that RFCs or custom name. */
  readonly single: boolean;
  /** Whether the answer denies a name that exists on the internet. */
  readonly denies: boolean;
}

/** RFC 6761 §6.3: it and all names below it are the host that asks. */
const LOCALHOST = zoneName("localhost");

/** Zones that do not exist on the public internet. */
const LOCAL_ZONES: readonly string[] = [
  "invalid", // RFC 6761 §6.4
  "test", // RFC 6761 §6.2
  "onion", // RFC 7686 §2
  "alt", // RFC 9476 §2
  "local", // RFC 6762 §22.1
  "home.arpa", // RFC 8375 §4
  "lan", // by custom of home routers
  "internal", // reserved for private use by resolution of the ICANN board, 2024-07-29
];

/** Reverse zones of addresses that have no public meaning. */
const REVERSE_ZONES: readonly string[] = [
  // RFC 6303 §4.1
  "10.in-addr.arpa",
  ...numbers(16, 31).map((byte) => `${byte}.172.in-addr.arpa`),
  "168.192.in-addr.arpa",
  // RFC 6303 §4.2
  "0.in-addr.arpa",
  "127.in-addr.arpa",
  "254.169.in-addr.arpa",
  "2.0.192.in-addr.arpa",
  "100.51.198.in-addr.arpa",
  "113.0.203.in-addr.arpa",
  "255.255.255.255.in-addr.arpa",
  // RFC 7793: the shared address space 100.64.0.0/10
  ...numbers(64, 127).map((byte) => `${byte}.100.in-addr.arpa`),
  // RFC 6303 §4.3 to §4.6: :: and ::1, fd00::/8, fe80::/10, 2001:db8::/32
  `${"0.".repeat(32)}ip6.arpa`,
  `1.${"0.".repeat(31)}ip6.arpa`,
  "d.f.ip6.arpa",
  "8.e.f.ip6.arpa",
  "9.e.f.ip6.arpa",
  "a.e.f.ip6.arpa",
  "b.e.f.ip6.arpa",
  "8.b.d.0.1.0.0.2.ip6.arpa",
];

/** An answer without records tells Firefox not to use its own DoH. */
const FIREFOX_CANARY = ["use-application-dns.net"];

/** NXDOMAIN for these names tells Apple's systems not to use iCloud Private Relay here. */
const PRIVATE_RELAY = ["mask.icloud.com", "mask-h2.icloud.com"];

/** Finds the special zone of a name. */
export class SpecialZones {
  readonly #zones = new Map<Name, SpecialZone>();
  /** The last labels of all fixed zones, by length. Most names end in none of them, and the search stops here. */
  readonly #tops: Name[][] = [];
  /** The zones that section `special` switches on. */
  readonly #switched: SpecialZone[] = [];
  /** The names above all fixed zones. */
  readonly #above = new Set<Name>();
  /** RDATA of the records that tell of encrypted listeners; empty = clients are not told. */
  readonly #designated: readonly Uint8Array[];
  /** The names of PTR records of loopback addresses, and the names above them; with `ddr` the name of its records. */
  readonly #held = new Set<Name>();

  constructor(options: SpecialOptions) {
    for (const name of [...LOCAL_ZONES, ...REVERSE_ZONES].map(zoneName)) {
      this.#add({ name, apex: "nodata", below: "nxdomain", opens: true, single: false, denies: false });
    }
    this.#add({ name: LOCALHOST, apex: "nodata", below: "nodata", opens: true, single: false, denies: false });
    for (const pointer of LOOPBACK_POINTERS) {
      this.#held.add(pointer);
      addAncestors(this.#held, pointer);
    }
    this.#designated = options.ddr ? designatedResolvers(options.ddr) : [];
    if (options.ddr) this.#held.add(DESIGNATED);
    // RFC 9462 §6.4: queries for resolver.arpa must not be forwarded.
    this.#add({ name: zoneName("resolver.arpa"), apex: "nodata", below: "nodata", opens: false, single: false, denies: false });
    const denied = [...(options.firefoxCanary ? FIREFOX_CANARY : []), ...(options.privateRelay ? PRIVATE_RELAY : [])];
    for (const name of denied.map(zoneName)) {
      this.#switched.push({ name, apex: "nxdomain", below: "nxdomain", opens: false, single: false, denies: true });
    }
  }

  /** The zone that answers this question of class IN; null = the name is not special. A single label is a zone of its own. */
  find(name: Name, type: number): SpecialZone | null {
    for (const zone of this.#switched) if (isWithin(name, zone.name)) return zone;
    const top = topLabelAt(name);
    if (top < 0) return null;
    const zone = this.#belowTop(name, top);
    // RFC 4035 §3.1.4.1: DS belongs to the parent zone, which may have to prove that there is none. An unsigned answer would be bogus to a validator.
    if (zone !== null) return zone.name === name && type === TYPE.DS ? null : zone;
    return top === 0 && isAnsweredForSingleLabels(type) ? singleLabel(name) : null;
  }

  /** The records of a name in a special zone; null = none. */
  recordOf(name: Name, type: number): SpecialRecord | null {
    if (name !== DESIGNATED || this.#designated.length === 0) return specialRecord(name, type);
    return type === TYPE.SVCB ? { kind: "svcb", data: this.#designated } : null;
  }

  /** Whether the name is that of a fixed zone. The zone answers all types except DS, which the parent zone answers. */
  isApex(name: Name): boolean {
    return this.#zones.has(name);
  }

  /** Whether a special zone has records at this name or below it. */
  hasRecords(name: Name): boolean {
    return isWithin(name, LOCALHOST) || this.#held.has(name);
  }

  /** Whether this name gets NODATA for some type, or is above a zone: the root, single labels, in-addr.arpa and others. */
  existAtOrBelow(name: Name): boolean {
    return topLabelAt(name) <= 0 || this.#above.has(name);
  }

  #add(zone: SpecialZone): void {
    addAncestors(this.#above, zone.name);
    const top = zone.name.slice(topLabelAt(zone.name)) as Name;
    this.#zones.set(zone.name, zone);
    this.#tops[top.length] ??= [];
    const sameLength = this.#tops[top.length];
    if (sameLength?.includes(top) === false) sameLength.push(top);
  }

  #belowTop(name: Name, top: number): SpecialZone | null {
    if (!this.#hasTop(name, top)) return null;
    // No zone lies in another one, so the first suffix that is a zone decides.
    for (let position = 0; position <= top; position += 1 + name.charCodeAt(position)) {
      const zone = this.#zones.get(name.slice(position) as Name);
      if (zone !== undefined) return zone;
    }
    return null;
  }

  #hasTop(name: Name, top: number): boolean {
    const sameLength = this.#tops[name.length - top];
    if (sameLength === undefined) return false;
    for (const candidate of sameLength) if (name.endsWith(candidate)) return true;
    return false;
  }
}

/** RFC 9462 §4: clients of the plain resolver ask here for the encrypted ones. */
const DESIGNATED = zoneName("_dns.resolver.arpa");

/** One SVCB record for each listener, DoH first (RFC 9461). */
function designatedResolvers({ name, httpsPorts, tlsPorts, dohPath }: DdrOptions): readonly Uint8Array[] {
  const target = nameWire(zoneName(name));
  const portParam = (port: number) => ({ key: SVC_KEY.PORT, value: Uint8Array.of(port >> 8, port & 255) });
  const doh = httpsPorts.map((port) => [
    { key: SVC_KEY.ALPN, value: alpnOf("h2", "http/1.1") },
    portParam(port),
    { key: SVC_KEY.DOHPATH, value: Buffer.from(`${dohPath}{?dns}`) },
  ]);
  const dot = tlsPorts.map((port) => [{ key: SVC_KEY.ALPN, value: alpnOf("dot") }, portParam(port)]);
  return [...doh, ...dot].map((params, index) =>
    Buffer.concat([Uint8Array.of(0, index + 1), target, ...params.map(writeSvcParam)]),
  );
}

function alpnOf(...protocols: readonly string[]): Uint8Array {
  return Buffer.concat(protocols.flatMap((protocol) => [Uint8Array.of(protocol.length), Buffer.from(protocol)]));
}

/** The records that special zones have: addresses of `localhost` and of names below it, and PTR of those addresses (RFC 6761 §6.3). null = none. */
function specialRecord(name: Name, type: number): SpecialRecord | null {
  if (type === TYPE.PTR) return LOOPBACK_POINTERS.includes(name) ? { kind: "pointer", target: LOCALHOST } : null;
  if ((type !== TYPE.A && type !== TYPE.AAAA) || !isWithin(name, LOCALHOST)) return null;
  return { kind: "addresses", addresses: type === TYPE.A ? LOOPBACK_IPV4 : LOOPBACK_IPV6 };
}

type SpecialRecord =
  | { readonly kind: "addresses"; readonly addresses: readonly Uint8Array[] }
  | { readonly kind: "svcb"; readonly data: readonly Uint8Array[] }
  | { readonly kind: "pointer"; readonly target: Name };

const LOOPBACK_IPV4: readonly Uint8Array[] = [Uint8Array.of(127, 0, 0, 1)];
const LOOPBACK_IPV6: readonly Uint8Array[] = [Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1)];

/** The reverse names of 127.0.0.1 and ::1. */
const LOOPBACK_POINTERS: readonly Name[] = ["1.0.0.127.in-addr.arpa", `1.${"0.".repeat(31)}ip6.arpa`].map(zoneName);

// Clients look up local hosts by a single label. Questions for other types concern top-level domains.
function isAnsweredForSingleLabels(type: number): boolean {
  return type === TYPE.A || type === TYPE.AAAA || type === TYPE.SVCB || type === TYPE.HTTPS;
}

function singleLabel(name: Name): SpecialZone {
  return { name, apex: "nodata", below: "nodata", opens: true, single: true, denies: false };
}

/** Where the last label begins; -1 for the root. */
function topLabelAt(name: Name): number {
  let top = -1;
  for (let position = 0; name.charCodeAt(position) !== 0; position += 1 + name.charCodeAt(position)) top = position;
  return top;
}

function zoneName(text: string): Name {
  const name = nameFromText(text);
  if (name === null) throw new Error(`${text} is no name`);
  return name;
}

function numbers(first: number, last: number): number[] {
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

/** Adds all names above `name`, up to the root. */
function addAncestors(ancestors: Set<Name>, name: Name): void {
  for (let above = name; above !== ROOT; ) {
    above = parentOf(above);
    if (ancestors.has(above)) return;
    ancestors.add(above);
  }
}

import { networkInterfaces } from "node:os";
import { LRUCache } from "lru-cache";
import { AddressSet, addressFromText, privateAddresses, rangeFromText, withoutZone } from "../dns/address.ts";
import type { Client } from "../lib/client.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { type TokenBucket, TokenBuckets } from "../lib/token-bucket.ts";
import type { AccessOptions } from "./options.ts";

export type Admission =
  | "admitted"
  /** Not among `access.clients`. */
  | "forbidden"
  /** Admitted, but over its rate. */
  | "limited";

interface AccessParts {
  readonly clock: Clock;
  /** The CIDRs of the networks this host is on; asked again every few seconds where `private` is used. */
  readonly localPrefixes: () => readonly string[];
}

/** Client addresses whose verdict is remembered; one that was forgotten is looked up afresh. */
const MAX_VISITORS = 16_384;

/** IPv4 addresses and IPv6 /64s whose rate is counted; one that was forgotten begins with a full bucket. */
const MAX_BUCKETS = 16_384;

const REREAD_MS = 5_000;

/** Says who may ask, and how fast. Runs once for every query, so what holds for an address is worked out once. */
export class Access {
  readonly #options: AccessOptions;
  readonly #parts: AccessParts;
  readonly #usesPrivate: boolean;
  readonly #visitors = new LRUCache<string, Visitor>({ max: MAX_VISITORS });
  /** null = there is no limit. */
  readonly #buckets: TokenBuckets | null;
  #prefixes: readonly string[];
  #admitted: Clients;
  #exempt: Clients;
  #timer: Timer | null = null;

  constructor(options: AccessOptions, parts: AccessParts) {
    this.#options = options;
    this.#parts = parts;
    this.#usesPrivate = [...options.clients, ...(options.rateLimit?.exempt ?? [])].includes("private");
    this.#prefixes = this.#usesPrivate ? parts.localPrefixes() : [];
    this.#admitted = clientsOf(options.clients, this.#prefixes);
    this.#exempt = clientsOf(options.rateLimit?.exempt ?? [], this.#prefixes);
    this.#buckets = options.rateLimit === null ? null : new TokenBuckets(options.rateLimit, MAX_BUCKETS);
    if (this.#usesPrivate) this.#scheduleReread();
  }

  /** Counts one query of this client at `nowMs` on the clock's own scale. */
  admit(client: Pick<Client, "address" | "clientId">, nowMs: number): Admission {
    const visitor = this.#visitors.get(client.address) ?? this.#meet(client.address);
    const { clientId } = client;
    if (!this.#lets(visitor, clientId)) return "forbidden";
    if (this.#buckets === null || visitor.exempt || (clientId !== null && this.#exempt.ids.has(clientId))) return "admitted";
    visitor.bucket ??= this.#buckets.of(visitor.network, nowMs);
    return visitor.bucket.take(nowMs) ? "admitted" : "limited";
  }

  /** Whether this client may ask at all, however fast. Nothing is counted. */
  allows({ address, clientId }: Pick<Client, "address" | "clientId">): boolean {
    return this.#lets(this.#visitors.get(address) ?? this.#meet(address), clientId);
  }

  /** Stops re-reading the local networks. May be called again. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #lets({ admitted }: Visitor, clientId: string | null): boolean {
    return admitted || (clientId !== null && this.#admitted.ids.has(clientId));
  }

  #meet(text: string): Visitor {
    const address = addressFromText(withoutZone(text));
    const visitor: Visitor = {
      admitted: address !== null && this.#admitted.addresses.has(address),
      exempt: address !== null && this.#exempt.addresses.has(address),
      network: address === null ? "" : Buffer.from(address.subarray(0, address.length === 4 ? 4 : 8)).toString("hex"),
      bucket: null,
    };
    this.#visitors.set(text, visitor);
    return visitor;
  }

  #scheduleReread(): void {
    this.#timer = this.#parts.clock.setTimer(() => {
      this.#reread();
      this.#scheduleReread();
    }, REREAD_MS);
  }

  // A new address of this host, as after a prefix delegation, brings a new network; what was said of its addresses before is void.
  #reread(): void {
    const prefixes = this.#parts.localPrefixes();
    if (prefixes.join() === this.#prefixes.join()) return;
    this.#prefixes = prefixes;
    this.#admitted = clientsOf(this.#options.clients, prefixes);
    this.#exempt = clientsOf(this.#options.rateLimit?.exempt ?? [], prefixes);
    this.#visitors.clear();
  }
}

/** What is known of one client address. */
interface Visitor {
  readonly admitted: boolean;
  readonly exempt: boolean;
  /** The part of the address that the rate is counted for, in hex. */
  readonly network: string;
  /** null until the first query that counts. */
  bucket: TokenBucket | null;
}

interface Clients {
  readonly addresses: AddressSet;
  readonly ids: ReadonlySet<string>;
}

/** Sorts entries into addresses and client ids: what is no address, CIDR or `private` is an id. */
function clientsOf(entries: readonly string[], prefixes: readonly string[]): Clients {
  const texts = entries.flatMap((entry) => (entry === "private" ? prefixes : [entry]));
  const ranges = texts.map(rangeFromText).filter((range) => range !== null);
  const always = entries.includes("private") ? [...privateAddresses.ranges()] : [];
  return {
    addresses: new AddressSet([...ranges, ...always]),
    ids: clientIdsOf(entries),
  };
}

/** The client ids of a list of clients. */
export function clientIdsOf(clients: readonly string[]): ReadonlySet<string> {
  return new Set(clients.filter((client) => client !== "private" && rangeFromText(client) === null));
}

/** The CIDRs of the networks this host has an address in, sorted, each once; a default route over an interface is no network of its own. */
export function localPrefixes(): readonly string[] {
  const prefixes = new Set<string>();
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { cidr } of addresses ?? []) if (cidr !== null && !cidr.endsWith("/0")) prefixes.add(cidr);
  }
  return [...prefixes].sort();
}

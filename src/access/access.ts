import { networkInterfaces } from "node:os";
import { AddressSet, addressFromText, privateAddresses, rangeFromText, withoutZone } from "../dns/address.ts";
import type { Client } from "../lib/client.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { recentlyUsed } from "../lib/recently-used.ts";
import { type TokenBucket, TokenBuckets } from "../lib/token-bucket.ts";
import type { AccessOptions } from "./options.ts";

/**
 * Access control, section `access`: `server/pipeline.ts` asks before it answers a query.
 */

/** What happens to a query: only `admitted` queries are answered. */
export type Admission =
  | "admitted"
  /** The client is not among `access.clients`. */
  | "forbidden"
  /** The client has used up its rate. */
  | "limited";

interface AccessParts {
  readonly clock: Clock;
  /** CIDRs of the networks of this host. Called again every few seconds where `private` is used. */
  readonly localPrefixes: () => readonly string[];
}

/** Client addresses that are remembered; a forgotten address is looked up again. */
const MAX_VISITORS = 16_384;

/** IPv4 addresses and IPv6 /64s whose rate is counted. */
const MAX_BUCKETS = 16_384;

const REREAD_MS = 5_000;

/** Decides for every query whether its client may ask, and how fast. The decision about an address is made once and remembered. */
export class Access {
  readonly #options: AccessOptions;
  readonly #parts: AccessParts;
  readonly #usesPrivate: boolean;
  readonly #visitors = recentlyUsed<string, Visitor>(MAX_VISITORS);
  /** null = there is no limit. */
  readonly #buckets: TokenBuckets | null;
  #prefixes: readonly string[];
  #admitted: Clients;
  #exempt: Clients;
  #timer: Timer | null = null;
  /** Called when other clients may ask than before. */
  onChange: () => void = () => {};

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
    const visitor = this.#visitors.get(client.address) ?? this.#addVisitor(client.address);
    const { clientId } = client;
    if (!this.#isAdmitted(visitor, clientId)) return "forbidden";
    if (this.#buckets === null || visitor.exempt || (clientId !== null && this.#exempt.ids.has(clientId))) return "admitted";
    visitor.bucket ??= this.#buckets.of(visitor.network, nowMs);
    return visitor.bucket.take(nowMs) ? "admitted" : "limited";
  }

  /** Whether the client may ask at all. Counts nothing. */
  allows({ address, clientId }: Pick<Client, "address" | "clientId">): boolean {
    return this.#isAdmitted(this.#visitors.get(address) ?? this.#addVisitor(address), clientId);
  }

  /** Whether a client at this address may ask as fast as it likes: nothing needs to be counted. */
  isUnlimited(address: string): boolean {
    const visitor = this.#visitors.get(address) ?? this.#addVisitor(address);
    return visitor.admitted && (this.#buckets === null || visitor.exempt);
  }

  /** Whether a client at this address may ask anything, by its address or by a client id that it has yet to tell. */
  mayConnect(address: string): boolean {
    return this.#admitted.ids.size > 0 || this.allows({ address, clientId: null });
  }

  /** Stops re-reading the local networks. May be called again. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#timer = null;
  }

  #isAdmitted({ admitted }: Visitor, clientId: string | null): boolean {
    return admitted || (clientId !== null && this.#admitted.ids.has(clientId));
  }

  #addVisitor(text: string): Visitor {
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

  // A new address of this host, as after a prefix delegation, brings a new network: decisions about its addresses are void.
  #reread(): void {
    const prefixes = this.#parts.localPrefixes();
    if (prefixes.join() === this.#prefixes.join()) return;
    this.#prefixes = prefixes;
    this.#admitted = clientsOf(this.#options.clients, prefixes);
    this.#exempt = clientsOf(this.#options.rateLimit?.exempt ?? [], prefixes);
    this.#visitors.clear();
    this.onChange();
  }
}

/** The decision about one client address. */
interface Visitor {
  readonly admitted: boolean;
  readonly exempt: boolean;
  /** The part of the address for which the rate is counted, in hex. */
  readonly network: string;
  /** null until the first query that counts. */
  bucket: TokenBucket | null;
}

interface Clients {
  readonly addresses: AddressSet;
  readonly ids: ReadonlySet<string>;
}

/** Sorts entries into addresses and client ids: an entry that is no address, no CIDR and not `private` is an id. */
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

/** CIDRs of the networks in which this host has an address, sorted, each once. A default route over an interface is no network. */
export function localPrefixes(): readonly string[] {
  const prefixes = new Set<string>();
  for (const addresses of Object.values(networkInterfaces())) {
    for (const { cidr } of addresses ?? []) if (cidr !== null && !cidr.endsWith("/0")) prefixes.add(cidr);
  }
  return [...prefixes].sort();
}

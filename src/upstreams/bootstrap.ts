import { addressText } from "../dns/address.ts";
import { type Answer, addressesOf, outcomeOf } from "../dns/answer.ts";
import { keepChain } from "../dns/chain.ts";
import { type Name, nameFromText, nameText } from "../dns/name.ts";
import { CLASS, rcodeName, TYPE } from "../dns/types.ts";
import type { Clock } from "../lib/clock.ts";
import { awaitWithin } from "../lib/deadline.ts";
import { staggered, stopAfter } from "./dial.ts";
import type { ServerOptions } from "./options.ts";
import { openServer } from "./server.ts";
import { type AddressLookup, type Egress, type ServerContext, type Upstream, UpstreamError } from "./upstream.ts";

/** Bounds on how long found addresses count as fresh, whatever their TTL, in seconds. The minimum also holds when no address works. */
const FRESH_SECONDS = { min: 60, max: 86_400 } as const;

/** How long a lookup may take as a whole, and how long one server may be silent before the next is asked beside it. */
const LOOKUP_LIMIT_MS = 3_000;
const STAGGER_MS = 500;

/** How long to wait for AAAA once A is there. IPv6 addresses are only the second choice. */
const AAAA_WAIT_MS = 200;

/** Names held; there are as many as servers with names in the configuration. */
const MAX_HOSTS = 1_000;

interface HostAddresses {
  readonly addresses: readonly string[];
  readonly foundAtMs: number;
  readonly expiresAtMs: number;
}

/** Opens the servers of section `bootstrap`. They are asked directly, and are given by address: there is nobody to look up their names. */
export function openBootstrap(servers: readonly ServerOptions[], context: Omit<ServerContext, "bootstrap" | "proxy">): Bootstrap {
  const bootstrap: AddressLookup = {
    lookUp: (host) =>
      Promise.reject(new UpstreamError("bootstrap", host, "a bootstrap server is given by its address, not by a name")),
  };
  return new Bootstrap(
    servers.map((server) => openServer(server, { ...context, bootstrap, proxy: null })),
    context.clock,
  );
}

/**
 * Looks up the names of servers and proxies at the servers it is given. Concurrent lookups of one name are one. Expired addresses are still
 * returned at once while they are looked up anew: a server rarely moves, and the bootstrap servers may be the ones that fail.
 */
export class Bootstrap implements AddressLookup {
  readonly #servers: readonly Upstream[];
  readonly #clock: Clock;
  readonly #hosts = new Map<string, HostAddresses>();
  readonly #lookups = new Map<string, Promise<readonly string[]>>();
  readonly #closing = new AbortController();
  readonly #egress: (() => Egress) | undefined;

  /**
   * Owns the servers from now on. They must not need a lookup themselves.
   * @param egress what must not reach a group among them; absent = everything may.
   */
  constructor(servers: readonly Upstream[], clock: Clock, egress?: () => Egress) {
    this.#servers = servers;
    this.#clock = clock;
    this.#egress = egress;
  }

  async lookUp(host: string): Promise<readonly string[]> {
    // RFC 6761 §6.3: these names are never sent to a server.
    if (/^(?:.+\.)?localhost\.?$/i.test(host)) return ["127.0.0.1", "::1"];
    const key = host.toLowerCase();
    const found = this.#hosts.get(key);
    if (found !== undefined && this.#clock.now() < found.expiresAtMs) return found.addresses;
    const lookup = this.#refresh(key);
    if (found === undefined) return await lookup;
    lookup.catch(() => this.#store(key, found.addresses, FRESH_SECONDS.min));
    return found.addresses;
  }

  noteUnreachable(host: string): void {
    const key = host.toLowerCase();
    const found = this.#hosts.get(key);
    if (found === undefined) return;
    const expiresAtMs = Math.min(found.expiresAtMs, found.foundAtMs + FRESH_SECONDS.min * 1000);
    this.#hosts.set(key, { ...found, expiresAtMs });
  }

  async close(): Promise<void> {
    this.#closing.abort(new UpstreamError("closed", "bootstrap", "closed"));
    await Promise.all(this.#servers.map((server) => server.close()));
  }

  /** Starts a lookup, or joins the running one. */
  #refresh(host: string): Promise<readonly string[]> {
    const running = this.#lookups.get(host);
    if (running !== undefined) return running;
    const lookup = this.#search(host).finally(() => this.#lookups.delete(host));
    this.#lookups.set(host, lookup);
    return lookup;
  }

  #store(host: string, addresses: readonly string[], seconds: number): void {
    const foundAtMs = this.#clock.now();
    this.#hosts.set(host, { addresses, foundAtMs, expiresAtMs: foundAtMs + seconds * 1000 });
  }

  async #search(host: string): Promise<readonly string[]> {
    const name = nameFromText(host);
    if (name === null) throw new UpstreamError("bootstrap", host, "not a host name");
    if (this.#servers.length === 0) throw new UpstreamError("bootstrap", host, "no bootstrap server is configured");
    const timeout = () => new UpstreamError("bootstrap", host, `no bootstrap server knew it within ${LOOKUP_LIMIT_MS} ms`);
    const options = { signal: this.#closing.signal, clock: this.#clock, limitMs: LOOKUP_LIMIT_MS, timeout };
    const answers = await stopAfter(options, (signal) => this.#askBoth(name, signal));
    const addresses = [...new Set(answers.flatMap((answer) => addressesOf(answer)).map(addressText))];
    if (addresses.length === 0) throw new UpstreamError("bootstrap", host, "the bootstrap servers know no address for it");
    const ttls = answers.flatMap(({ lowestTtlSeconds }) => lowestTtlSeconds ?? []);
    if (this.#hosts.size >= MAX_HOSTS) this.#hosts.clear();
    this.#store(host, addresses, Math.min(Math.max(Math.min(...ttls), FRESH_SECONDS.min), FRESH_SECONDS.max));
    return addresses;
  }

  /** Returns the answers for A and AAAA, in this order, without one that failed or is too late. */
  async #askBoth(name: Name, outer: AbortSignal): Promise<readonly Answer[]> {
    const ending = new AbortController();
    const signal = AbortSignal.any([outer, ending.signal]);
    const failures: unknown[] = [];
    const noteFailure = (error: unknown): null => {
      failures.push(error);
      return null;
    };
    const pending6 = this.#ask(name, TYPE.AAAA, signal).catch(noteFailure);
    try {
      const ipv4 = await this.#ask(name, TYPE.A, signal).catch(noteFailure);
      const ipv6 = ipv4?.answered ? await awaitWithin(this.#clock, AAAA_WAIT_MS, pending6) : await pending6;
      const answers = [ipv4, ipv6].filter((answer) => answer !== null);
      if (answers.length > 0) return answers;
      if (outer.aborted) throw outer.reason;
      const [cause] = failures;
      throw new UpstreamError("bootstrap", nameText(name), cause instanceof Error ? cause.message : "no answer");
    } finally {
      ending.abort();
    }
  }

  #ask(name: Name, type: number, signal: AbortSignal): Promise<Answer> {
    const question = { name, type, class: CLASS.IN, dnssecOk: false, checkingDisabled: false, clientSubnet: null };
    const options = { signal, clock: this.#clock, staggerMs: STAGGER_MS };
    return staggered(this.#servers, options, async (server, trySignal) => {
      const options = { signal: trySignal, attempts: [], requester: null, egress: this.#egress?.() };
      const answer = keepChain(await server.exchange(question, options));
      if (outcomeOf(answer) === "failure") throw new UpstreamError("bootstrap", server.label, rcodeName(answer.rcode));
      return answer;
    });
  }
}

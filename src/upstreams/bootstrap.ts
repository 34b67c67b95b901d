import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import { addressText } from "../dns/address.ts";
import { type Answer, addressesOf, outcomeOf } from "../dns/answer.ts";
import { type Name, nameFromText, nameText } from "../dns/name.ts";
import type { Question } from "../dns/query.ts";
import { CLASS, rcodeName, TYPE } from "../dns/types.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { type AddressLookup, Dialer, ignore, ServerAddresses, staggered, stopAfter } from "./dial.ts";
import { HttpsServer } from "./https.ts";
import type { ServerOptions } from "./options.ts";
import { moreTelling, saysWhatIs } from "./reply.ts";
import { StreamServer } from "./stream.ts";
import { UdpServer } from "./udp.ts";
import { type ExchangeOptions, type ServerContext, type SystemContext, type Upstream, UpstreamError } from "./upstream.ts";

/** How long found addresses are used before they are looked up again, whatever their TTL, in seconds; where none of them works, it is the least. */
const KEPT_SECONDS = { min: 60, max: 86_400 } as const;

/** How long a look-up may take as a whole, and how long one server may be silent before the next is asked beside it. */
const LOOKUP_LIMIT_MS = 3_000;
const STAGGER_MS = 500;

/** How long AAAA is waited for once A is there: it is only a second choice. */
const SECOND_CHOICE_MS = 200;

/** Names known at a time; there are as many as servers with names in the configuration. */
const MAX_HOSTS = 1_000;

interface Found {
  readonly addresses: readonly string[];
  readonly foundMs: number;
  readonly expiresMs: number;
}

/**
 * Looks up the names of servers and proxies, by asking the servers it was given. Look-ups of one name under way at a time are one. Addresses
 * past their time are still given out, at once, while they are looked up anew: a server rarely moves, and the bootstrap servers may be the
 * ones that fail.
 */
export class Bootstrap implements AddressLookup {
  readonly #servers: readonly Upstream[];
  readonly #clock: Clock;
  readonly #found = new Map<string, Found>();
  readonly #running = new Map<string, Promise<readonly string[]>>();
  readonly #closing = new AbortController();

  /** Takes over the servers, which must not need looking up themselves. */
  constructor(servers: readonly Upstream[], clock: Clock) {
    this.#servers = servers;
    this.#clock = clock;
  }

  async lookUp(host: string): Promise<readonly string[]> {
    // RFC 6761 §6.3: nobody is to be asked for these.
    if (/^(?:.+\.)?localhost\.?$/i.test(host)) return ["127.0.0.1", "::1"];
    const key = host.toLowerCase();
    const found = this.#found.get(key);
    if (found !== undefined && this.#clock.now() < found.expiresMs) return found.addresses;
    const renewal = this.#joined(key);
    if (found === undefined) return await renewal;
    renewal.catch(() => this.#keep(key, found.addresses, KEPT_SECONDS.min));
    return found.addresses;
  }

  doubt(host: string): void {
    const key = host.toLowerCase();
    const found = this.#found.get(key);
    if (found === undefined) return;
    const expiresMs = Math.min(found.expiresMs, found.foundMs + KEPT_SECONDS.min * 1000);
    this.#found.set(key, { ...found, expiresMs });
  }

  async close(): Promise<void> {
    this.#closing.abort(new UpstreamError("closed", "bootstrap", "closed"));
    await Promise.all(this.#servers.map((server) => server.close()));
  }

  #joined(host: string): Promise<readonly string[]> {
    const running = this.#running.get(host);
    if (running !== undefined) return running;
    const lookup = this.#search(host).finally(() => this.#running.delete(host));
    this.#running.set(host, lookup);
    return lookup;
  }

  #keep(host: string, addresses: readonly string[], seconds: number): void {
    const foundMs = this.#clock.now();
    this.#found.set(host, { addresses, foundMs, expiresMs: foundMs + seconds * 1000 });
  }

  async #search(host: string): Promise<readonly string[]> {
    const name = nameFromText(host);
    if (name === null) throw new UpstreamError("bootstrap", host, "not a host name");
    if (this.#servers.length === 0) throw new UpstreamError("bootstrap", host, "no bootstrap server is configured");
    const overdue = () => new UpstreamError("bootstrap", host, `no bootstrap server knew it within ${LOOKUP_LIMIT_MS} ms`);
    const options = { signal: this.#closing.signal, clock: this.#clock, limitMs: LOOKUP_LIMIT_MS, overdue };
    const answers = await stopAfter(options, (signal) => this.#askBoth(name, signal));
    const addresses = [...new Set(answers.flatMap((answer) => addressesOf(answer)).map(addressText))];
    if (addresses.length === 0) throw new UpstreamError("bootstrap", host, "the bootstrap servers know no address for it");
    const ttls = answers.flatMap(({ lowestTtlSeconds }) => lowestTtlSeconds ?? []);
    const keptSeconds = Math.min(Math.max(Math.min(...ttls), KEPT_SECONDS.min), KEPT_SECONDS.max);
    if (this.#found.size >= MAX_HOSTS) this.#found.clear();
    this.#keep(host, addresses, keptSeconds);
    return addresses;
  }

  /** The answers for A and AAAA, in this order, without one that failed or is too late. */
  async #askBoth(name: Name, outer: AbortSignal): Promise<readonly Answer[]> {
    const ending = new AbortController();
    const signal = AbortSignal.any([outer, ending.signal]);
    const failures: unknown[] = [];
    const noted = (error: unknown): null => {
      failures.push(error);
      return null;
    };
    const second = this.#ask(name, TYPE.AAAA, signal).catch(noted);
    try {
      const ipv4 = await this.#ask(name, TYPE.A, signal).catch(noted);
      const ipv6 = ipv4?.answered ? await this.#briefly(second) : await second;
      const answers = [ipv4, ipv6].filter((answer) => answer !== null);
      if (answers.length > 0) return answers;
      if (outer.aborted) throw outer.reason;
      const [cause] = failures;
      throw new UpstreamError("bootstrap", nameText(name), cause instanceof Error ? cause.message : "no answer");
    } finally {
      ending.abort();
    }
  }

  #briefly<T>(promise: Promise<T>): Promise<T | null> {
    const late = Promise.withResolvers<null>();
    const timer = this.#clock.setTimer(() => late.resolve(null), SECOND_CHOICE_MS);
    return Promise.race([promise, late.promise]).finally(() => timer.cancel());
  }

  #ask(name: Name, type: number, signal: AbortSignal): Promise<Answer> {
    const question = { name, type, class: CLASS.IN, dnssecOk: false, checkingDisabled: false, clientSubnet: null };
    const options = { signal, clock: this.#clock, staggerMs: STAGGER_MS, discard: ignore };
    return staggered(this.#servers, options, async (server, trySignal) => {
      const answer = await server.exchange(question, { signal: trySignal, attempts: [], origin: null });
      if (outcomeOf(answer) === "failure") throw new UpstreamError("bootstrap", server.label, rcodeName(answer.rcode));
      return answer;
    });
  }
}

/** Opens the servers of section `bootstrap`. They are asked directly, and have to be given by address: nobody could look them up. */
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
 * One server of the configuration, over its transport; nothing is connected before the first question. Where there is a proxy, a server of
 * protocol `udp` is asked over TCP: proxies of these kinds carry no datagrams. `system` does not use the proxy: the host's resolvers are near.
 */
export function openServer(server: ServerOptions, context: ServerContext): Upstream {
  const { clock, system } = context;
  if (server.protocol === "system")
    return new SystemServer(server.label, { clock, system, open: (address) => openResolver(address, server, context) });
  const book = new ServerAddresses(server.host, server.addresses, context.bootstrap);
  const dialer = new Dialer(server, context, book);
  if (server.protocol === "https") return new HttpsServer(server, context, dialer);
  const overStream = new StreamServer(server, context, dialer);
  return server.protocol === "udp" && context.proxy === null
    ? new UdpServer(server, context, { book, overTcp: overStream })
    : overStream;
}

function openResolver(address: string, server: ServerOptions, context: ServerContext): Upstream {
  const resolver: ServerOptions = {
    ...server,
    label: `${server.label} (${address})`,
    protocol: "udp",
    host: address,
    port: 53,
    addresses: [],
  };
  return openServer(resolver, { ...context, proxy: null });
}

/** How often the file is looked at, at most. Reading it anew finds every kind of change, links included, and costs less than a question. */
const RECHECK_MS = 5_000;

/**
 * How long one of them may be silent before the next one is asked beside it, or after another refused, before that refusal counts: what the C
 * library waits (resolv.conf(5)) is far too long.
 */
const SYSTEM_STAGGER_MS = 1_000;

/** As many as the C library heeds (resolv.conf(5)). */
const MAX_RESOLVERS = 3;

const DNS_PORT = 53;

interface SystemServerParts {
  readonly clock: Clock;
  readonly system: SystemContext;
  /** Opens a server asked by datagrams. */
  readonly open: (address: string) => Upstream;
}

/** The resolvers of the host itself, in the order of its resolv.conf: each is asked when the one before has no good answer, has failed or is silent. */
export class SystemServer implements Upstream {
  readonly label: string;
  readonly encrypted = false;
  readonly #parts: SystemServerParts;
  #resolvers = new Map<string, Upstream>();
  #readAtMs = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | null = null;
  #closed = false;

  constructor(label: string, parts: SystemServerParts) {
    this.label = label;
    this.#parts = parts;
  }

  async exchange(question: Question, errand: ExchangeOptions): Promise<Answer> {
    const { clock, system } = this.#parts;
    if (clock.now() - this.#readAtMs >= RECHECK_MS) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = null;
      });
      await this.#reading;
    }
    if (this.#closed) throw new UpstreamError("closed", this.label, "closed");
    const resolvers = [...this.#resolvers.values()];
    if (resolvers.length === 0) throw new UpstreamError("bootstrap", this.label, `${system.resolvConf} names no resolver but us`);
    return await this.#askInTurn(resolvers, question, errand);
  }

  async #askInTurn(resolvers: readonly Upstream[], question: Question, errand: ExchangeOptions): Promise<Answer> {
    const { clock } = this.#parts;
    const enough = new AbortController();
    const signal = AbortSignal.any([errand.signal, enough.signal]);
    const refusals: Answer[] = [];
    const timers: Timer[] = [];
    try {
      return await staggered(
        resolvers,
        { signal, clock, staggerMs: SYSTEM_STAGGER_MS, discard: ignore },
        async (resolver, trySignal) => {
          const answer = await resolver.exchange(question, { ...errand, signal: trySignal });
          if (saysWhatIs(answer)) return answer;
          refusals.push(answer);
          timers.push(clock.setTimer(() => enough.abort(), SYSTEM_STAGGER_MS));
          throw new UpstreamError("exhausted", resolver.label, rcodeName(answer.rcode));
        },
      );
    } catch (error) {
      const best = refusals.reduce<Answer | null>(moreTelling, null);
      if (best === null || errand.signal.aborted) throw error;
      return best;
    } finally {
      for (const timer of timers) timer.cancel();
    }
  }

  addresses(): readonly string[] {
    return [...this.#resolvers.keys()];
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#reading;
    await Promise.all(this.#resolvers.values().map((resolver) => resolver.close()));
  }

  async #read(): Promise<void> {
    const { clock, system, open } = this.#parts;
    // While it is being rewritten there may be no file; what it said before still holds.
    const text = await readFile(system.resolvConf, "utf8").catch(() => null);
    this.#readAtMs = clock.now();
    if (text === null || this.#closed) return;
    const before = this.#resolvers;
    const addresses = resolversIn(text).filter((address) => !system.isOurs(address, DNS_PORT));
    this.#resolvers = new Map(addresses.map((address) => [address, before.get(address) ?? open(address)]));
    for (const [address, resolver] of before) if (!this.#resolvers.has(address)) void resolver.close();
  }
}

/** The addresses on the `nameserver` lines of a resolv.conf(5). */
export function resolversIn(text: string): string[] {
  const addresses = text.split("\n").flatMap((line) => /^\s*nameserver\s+(\S+)/.exec(line)?.[1] ?? []);
  return [...new Set(addresses.filter((address) => isIP(address) !== 0))].slice(0, MAX_RESOLVERS);
}

import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import type { Answer } from "../dns/answer.ts";
import type { Question } from "../dns/query.ts";
import { rcodeName } from "../dns/types.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { Dialer, staggered } from "./dial.ts";
import { HttpsServer } from "./https.ts";
import type { ServerOptions } from "./options.ts";
import { moreTelling, saysWhatIs } from "./reply.ts";
import { StreamServer } from "./stream.ts";
import { UdpServer } from "./udp.ts";
import { type ExchangeOptions, type ServerContext, type SystemContext, type Upstream, UpstreamError } from "./upstream.ts";

/**
 * Opens one server of the configuration over its transport. It connects at the first question. With a proxy a server of protocol `udp` is asked
 * over TCP, because these proxies carry no datagrams. `system` does not use the proxy: the host's resolvers are near.
 */
export function openServer(server: ServerOptions, context: ServerContext): Upstream {
  const { clock, system } = context;
  if (server.protocol === "system")
    return new SystemServer(server.label, { clock, system, open: (address) => openResolver(address, server, context) });
  const dialer = new Dialer(server, context);
  if (server.protocol === "https") return new HttpsServer(server, context, dialer);
  const isUdp = server.protocol === "udp" && context.proxy === null;
  return isUdp ? new UdpServer(server, context, dialer) : new StreamServer(server, context, dialer);
}

function openResolver(address: string, server: ServerOptions, context: ServerContext): Upstream {
  const label = `${server.label} (${address})`;
  const resolver: ServerOptions = { ...server, label, protocol: "udp", host: address, port: DNS_PORT, addresses: [] };
  return openServer(resolver, { ...context, proxy: null });
}

/** How often resolv.conf is read, at most. Reading finds every kind of change, links included, and costs less than a question. */
const REREAD_MS = 5_000;

/** How long one resolver may be silent before the next is asked beside it, and how long a refusal waits for a better answer. The C library waits far longer (resolv.conf(5)). */
const STAGGER_MS = 1_000;

/** As many as the C library uses (resolv.conf(5)). */
const MAX_RESOLVERS = 3;

const DNS_PORT = 53;

interface SystemServerParts {
  readonly clock: Clock;
  readonly system: SystemContext;
  /** Opens one resolver, over UDP. */
  readonly open: (address: string) => Upstream;
}

/** The resolvers of the host, in the order of resolv.conf. Each is asked when the one before gave no good answer, failed or is silent. */
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

  async exchange(question: Question, options: ExchangeOptions): Promise<Answer> {
    const { clock, system } = this.#parts;
    if (clock.now() - this.#readAtMs >= REREAD_MS) {
      this.#reading ??= this.#read().finally(() => {
        this.#reading = null;
      });
      await this.#reading;
    }
    if (this.#closed) throw new UpstreamError("closed", this.label, "closed");
    const resolvers = [...this.#resolvers.values()];
    if (resolvers.length === 0) throw new UpstreamError("bootstrap", this.label, `${system.resolvConf} names no resolver but us`);
    return await this.#askEach(resolvers, question, options);
  }

  async #askEach(resolvers: readonly Upstream[], question: Question, options: ExchangeOptions): Promise<Answer> {
    const { clock } = this.#parts;
    const enough = new AbortController();
    const { signal } = enough;
    const stop = (): void => enough.abort(new UpstreamError("aborted", this.label, "the caller gave up"));
    if (options.signal.aborted) stop();
    options.signal.addEventListener("abort", stop);
    const refusals: Answer[] = [];
    const timers: Timer[] = [];
    try {
      return await staggered(resolvers, { signal, clock, staggerMs: STAGGER_MS }, async (resolver, trySignal) => {
        const answer = await resolver.exchange(question, { ...options, signal: trySignal });
        if (saysWhatIs(answer)) return answer;
        refusals.push(answer);
        timers.push(clock.setTimer(() => enough.abort(), STAGGER_MS));
        throw new UpstreamError("exhausted", resolver.label, rcodeName(answer.rcode));
      });
    } catch (error) {
      const best = refusals.reduce<Answer | null>(moreTelling, null);
      if (best === null || options.signal.aborted) throw error;
      return best;
    } finally {
      options.signal.removeEventListener("abort", stop);
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
    // While another program rewrites the file there may be none. Its last content stays valid.
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

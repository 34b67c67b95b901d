import { readFile } from "node:fs/promises";
import { isIP } from "node:net";
import type { Answer } from "../dns/answer.ts";
import type { Question } from "../dns/query.ts";
import { rcodeName } from "../dns/types.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { ignore } from "./connect.ts";
import { moreTelling, saysWhatIs } from "./ending.ts";
import { inTurn } from "./in-turn.ts";
import type { SystemContext } from "./server-context.ts";
import { type Errand, type Upstream, UpstreamError } from "./upstream.ts";

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

  async exchange(question: Question, errand: Errand): Promise<Answer> {
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

  async #askInTurn(resolvers: readonly Upstream[], question: Question, errand: Errand): Promise<Answer> {
    const { clock } = this.#parts;
    const enough = new AbortController();
    const signal = AbortSignal.any([errand.signal, enough.signal]);
    const refusals: Answer[] = [];
    const timers: Timer[] = [];
    try {
      return await inTurn(
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

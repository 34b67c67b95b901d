/**
 * How many questions the cache answers: SIEVE against LRU on the same trace and budget, calm and under a flood of random subdomains.
 * `node bench/hit-ratio.ts` prints a Markdown table. Nothing in it depends on the machine.
 */
import { LRUCache } from "lru-cache";
import { AnswerCache } from "../src/cache/answer-cache.ts";
import { entryBytes } from "../src/cache/entry.ts";
import { type CacheKey, cacheKey } from "../src/cache/key.ts";
import { type LifetimeLimits, lifetimeSeconds } from "../src/cache/lifetime.ts";
import { type Answer, type BuiltRecord, buildAnswer, negativeSoa } from "../src/dns/answer.ts";
import { type Name, nameFromText, nameWire } from "../src/dns/name.ts";
import { CLASS, RCODE, TYPE } from "../src/dns/types.ts";
import type { Clock } from "../src/lib/clock.ts";
import { seeded, zipf } from "./random.ts";

export interface Workload {
  /** Different names that are asked for, by a Zipf law of this exponent. */
  readonly names: number;
  readonly exponent: number;
  readonly questions: number;
  readonly questionsPerSecond: number;
  /** Random subdomains, all of them NXDOMAIN, that are asked for during the second quarter of the trace. */
  readonly flood: number;
  readonly seed: number;
}

/** What is compared: something that holds answers. */
export interface Held {
  /** Whether a fresh answer is there. Counts as use. */
  has(key: CacheKey): boolean;
  put(key: CacheKey, answer: Answer): void;
}

export type MakeCache = (budgetBytes: number, clock: Clock) => Held;

/** @returns of the questions of the workload, from the flood's beginning on, the share that was answered from the cache; the flood's own do not count. */
export function hitRatio(make: MakeCache, budgetBytes: number, workload: Workload): number {
  const random = seeded(workload.seed);
  let nowMs = 0;
  const cache = make(budgetBytes, { now: () => nowMs, wallMs: () => nowMs, setTimer: () => ({ cancel: () => {} }) });
  const positives = new Positives();
  const nextRank = zipf(workload.names, workload.exponent);
  const quarter = workload.questions / 4;
  let hits = 0;
  let flooded = 0;
  for (let index = 0; index < workload.questions; index++) {
    nowMs = (index / workload.questionsPerSecond) * 1000;
    const { key, answer } = positives.get(nextRank(random()));
    if (!cache.has(key)) cache.put(key, answer);
    else if (index >= quarter) hits++;
    const floodedByNow = workload.flood * Math.min(1, Math.max(0, (index + 1 - quarter) / quarter));
    for (; flooded < floodedByNow; flooded++) ask(cache, denial(`x${flooded}-${workload.seed}.flood.example`));
  }
  return hits / (workload.questions - quarter);
}

function ask(cache: Held, { key, answer }: Entry): void {
  if (!cache.has(key)) cache.put(key, answer);
}

/** The cache of the server. Stale answers are left out: LRU has none. */
export const sieve: MakeCache = (sizeBytes, clock) => {
  const cache = new AnswerCache({ sizeBytes, stale: null, prefetch: false, file: null, volatile: [] }, clock);
  return {
    has: (key) => cache.get(key) !== null,
    put: (key, answer) => void cache.put(key, answer, { limits: LIMITS }),
  };
};

/** `lru-cache` over everything alike, each entry counted as the server's cache counts it. */
export const lru: MakeCache = (sizeBytes, clock) => {
  const cache = new LRUCache<CacheKey, { readonly untilMs: number; readonly bytes: number }>({
    maxSize: sizeBytes,
    sizeCalculation: ({ bytes }) => bytes,
  });
  return {
    has: (key) => clock.now() < (cache.get(key)?.untilMs ?? 0),
    put: (key, answer) =>
      void cache.set(key, {
        untilMs: clock.now() + lifetimeSeconds(answer, LIMITS) * 1000,
        bytes: entryBytes(key, answer),
      }),
  };
};

/** The defaults of section `answers`. */
const LIMITS: LifetimeLimits = {
  ttl: { minSeconds: 0, maxSeconds: 86_400 },
  negative: { minSeconds: 1, maxSeconds: 60, blockSeconds: 60, bareSeconds: 10, failureSeconds: 5 },
};

interface Entry {
  readonly key: CacheKey;
  readonly answer: Answer;
}

/** Answers of several sizes and TTLs, made once each. */
class Positives {
  readonly #made: Entry[] = [];

  get(rank: number): Entry {
    const made = this.#made[rank] ?? positive(rank);
    this.#made[rank] = made;
    return made;
  }
}

const TTLS_SECONDS = [60, 300, 600, 3600, 86_400];

function positive(rank: number): Entry {
  const name = nameOf(`host${rank}.site${rank % 997}.example`);
  const target = nameOf(`edge${rank % 89}.cdn.example`);
  const ttlSeconds = TTLS_SECONDS[rank % TTLS_SECONDS.length] ?? 300;
  const alias: BuiltRecord[] = rank % 3 === 0 ? [{ owner: name, type: TYPE.CNAME, ttlSeconds, data: nameWire(target) }] : [];
  const owner = alias.length > 0 ? target : name;
  const addresses = Array.from({ length: 1 + (rank % 4) }, (_, index) => {
    return { owner, type: TYPE.A, ttlSeconds, data: Uint8Array.of(192, 0, 2, index) };
  });
  return entry(name, RCODE.NOERROR, { answers: [...alias, ...addresses], authority: [] });
}

function denial(text: string): Entry {
  return entry(nameOf(text), RCODE.NXDOMAIN, { answers: [], authority: [negativeSoa(nameOf("flood.example"), 900)] });
}

function entry(name: Name, rcode: number, records: { answers: BuiltRecord[]; authority: BuiltRecord[] }): Entry {
  const asked = { name, type: TYPE.A, class: CLASS.IN };
  const flags = { dnssecOk: false, checkingDisabled: false, clientSubnet: null };
  return { key: cacheKey({ ...asked, ...flags }, "main"), answer: buildAnswer({ ...asked, rcode, ...records }) };
}

function nameOf(text: string): Name {
  const name = nameFromText(text);
  if (name === null) throw new Error(`${text} is no name`);
  return name;
}

const BUDGETS_MIB = [1, 4, 16];
const WORKLOAD: Workload = {
  names: 100_000,
  exponent: 0.9,
  questions: 400_000,
  questionsPerSecond: 100,
  flood: 100_000,
  seed: 1,
};

function main(): void {
  const percent = (ratio: number) => `${(ratio * 100).toFixed(2)} %`;
  const points = (from: number, to: number) => `${to >= from ? "+" : "−"}${(Math.abs(to - from) * 100).toFixed(2)}`;
  const { names, exponent, questions, flood } = WORKLOAD;
  console.log(`${questions} questions for ${names} names (Zipf ${exponent}), flood of ${flood} NXDOMAINs\n`);
  console.log("| budget | SIEVE | SIEVE, flooded | points | LRU | LRU, flooded | points | SIEVE over LRU | flooded |");
  console.log("|---|---|---|---|---|---|---|---|---|");
  for (const budget of BUDGETS_MIB) {
    const measure = (make: MakeCache, floodSize: number) => hitRatio(make, budget * 2 ** 20, { ...WORKLOAD, flood: floodSize });
    const [calm, flooded, lruCalm, lruFlooded] = [measure(sieve, 0), measure(sieve, flood), measure(lru, 0), measure(lru, flood)];
    const cells = [percent(calm), percent(flooded), points(calm, flooded), percent(lruCalm), percent(lruFlooded)];
    const gains = [points(lruCalm, lruFlooded), points(lruCalm, calm), points(lruFlooded, flooded)];
    console.log(`| ${[`${budget} MiB`, ...cells, ...gains].join(" | ")} |`);
  }
}

if (import.meta.main) main();

import { readFileSync } from "node:fs";
import { type Name, nameWire, parentOf, plainName, ROOT } from "../../src/dns/name.ts";
import { runCooperatively } from "../../src/lib/cooperative.ts";
import type { DomainSet } from "../../src/lists/domain-set.ts";
import { DomainSetBuilder } from "../../src/lists/domain-set-builder.ts";
import { readDomains } from "../../src/lists/readers.ts";
import { WarningLog } from "../../src/lists/types.ts";
import { type Operation, timing } from "./measure.ts";
import { realList } from "./site.ts";

/** What a domain set costs. Times are the best of several. */
export interface SetCost {
  readonly what: string;
  readonly entries: number;
  /** From the bytes of the file, with a turn of the event loop after each slice, as the server loads it. */
  readonly loadMs: number;
  /** Besides the file. */
  readonly memoryBytes: number;
  readonly lookups: readonly LookupCost[];
}

/** Nanoseconds for names that are in the set, names that are not, both in turn, and both in turn in a Set of the same names. */
export interface LookupCost {
  readonly distinctNames: number;
  readonly listed: number;
  readonly unlisted: number;
  readonly mixed: number;
  readonly naive: number;
}

/** Loadings of which the best counts. */
export const LOADS = 5;

/** Runs of which the best counts: short ones, because others may use the machine too. */
export const RUNS = { runs: 200, runMs: 5 } as const;

/** Names asked, half of them listed. What a few thousand lead to stays in the processor's caches, and what a hundred thousand do does not. */
const ASKED = [10_000, 200_000];

/** Sets of made-up lists of so many names, and of the real one where there is one. */
export async function domainSetCosts(sizes: readonly number[]): Promise<readonly SetCost[]> {
  const real = realList("accelerated-domains.china.conf");
  const costs: SetCost[] = [];
  if (real !== null) costs.push(await costOf("dnsmasq-china-list", readFileSync(real)));
  for (const size of sizes) costs.push(await costOf("made-up names", madeUpList(size)));
  return costs;
}

async function costOf(what: string, file: Buffer): Promise<SetCost> {
  let loadMs = Number.POSITIVE_INFINITY;
  for (let count = 0; count < LOADS; count++) {
    const start = performance.now();
    await load(file);
    loadMs = Math.min(loadMs, performance.now() - start);
  }
  const before = await memoryBytes();
  const set = await load(file);
  const memory = (await memoryBytes()) - before;
  return { what, entries: set.size, loadMs, memoryBytes: memory, lookups: lookupCosts(set) };
}

function lookupCosts(set: DomainSet): readonly LookupCost[] {
  const all = [...set.names()];
  const naive = new Set(all);
  return ASKED.map((asked) => {
    const { listed, unlisted } = askedNames(asked / 2, all, set);
    const mixed = listed.flatMap((name, index) => [name, unlisted[index] ?? ROOT]);
    return {
      distinctNames: new Set(mixed).size,
      listed: best(lookups(set, listed)),
      unlisted: best(lookups(set, unlisted)),
      mixed: best(lookups(set, mixed)),
      naive: best(walks(naive, mixed)),
    };
  });
}

async function load(file: Buffer): Promise<DomainSet> {
  const builder = new DomainSetBuilder("list");
  const problem = await runCooperatively(readDomains(file, null, { sink: builder.source("list"), warnings: new WarningLog() }));
  if (problem !== null) throw new Error(problem);
  return await runCooperatively(builder.buildSliced());
}

interface AskedNames {
  readonly listed: readonly Name[];
  readonly unlisted: readonly Name[];
}

/** So many names picked at random from all over the list, and as many beside them: each itself, or with one to three labels before. */
function askedNames(count: number, all: readonly Name[], set: DomainSet): AskedNames {
  const random = randomNumbers();
  const listed: Name[] = [];
  const unlisted: Name[] = [];
  while (listed.length < count) {
    const name = all[random(all.length)] ?? ROOT;
    const labels = BEFORE[listed.length % BEFORE.length] ?? "";
    const elsewhere = `${labels}\x0anot-${random(1_000_000).toString().padStart(6, "0")}${parentOf(name)}` as Name;
    if (set.match(elsewhere) !== null) continue;
    listed.push(asReceived(`${labels}${name}` as Name));
    unlisted.push(asReceived(elsewhere));
  }
  return { listed, unlisted };
}

const BEFORE = ["", "\x03www", "\x03img\x03cdn", "\x01a\x02b2\x03eu1"];

/** The string that `parseQuery` would make of it: one piece. */
function asReceived(name: Name): Name {
  const wire = nameWire(name);
  return plainName(wire, 0, wire.length);
}

function lookups(set: DomainSet, names: readonly Name[]): Operation {
  const next = circulating(names);
  return {
    name: "lookups",
    run(count) {
      let hits = 0;
      for (let done = 0; done < count; done++) if (set.match(next()) !== null) hits++;
      return hits;
    },
  };
}

/** What a Set of the names would cost, asked for the name and each of its parents. */
function walks(set: ReadonlySet<Name>, names: readonly Name[]): Operation {
  const next = circulating(names);
  return {
    name: "walks",
    run(count) {
      let hits = 0;
      for (let done = 0; done < count; done++) {
        let suffix = next();
        while (suffix !== ROOT && !set.has(suffix)) suffix = parentOf(suffix);
        if (suffix !== ROOT) hits++;
      }
      return hits;
    },
  };
}

/** Goes on where the run before ended, so that each name has its turn however short the runs are. */
function circulating(names: readonly Name[]): () => Name {
  let index = 0;
  return () => {
    if (index === names.length) index = 0;
    return names[index++] ?? ROOT;
  };
}

function best(operation: Operation): number {
  return timing(operation, RUNS).lowest;
}

/** The same list each time: of ten names one has a label more than the others. */
function madeUpList(size: number): Buffer {
  const tops = ["com", "net", "org", "com.cn", "cn"];
  const lines = Array.from({ length: size }, (_, index) => {
    const name = `site-${(index * 7919).toString(36)}.${tops[index % 5]}`;
    return index % 10 === 9 ? `static.${name}\n` : `${name}\n`;
  });
  return Buffer.from(lines.join(""));
}

/** The same numbers each time, each below the limit that is given. */
function randomNumbers(): (limit: number) => number {
  let state = 1;
  return (limit) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * limit);
  };
}

/** What is held, garbage aside; needs `--expose-gc`. */
async function memoryBytes(): Promise<number> {
  let held = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 20; round++) {
    globalThis.gc?.();
    // The memory of dead buffers is given back after the collection, by another thread.
    await new Promise((resolve) => setTimeout(resolve, 50));
    const { heapUsed, arrayBuffers } = process.memoryUsage();
    const before = held;
    held = heapUsed + arrayBuffers;
    if (before - held < 10_000) break;
  }
  return held;
}

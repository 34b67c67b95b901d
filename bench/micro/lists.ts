import { readFileSync } from "node:fs";
import { rangeFromText } from "../../src/dns/address.ts";
import { AddressSet } from "../../src/dns/address-set.ts";
import { type Name, nameFromText } from "../../src/dns/name.ts";
import type { DomainSet } from "../../src/lists/domain-set.ts";
import { DomainSetBuilder } from "../../src/lists/domain-set-builder.ts";
import { readDomains } from "../../src/lists/read-domains.ts";
import { atOnce } from "../../src/lists/sliced.ts";
import { WarningLog } from "../../src/lists/warnings.ts";
import { type Operation, timing } from "./measure.ts";
import { realList } from "./site.ts";

/** What a domain set costs once it stands. */
export interface SetCost {
  readonly what: string;
  readonly entries: number;
  readonly loadMs: number;
  readonly memoryBytes: number;
  /** Half of the names looked up lie below one of the set, half nowhere. */
  readonly lookupNanoseconds: number;
}

/** Names of plain text lists with so many names, and the real one where there is one. */
export async function domainSetCosts(sizes: readonly number[]): Promise<readonly SetCost[]> {
  const real = realList("accelerated-domains.china.conf");
  const costs: SetCost[] = [];
  if (real !== null) costs.push(await costOf("dnsmasq-china-list", readFileSync(real)));
  for (const size of sizes) costs.push(await costOf(`${size} made-up names`, madeUpList(size)));
  return costs;
}

export function addressSetLookups(count: number): Operation {
  const set = new AddressSet(Array.from({ length: count }, (_, index) => cidrAt(index)).flatMap((range) => range ?? []));
  const addresses = Array.from({ length: 4096 }, (_, index) => {
    const bits = Math.imul(index + 1, 0x9e37_79b1) >>> 0;
    return Uint8Array.of(bits >>> 24, (bits >>> 16) & 255, (bits >>> 8) & 255, bits & 255);
  });
  return {
    name: `address set of ${set.size} blocks`,
    run(times) {
      let hits = 0;
      for (let index = 0; index < times; index++) if (set.has(addresses[index & 4095] ?? NOWHERE)) hits++;
      return hits;
    },
  };
}

const NOWHERE = new Uint8Array(4);

async function costOf(what: string, file: Buffer): Promise<SetCost> {
  // The first loading compiles the readers; the second is what a reload costs.
  load(file);
  const before = await memoryBytes();
  const start = performance.now();
  const set = load(file);
  const loadMs = performance.now() - start;
  const cost = { what, entries: set.size, loadMs, memoryBytes: (await memoryBytes()) - before };
  return { ...cost, lookupNanoseconds: timing(lookups(set)).nanoseconds };
}

function load(file: Buffer): DomainSet {
  const builder = new DomainSetBuilder("list");
  const problem = atOnce(readDomains(file, null, { sink: builder.source("list"), warnings: new WarningLog() }));
  if (problem !== null) throw new Error(problem);
  return builder.build();
}

function lookups(set: DomainSet): Operation {
  const names: Name[] = [];
  const step = Math.max(1, Math.floor(set.size / LOOKED_UP));
  let index = 0;
  for (const name of set.names()) if (index++ % step === 0) names.push(`\x03www${name}` as Name, nameAt(index));
  return {
    name: "lookups",
    run(times) {
      let hits = 0;
      for (let done = 0; done < times; ) {
        for (const name of names) {
          if (done++ >= times) break;
          if (set.match(name) !== null) hits++;
        }
      }
      return hits;
    },
  };
}

/** Enough that the set's tables are not all in the processor's first cache. */
const LOOKED_UP = 20_000;

function nameAt(index: number): Name {
  const name = nameFromText(`www.nowhere-${index}.example.org`);
  if (name === null) throw new Error("a made-up name that is none");
  return name;
}

function madeUpList(size: number): Buffer {
  const tops = ["com", "net", "org", "com.cn", "cn"];
  return Buffer.from(
    Array.from({ length: size }, (_, index) => `site-${(index * 7919).toString(36)}.${tops[index % 5]}\n`).join(""),
  );
}

function cidrAt(index: number) {
  return rangeFromText(`${1 + (index >> 8)}.${index & 255}.${(index * 37) & 252}.0/23`);
}

/** What is held, garbage aside; needs `--expose-gc`. */
async function memoryBytes(): Promise<number> {
  for (let round = 0; round < 3; round++) {
    globalThis.gc?.();
    // The memory of dead buffers is given back after the collection, by another thread.
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}

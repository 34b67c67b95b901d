// `node --expose-gc bench/micro.ts`: what each stage of a cache hit costs, and what lists cost. For finding out what to make faster: figures of
// one machine are worth comparing with each other only.

import { closeState } from "../src/server/state.ts";
import { addressSetLookups } from "./micro/address-set.ts";
import { domainSetCosts, LOADS, RUNS } from "./micro/domain-set.ts";
import { timing } from "./micro/measure.ts";
import { queryPath } from "./micro/query-path.ts";
import { filledSite } from "./micro/site.ts";
import { zoneOf } from "./zone.ts";

const NAMES = 10_000;
const LIST_SIZES = [110_000, 1_000_000];
const CIDRS = 15_000;

const filled = await filledSite(zoneOf(NAMES));
const timings = [...queryPath(filled), addressSetLookups(CIDRS)].map((operation) => timing(operation));
await closeState(filled.site, null);

const times = timings.map(({ name, nanoseconds, lowest, highest }) => [
  name,
  nanoseconds.toFixed(0),
  `${lowest.toFixed(0)} to ${highest.toFixed(0)}`,
  (1000 / nanoseconds).toFixed(2),
]);
const costs = await domainSetCosts(LIST_SIZES);
const sets = costs.map(({ what, entries, loadMs, memoryBytes }) => [
  what,
  String(entries),
  loadMs.toFixed(0),
  (memoryBytes / 1e6).toFixed(1),
]);
const lookups = costs.flatMap(({ what, entries, lookups }) =>
  lookups.map(({ distinctNames, listed, unlisted, mixed, naive }) => [
    what,
    String(entries),
    String(distinctNames),
    ...[listed, unlisted, mixed, naive].map((nanoseconds) => (1000 / nanoseconds).toFixed(2)),
  ]),
);

console.log(
  `Cache hits among ${NAMES} names, ${filled.list === null ? "one pattern" : "a list of 110,000 names"} in the deciding rule\n`,
);
printTable(["operation", "ns", "lowest to highest", "million/s"], times);
console.log(`Domain sets, best of ${LOADS} loadings\n`);
printTable(["domain set", "entries", "load ms", "memory MB"], sets);
console.log(`Lookups in domain sets, in millions a second, best of ${RUNS.runs} runs of ${RUNS.runMs} ms\n`);
printTable(
  ["domain set", "entries", "different names asked", "listed", "unlisted", "half of each", "the same in a Set"],
  lookups,
);
if (globalThis.gc === undefined) console.log("Memory holds garbage too: run with --expose-gc.");

function printTable(heads: readonly string[], rows: readonly (readonly string[])[]): void {
  const rule = heads.map((_, index) => (index === 0 ? "---" : "--:"));
  console.log(`${[heads, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`);
}

/**
 * The query log with millions of rows: what a row takes, how long searches take, and what insertion costs those who wait for answers.
 * `node bench/query-log.ts [--rows=5000000] [--runs=15] [--store=FILE]` prints Markdown tables. Without a file, one is made and removed.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { bytesByTable, filledStore } from "./log/filled-store.ts";
import { insertionRounds, type Latency } from "./log/insertion.ts";
import { canBeApart } from "./log/processors.ts";
import { QuerySource } from "./log/rows.ts";
import { searchTimes } from "./log/searches.ts";
import { median } from "./statistics.ts";

const { values } = parseArgs({
  options: {
    rows: { type: "string", default: "5000000" },
    runs: { type: "string", default: "15" },
    rounds: { type: "string", default: "5" },
    store: { type: "string" },
  },
});

const folder = mkdtempSync(join(tmpdir(), "fenliu-bench-log-"));
try {
  const source = new QuerySource({ names: 60_000, clients: 40, seed: 1 });
  const store = filledStore(values.store ?? join(folder, "queries.db"), Number(values.rows), source);
  console.log(
    `${store.rows} rows, ${(store.bytes / store.rows).toFixed(1)} bytes a row (${(store.bytes / 2 ** 20).toFixed(0)} MiB)`,
  );
  if (store.filling !== null) {
    const { rowsPerSecond, longestTidyMs } = store.filling;
    console.log(
      `Added at ${Math.round(rowsPerSecond)} rows/s by one thread; the longest piece of upkeep took ${longestTidyMs.toFixed(0)} ms`,
    );
  }
  const sizes = bytesByTable(store.options.path, store.rows).filter(({ bytesPerRow }) => bytesPerRow >= 0.05);
  printTable(
    ["table or index", "bytes a row"],
    sizes.map(({ table, bytesPerRow }) => [table, bytesPerRow.toFixed(1)]),
  );
  const times = await searchTimes(store, source, Number(values.runs));
  printTable(
    ["search", "median ms", "worst ms", "limit ms", "found"],
    times.map(({ what, medianMs, worstMs, limitMs, found }) => [
      what,
      medianMs.toFixed(1),
      worstMs.toFixed(1),
      String(limitMs),
      found,
    ]),
  );
  console.log(
    "Answers from the cache over UDP, 1,000/s, by turns while no records are added, while another process adds 20,000/s to a log of its own, and while the process that answers does.",
  );
  const mayBeApart = canBeApart();
  await printInsertion(false);
  if (mayBeApart) await printInsertion(true);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function printInsertion(apart: boolean): Promise<void> {
  const rounds = await insertionRounds({ folder, rounds: Number(values.rounds), apart });
  console.log(apart ? "Who asks, the thread that answers, and all else on processors of their own:" : "As the scheduler has it:");
  printTable(
    ["", "records/s stored", "dropped", "p50 ms", "p99 ms", "lost"],
    rounds.flatMap(({ storedPerSecond, dropped, quiet, elsewhere, adding }) => [
      ["none", "", "", ...latencyCells(quiet)],
      ["elsewhere", "", "", ...latencyCells(elsewhere)],
      ["here", String(Math.round(storedPerSecond)), String(dropped), ...latencyCells(adding)],
    ]),
  );
  const medians = (["quiet", "elsewhere", "adding"] as const).map((kind) => median(rounds.map((round) => round[kind].p99Ms)));
  console.log(`Medians of the 99th percentiles: ${medians.map((ms) => ms.toFixed(3)).join(", ")} ms\n`);
}

function latencyCells({ p50Ms, p99Ms, lost }: Latency): string[] {
  return [p50Ms.toFixed(3), p99Ms.toFixed(3), String(lost)];
}

function printTable(heads: readonly string[], rows: readonly (readonly string[])[]): void {
  const rule = heads.map((_, index) => (index === 0 ? "---" : "--:"));
  console.log(`\n${[heads, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n")}\n`);
}

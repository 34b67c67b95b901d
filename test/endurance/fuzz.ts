/**
 * Searches inputs that a reader of ours fails at, led by the coverage of the sources: `npm run fuzz [-- TARGET… --seconds 10 --seed 1 --keep]`.
 *
 * Each reader (`fuzz-targets.ts`) gets a thread. An input that makes the reader throw, break a law, take more than its time or not come to an end is
 * shortened and written into `seeds/TARGET.txt`, in base64, one a line: `fuzz.test.ts` reads all of them in every `npm test`. `--keep` adds the inputs
 * that brought new coverage, so that the next search begins where this one has ended.
 */
import { appendFileSync, existsSync, readFileSync } from "node:fs";
import { setPriority } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { Worker } from "node:worker_threads";
import { FUZZ_TARGETS } from "./fuzz-targets.ts";
import type { FuzzReport, FuzzTask } from "./fuzz-thread.ts";
import { MAX_INPUT_BYTES } from "./mutator.ts";

/** An input that is read for so long does not come to an end, also where other programs have the processors. */
const HANGS_MS = 120_000;

const SEEDS = fileURLToPath(new URL("seeds/", import.meta.url));

/** Longer inputs are not kept: the seeds are part of the sources. */
const MAX_KEPT_BYTES = 512;

export function readSeeds(target: string): readonly Buffer[] {
  const path = `${SEEDS}${target}.txt`;
  if (!existsSync(path)) return [];
  return readFileSync(path, "utf8")
    .trim()
    .split("\n")
    .map((line) => Buffer.from(line, "base64"));
}

function keepSeeds(target: string, inputs: readonly Uint8Array[]): void {
  const known = new Set(readSeeds(target).map((seed) => seed.toString("base64")));
  const lines = inputs.map((input) => Buffer.from(input).toString("base64")).filter((line) => line !== "" && !known.has(line));
  if (lines.length > 0) appendFileSync(`${SEEDS}${target}.txt`, `${lines.join("\n")}\n`);
}

async function search(task: FuzzTask): Promise<FuzzReport> {
  const { promise, resolve, reject } = Promise.withResolvers<FuzzReport>();
  const worker = new Worker(new URL("fuzz-thread.ts", import.meta.url), { workerData: task });
  const place = new Int32Array(task.current, 0, 2);
  let runs = -1;
  const watch = setInterval(() => {
    const now = Atomics.load(place, 0);
    if (now === runs) {
      const input = Uint8Array.from(new Uint8Array(task.current, 8, Atomics.load(place, 1)));
      resolve({ kind: "fault", input, reason: `not read after ${HANGS_MS / 1000} s` });
    }
    runs = now;
  }, HANGS_MS);
  worker.on("message", resolve).on("error", reject);
  try {
    return await promise;
  } finally {
    clearInterval(watch);
    await worker.terminate();
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      seconds: { type: "string", default: "10" },
      seed: { type: "string", default: String(Date.now() % 1_000_000) },
      keep: { type: "boolean", default: false },
    },
  });
  // Lower than the query log's thread, which a server beside it would starve with.
  setPriority(19);
  const names = positionals.length > 0 ? positionals : Object.keys(FUZZ_TARGETS);
  const stranger = names.find((name) => FUZZ_TARGETS[name] === undefined);
  if (stranger !== undefined)
    throw new Error(`there is no target ${stranger}; there are ${Object.keys(FUZZ_TARGETS).join(", ")}`);
  console.log(`seed ${values.seed}, ${values.seconds} s for each of ${names.join(", ")}`);
  for (const target of names) {
    const current = new SharedArrayBuffer(8 + MAX_INPUT_BYTES);
    const task = { target, seconds: Number(values.seconds), seed: Number(values.seed), seeds: readSeeds(target), current };
    const report = await search(task);
    if (report.kind === "fault") {
      keepSeeds(target, [report.input]);
      console.log(
        `${target}: FAULT, now in ${SEEDS}${target}.txt\n  ${Buffer.from(report.input).toString("base64")}\n  ${report.reason}`,
      );
      process.exitCode = 1;
      continue;
    }
    const short = report.found.filter(({ length }) => length <= MAX_KEPT_BYTES);
    if (values.keep) keepSeeds(target, short);
    console.log(
      `${target}: ${report.runs} inputs, ${report.coveredBytes} bytes of the sources ran, ${report.found.length} inputs brought new coverage`,
    );
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();

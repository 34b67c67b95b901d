import { Session } from "node:inspector";
import { setImmediate } from "node:timers/promises";
import { parentPort, workerData } from "node:worker_threads";
import { seeded } from "../../bench/random.ts";
import { FUZZ_TARGETS, type FuzzTarget } from "./fuzz-targets.ts";
import { Mutator } from "./mutator.ts";

/** What the thread is to do. Fit for structured cloning. */
export interface FuzzTask {
  readonly target: string;
  readonly seconds: number;
  readonly seed: number;
  readonly seeds: readonly Uint8Array[];
  /** The number of runs, the length of the input that is being read, and its bytes: they tell which input does not come to an end. */
  readonly current: SharedArrayBuffer;
}

export type FuzzReport =
  | { readonly kind: "fault"; readonly input: Uint8Array; readonly reason: string }
  | { readonly kind: "done"; readonly runs: number; readonly coveredBytes: number; readonly found: readonly Uint8Array[] };

/** Inputs between two looks at the coverage, which takes a millisecond or more. */
const BATCH = 64;

/** Processor time of one input above which the reader counts as slow: the thread that answers must not be held longer than 20 ms, on faster machines. */
const SLOW_MS = 100;

/** Which bytes of the sources have run. */
class Coverage {
  readonly #session = new Session();
  readonly #covers: RegExp;
  readonly #covered = new Map<string, Uint8Array>();
  #bytes = 0;

  constructor(covers: RegExp) {
    this.#covers = covers;
    this.#session.connect();
    this.#session.post("Profiler.enable");
    this.#session.post("Profiler.startPreciseCoverage", { callCount: true, detailed: true });
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes what has run since the last call. @returns the bytes of the sources that had never run before. */
  take(): readonly Place[] {
    const fresh: Place[] = [];
    // In the thread itself the callback runs before `post` returns.
    this.#session.post("Profiler.takePreciseCoverage", (error, { result }) => {
      if (error !== null) throw error;
      for (const { url, functions } of result) if (this.#covers.test(url)) this.#note(url, functions, fresh);
    });
    return fresh;
  }

  /** Takes these bytes for such as never ran. */
  forget(places: readonly Place[]): void {
    for (const { covered, at } of places) covered[at] = 0;
    this.#bytes -= places.length;
  }

  #note(url: string, functions: readonly { readonly ranges: readonly Range[] }[], fresh: Place[]): void {
    const length = Math.max(...functions.flatMap(({ ranges }) => ranges.map(({ endOffset }) => endOffset)));
    const ran = new Uint8Array(length);
    // The ranges nest, and the inner ones come later.
    for (const { ranges } of functions)
      for (const { startOffset, endOffset, count } of ranges) ran.fill(count > 0 ? 1 : 0, startOffset, endOffset);
    let covered = this.#covered.get(url) ?? new Uint8Array(0);
    if (covered.length < length) {
      const longer = new Uint8Array(length);
      longer.set(covered);
      covered = longer;
      this.#covered.set(url, covered);
    }
    for (let at = 0; at < length; at++) {
      if (ran[at] === 0 || covered[at] === 1) continue;
      covered[at] = 1;
      fresh.push({ covered, at });
      this.#bytes++;
    }
  }
}

interface Place {
  readonly covered: Uint8Array;
  readonly at: number;
}

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}

/** Reads inputs until the time is up, or one of them is a fault. */
async function fuzz({ target: name, seconds, seed, seeds, current }: FuzzTask): Promise<FuzzReport> {
  const target = FUZZ_TARGETS[name];
  if (target === undefined) throw new Error(`there is no target ${name}`);
  const coverage = new Coverage(target.covers);
  const mutator = new Mutator(seeded(seed), target.words);
  const corpus: Buffer[] = [Buffer.alloc(0), ...seeds.map((bytes) => Buffer.from(bytes))];
  const found: Buffer[] = [];
  const place = new Int32Array(current, 0, 2);
  const shared = Buffer.from(current, 8);
  let runs = 0;
  const fault = (input: Buffer): FuzzReport | null => {
    Atomics.store(place, 1, input.length);
    shared.set(input);
    Atomics.store(place, 0, ++runs);
    const reason = faultOf(target, input);
    return reason === null
      ? null
      : { kind: "fault", input: shorten(input, (shorter) => faultOf(target, shorter) === reason), reason };
  };
  const endMs = performance.now() + seconds * 1000;
  for (
    let batch = corpus.slice();
    performance.now() < endMs;
    batch = Array.from({ length: BATCH }, () => mutator.mutate(corpus))
  ) {
    for (const input of batch) {
      const report = fault(input);
      if (report !== null) return report;
    }
    const fresh = coverage.take();
    if (fresh.length > 0 && runs > corpus.length) {
      // Which input of the batch it was, shows reading them one by one.
      coverage.forget(fresh);
      for (const input of batch) {
        faultOf(target, input);
        if (coverage.take().length === 0) continue;
        corpus.push(input);
        found.push(input);
      }
    }
    await setImmediate();
  }
  return { kind: "done", runs, coveredBytes: coverage.bytes, found };
}

/** Why the reader fails at this input; null = it does not. */
function faultOf({ read }: FuzzTarget, input: Buffer): string | null {
  const before = process.threadCpuUsage();
  try {
    read(Buffer.from(input));
  } catch (error) {
    return error instanceof Error ? (error.stack ?? error.message).split("\n").slice(0, 4).join("\n") : String(error);
  }
  const { user, system } = process.threadCpuUsage(before);
  return (user + system) / 1000 > SLOW_MS ? `slow: more than ${SLOW_MS} ms` : null;
}

/** A shorter input that is as wrong. */
function shorten(input: Buffer, isWrong: (shorter: Buffer) => boolean): Buffer {
  let shortest = input;
  for (let size = input.length >> 1; size > 0; size >>= 1) {
    for (let at = 0; at + size <= shortest.length; ) {
      const shorter = Buffer.concat([shortest.subarray(0, at), shortest.subarray(at + size)]);
      if (isWrong(shorter)) shortest = shorter;
      else at += size;
    }
  }
  return shortest;
}

parentPort?.postMessage(await fuzz(workerData as FuzzTask));

import { AnswerCache } from "../../src/cache/answer-cache.ts";
import { saveCache } from "../../src/cache/cache-file.ts";
import { cacheKey } from "../../src/cache/key.ts";
import type { Answer } from "../../src/dns/answer.ts";
import { TYPE } from "../../src/dns/types.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { positive, question, usualLimits } from "./answers.ts";

/** The number of answers in the file: enough for several chunks. */
export const SAVED_ANSWERS = 3000;

export function savedName(index: number): string {
  return `host${index}.example`;
}

export function savedAnswer(index: number): Answer {
  return positive(savedName(index), {
    type: TYPE.TXT,
    ttlSeconds: 300,
    data: new Uint8Array(200 + (index % 100)).fill(index % 251),
  });
}

export function emptyCache(clock = fakeClock()): AnswerCache {
  const stale = { keepMs: 3_600_000, afterMs: 1800, ttlSeconds: 30, recheckMs: 30_000 };
  return new AnswerCache({ sizeBytes: 1 << 24, stale, prefetch: true, file: null, volatile: [] }, clock);
}

// As a program of its own: saves the same cache again and again until it is killed, with a letter for each time.
if (import.meta.main) {
  const cache = emptyCache();
  for (let index = 0; index < SAVED_ANSWERS; index++) {
    cache.put(cacheKey(question(savedName(index), TYPE.TXT), "main"), savedAnswer(index), { limits: usualLimits });
  }
  const routes = new Map([["main", process.argv[3] ?? ""]]);
  process.stdout.write("r");
  for (;;) {
    await saveCache(cache, process.argv[2] ?? "", routes);
    process.stdout.write("s");
  }
}

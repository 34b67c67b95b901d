import { AnswerCache } from "../../src/cache/answer-cache.ts";
import { type CacheKey, cacheKey } from "../../src/cache/key.ts";
import type { CacheOptions } from "../../src/cache/options.ts";
import { TYPE } from "../../src/dns/types.ts";
import { type FakeClock, fakeClock } from "../support/fake-clock.ts";
import { question } from "./answers.ts";

export const stale = { keepMs: 3_600_000, afterMs: 1800, ttlSeconds: 30, recheckMs: 30_000 };

export function newCache(
  sizeBytes: number,
  changed: Partial<CacheOptions> = {},
): { readonly clock: FakeClock; readonly cache: AnswerCache } {
  const clock = fakeClock();
  return { clock, cache: new AnswerCache({ sizeBytes, stale, prefetch: true, file: null, volatile: [], ...changed }, clock) };
}

export function key(text: string, type: number = TYPE.A, route = "domestic"): CacheKey {
  return cacheKey(question(text, type), route);
}

import type { CacheOptions } from "../cache/options.ts";
import { type RawAnswers, warnBeyondDeadline } from "./answers.ts";
import { key, object, oneOrMany } from "./object.ts";
import type { ConfigReader } from "./reading.ts";
import { boolean, located, orFalse, orNull } from "./shape.ts";
import { duration, seconds, size } from "./units.ts";
import { network, path } from "./values.ts";

const staleShape = object("a map with `keep`, `after`, `ttl` and `recheck`", {
  keep: key(duration("1s", "365d"), "How long an expired answer may still be given.", "1d"),
  after: key(
    located(duration("0s", "30s")),
    "How long a client waits for a fresh answer before it gets the stale one.",
    "1800ms",
  ),
  ttl: key(seconds("1s", "1h"), "TTL of a stale answer.", "30s"),
  recheck: key(duration("1s", "1h"), "For so long after a failed refresh the stale answer is given at once.", "30s"),
});

export const cacheShape = object("a map of settings of the cache", {
  size: key(size("1MiB", "64GiB"), "Memory for answers.", "64MiB"),
  stale: key(orFalse(staleShape), "Expired answers while upstreams fail (RFC 8767); false: never.", {}),
  prefetch: key(boolean(), "Renew popular answers before they expire.", true),
  file: key(orNull(path), "Where answers are kept across restarts; null: nowhere.", "data/cache.db"),
  volatile: key(
    oneOrMany(network),
    "Answers with an address in these networks are never stale, prefetched or kept across restarts.",
    [],
  ),
});

type RawCache = NonNullable<ReturnType<(typeof cacheShape)["read"]>>;

export function cacheOptions({ size: sizeBytes, stale, ...rest }: RawCache): CacheOptions {
  if (stale === null) return { ...rest, sizeBytes, stale };
  return {
    ...rest,
    sizeBytes,
    stale: { keepMs: stale.keep, afterMs: stale.after.value, ttlSeconds: stale.ttl, recheckMs: stale.recheck },
  };
}

export function checkCache({ stale }: RawCache, { deadline }: RawAnswers, reading: ConfigReader): void {
  if (stale !== null) warnBeyondDeadline(stale.after, deadline, "no client would live to see the stale answer", reading);
}

import { formatDuration, inLargestUnit, MS_PER, parseDurationMs } from "../lib/duration.ts";
import { type Parsed, refine, type Shape, text } from "./shape.ts";

const BYTES_PER = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const;

/** Spellings that people use for a unit, in lower case without a plural s. */
const DURATION_WORDS = wordsOf([
  [MS_PER.ms, "ms", "msec"],
  [MS_PER.s, "", "s", "sec", "second"],
  [MS_PER.m, "m", "min", "minute"],
  [MS_PER.h, "h", "hr", "hour"],
  [MS_PER.d, "d", "day"],
  [7 * MS_PER.d, "w", "week"],
]);
const SIZE_WORDS = wordsOf([
  [1, "", "b"],
  [BYTES_PER.KiB, "k", "kb", "kib"],
  [BYTES_PER.MiB, "m", "mb", "mib"],
  [BYTES_PER.GiB, "g", "gb", "gib"],
]);

function wordsOf(units: readonly (readonly [worth: number, ...words: string[]])[]): ReadonlyMap<string, number> {
  return new Map(units.flatMap(([worth, ...words]) => words.map((word) => [word, worth] as const)));
}

/** The lowest and highest value of a quantity, as they are written in the file; both are allowed. */
export type Bounds = readonly [minimum: string, maximum: string];

/** A duration in milliseconds. */
export function duration(...bounds: Bounds): Shape<number> {
  const most = valueIn(parseDuration(bounds[1]));
  const parse = withBounds(bounds, parseDuration);
  return text({
    expected: "a duration such as `30s`",
    pattern: "^[0-9]{1,9}(ms|s|m|h|d)$",
    parse: (written) => {
      const parsed = parse(written);
      // A number without a unit is most likely seconds; milliseconds if so many seconds are not allowed.
      const isTooLong = /^\d{1,9}$/.test(written) && Number(written) * MS_PER.s > most;
      return "wrong" in parsed && isTooLong ? { ...parsed, fix: `write \`${written}ms\`` } : parsed;
    },
  });
}

/** A duration in whole seconds, for a TTL. */
export function seconds(...bounds: Bounds): Shape<number> {
  return refine(duration(...bounds), (ms, place, reader) => {
    if (ms % MS_PER.s === 0) return ms / MS_PER.s;
    return reader.fail(place, "a TTL counts whole seconds", `write \`${Math.max(1, Math.round(ms / MS_PER.s))}s\``);
  });
}

/** A size in bytes. */
export function size(...bounds: Bounds): Shape<number> {
  return text({
    expected: "a size such as `64MiB`",
    pattern: "^[0-9]{1,9}(KiB|MiB|GiB)$",
    parse: withBounds(bounds, parseSize),
  });
}

/** Makes a parser refuse values out of bounds. */
function withBounds([minimum, maximum]: Bounds, parse: (written: string) => Parsed<number>): (written: string) => Parsed<number> {
  const [least, most] = [valueIn(parse(minimum)), valueIn(parse(maximum))];
  return (written) => {
    const parsed = parse(written);
    if ("wrong" in parsed || (parsed.value >= least && parsed.value <= most)) return parsed;
    const wrong = `${written} is out of range: ${minimum} to ${maximum} are allowed`;
    return { wrong, fix: `write \`${parsed.value < least ? minimum : maximum}\`` };
  };
}

function valueIn(parsed: Parsed<number>): number {
  if ("value" in parsed) return parsed.value;
  throw new Error(parsed.wrong);
}

/** Reads `250ms`, `30s`, `5m`, `1h` or `7d` as milliseconds. */
export function parseDuration(written: string): Parsed<number> {
  const ms = parseDurationMs(written);
  if (ms !== null) return { value: ms };
  const meant = parseLoosely(written, DURATION_WORDS);
  const offered = /^\d{1,9}$/.test(written) ? `${written}s` : formatDuration(Math.ceil(meant ?? 0));
  return {
    wrong: `\`${written}\` is no duration: a whole number and one of ms, s, m, h, d are needed`,
    fix: meant === null ? "write a duration such as `30s`" : `write \`${offered}\``,
  };
}

/** Reads `512KiB`, `64MiB` or `1GiB` as bytes. */
export function parseSize(written: string): Parsed<number> {
  const [, digits = "", unit = ""] = /^(\d{1,9})(KiB|MiB|GiB)$/.exec(written) ?? [];
  if (unit === "KiB" || unit === "MiB" || unit === "GiB") return { value: Number(digits) * BYTES_PER[unit] };
  const meant = parseLoosely(written, SIZE_WORDS);
  return {
    wrong: `\`${written}\` is no size: a whole number and one of KiB, MiB, GiB are needed`,
    fix: meant === null ? "write a size such as `64MiB`" : `write \`${formatSize(meant)}\``,
  };
}

function formatSize(bytes: number): string {
  const wholeKiB = Math.max(1, Math.round(bytes / BYTES_PER.KiB));
  return inLargestUnit(wholeKiB * BYTES_PER.KiB, BYTES_PER) ?? `${wholeKiB}KiB`;
}

function parseLoosely(written: string, words: ReadonlyMap<string, number>): number | null {
  const [, number, letters = ""] = /^\s*(\d{1,9}(?:\.\d{1,6})?)\s*([a-z]*)\s*$/i.exec(written) ?? [];
  const word = letters.toLowerCase();
  const worth = words.get(word) ?? words.get(word.replace(/s$/, ""));
  return number === undefined || worth === undefined ? null : Number(number) * worth;
}

import { formatDuration, inLargestUnit, MS_PER, parseDurationMs } from "../lib/duration.ts";
import { type Parsed, type Shape, text } from "./shape.ts";

const BYTES_PER = { KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30 } as const;

/** What people write instead of the units above. */
const TIME_SYNONYMS: Readonly<Record<string, number>> = {
  "": MS_PER.s,
  ms: MS_PER.ms,
  msec: MS_PER.ms,
  s: MS_PER.s,
  sec: MS_PER.s,
  second: MS_PER.s,
  m: MS_PER.m,
  min: MS_PER.m,
  minute: MS_PER.m,
  h: MS_PER.h,
  hr: MS_PER.h,
  hour: MS_PER.h,
  d: MS_PER.d,
  day: MS_PER.d,
  w: 7 * MS_PER.d,
  week: 7 * MS_PER.d,
};
const SIZE_SYNONYMS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: BYTES_PER.KiB,
  kb: BYTES_PER.KiB,
  kib: BYTES_PER.KiB,
  m: BYTES_PER.MiB,
  mb: BYTES_PER.MiB,
  mib: BYTES_PER.MiB,
  g: BYTES_PER.GiB,
  gb: BYTES_PER.GiB,
  gib: BYTES_PER.GiB,
};

/** A duration in milliseconds. The bounds are durations too, both included. */
export function duration(minimum: string, maximum: string): Shape<number> {
  const [least, most] = [valueIn(parseDuration(minimum)), valueIn(parseDuration(maximum))];
  return text({
    expected: "a duration such as `30s`",
    pattern: "^[0-9]{1,9}(ms|s|m|h|d)$",
    parse: (written) => {
      const parsed = parseDuration(written);
      // A number without a unit is most likely seconds, and milliseconds where so many seconds could not be meant.
      if (/^\d{1,9}$/.test(written) && Number(written) * MS_PER.s > most && "wrong" in parsed)
        return { ...parsed, fix: `write \`${written}ms\`` };
      if (!("value" in parsed) || (parsed.value >= least && parsed.value <= most)) return parsed;
      return {
        wrong: `${written} is out of range: ${minimum} to ${maximum} are allowed`,
        fix: nearest(parsed.value, minimum, maximum, least),
      };
    },
  });
}

/** A duration in whole seconds, for what ends up in a TTL. */
export function seconds(minimum: string, maximum: string): Shape<number> {
  const inMs = duration(minimum, maximum);
  return {
    ...inMs,
    read(place, reader) {
      const ms = inMs.read(place, reader);
      if (ms === undefined || ms % MS_PER.s === 0) return ms === undefined ? undefined : ms / MS_PER.s;
      return reader.fail(place, "a TTL counts whole seconds", `write \`${Math.max(1, Math.round(ms / MS_PER.s))}s\``);
    },
  };
}

/** A size in bytes. The bounds are sizes too, both included. */
export function size(minimum: string, maximum: string): Shape<number> {
  const [least, most] = [valueIn(parseSize(minimum)), valueIn(parseSize(maximum))];
  return text({
    expected: "a size such as `64MiB`",
    pattern: "^[0-9]{1,9}(KiB|MiB|GiB)$",
    parse: (written) => {
      const parsed = parseSize(written);
      if (!("value" in parsed) || (parsed.value >= least && parsed.value <= most)) return parsed;
      return {
        wrong: `${written} is out of range: ${minimum} to ${maximum} are allowed`,
        fix: nearest(parsed.value, minimum, maximum, least),
      };
    },
  });
}

/** Reads `250ms`, `30s`, `5m`, `1h`, `7d`; gives milliseconds. */
export function parseDuration(written: string): Parsed<number> {
  const ms = parseDurationMs(written);
  if (ms !== null) return { value: ms };
  const meant = loosely(written, TIME_SYNONYMS);
  const offered = /^\d{1,9}$/.test(written) ? `${written}s` : formatDuration(Math.ceil(meant ?? 0));
  return {
    wrong: `\`${written}\` is no duration: a whole number and one of ms, s, m, h, d are needed`,
    fix: meant === null ? "write a duration such as `30s`" : `write \`${offered}\``,
  };
}

/** Reads `512KiB`, `64MiB`, `1GiB`; gives bytes. */
export function parseSize(written: string): Parsed<number> {
  const exact = /^(\d{1,9})(KiB|MiB|GiB)$/.exec(written);
  const [, digits = "", unit = ""] = exact ?? [];
  if (isKeyOf(BYTES_PER, unit)) return { value: Number(digits) * BYTES_PER[unit] };
  const meant = loosely(written, SIZE_SYNONYMS);
  return {
    wrong: `\`${written}\` is no size: a whole number and one of KiB, MiB, GiB are needed`,
    fix: meant === null ? "write a size such as `64MiB`" : `write \`${formatSize(meant)}\``,
  };
}

function formatSize(bytes: number): string {
  const wholeKiB = Math.max(1, Math.round(bytes / BYTES_PER.KiB));
  return inLargestUnit(wholeKiB * BYTES_PER.KiB, BYTES_PER) ?? `${wholeKiB}KiB`;
}

function loosely(written: string, synonyms: Readonly<Record<string, number>>): number | null {
  const [, number, letters = ""] = /^\s*(\d{1,9}(?:\.\d{1,6})?)\s*([a-z]*)\s*$/i.exec(written) ?? [];
  const word = letters.toLowerCase();
  const worth = Object.hasOwn(synonyms, word) ? synonyms[word] : synonyms[word.replace(/s$/, "")];
  return number === undefined || typeof worth !== "number" ? null : Number(number) * worth;
}

function nearest(value: number, minimum: string, maximum: string, least: number): string {
  return `write \`${value < least ? minimum : maximum}\``;
}

function valueIn(parsed: Parsed<number>): number {
  if ("value" in parsed) return parsed.value;
  throw new Error(parsed.wrong);
}

function isKeyOf<T extends object>(table: T, name: string): name is Extract<keyof T, string> {
  return Object.hasOwn(table, name);
}

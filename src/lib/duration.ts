/** Milliseconds of each unit in which durations are written. */
export const MS_PER = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/** Reads `250ms`, `30s`, `5m`, `1h` or `7d` as milliseconds; null for any other text. */
export function parseDurationMs(text: string): number | null {
  const [, digits = "", unit = ""] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  return isUnit(unit) ? Number(digits) * MS_PER[unit] : null;
}

/** Writes a duration in the largest unit that leaves a whole number. */
export function formatDuration(ms: number): string {
  return inLargestUnit(ms, MS_PER) ?? "0s";
}

/** Units rise. null where no unit leaves a whole number, or the value is 0. */
export function inLargestUnit(value: number, units: Readonly<Record<string, number>>): string | null {
  const unit = Object.entries(units).findLast(([, worth]) => value !== 0 && value % worth === 0);
  return unit === undefined ? null : `${value / unit[1]}${unit[0]}`;
}

function isUnit(text: string): text is keyof typeof MS_PER {
  return Object.hasOwn(MS_PER, text);
}

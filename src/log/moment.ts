const MS_PER = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;

/**
 * A moment as people write it, in milliseconds since 1970: ISO 8601 (a date, with or without a time, with or without a zone; without one it is UTC),
 * milliseconds since 1970, or how long ago it was (`90s`, `1h`, `7d`). null where it is none of these.
 */
export function parseMoment(text: string, nowMs: number): number | null {
  // Fewer digits are a year, or seconds since 1970, and would be taken for a moment of long ago.
  if (/^(?:0|\d{12,15})$/.test(text)) return Number(text);
  const [, digits = "", unit = ""] = /^(\d{1,9})(ms|s|m|h|d)$/.exec(text) ?? [];
  if (isUnit(unit)) return Math.max(0, nowMs - Number(digits) * MS_PER[unit]);
  return isoMoment(text);
}

function isUnit(text: string): text is keyof typeof MS_PER {
  return Object.hasOwn(MS_PER, text);
}

// The sign of a zone may have become a space: that is what "+" is in the query of a URL.
const ISO = /^(\d{4}-\d{2}-\d{2})(?:[T ](\d{2}:\d{2})(:\d{2}(?:\.\d{1,9})?)?(?:(Z)|([+ -])(\d{2}):?(\d{2}))?)?$/i;

function isoMoment(text: string): number | null {
  const [whole, date, time = "00:00", seconds = ":00", , sign, hours = "00", minutes = "00"] = ISO.exec(text) ?? [];
  if (whole === undefined || Number(hours) > 23 || Number(minutes) > 59) return null;
  const utcMs = Date.parse(`${date}T${time}${seconds}Z`);
  // A day that the month does not have is taken for one of the next.
  if (Number.isNaN(utcMs) || utcMs < 0 || (time < "24" && !new Date(utcMs).toISOString().startsWith(`${date}T${time}`)))
    return null;
  const offsetMs = Number(hours) * MS_PER.h + Number(minutes) * MS_PER.m;
  return sign === "-" ? utcMs + offsetMs : utcMs - offsetMs;
}

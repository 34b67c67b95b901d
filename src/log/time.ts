import { MS_PER, parseDurationMs } from "../lib/duration.ts";

/**
 * A moment as people write it, in milliseconds since 1970: ISO 8601 (a date, with or without a time, with or without a zone; without one it is UTC),
 * milliseconds since 1970, or how long ago it was (`90s`, `1h`, `7d`). null where it is none of these.
 */
export function parseMoment(text: string, nowMs: number): number | null {
  // Fewer digits are a year, or seconds since 1970, and would be taken for a moment of long ago.
  if (/^(?:0|\d{12,15})$/.test(text)) return Number(text);
  const agoMs = parseDurationMs(text);
  return agoMs === null ? isoMoment(text) : Math.max(0, nowMs - agoMs);
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

/** Where a moment without a date, or without a year, is looked for. */
interface Around {
  readonly nowMs: number;
  /** The first such moment after this one is meant; null = the last one up to now. */
  readonly afterMs: number | null;
}

/**
 * A moment as the clock on the wall says it, in milliseconds since 1970: `21:03`, `11-21 21:03:11.482` or `2026-11-21T21:03`, in the zone of this machine.
 * null where it is none of these, also where it has a zone of its own.
 */
export function localMoment(text: string, { nowMs, afterMs }: Around): number | null {
  const [whole, year, month, day, hours = "00", minutes = "00", seconds = "00", fraction = ""] = LOCAL.exec(text) ?? [];
  if (whole === undefined || whole === "" || Number(hours) > 23 || Number(minutes) > 59 || Number(seconds) > 59) return null;
  const clock = [hours, minutes, seconds, fraction.padEnd(3, "0").slice(0, 3)].map(Number);
  const start = new Date(afterMs ?? nowMs);
  const dates = datesAround(start, [year, month, day]);
  const moments = dates.flatMap((date) => wallMoment(date, clock));
  if (year !== undefined) return moments[0] ?? null;
  return (afterMs === null ? moments.findLast((moment) => moment <= nowMs) : moments.find((moment) => moment > afterMs)) ?? null;
}

const LOCAL = /^(?:(?:(\d{4})-)?(\d{2})-(\d{2})(?:[T ](?=\d)|$))?(?:(\d{1,2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?)?$/i;

type WallDate = readonly [year: number, month: number, day: number];

/** The dates that are meant where parts are left out, rising. */
function datesAround(start: Date, [year, month, day]: readonly (string | undefined)[]): readonly WallDate[] {
  const thisYear = start.getFullYear();
  if (month === undefined || day === undefined) {
    return [-1, 0, 1].map((days) => {
      const date = new Date(thisYear, start.getMonth(), start.getDate() + days);
      return [date.getFullYear(), date.getMonth() + 1, date.getDate()];
    });
  }
  const years = year === undefined ? [thisYear - 1, thisYear, thisYear + 1] : [Number(year)];
  return years.map((each) => [each, Number(month), Number(day)]);
}

/** Nothing where the calendar has no such day. */
function wallMoment([year, month, day]: WallDate, [hours, minutes, seconds, ms]: readonly number[]): readonly number[] {
  const date = new Date(Date.UTC(year, month - 1, day));
  if (date.getUTCMonth() !== month - 1 || date.getUTCDate() !== day) return [];
  return [Math.max(0, new Date(year, month - 1, day, hours, minutes, seconds, ms).getTime())];
}

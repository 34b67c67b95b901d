import type { WhenOptions } from "./options.ts";

const MINUTE_MS = 60_000;
const DAY_MINUTES = 1_440;

/** As `WhenOptions.days` counts them. */
export const WEEKDAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"] as const;

/** A time in which no schedule opens or closes: from `fromMs` until before `untilMs`, in milliseconds since 1970. */
export interface SteadySpan {
  readonly fromMs: number;
  readonly untilMs: number;
}

/** What a clock on a wall in the zone shows. */
interface WallTime {
  readonly day: number;
  /** Since midnight. */
  readonly minute: number;
}

/**
 * The condition `when` of a rule. It follows the clock on a wall in the zone: hours that the clock leaves out in spring do not happen, and hours that the clock
 * repeats in autumn count twice.
 */
export class Schedule {
  readonly #options: WhenOptions;
  readonly #format: Intl.DateTimeFormat;
  /** The span that was looked up last: queries come one after the other. */
  #known: SteadySpan & { readonly isOpen: boolean } = { fromMs: 0, untilMs: 0, isOpen: false };

  constructor(options: WhenOptions) {
    this.#options = options;
    this.#format = new Intl.DateTimeFormat("en-US", {
      timeZone: options.zone,
      calendar: "iso8601",
      hourCycle: "h23",
      year: "numeric",
      month: "2-digit",
      day: "2-digit",
      hour: "2-digit",
      minute: "2-digit",
    });
  }

  isOpen(atMs: number): boolean {
    return this.#look(atMs).isOpen;
  }

  /** A span around the moment in which the schedule does not change. It may end before the next change, but never after it. */
  steadyAround(atMs: number): SteadySpan {
    return this.#look(atMs);
  }

  /** The days, hours and zone as a rule has them, and what the clock shows there. */
  describe(atMs: number): { readonly hours: string; readonly time: string } {
    const { days, hours, zone } = this.#options;
    const { day, minute } = this.#wallTime(atMs);
    const parts = [...(days.length === 0 ? [] : [days.map((each) => WEEKDAYS[each]).join(",")]), ...hoursText(hours), zone];
    const time = clockText(minute);
    return { hours: parts.join(" "), time: days.length === 0 ? time : `${WEEKDAYS[day]} ${time}` };
  }

  #look(atMs: number): SteadySpan & { readonly isOpen: boolean } {
    const known = this.#known;
    if (atMs >= known.fromMs && atMs < known.untilMs) return known;
    const fromMs = Math.floor(atMs / MINUTE_MS) * MINUTE_MS;
    const wall = this.#wallTime(fromMs);
    this.#known = { fromMs, untilMs: this.#endOfSpan(fromMs, wall), isOpen: this.#includes(wall) };
    return this.#known;
  }

  /** An interval over midnight belongs to the day on which it begins. */
  #includes({ day, minute }: WallTime): boolean {
    const { days, hours } = this.#options;
    const isWanted = (each: number) => days.length === 0 || days.includes(each);
    if (hours === null) return isWanted(day);
    const { fromMinute, toMinute } = hours;
    if (fromMinute < toMinute) return isWanted(day) && minute >= fromMinute && minute < toMinute;
    return (minute >= fromMinute && isWanted(day)) || (minute < toMinute && isWanted((day + 6) % 7));
  }

  /** The next moment at which the clock shows a time that matters, or at which the clock is put forward or back. */
  #endOfSpan(fromMs: number, { minute }: WallTime): number {
    const { hours } = this.#options;
    const marks = [DAY_MINUTES, ...(hours === null ? [] : [hours.fromMinute, hours.toMinute])];
    const minutes = Math.min(...marks.filter((mark) => mark > minute).map((mark) => mark - minute));
    const offsetMs = this.#offsetMs(fromMs);
    let [same, other] = [0, minutes];
    if (this.#offsetMs(fromMs + other * MINUTE_MS) === offsetMs) return fromMs + minutes * MINUTE_MS;
    while (other - same > 1) {
      const middle = Math.floor((same + other) / 2);
      if (this.#offsetMs(fromMs + middle * MINUTE_MS) === offsetMs) same = middle;
      else other = middle;
    }
    return fromMs + other * MINUTE_MS;
  }

  #wallTime(atMs: number): WallTime {
    const wall = new Date(this.#wallMs(atMs));
    return { day: wall.getUTCDay(), minute: wall.getUTCHours() * 60 + wall.getUTCMinutes() };
  }

  #offsetMs(minuteMs: number): number {
    return this.#wallMs(minuteMs) - minuteMs;
  }

  /** The minute that the clock shows, as if the zone were UTC. */
  #wallMs(atMs: number): number {
    const parts = new Map(this.#format.formatToParts(atMs).map(({ type, value }) => [type, Number(value)]));
    const [year = 0, month = 1, day = 1, hour = 0, minute = 0] = (["year", "month", "day", "hour", "minute"] as const).map(
      (part) => parts.get(part),
    );
    return Date.UTC(year, month - 1, day, hour, minute);
  }
}

function hoursText(hours: WhenOptions["hours"]): string[] {
  return hours === null ? [] : [`${clockText(hours.fromMinute)}-${clockText(hours.toMinute)}`];
}

function clockText(minutes: number): string {
  return [Math.floor(minutes / 60), minutes % 60].map((part) => String(part).padStart(2, "0")).join(":");
}

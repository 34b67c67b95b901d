/** Numbers and times as people write them. Made once a language; every text of a time also says the day where that is not today. */

/** The server counts the names and clients of a problem up to here. */
const PROBLEM_COUNTS = 100;

export interface Format {
  /** 61.2k, 6.1万. */
  readonly count: (value: number) => string;
  /** 61,210 */
  readonly exact: (value: number) => string;
  /** How many names or clients of a problem there are beside those that are shown. */
  readonly ofProblem: (all: number, shown?: number) => string;
  /** @param share from 0 to 1. */
  readonly percent: (share: number) => string;
  /** 12.4 ms; from a second on 1.2 s. */
  readonly ms: (milliseconds: number) => string;
  readonly bytes: (bytes: number) => string;
  /** A length of time in its largest unit: 3 min. */
  readonly duration: (seconds: number) => string;
  /** 21:03:11 */
  readonly clock: (time: Time) => string;
  /** 21 Nov, 21:03:11 */
  readonly moment: (time: Time) => string;
  /** 21 Nov */
  readonly day: (time: Time) => string;
  /** The clock alone for today. */
  readonly when: (time: Time, nowMs: number) => string;
  /** Under an hour: 3 min ago; else the moment. */
  readonly ago: (time: Time, nowMs: number) => string;
}

type Time = string | number;

const UNITS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
  ["second", 1],
] as const;

export function formatFor(locale: string): Format {
  const compact = new Intl.NumberFormat(locale, { notation: "compact", maximumFractionDigits: 1 });
  const plain = new Intl.NumberFormat(locale);
  const percent = new Intl.NumberFormat(locale, { style: "percent", maximumFractionDigits: 1 });
  const clock = new Intl.DateTimeFormat(locale, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const day = new Intl.DateTimeFormat(locale, { day: "numeric", month: "short" });
  const since = new Intl.RelativeTimeFormat(locale, { style: "short" });
  const isEnglish = locale.startsWith("en");

  const momentText = (time: Time) => {
    const date = new Date(time);
    return `${day.format(date)}${isEnglish ? "," : ""} ${clock.format(date)}`;
  };
  return {
    // "61.2K" looks like a temperature.
    count: (value) => compact.format(value).replace("K", "k"),
    exact: (value) => plain.format(value),
    ofProblem: (all, shown = 0) => `${plain.format(all - shown)}${all < PROBLEM_COUNTS ? "" : "+"}`,
    percent: (share) => percent.format(share),
    ms: millisecondsText,
    bytes: bytesText,
    duration: (seconds) => {
      const [unit, length] = UNITS.find(([, each]) => seconds >= each) ?? (["second", 1] as const);
      const style = { style: "unit", unit, unitDisplay: "short", maximumFractionDigits: 0 } as const;
      return new Intl.NumberFormat(locale, style).format(seconds / length);
    },
    clock: (time) => clock.format(new Date(time)),
    moment: momentText,
    day: (time) => day.format(new Date(time)),
    when: (time, nowMs) =>
      day.format(new Date(time)) === day.format(new Date(nowMs)) ? clock.format(new Date(time)) : momentText(time),
    ago: (time, nowMs) => {
      const seconds = Math.round((nowMs - new Date(time).getTime()) / 1000);
      if (seconds < 0 || seconds >= 3600) return momentText(time);
      return seconds < 60 ? since.format(-seconds, "second") : since.format(-Math.round(seconds / 60), "minute");
    },
  };
}

function millisecondsText(value: number): string {
  if (value >= 1000) return `${(value / 1000).toFixed(1)} s`;
  return value < 0.05 ? "< 0.1 ms" : `${value >= 100 ? Math.round(value) : round(value)} ms`;
}

function round(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function bytesText(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const exponent = Math.min(3, Math.floor(Math.log2(bytes) / 10));
  return `${round(bytes / 1024 ** exponent)} ${["B", "KiB", "MiB", "GiB"][exponent]}`;
}

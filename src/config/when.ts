import type { WhenOptions } from "../rules/options.ts";
import { object, oneOrMore, optional, type Parsed, refine, type Shape, text } from "./shape.ts";

/** In the order of `WhenOptions.days`. */
const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const day = text({
  expected: "a day or a span of days, such as `sat` or `mon-fri`",
  examples: ["mon", "tue", "wed", "thu", "fri", "sat", "sun", "mon-fri"],
  parse: (written): Parsed<readonly number[]> => {
    const [first = -1, last = first, ...more] = written
      .toLowerCase()
      .split("-")
      .map((word) => DAYS.indexOf(word));
    if (first < 0 || last < 0 || more.length > 0)
      return { wrong: `\`${written}\` is no day`, fix: `write ${DAYS.join(", ")} or a span such as \`mon-fri\`` };
    // A span may reach over the end of the week.
    return { value: Array.from({ length: ((last - first + 7) % 7) + 1 }, (_, index) => (first + index) % 7) };
  },
});

/** In minutes since midnight; 24:00 is the end of the day. */
const timeOfDay = text({
  expected: "a time of day such as `21:30`",
  pattern: "^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$",
  parse: (written): Parsed<number> => {
    const [, hours, minutes] = /^(\d{1,2}):(\d{2})$/.exec(written) ?? [];
    const total = Number(hours) * 60 + Number(minutes);
    if (Number(minutes) < 60 && total <= 24 * 60) return { value: total };
    return { wrong: `\`${written}\` is no time of day`, fix: "write hours and minutes from 00:00 to 24:00, such as `21:30`" };
  },
});

const zone = text({
  expected: "a time zone such as `Asia/Shanghai`",
  examples: ["Asia/Shanghai", "Europe/Berlin", "UTC"],
  parse: (written): Parsed<string> => {
    const name = zoneNamed(written);
    if (name !== null) return { value: name };
    return {
      wrong: `there is no time zone \`${written}\``,
      fix: "write a name of the IANA's data base, such as `Asia/Shanghai`",
    };
  },
});

/** The name as the data base spells it; null = there is none. */
function zoneNamed(written: string): string | null {
  // An offset such as +08:00 is accepted by Intl and would not follow the clocks of any place.
  if (!/^[A-Za-z]/.test(written)) return null;
  try {
    return new Intl.DateTimeFormat("en", { timeZone: written }).resolvedOptions().timeZone;
  } catch {
    return null;
  }
}

const whenMap = object("a map with `from` and `to`, or `days`", {
  from: optional(timeOfDay, "When the hours begin, by the clock on the wall."),
  to: optional(timeOfDay, "When they end; if this is not after `from`, on the next day."),
  days: optional(
    oneOrMore(day, "without days the rule would never match"),
    "Days of the week, and spans such as mon-fri. Hours over midnight belong to the day on which they begin.",
  ),
  zone: optional(zone, "The time zone, such as Asia/Shanghai; without it that of this machine."),
});

/** The condition `when` of a rule. */
export const whenShape: Shape<WhenOptions> = refine(whenMap, ({ from, to, days, zone: named }, place, reader) => {
  // What is wrong within is reported already.
  if (!reader.isClean(place.key)) return undefined;
  if (from === null && to === null && days === null)
    return reader.fail(place, "no time is named here: the rule would always hold", "add `from` and `to`, or `days`");
  if ((from === null) !== (to === null))
    return reader.fail(
      place,
      from === null ? "`to` stands here without `from`" : "`from` stands here without `to`",
      from === null ? 'add when the hours begin, such as `from: "00:00"`' : 'add when the hours end, such as `to: "24:00"`',
    );
  if (from !== null && from === to)
    return reader.fail(place, "`from` and `to` are the same time", "leave both out for whole days, or write another time");
  if (from === 24 * 60)
    return reader.fail(place, "hours cannot begin at 24:00", 'write `from: "00:00"`, and the day after in `days`');
  return {
    days: [...new Set((days ?? []).flat())].sort((a, b) => a - b),
    hours: from === null || to === null ? null : { fromMinute: from, toMinute: to },
    zone: named ?? new Intl.DateTimeFormat().resolvedOptions().timeZone,
  };
});

/** A moment, in milliseconds since 1970. A text without a zone means the zone of this machine. */
export const moment = text({
  expected: "a moment such as `2026-11-29T21:30`",
  examples: ["2026-11-29T21:30", "2026-11-29T21:30+08:00"],
  parse: (written): Parsed<number> => {
    const [, date = "", time = ""] = /^(\d{4}-\d{2}-\d{2})T(\d{2}:\d{2})(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})?$/.exec(written) ?? [];
    const value = Date.parse(written);
    const asUtc = new Date(Date.parse(`${date}T${time}Z`));
    // A day that the month does not have would be taken for one of the next.
    const exists = !Number.isNaN(asUtc.getTime()) && asUtc.toISOString().startsWith(`${date}T${time}`);
    if (exists && !Number.isNaN(value)) return { value };
    return {
      wrong: `\`${written}\` is no moment`,
      fix: "write a date and a time, such as `2026-11-29T21:30` or `2026-11-29T21:30+08:00`",
    };
  },
});

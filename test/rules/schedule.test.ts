import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { WhenOptions } from "../../src/rules/options.ts";
import { Schedule } from "../../src/rules/schedule.ts";
import { runs } from "../support/properties.ts";
import { ask, laptop, rule, site } from "./site.ts";

const [SUN, MON, FRI] = [0, 1, 5];

function at(text: string): number {
  return Date.parse(text);
}

const minuteOf = (text: string) => Number(text.slice(0, 2)) * 60 + Number(text.slice(3));

function when(hours: string | null, zone = "UTC", days: readonly number[] = []): WhenOptions {
  const [from = "", to = ""] = hours?.split("-") ?? [];
  return { days, hours: hours === null ? null : { fromMinute: minuteOf(from), toMinute: minuteOf(to) }, zone };
}

describe("hours", () => {
  test("hold from their first minute until before their last", () => {
    const schedule = new Schedule(when("12:00-13:30"));
    const times = ["11:59:59.999", "12:00", "13:29:59.999", "13:30"];
    expect(times.map((time) => schedule.isOpen(at(`2026-11-29T${time}Z`)))).toEqual([false, true, true, false]);
  });

  test("are those of the named zone", () => {
    const schedule = new Schedule(when("21:00-07:00", "Asia/Shanghai"));
    expect(["12:59", "13:00", "22:59", "23:00"].map((time) => schedule.isOpen(at(`2026-11-29T${time}Z`)))).toEqual([
      false,
      true,
      true,
      false,
    ]);
    expect(schedule.describe(at("2026-11-29T06:10Z"))).toEqual({ hours: "21:00-07:00 Asia/Shanghai", time: "14:10" });
  });

  test("over midnight belong to the day on which they begin", () => {
    // 27 November 2026 is a Friday.
    const schedule = new Schedule(when("21:00-07:00", "UTC", [FRI]));
    const times = ["27T06:00", "27T21:00", "28T06:59", "28T07:00", "28T21:00"];
    expect(times.map((time) => schedule.isOpen(at(`2026-11-${time}Z`)))).toEqual([false, true, true, false, false]);
    expect(schedule.describe(at("2026-11-28T07:00Z"))).toEqual({ hours: "fri 21:00-07:00 UTC", time: "sat 07:00" });
  });

  test("until 24:00 end with the day, and days alone are whole days", () => {
    const evening = new Schedule(when("18:00-24:00", "UTC", [SUN]));
    expect(["29T23:59", "30T00:00"].map((time) => evening.isOpen(at(`2026-11-${time}Z`)))).toEqual([true, false]);
    const days = new Schedule(when(null, "Asia/Shanghai", [SUN, MON]));
    expect(["28T15:59", "28T16:00", "30T15:59", "30T16:00"].map((time) => days.isOpen(at(`2026-11-${time}Z`)))).toEqual([
      false,
      true,
      true,
      false,
    ]);
  });

  test("that the clock leaves out in spring do not happen, and what reaches over them goes on", () => {
    // Berlin goes from 01:59 CET to 03:00 CEST on 29 March 2026, at 01:00 UTC.
    const within = new Schedule(when("02:00-03:00", "Europe/Berlin"));
    const over = new Schedule(when("02:30-05:00", "Europe/Berlin"));
    const times = ["00:59", "01:00", "02:59", "03:00"].map((time) => at(`2026-03-29T${time}Z`));
    expect(times.map((time) => within.isOpen(time))).toEqual([false, false, false, false]);
    expect(times.map((time) => over.isOpen(time))).toEqual([false, true, true, false]);
  });

  test("that the clock repeats in autumn count twice", () => {
    // Berlin goes from 02:59 CEST to 02:00 CET on 25 October 2026, at 01:00 UTC.
    const schedule = new Schedule(when("02:00-02:30", "Europe/Berlin"));
    const times = ["2026-10-24T23:59Z", "2026-10-25T00:00Z", "2026-10-25T00:30Z", "2026-10-25T01:00Z", "2026-10-25T01:30Z"];
    expect(times.map((time) => schedule.isOpen(at(time)))).toEqual([false, true, false, true, false]);
  });
});

test("a span that is said to be steady has no change in it, in any zone, whichever moment was looked at before", () => {
  const zones = [
    "UTC",
    "Asia/Shanghai",
    "Europe/Berlin",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Asia/Kathmandu",
    "Africa/Casablanca",
  ];
  const minute = fc.integer({ min: 0, max: 1439 });
  // Around the days on which clocks are put forward and back.
  const moment = fc
    .tuple(
      fc.constantFrom("2026-03-29", "2026-10-25", "2026-04-05", "2026-10-04", "2026-11-01", "2026-03-08"),
      fc.integer({ min: -2880, max: 2880 }),
    )
    .map(([day, minutes]) => Date.parse(day) + minutes * 60_000 + 12_345);
  const days = fc.uniqueArray(fc.integer({ min: 0, max: 6 }), { maxLength: 3 });
  fc.assert(
    fc.property(
      minute,
      minute,
      days,
      fc.constantFrom(...zones),
      moment,
      moment,
      (fromMinute, toMinute, named, zone, first, second) => {
        fc.pre(fromMinute !== toMinute);
        const options = { days: named, hours: { fromMinute, toMinute }, zone };
        const schedule = new Schedule(options);
        for (const looked of [first, second]) {
          const { fromMs, untilMs } = schedule.steadyAround(looked);
          expect(looked >= fromMs && looked < untilMs).toBe(true);
          const isOpen = schedule.isOpen(looked);
          for (let ms = fromMs; ms < untilMs; ms += 60_000) expect(wallSays(options, ms)).toBe(isOpen);
        }
      },
    ),
    { numRuns: runs(200) },
  );
});

const clocks = new Map<string, Intl.DateTimeFormat>();

function clockIn(zone: string): Intl.DateTimeFormat {
  const known = clocks.get(zone);
  if (known !== undefined) return known;
  const made = new Intl.DateTimeFormat("en-GB", { timeZone: zone, weekday: "short", hour: "2-digit", minute: "2-digit" });
  clocks.set(zone, made);
  return made;
}

/** By the clock of another formatter, minute by minute. */
function wallSays({ days, hours, zone }: WhenOptions, ms: number): boolean {
  const text = clockIn(zone).format(ms);
  const [, word = "", time = ""] = /^(\w{3})\D*(\d\d:\d\d)/.exec(text) ?? expect.fail(text);
  const day = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"].indexOf(word);
  const minute = minuteOf(time);
  const { fromMinute, toMinute } = hours ?? expect.unreachable();
  const isNamed = (each: number) => days.length === 0 || days.includes((each + 7) % 7);
  if (fromMinute < toMinute) return isNamed(day) && fromMinute <= minute && minute < toMinute;
  return (isNamed(day) && minute >= fromMinute) || (isNamed(day - 1) && minute < toMinute);
}

describe("a rule with hours", () => {
  const night = rule("night", { answer: "nxdomain" }, { domains: ["video.example"], when: when("21:00-07:00", "Asia/Shanghai") });
  const rules = [night, rule("rest", "overseas")];
  const [byDay, byNight] = [at("2026-11-29T06:10Z"), at("2026-11-29T14:10Z")];

  test("decides within them, and is passed over like one for another client outside of them", () => {
    const { decider } = site({ rules });
    const question = ask("www.video.example");
    expect(decider.at(byNight).decide(question, laptop)).toMatchObject({ kind: "reply", context: { rule: "night" } });
    expect(decider.at(byDay).decide(question, laptop)).toMatchObject({ kind: "forward", context: { rule: "rest" } });
  });

  test("follows the clock that the decider is given", () => {
    let nowMs = byDay;
    const decider = site({ rules }).decider.withClock(() => nowMs);
    expect(decider.decide(ask("video.example"), laptop)).toMatchObject({ kind: "forward" });
    nowMs = byNight;
    expect(decider.decide(ask("video.example"), laptop)).toMatchObject({ kind: "reply" });
  });

  test("tells its hours and the time where it is passed over", () => {
    const { steps } = site({ rules }).decider.at(byDay).explain(ask("video.example"), laptop);
    expect(steps[0]).toEqual({
      kind: "rule",
      rule: "night",
      outcome: "when",
      match: null,
      when: { hours: "21:00-07:00 Asia/Shanghai", time: "14:10" },
    });
  });

  test("keeps a name from being denied in its hours alone", () => {
    const opened = rule("open", "overseas", { domains: ["www.video.example"], when: when("21:00-07:00", "Asia/Shanghai") });
    const { decider } = site({ rules: [opened, rule("block", { answer: "nxdomain" }, { domains: ["video.example"] })] });
    const answerAt = (ms: number) => decider.at(ms).decide(ask("video.example"), laptop);
    expect(answerAt(byNight)).toMatchObject({ answer: { kind: "nodata" } });
    expect(answerAt(byDay)).toMatchObject({ answer: { kind: "nxdomain" } });
  });

  test("keeps local answers out of the log in its hours alone", () => {
    const unlogged = rule("unlogged", null, { modifiers: { log: false }, when: when("21:00-07:00", "Asia/Shanghai") });
    const { decider } = site({ rules: [unlogged], hosts: [{ name: "nas.lan", addresses: ["10.0.0.5"] }] });
    const logged = (ms: number) => decider.at(ms).decide(ask("nas.lan"), laptop).context.settings.log;
    expect([byDay, byNight].map(logged)).toEqual([true, false]);
  });
});

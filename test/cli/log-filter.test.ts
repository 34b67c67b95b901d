import { describe, expect, test } from "vitest";
import { UsageError } from "../../src/cli/invocation.ts";
import { logCommand, logFilter } from "../../src/cli/log.ts";
import { FILTER_PARAMETERS } from "../../src/log/filter.ts";

/** 21:30 wherever the tests run. */
const nowMs = new Date(2026, 10, 21, 21, 30).getTime();

function wallTime(day: number, hours: number, minutes: number): string {
  return new Date(2026, 10, day, hours, minutes).toISOString();
}

describe("the words of `fenliu log`", () => {
  test("are the parameters of the API; a bare word is a name", () => {
    expect(logFilter(["from=3h", "rcode=!NOERROR", "page.example"], nowMs)).toEqual([
      ["from", "3h"],
      ["rcode", "!NOERROR"],
      ["name", "page.example"],
    ]);
  });

  test("accept times as they are shown, in the zone of this machine", () => {
    expect(logFilter(["from=21:00", "to=21:10"], nowMs)).toEqual([
      ["from", wallTime(21, 21, 0)],
      ["to", wallTime(21, 21, 10)],
    ]);
    expect(logFilter(["to=01:00", "from=11-20 23:00"], nowMs)).toEqual([
      ["to", wallTime(21, 1, 0)],
      ["from", wallTime(20, 23, 0)],
    ]);
    expect(logFilter(["from=30h", "to=16:00"], nowMs).at(1)).toEqual(["to", wallTime(20, 16, 0)]);
  });

  test("a time with a zone keeps its zone", () => {
    expect(logFilter(["from=2026-11-21T10:00+08:00"], nowMs)).toEqual([["from", "2026-11-21T10:00+08:00"]]);
  });

  test.each([
    ["colour=red", "`colour` is no field of the log"],
    ["name=", "`name=`: a value is missing"],
    ["rcode=2", "rcode: `2` is no response code"],
    ["from=25:00", "from: `25:00` is no time"],
    ["/(a+)+$/", "name: "],
  ])("%s is refused before the server is asked", (word, says) => {
    expect(() => logFilter([word], nowMs)).toThrow(UsageError);
    expect(() => logFilter([word], nowMs)).toThrow(says);
  });

  test("are all in the help, with the response code for silence", () => {
    const help = logCommand.help;
    for (const field of FILTER_PARAMETERS) expect(help).toMatch(new RegExp(`^  (?:from, )?${field}\\b`, "m"));
    expect(help).toMatch(/^ {2}rcode .*\bnone\b/m);
    expect(logFilter(["rcode=none"], nowMs)).toEqual([["rcode", "none"]]);
  });
});

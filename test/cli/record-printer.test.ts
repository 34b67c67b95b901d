import { expect, test } from "vitest";
import { RecordPrinter } from "../../src/cli/log.ts";
import { record } from "../log/records.ts";
import { testTerminal } from "./terminal.ts";

/** Noon of that day of November wherever the tests run. */
function noonOf(day: number): number {
  return new Date(2026, 10, day, 12).getTime() * 1024;
}

/** The output on such a terminal. */
function shownOn(cells: number, { json = false, full = false } = {}) {
  const terminal = { ...testTerminal(), interactive: true, cells };
  return { terminal, printer: new RecordPrinter({ json, full }, terminal), written: terminal.written };
}

test("if times have no room for the day, the day gets a line of its own when it changes", () => {
  const { printer, written } = shownOn(80);
  printer.begin();
  for (const day of [20, 20, 21]) printer.show(record({ id: noonOf(day) }));
  const starts = written.out.split("\n").map((line) => line.split(" ")[0]);
  expect(starts).toEqual(["time", "2026-11-20", "12:00:00", "12:00:00", "2026-11-21", "12:00:00", ""]);
  expect(written.err).toBe("fenliu: no room for rule, upstream, ms, id: a wider terminal or --full shows all\n");
});

test("a terminal that becomes wider shows more columns from then on, under a new heading", () => {
  const { terminal, printer, written } = shownOn(80);
  printer.begin();
  printer.show(record());
  terminal.cells = 200;
  printer.show(record());
  printer.show(record());
  const lines = written.out.split("\n");
  expect(lines.map((line) => line.startsWith("time"))).toEqual([true, false, false, true, false, false, false]);
  expect(lines.at(-2)).toContain("domestic udp://223.5.5.5");
});

test("--json and --full are the same on any terminal", () => {
  for (const kind of [{ json: true }, { full: true }]) {
    const [narrow, wide] = [40, 400].map((cells) => {
      const { printer, written } = shownOn(cells, kind);
      printer.begin();
      printer.show(record());
      return written;
    });
    expect(narrow).toEqual(wide);
    expect(narrow?.err).toBe("");
    expect(narrow?.out).toContain("www.taobao.com");
  }
});

import { stripVTControlCharacters } from "node:util";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { cellsOf, padCells, RecordTable } from "../../src/cli/record-table.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import { anyRecord, record } from "../log/records.ts";

/** 21:03:11.482 wherever the tests run. */
const id = new Date(2026, 10, 21, 21, 3, 11, 482).getTime() * 1024;

const unlimited = new RecordTable({ cells: null, color: false });
const painted = new RecordTable({ cells: null, color: true });

const WORDS = [
  "11-21 21:03:11.482",
  "192.168.88.20",
  "A",
  "www.taobao.com",
  "NOERROR",
  "upstream",
  "split (cn:4711)",
  "domestic udp://223.5.5.5",
  "7.31 ms",
  String(id),
];

function wordsOf(line: string): readonly string[] {
  return line.split(/ {2,}/);
}

describe("a record as a line", () => {
  test("shows time, client, question, result, reason and id, in this order", () => {
    expect(wordsOf(unlimited.line(record({ id })))).toEqual(WORDS);
    expect(unlimited.leftOut).toEqual([]);
  });

  test("columns stand below their titles", () => {
    const line = unlimited.line(record());
    const heading = unlimited.heading();
    expect(line.indexOf("www.taobao.com")).toBe(heading.indexOf("name"));
    expect(line.indexOf("7.31 ms")).toBe(heading.lastIndexOf("ms"));
  });

  test("columns stand below their titles also after Chinese text", () => {
    const line = unlimited.line(record({ rule: "广告屏蔽" }));
    const before = line.slice(0, line.indexOf("domestic"));
    expect(cellsOf(before)).toBe(unlimited.heading().indexOf("upstream"));
  });

  test("a missing value is a dash", () => {
    const dropped = record({
      name: "",
      type: "",
      rcode: null,
      source: "refused",
      action: "rate",
      rule: null,
      route: null,
      upstream: null,
    });
    expect(unlimited.line(dropped)).toMatch(/ {2}- +- +- +refused\/rate +- +- +7\.31 ms +\d+$/);
  });

  test("colours change nothing but colours", () => {
    for (const rcode of ["NOERROR", "NXDOMAIN", "SERVFAIL", null]) {
      const made = record({ rcode });
      expect(painted.line(made)).not.toBe(unlimited.line(made));
      expect(stripVTControlCharacters(painted.line(made))).toBe(unlimited.line(made));
    }
    expect(stripVTControlCharacters(painted.heading())).toBe(unlimited.heading());
  });

  test("no text from a client or a server controls the terminal", () => {
    const hostile = record({ name: "a\u001b[2Jb", rule: "\u009b31m" });
    for (const cells of [null, 80]) expect(new RecordTable({ cells, color: false }).line(hostile)).not.toMatch(/[\p{Cc}\p{Cf}]/u);
  });
});

describe("a line of a terminal", () => {
  const tableOf = (cells: number) => new RecordTable({ cells, color: false });

  test("shows all columns if there is room, and longer texts if there is more", () => {
    expect(wordsOf(tableOf(193).line(record({ id })))).toEqual(WORDS);
    const name = `${"a".repeat(40)}.${"b".repeat(19)}`;
    expect(tableOf(193).line(record({ name }))).toContain(`${"a".repeat(18)}…${"b".repeat(17)}`);
    expect(tableOf(193 + 20 + 24).line(record({ name }))).toContain(` ${name} `);
    const client = "2001:db8:1234:5678:9abc:def0:1234:5678";
    expect(wordsOf(tableOf(289).line(record({ id, client, upstream: "https://1.1.1.1/dns-query" })))).toEqual(
      WORDS.with(1, client).with(7, "domestic https://1.1.1.1/dns-query"),
    );
  });

  test.each([
    [140, []],
    [120, ["upstream", "ms"]],
    [100, ["rule", "upstream", "ms"]],
    [80, ["rule", "upstream", "ms", "id"]],
    [60, ["client", "source/action", "rule", "upstream", "ms", "id"]],
  ])("of %i cells drops the least important columns, and names them", (cells, leftOut) => {
    const table = tableOf(cells);
    expect([...table.leftOut].sort()).toEqual([...leftOut].sort());
    for (const title of leftOut) expect(` ${table.heading()} `).not.toContain(` ${title} `);
  });

  test("drops the day and the milliseconds before a column, and says so", () => {
    expect({ lacksDay: tableOf(80).lacksDay, line: tableOf(80).line(record({ id })) }).toEqual({
      lacksDay: true,
      line: "21:03:11  192.168.88.20    A       www.taobao.com        NOERROR   upstream     ",
    });
    expect(tableOf(193).lacksDay).toBe(false);
    expect(unlimited.lacksDay).toBe(false);
  });

  test("is never longer than the terminal, and marks cut text", () => {
    fc.assert(
      fc.property(anyRecord, fc.integer({ min: 48, max: 260 }), (made, cells) => {
        const table = tableOf(cells);
        const [line, heading] = [table.line(made), table.heading()];
        expect(cellsOf(line)).toBeLessThanOrEqual(cells);
        expect(cellsOf(heading)).toBe(cells >= 193 ? cells : cellsOf(heading));
        expect(cellsOf(heading)).toBeLessThanOrEqual(cells);
        if (!line.includes("…")) expect(missing(made, table, line)).toEqual([]);
      }),
    );
  });

  /** The texts of the present columns that are missing in the line. */
  function missing(made: QueryRecord, table: RecordTable, line: string): readonly string[] {
    const { name, type, id: number } = made;
    const whole = unlimited.line(made);
    const expected = table.leftOut.includes("id") ? [name, type] : [name, type, String(number)];
    return expected.filter((text) => whole.includes(text) && !line.includes(text));
  }
});

test.each([
  ["split", 5],
  ["广告屏蔽", 8],
  ["广告 (ads:1)", 12],
  ["ｶﾅ", 2],
  ["カナ", 4],
  ["한글", 4],
  ["，（）", 6],
  ["e\u0301", 1],
  ["📺", 2],
  ["", 0],
])("`%s` takes %i cells", (text, cells) => {
  expect(cellsOf(text)).toBe(cells);
});

test("padding fills up to the wanted cells, and never cuts", () => {
  const text = fc.string({ unit: fc.constantFrom("a", "广", "\u0301", "ｶ", "-"), maxLength: 20 });
  fc.assert(
    fc.property(text, fc.nat(40), (made, cells) => {
      const padded = padCells(made, cells);
      expect(padded.startsWith(made)).toBe(true);
      expect(cellsOf(padded)).toBe(Math.max(cells, cellsOf(made)));
    }),
  );
});

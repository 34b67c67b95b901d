import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { exportHead, exportText } from "../../src/log/export.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import { record } from "./records.ts";

function csvOf(...batches: QueryRecord[][]): string {
  return exportHead("csv") + batches.map((batch) => exportText("csv", batch)).join("");
}

/** Reads RFC 4180: lines of cells. */
function parsedCsv(text: string): string[][] {
  const lines: string[][] = [];
  let cells: string[] = [];
  for (const [, quoted, plain = "", end] of text.matchAll(/(?:"((?:[^"]|"")*)"|([^",\r\n]*))(,|\r\n)/g)) {
    cells.push(quoted?.replaceAll('""', '"') ?? plain);
    if (end === "\r\n") {
      lines.push(cells);
      cells = [];
    }
  }
  return lines;
}

describe("CSV", () => {
  test("a CSV export begins with all field names and has one line for each record", async () => {
    const text = csvOf([record()], [], [record(), record()]);
    const [header, ...lines] = parsedCsv(text);
    expect(header?.toSorted()).toEqual(Object.keys(record()).toSorted());
    expect(lines).toHaveLength(3);
  });

  test("a cell holds the value of its field, and nested fields as JSON", async () => {
    const made = record({ answers: ['60 TXT "a, b"'], rule: null });
    const [header = [], cells = []] = parsedCsv(csvOf([made]));
    const row = new Map(header.map((column, index) => [column, cells[index] ?? ""]));
    expect(row.get("id")).toBe(String(made.id));
    expect(row.get("name")).toBe(made.name);
    expect(row.get("rule")).toBe("");
    expect(JSON.parse(row.get("answers") ?? "")).toEqual(made.answers);
    expect(JSON.parse(row.get("attempts") ?? "")).toEqual(made.attempts);
  });

  test("no cell begins a spreadsheet formula, whatever name a client asked for", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom("=", "+", "-", "@", "\t", "\r", "a"), fc.string(), async (first, rest) => {
        const text = csvOf([record({ name: first + rest, clientId: first })]);
        const cells = parsedCsv(text)[1] ?? [];
        expect(cells).toHaveLength(Object.keys(record()).length);
        for (const cell of cells) expect(cell).not.toMatch(/^[=+\-@\t\r]/);
        expect(cells[7]).toBe(first === "a" ? first + rest : `'${first}${rest}`);
      }),
    );
  });
});

test("NDJSON holds one record a line and loses nothing", () => {
  const records = [record({ name: "a" }), record({ name: "b\u2028" }), record({ name: "c" })];
  const lines = exportText("ndjson", records).trimEnd().split("\n");
  expect(lines.map((line) => JSON.parse(line))).toEqual(records);
});

test("the questions export has one query a line: client, name, type, source of the answer, time", () => {
  const lines = exportText("questions", [record({ clientId: "tv" }), record({ name: "b" })])
    .trimEnd()
    .split("\n");
  expect(lines.map((line) => JSON.parse(line))).toEqual([
    ["www.taobao.com", "A", "192.168.88.20", "tv", "upstream", record({}).time],
    ["b", "A", "192.168.88.20", null, "upstream", record({}).time],
  ]);
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { csvOf, ndjsonOf } from "../../src/log/export.ts";
import type { QueryRecord } from "../../src/log/record.ts";
import { record } from "./records.ts";

async function* batchesOf(...batches: QueryRecord[][]): AsyncGenerator<QueryRecord[]> {
  yield* batches;
}

async function textOf(parts: AsyncIterable<string>): Promise<string> {
  let text = "";
  for await (const part of parts) text += part;
  return text;
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
  test("begins with the names of the fields, all of them, and has a line for each record of every batch", async () => {
    const text = await textOf(csvOf(batchesOf([record()], [], [record(), record()])));
    const [header, ...lines] = parsedCsv(text);
    expect(header?.toSorted()).toEqual(Object.keys(record()).toSorted());
    expect(lines).toHaveLength(3);
  });

  test("cells hold what the record holds, nested fields as JSON", async () => {
    const made = record({ answers: ['60 TXT "a, b"'], rule: null });
    const [header = [], cells = []] = parsedCsv(await textOf(csvOf(batchesOf([made]))));
    const row = new Map(header.map((column, index) => [column, cells[index] ?? ""]));
    expect(row.get("id")).toBe(String(made.id));
    expect(row.get("name")).toBe(made.name);
    expect(row.get("rule")).toBe("");
    expect(JSON.parse(row.get("answers") ?? "")).toEqual(made.answers);
    expect(JSON.parse(row.get("attempts") ?? "")).toEqual(made.attempts);
  });

  test("no cell begins a formula, whatever a client asks for", async () => {
    await fc.assert(
      fc.asyncProperty(fc.constantFrom("=", "+", "-", "@", "\t", "\r", "a"), fc.string(), async (first, rest) => {
        const text = await textOf(csvOf(batchesOf([record({ name: first + rest, clientId: first })])));
        const cells = parsedCsv(text)[1] ?? [];
        expect(cells).toHaveLength(Object.keys(record()).length);
        for (const cell of cells) expect(cell).not.toMatch(/^[=+\-@\t\r]/);
        expect(cells[7]).toBe(first === "a" ? first + rest : `'${first}${rest}`);
      }),
    );
  });
});

test("NDJSON gives back what went in, a record a line", async () => {
  const records = [record({ name: "a" }), record({ name: "b\u2028" }), record({ name: "c" })];
  const text = await textOf(ndjsonOf(batchesOf(records.slice(0, 2), records.slice(2))));
  expect(
    text
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line)),
  ).toEqual(records);
});

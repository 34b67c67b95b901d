import type { QueryRecord } from "./record.ts";

/** Records as CSV (RFC 4180) with a header line, one text for each batch. What is nested stands in its cell as JSON; null is an empty cell. */
export async function* csvOf(batches: AsyncIterable<readonly QueryRecord[]>): AsyncGenerator<string> {
  yield csvLine(CSV_COLUMNS);
  for await (const batch of batches) yield batch.map((record) => csvLine(CSV_COLUMNS.map((column) => record[column]))).join("");
}

/** Records as JSON, one a line, one text for each batch. */
export async function* ndjsonOf(batches: AsyncIterable<readonly QueryRecord[]>): AsyncGenerator<string> {
  for await (const batch of batches) yield batch.map((record) => `${JSON.stringify(record)}\n`).join("");
}

const CSV_COLUMNS = [
  "id",
  "time",
  "client",
  "clientId",
  "transport",
  "http",
  "method",
  "name",
  "type",
  "rcode",
  "answers",
  "source",
  "action",
  "rule",
  "list",
  "line",
  "route",
  "upstream",
  "attempts",
  "negativeTtl",
  "durationUs",
  "size",
  "ede",
  "edits",
  "trace",
  "version",
] as const satisfies readonly (keyof QueryRecord)[];

function csvLine(values: readonly unknown[]): string {
  return `${values.map(csvCell).join(",")}\r\n`;
}

function csvCell(value: unknown): string {
  if (value === null) return "";
  if (typeof value === "number") return String(value);
  const text = typeof value === "string" ? value : JSON.stringify(value);
  // Spreadsheets run what begins like a formula, and names come from anybody.
  const harmless = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(harmless) ? `"${harmless.replaceAll('"', '""')}"` : harmless;
}

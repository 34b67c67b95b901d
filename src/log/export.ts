import { unreachable } from "../lib/unreachable.ts";
import type { QueryRecord } from "./record.ts";

/** How everything that fits is given: CSV (RFC 4180), JSON with one record a line, or JSON arrays of `LoggedQuestion`, one a line. */
export type ExportFormat = "csv" | "ndjson" | "questions";

/** What was asked, by whom, and where the answer came from. */
export type LoggedQuestion = readonly [
  name: string,
  type: string,
  client: string,
  clientId: string | null,
  source: QueryRecord["source"],
  time: string,
];

/** What stands before the first record. */
export function exportHead(format: ExportFormat): string {
  return format === "csv" ? csvLine(CSV_COLUMNS) : "";
}

/** Some records, one a line. In CSV what is nested stands in its cell as JSON; null is an empty cell. */
export function exportText(format: ExportFormat, records: readonly QueryRecord[]): string {
  return records.map((record) => lineOf(format, record)).join("");
}

function lineOf(format: ExportFormat, record: QueryRecord): string {
  switch (format) {
    case "csv":
      return csvLine(CSV_COLUMNS.map((column) => record[column]));
    case "ndjson":
      return `${JSON.stringify(record)}\n`;
    case "questions": {
      const { name, type, client, clientId, source, time } = record;
      return `${JSON.stringify([name, type, client, clientId, source, time] satisfies LoggedQuestion)}\n`;
    }
    default:
      return unreachable(format);
  }
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

import { type Logger, pino } from "pino";
import { printable } from "../lib/text.ts";
import type { LogOptions } from "./options.ts";

/** What the operator reads: starts, stops, reloads, faults. Queries are never written here. */
export type OperationsLog = Logger;

/** Writes JSON lines, or plain ones for a person at a terminal, to `write`. */
export function operationsLog(level: LogOptions["level"], write: (line: string) => void, interactive: boolean): OperationsLog {
  const destination = { write: interactive ? (line: string) => write(plainLine(line)) : write };
  return pino({ level, base: null, timestamp: pino.stdTimeFunctions.isoTime }, destination);
}

const LEVEL_NAMES = new Map([
  [10, "trace"],
  [20, "debug"],
  [30, "info"],
  [40, "warn"],
  [50, "error"],
  [60, "fatal"],
]);

function plainLine(json: string): string {
  const { level, time, msg, ...rest } = JSON.parse(json);
  const details = Object.entries(rest).map(
    ([key, value]) => `  ${key}=${typeof value === "string" ? value : JSON.stringify(value)}`,
  );
  const text = `${String(time).slice(11, 19)} ${(LEVEL_NAMES.get(level) ?? String(level)).padEnd(5)} ${msg}${details.join("")}`;
  return `${printable(text)}\n`;
}

/** How long one kind of event is kept quiet after it was told. */
const QUIET_MS = 60_000;

/**
 * Tells an event of each kind at once and then at most once a minute, with how many there were meanwhile: what can happen a thousand times a
 * second must not fill a disk.
 */
export function throttle(
  nowMs: () => number,
  tell: (kind: string, details: object) => void,
): (kind: string, details: object) => void {
  const told = new Map<string, { atMs: number; missed: number }>();
  return (kind, details) => {
    const last = told.get(kind);
    if (last !== undefined && nowMs() - last.atMs < QUIET_MS) {
      last.missed++;
      return;
    }
    tell(kind, last === undefined || last.missed === 0 ? details : { ...details, missed: last.missed });
    told.set(kind, { atMs: nowMs(), missed: 0 });
  };
}

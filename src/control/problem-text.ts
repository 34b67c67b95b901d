import type { Problem } from "../config/reading.ts";

/** One problem of a configuration in one line. */
export function problemText({ line, column, message, fix }: Problem): string {
  return `line ${line}, column ${column}: ${message}; ${fix}`;
}

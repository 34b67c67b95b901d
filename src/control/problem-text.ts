import type { Problem } from "../config/problem.ts";

/** One problem of a configuration in one line. */
export function problemText({ line, column, message, fix }: Problem): string {
  return `line ${line}, column ${column}: ${message}; ${fix}`;
}

import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { type ConfigResult, loadConfig } from "../config/load.ts";
import { printProblems } from "../config/reading.ts";
import type { Config } from "../config/types.ts";

/** Where a command writes, and what it may know of its surroundings. Passed in, so that tests read what a person would. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** Whether a person reads along: headings and progress; else plain lines. */
  readonly interactive: boolean;
  /** Whether that person sees colours, and has not asked for none with NO_COLOR. */
  readonly colors: boolean;
  /** How many cells a line of that person's terminal has now; null = nobody knows, or there is none. */
  readonly cells: number | null;
  /** The folder relative paths on the command line start from. */
  readonly directory: string;
  /** Where `fenliu.yaml` is looked for when the command line names no file, in this order. */
  readonly configDirectories: readonly string[];
  /** From the first call on, a signal to end resolves this with its name instead of ending the process. */
  untilStopped(): Promise<string>;
  /** Calls back each time the process is told to read its configuration again. */
  onReload(run: () => void): void;
}

/** Exit codes. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** Prints its message and ends the command with exit code 2. */
export class UsageError extends Error {}

/** The file a command reads: the one it was given, else `fenliu.yaml` where one lies; null = the defaults alone. */
export function configPath(given: string | null, terminal: Terminal): string | null {
  if (given !== null) return resolve(terminal.directory, given);
  return terminal.configDirectories.map((directory) => join(directory, "fenliu.yaml")).find((path) => existsSync(path)) ?? null;
}

/** Reads a configuration and prints every problem; warnings as well, unless only its use is wanted. null = it cannot be used. */
export function readConfig(path: string | null, terminal: Terminal, { warns = true } = {}): Config | null {
  const result: ConfigResult = loadConfig(path);
  if (result.kind === "ok") {
    if (warns) terminal.err(warningsText(result));
    return result.config;
  }
  terminal.err(printProblems(result.problems, result.text));
  terminal.err(`${result.problems.length === 1 ? "one problem" : `${result.problems.length} problems`} in the configuration\n`);
  return null;
}

/** What is only doubtful, so that nobody takes it for what keeps the configuration from being used. */
export function warningsText({ warnings, text }: Extract<ConfigResult, { readonly kind: "ok" }>): string {
  return printProblems(
    warnings.map((warning) => ({ ...warning, message: `warning: ${warning.message}` })),
    text,
  );
}

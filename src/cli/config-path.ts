import { existsSync } from "node:fs";
import { join, resolve } from "node:path";
import { type ConfigResult, loadConfig } from "../config/load.ts";
import { printProblems } from "../config/reading.ts";
import type { Config } from "../config/types.ts";
import type { Terminal } from "./terminal.ts";

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

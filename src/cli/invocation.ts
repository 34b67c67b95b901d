import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { type ConfigResult, loadConfig } from "../config/load.ts";
import { printProblems } from "../config/reading.ts";
import type { Config } from "../config/types.ts";
import { endpointText } from "../dns/address.ts";
import { systemClock } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";
import type { Endpoint } from "../listen/options.ts";

/**
 * What the commands share: the terminal, the command line, the configuration. `run.ts` finds the command; each command has a file of its own.
 */

/** Where a command writes, and what it knows of the terminal. Passed in, so that tests read what a person would read. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** Whether a person reads the output. A person gets headings and progress. */
  readonly interactive: boolean;
  /** Whether the terminal shows colours, and NO_COLOR does not forbid them. */
  readonly colors: boolean;
  /** Cells in a line of the terminal at this moment; null = not known, or no terminal. */
  readonly cells: number | null;
  /** Relative paths on the command line start from this folder. */
  readonly directory: string;
  /** Folders in which to look for `fenliu.yaml` where the command line names no file, in this order. */
  readonly configDirectories: readonly string[];
  /** From the first call on, SIGINT and SIGTERM do not end the process but resolve this promise with the name of the signal. */
  untilStopped(): Promise<string>;
  /** Calls `run` at each SIGHUP. */
  onReload(run: () => void): void;
  /** Calls `run` at each SIGUSR2. */
  onHandOver(run: () => void): void;
}

/** Exit codes. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** Prints its message and ends the command with exit code 2. */
export class UsageError extends Error {}

/** One command of the command line. */
export interface Command {
  /** The lines of `fenliu --help` about the command. */
  readonly usage: string;
  /** What `fenliu COMMAND --help` adds to these lines. */
  readonly help?: string;
  /** The options that the command heeds. Any other option is refused, because the user would believe that it has an effect. */
  readonly options: readonly (keyof typeof OPTIONS)[];
  /** @returns the exit code. @throws UsageError */
  run(invocation: Invocation, terminal: Terminal): Promise<number>;
}

/** The options of all commands. */
const OPTIONS = {
  /** The configuration file. */
  config: { type: "string", short: "c" },
  json: { type: "boolean" },
  /** A PEM file with the authority to trust instead of the system's. */
  ca: { type: "string" },
  /** The file to write instead of stdout. */
  output: { type: "string", short: "o" },
  /** Overwrite a file that is there. */
  force: { type: "boolean" },
  /** Write an import although names could go to another side than before. */
  "allow-leaks": { type: "boolean" },
  /** The proxy that stands for the proxies of an imported configuration. */
  proxy: { type: "string" },
  /** Lists to take however much their size has changed. */
  accept: { type: "string", multiple: true },
  /** Go on with the records that come. */
  follow: { type: "boolean", short: "f" },
  /** Show all that is known of each record. */
  full: { type: "boolean" },
  /** How many records at most. */
  limit: { type: "string", short: "n" },
  /** Remove what a person has written as well. */
  purge: { type: "boolean" },
  /** The names below too. */
  subtree: { type: "boolean" },
  /** The client that asks: an address or a client id. */
  client: { type: "string" },
  /** Ask the question as well. */
  resolve: { type: "boolean" },
  /** A file with the questions to ask. */
  names: { type: "string" },
  /** The questions of the query log. */
  log: { type: "boolean" },
  /** The questions that come to the listeners. */
  live: { type: "boolean" },
  /** A version of the past. */
  under: { type: "string" },
  at: { type: "string" },
  /** Plain servers for a router whose Fenliu does not answer. */
  failover: { type: "string", multiple: true },
  /** Parts of a script that are left out. */
  without: { type: "string", multiple: true },
  /** Take away what was set up. */
  remove: { type: "boolean" },
  /** Print what puts findings right. */
  fix: { type: "boolean" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean" },
} as const;

/** A command line: its options, and the words after the command's name. */
export type Invocation = ReturnType<typeof parseOptions>["values"] & { readonly words: readonly string[] };

/** @throws UsageError */
export function parseOptions(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], allowPositionals: true, options: OPTIONS });
  } catch (error) {
    // Node goes on to say how a word may begin with a dash, which nobody meant.
    throw new UsageError(errorText(error).replace(/\. To specify .*$/s, ""));
  }
}

/** @throws UsageError where words follow the name of a command that takes only options. */
export function refuseWords({ words: [word] }: Invocation): void {
  if (word !== undefined) throw new UsageError(`\`${word}\`: options alone are taken here`);
}

/** Path of the configuration: the file of `--config`, else the first `fenliu.yaml` that is there; null = the defaults alone. */
export function configPath({ config }: Pick<Invocation, "config">, terminal: Terminal): string | null {
  if (config !== undefined) return resolve(terminal.directory, config);
  return terminal.configDirectories.map((directory) => join(directory, "fenliu.yaml")).find((path) => existsSync(path)) ?? null;
}

/** Reads a configuration and prints every problem, and the warnings too unless `warns` is false. null = it cannot be used. */
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

/** Warnings are marked, so that nobody takes one for the problem that keeps the configuration from being used. */
export function warningsText({ warnings, text }: Extract<ConfigResult, { readonly kind: "ok" }>): string {
  return printProblems(
    warnings.map((warning) => ({ ...warning, message: `warning: ${warning.message}` })),
    text,
  );
}

/** Help for the option `--ca`. */
export const CA_HELP = "      --ca FILE       a PEM file with the authority to trust instead of the system's\n";

/** The text of the file of `--ca`; null without the option. @throws UsageError where the file cannot be read. */
export function caText({ ca }: Invocation, terminal: Terminal): string | null {
  if (ca === undefined) return null;
  try {
    return readFileSync(resolve(terminal.directory, ca), "utf8");
  } catch (error) {
    throw new UsageError(`--ca: ${errorText(error)}`);
  }
}

/** Where to connect to reach a listener of this host: nobody can connect to a wildcard address, so loopback stands for it. */
export function endpointToAsk({ address, port }: Endpoint): string {
  const loopback = address === "0.0.0.0" ? "127.0.0.1" : address === "::" ? "::1" : address;
  return endpointText(loopback, port);
}

/** How long ago a source of a list changed; empty where this is not known. */
export function ageText({ changedWallMs }: { readonly changedWallMs: number | null }): string {
  if (changedWallMs === null) return "";
  const minutes = Math.max(0, systemClock.wallMs() - changedWallMs) / 60_000;
  if (minutes < 120) return `${Math.floor(minutes)} min`;
  return minutes < 2880 ? `${Math.floor(minutes / 60)} h` : `${Math.floor(minutes / 1440)} d`;
}

/** Aborts when the user ends the command. */
export function stopSignal(terminal: Terminal): AbortSignal {
  const ending = new AbortController();
  void terminal.untilStopped().then(() => ending.abort());
  return ending.signal;
}

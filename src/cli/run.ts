import { parseArgs } from "node:util";
import { errorText } from "../lib/text.ts";
import { version } from "../lib/version.ts";
import { checkCommand } from "./check.ts";
import { demoCommand } from "./demo.ts";
import { explainCommand } from "./explain.ts";
import { flushCommand } from "./flush.ts";
import { importCommand } from "./import.ts";
import { EXIT, type Terminal, UsageError } from "./invocation.ts";
import { listsCommand } from "./lists.ts";
import { logCommand } from "./log.ts";
import { queryCommand } from "./query.ts";
import { serveCommand } from "./serve.ts";
import { entriesOf, helpOf, USAGE } from "./usage.ts";

/** Commands of the contract that this version does not have. */
const NOT_YET = ["routeros"];

/** What the command line said, common to all commands. */
export interface Invocation {
  /** What stands after the command's name. */
  readonly words: readonly string[];
  readonly config: string | null;
  readonly json: boolean;
  /** A PEM file with the authority to trust instead of the system's. */
  readonly ca: string | null;
  /** Lists to take however much their size has changed. */
  readonly accept: readonly string[];
  /** The file to write instead of stdout. */
  readonly output: string | null;
  /** Whether a file that is there may be overwritten. */
  readonly force: boolean;
  /** Whether an import may be written that lets names go to another side than before. */
  readonly allowLeaks: boolean;
  /** The proxy that stands for those of an imported configuration. */
  readonly proxy: string | null;
  /** Whether to go on with what comes. */
  readonly follow: boolean;
  /** Whether all is shown that is known of each. */
  readonly full: boolean;
  /** How many records at most; null = as the command thinks fit. */
  readonly limit: number | null;
  /** Whether the names below are meant too. */
  readonly subtree: boolean;
  /** On whose behalf: an address or a client id. */
  readonly client: string | null;
  /** Whether to ask the question as well. */
  readonly resolve: boolean;
  /** A version of the past. */
  readonly under: string | null;
}

type Carry = (invocation: Invocation, terminal: Terminal) => Promise<number>;

interface Command {
  readonly carryOut: Carry;
  /** The options that mean something to it; any other is refused, because who gives it would believe it was heeded. */
  readonly takes: readonly (keyof typeof OPTIONS)[];
}

const OPTIONS = {
  config: { type: "string", short: "c" },
  json: { type: "boolean" },
  ca: { type: "string" },
  output: { type: "string", short: "o" },
  force: { type: "boolean" },
  "allow-leaks": { type: "boolean" },
  proxy: { type: "string" },
  accept: { type: "string", multiple: true },
  follow: { type: "boolean", short: "f" },
  full: { type: "boolean" },
  limit: { type: "string", short: "n" },
  subtree: { type: "boolean" },
  client: { type: "string" },
  resolve: { type: "boolean" },
  under: { type: "string" },
  help: { type: "boolean", short: "h" },
  version: { type: "boolean" },
} as const;

const commands: Readonly<Record<string, Command>> = {
  serve: { carryOut: wordless(serveCommand), takes: ["config"] },
  check: { carryOut: wordless(checkCommand), takes: ["config", "json"] },
  query: { carryOut: queryCommand, takes: ["config", "json", "ca"] },
  explain: { carryOut: explainCommand, takes: ["config", "json", "client", "resolve", "under"] },
  lists: { carryOut: listsCommand, takes: ["config", "json", "ca", "accept"] },
  log: { carryOut: logCommand, takes: ["config", "json", "limit", "follow", "full"] },
  flush: { carryOut: flushCommand, takes: ["config", "json", "subtree"] },
  demo: { carryOut: wordless(demoCommand), takes: [] },
  import: { carryOut: importCommand, takes: ["json", "output", "force", "allow-leaks", "proxy"] },
};

/** Carries out one command line (without the program's name). @returns the exit code; nothing is thrown that a user could cause. */
export async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const { values, positionals } = parse(argv);
    const [name = "serve", ...words] = positionals;
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (values.version === true) return printed(terminal, `${version()}\n`);
    if (NOT_YET.includes(name)) throw new UsageError(`\`fenliu ${name}\` is not there yet in version ${version()}`);
    if (command === undefined) throw new UsageError(`there is no command \`${name}\``);
    if (values.help === true) return printed(terminal, positionals.length === 0 ? USAGE : helpOf(name));
    const stranger = Object.keys(values).find((option) => !command.takes.some((taken) => taken === option));
    if (stranger !== undefined) throw new UsageError(`${name} does not take --${stranger}`);
    return await command.carryOut(invocationOf(words, values), terminal);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    terminal.err(`fenliu: ${error.message}\n\n${usageFor(argv)}`);
    return EXIT.usage;
  }
}

/** What there is to know of the command that was meant: all of it would push what is wrong out of sight. */
function usageFor(argv: readonly string[]): string {
  const meant = argv.find((word) => Object.hasOwn(commands, word) || NOT_YET.includes(word));
  if (meant !== undefined && NOT_YET.includes(meant)) return "  fenliu --help    what is there\n";
  return meant === undefined ? USAGE : `${entriesOf(meant)}\n  fenliu ${meant} --help    more of it\n`;
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], allowPositionals: true, options: OPTIONS });
  } catch (error) {
    // What follows is how a word may begin with a dash, which nobody meant.
    throw new UsageError(errorText(error).replace(/\. To specify .*$/s, ""));
  }
}

function invocationOf(words: readonly string[], values: ReturnType<typeof parse>["values"]): Invocation {
  const {
    config = null,
    json = false,
    ca = null,
    accept = [],
    output = null,
    force = false,
    follow = false,
    full = false,
  } = values;
  const { "allow-leaks": allowLeaks = false, proxy = null } = values;
  const { limit, subtree = false, client = null, resolve = false, under = null } = values;
  const count = limit === undefined ? null : countOf(limit);
  return {
    words,
    config,
    json,
    ca,
    accept,
    output,
    force,
    allowLeaks,
    proxy,
    follow,
    full,
    subtree,
    client,
    resolve,
    under,
    limit: count,
  };
}

/** For a command that takes options alone. */
function wordless(carryOut: Carry): Carry {
  return (invocation, terminal) => {
    const [word] = invocation.words;
    if (word !== undefined) throw new UsageError(`\`${word}\`: options alone are taken here`);
    return carryOut(invocation, terminal);
  };
}

/** Records of the log that are shown at once: the newest come first and are shown last, so all of them are in memory. */
const MAX_RECORDS = 100_000;

function countOf(text: string): number {
  const count = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > MAX_RECORDS)
    throw new UsageError(`--limit takes a number from 1 to ${MAX_RECORDS}; for more there is /api/v1/queries/export`);
  return count;
}

function printed(terminal: Terminal, text: string): number {
  terminal.out(text);
  return EXIT.ok;
}

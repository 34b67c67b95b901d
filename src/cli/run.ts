import { parseArgs } from "node:util";
import { version } from "../version.ts";
import { check } from "./check.ts";
import { demo } from "./demo.ts";
import { explain } from "./explain.ts";
import { flush } from "./flush.ts";
import { importBundle } from "./import.ts";
import { lists } from "./lists.ts";
import { log } from "./log.ts";
import { query } from "./query.ts";
import { serve } from "./serve.ts";
import { EXIT, type Terminal, UsageError } from "./terminal.ts";

const USAGE = `fenliu: a DNS server that sends each question to the right upstream

  fenliu serve [-c FILE]           answer questions (also without a command)
  fenliu check [-c FILE]           read the configuration, report every problem, change nothing
  fenliu query NAME [TYPE] [@SERVER]
                                   ask a server, as @192.0.2.1:53, @tls://… or @https://…; without one, the Fenliu of -c FILE
  fenliu lists [-c FILE]           what the lists hold, how old it is, and what is wrong with it
  fenliu lists update [NAME…] [--accept NAME]…
                                   download lists now, all or these; --accept takes one whose size has changed by more than a third
  fenliu explain NAME [TYPE] [--client WHO] [--resolve] [--under VERSION]
                                   what becomes of a question, and why; WHO is an address or a client id; --resolve asks it too
  fenliu log [FIELD=VALUE…] [--limit N] [--follow]
                                   what was asked, the newest last; a word without = is a name
  fenliu log ID                    all that is known of one query
  fenliu flush NAME [--subtree]    drop what is held of a name, and of those below it
  fenliu demo                      try everything without the internet
  fenliu import easymosdns DIR [-o FILE] [--force]
                                   make a fenliu.yaml of a mosdns bundle, and say what is not in it

  -c, --config FILE   the configuration; without it fenliu.yaml in this folder, else the defaults
      --json          output for scripts
      --version       -h, --help
`;

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
  /** Whether to go on with what comes. */
  readonly follow: boolean;
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

type Command = (invocation: Invocation, terminal: Terminal) => Promise<number>;

const commands: Readonly<Record<string, Command>> = {
  serve,
  check,
  query,
  explain,
  lists,
  log,
  flush,
  demo,
  import: importBundle,
};

/** Carries out one command line (without the program's name). @returns the exit code; nothing is thrown that a user could cause. */
export async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const { values, positionals } = parse(argv);
    if (values.help === true) return printed(terminal, USAGE);
    if (values.version === true) return printed(terminal, `${version()}\n`);
    const [name = "serve", ...words] = positionals;
    if (NOT_YET.includes(name)) throw new UsageError(`\`fenliu ${name}\` is not there yet in version ${version()}`);
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (command === undefined) throw new UsageError(`there is no command \`${name}\``);
    const {
      config = null,
      json = false,
      ca = null,
      accept = [],
      output = null,
      force = false,
      follow = false,
      limit,
      subtree = false,
      client = null,
      resolve = false,
      under = null,
    } = values;
    const count = limit === undefined ? null : countOf(limit);
    return await command(
      { words, config, json, ca, accept, output, force, follow, subtree, client, resolve, under, limit: count },
      terminal,
    );
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    terminal.err(`fenliu: ${error.message}\n\n${usageFor(argv)}`);
    return EXIT.usage;
  }
}

/** What there is to know of the command that was meant: all of it would push what is wrong out of sight. */
function usageFor(argv: readonly string[]): string {
  const meant = argv.find((word) => Object.hasOwn(commands, word));
  if (meant === undefined) return USAGE;
  const [, entries = ""] = USAGE.split("\n\n");
  const own = `${entries}\n`.split(/^(?= {2}fenliu )/m).filter((entry) => entry.startsWith(`  fenliu ${meant} `));
  return `${own.join("")}\n  fenliu --help           everything else\n`;
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({
      args: [...argv],
      allowPositionals: true,
      options: {
        config: { type: "string", short: "c" },
        json: { type: "boolean" },
        ca: { type: "string" },
        output: { type: "string", short: "o" },
        force: { type: "boolean" },
        accept: { type: "string", multiple: true },
        follow: { type: "boolean", short: "f" },
        limit: { type: "string", short: "n" },
        subtree: { type: "boolean" },
        client: { type: "string" },
        resolve: { type: "boolean" },
        under: { type: "string" },
        help: { type: "boolean", short: "h" },
        version: { type: "boolean" },
      },
    });
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error));
  }
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

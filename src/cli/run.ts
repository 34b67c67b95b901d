/**
 * The command line: one file a command, which also says how the command is used. `main.ts` calls `run`.
 *
 * Read `invocation.ts` (options, exit codes, what a command is), then the file of a command. Several commands use `api-client.ts` (calls a running server),
 * `stored-log.ts` (reads the log of a server that does not run) and `record-table.ts` (records as lines). `serve.ts` has `greeting.ts`,
 * `supervisor.ts` (systemd) and `hand-over.ts` (to another process), `service.ts` has `service-configuration.ts`, `shadow.ts` has `shadow-differences.ts`, and `demo.ts` has `demo-house.ts`,
 * `demo-internet.ts` and `demo-certificate.ts`.
 */

import { closest } from "../lib/text.ts";
import { version } from "../lib/version.ts";
import { type Command, EXIT, parseOptions, type Terminal, UsageError } from "./invocation.ts";

/** In the order of `fenliu --help`. Each is loaded when it is named: a server would keep the code of the others in memory. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import("./serve.ts")).serveCommand,
  check: async () => (await import("./check.ts")).checkCommand,
  query: async () => (await import("./query.ts")).queryCommand,
  lists: async () => (await import("./lists.ts")).listsCommand,
  explain: async () => (await import("./explain.ts")).explainCommand,
  log: async () => (await import("./log.ts")).logCommand,
  flush: async () => (await import("./flush.ts")).flushCommand,
  hosts: async () => (await import("./hosts.ts")).hostsCommand,
  routeros: async () => (await import("./routeros.ts")).routerosCommand,
  demo: async () => (await import("./demo.ts")).demoCommand,
  import: async () => (await import("./import.ts")).importCommand,
  shadow: async () => (await import("./shadow.ts")).shadowCommand,
  service: async () => (await import("./service.ts")).serviceCommand,
  upgrade: async () => (await import("./upgrade.ts")).upgradeCommand,
};

/**
 * Runs one command line (without the program's name).
 * @returns the exit code. A fault of the user never throws.
 */
export async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const { values, positionals } = parseOptions(argv);
    const [name = "serve", ...words] = positionals;
    const command = await findCommand(name);
    if (values.version === true) return print(terminal, `${version()}\n`);
    if (command === null) throw new UsageError(`there is no command \`${name}\`${suggestion(name)}`);
    if (values.help === true) return print(terminal, positionals.length === 0 ? await fullUsage() : helpOf(command));
    const stranger = Object.keys(values).find((option) => !command.options.some((known) => known === option));
    if (stranger !== undefined) throw new UsageError(`${name} does not take --${stranger}`);
    return await command.run({ ...values, words }, terminal);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    terminal.err(`fenliu: ${error.message}\n\n${await usageFor(argv)}`);
    return EXIT.usage;
  }
}

function suggestion(name: string): string {
  const near = closest(name, Object.keys(commands));
  return near === null ? "" : `; did you mean \`${near}\`?`;
}

async function findCommand(name: string): Promise<Command | null> {
  return Object.hasOwn(commands, name) ? ((await commands[name]?.()) ?? null) : null;
}

/** The usage of the command that was meant. The usage of all commands would push the message out of sight. */
async function usageFor(argv: readonly string[]): Promise<string> {
  const meant = argv.find((word) => Object.hasOwn(commands, word));
  const command = meant === undefined ? null : await findCommand(meant);
  return command === null ? await fullUsage() : `${command.usage}\n  fenliu ${meant} --help    more of it\n`;
}

function helpOf({ usage, help }: Command): string {
  return `${usage}${help === undefined ? "" : `\n${help}`}\n  fenliu --help           everything else\n`;
}

function print(terminal: Terminal, text: string): number {
  terminal.out(text);
  return EXIT.ok;
}

/** What `fenliu --help` prints. */
async function fullUsage(): Promise<string> {
  const usages = await Promise.all(Object.values(commands).map(async (load) => (await load()).usage));
  return `fenliu: a DNS server that sends each question to the right upstream

${usages.join("")}
  fenliu COMMAND --help            more of one command
  -c, --config FILE   the configuration; without it fenliu.yaml in this folder or in /etc/fenliu, else the defaults
      --json          output for scripts
      --version       -h, --help
`;
}

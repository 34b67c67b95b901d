import { closest } from "../lib/text.ts";
import { version } from "../lib/version.ts";
import { checkCommand } from "./check.ts";
import { demoCommand } from "./demo.ts";
import { explainCommand } from "./explain.ts";
import { flushCommand } from "./flush.ts";
import { hostsCommand } from "./hosts.ts";
import { importCommand } from "./import.ts";
import { type Command, EXIT, parseOptions, type Terminal, UsageError } from "./invocation.ts";
import { listsCommand } from "./lists.ts";
import { logCommand } from "./log.ts";
import { queryCommand } from "./query.ts";
import { routerosCommand } from "./routeros.ts";
import { serveCommand } from "./serve.ts";
import { serviceCommand } from "./service.ts";
import { shadowCommand } from "./shadow.ts";
import { upgradeCommand } from "./upgrade.ts";

/** In the order of `fenliu --help`. */
const commands: Readonly<Record<string, Command>> = {
  serve: serveCommand,
  check: checkCommand,
  query: queryCommand,
  lists: listsCommand,
  explain: explainCommand,
  log: logCommand,
  flush: flushCommand,
  hosts: hostsCommand,
  routeros: routerosCommand,
  demo: demoCommand,
  import: importCommand,
  shadow: shadowCommand,
  service: serviceCommand,
  upgrade: upgradeCommand,
};

/**
 * Runs one command line (without the program's name). Called by `main.ts`. Read `invocation.ts` next, then the file of a command.
 * @returns the exit code. A fault of the user never throws.
 */
export async function run(argv: readonly string[], terminal: Terminal): Promise<number> {
  try {
    const { values, positionals } = parseOptions(argv);
    const [name = "serve", ...words] = positionals;
    const command = Object.hasOwn(commands, name) ? commands[name] : undefined;
    if (values.version === true) return print(terminal, `${version()}\n`);
    if (command === undefined) throw new UsageError(`there is no command \`${name}\`${suggestion(name)}`);
    if (values.help === true) return print(terminal, positionals.length === 0 ? USAGE : helpOf(command));
    const stranger = Object.keys(values).find((option) => !command.options.some((known) => known === option));
    if (stranger !== undefined) throw new UsageError(`${name} does not take --${stranger}`);
    return await command.run({ ...values, words }, terminal);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    terminal.err(`fenliu: ${error.message}\n\n${usageFor(argv)}`);
    return EXIT.usage;
  }
}

function suggestion(name: string): string {
  const near = closest(name, Object.keys(commands));
  return near === null ? "" : `; did you mean \`${near}\`?`;
}

/** The usage of the command that was meant. The usage of all commands would push the message out of sight. */
function usageFor(argv: readonly string[]): string {
  const meant = argv.find((word) => Object.hasOwn(commands, word));
  const command = meant === undefined ? undefined : commands[meant];
  return command === undefined ? USAGE : `${command.usage}\n  fenliu ${meant} --help    more of it\n`;
}

function helpOf({ usage, help }: Command): string {
  return `${usage}${help === undefined ? "" : `\n${help}`}\n  fenliu --help           everything else\n`;
}

function print(terminal: Terminal, text: string): number {
  terminal.out(text);
  return EXIT.ok;
}

/** What `fenliu --help` prints. */
const USAGE = `fenliu: a DNS server that sends each question to the right upstream

${Object.values(commands)
  .map(({ usage }) => usage)
  .join("")}
  fenliu COMMAND --help            more of one command
  -c, --config FILE   the configuration; without it fenliu.yaml in this folder, else the defaults
      --json          output for scripts
      --version       -h, --help
`;

import type { Terminal } from "./cli/invocation.ts";
import { run } from "./cli/run.ts";

/** npm changes into the package's folder. Paths on the command line are relative to the folder in which the user called npm. */
const directory = (process.env["npm_lifecycle_event"] === undefined ? undefined : process.env["INIT_CWD"]) ?? process.cwd();

const terminal: Terminal = {
  out: (text) => void process.stdout.write(text),
  err: (text) => void process.stderr.write(text),
  interactive: process.stdout.isTTY,
  // getColorDepth obeys NO_COLOR and TERM=dumb.
  colors: process.stdout.isTTY && process.stdout.getColorDepth() > 1,
  // Some terminals report 0; a pipe or a file reports nothing.
  get cells() {
    return process.stdout.columns || null;
  },
  directory,
  // The last is where a service has its own.
  configDirectories: [directory, process.cwd(), "/etc/fenliu"],
  untilStopped: () =>
    new Promise((resolve) => {
      // A signal to the process group comes twice, the second time from npm. Without a listener that one would end the process at once.
      for (const signal of ["SIGINT", "SIGTERM"] as const) process.on(signal, () => resolve(signal));
    }),
  onReload: (reload) => void process.on("SIGHUP", reload),
  onHandOver: (handOver) => void process.on("SIGUSR2", handOver),
};

// `fenliu log | head` closes stdout early: the command ends. A closed stderr must not end a server.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code === "EPIPE") process.exit(0);
  terminal.err(`fenliu: what is printed cannot be written: ${error.message}\n`);
  process.exit(1);
});
process.stderr.on("error", () => {});

process.exitCode = await run(process.argv.slice(2), terminal);

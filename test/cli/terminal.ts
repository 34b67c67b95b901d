import { setImmediate as turn } from "node:timers/promises";
import { onTestFinished } from "vitest";
import type { Terminal } from "../../src/cli/invocation.ts";
import { run } from "../../src/cli/run.ts";
import { directory } from "../support/files.ts";

/** A terminal that a test controls. */
export interface TestTerminal extends Terminal {
  readonly written: { out: string; err: string };
  stop(): void;
  reload(): void;
  /** Whether a command has said what a reload does. */
  takesReloads(): boolean;
}

/** @param where the folder that the command is started in; by default an empty one. */
export function testTerminal(where = directory()): TestTerminal {
  const written = { out: "", err: "" };
  const stopped = Promise.withResolvers<string>();
  const reloaders: (() => void)[] = [];
  return {
    written,
    out: (text) => {
      written.out += text;
    },
    err: (text) => {
      written.err += text;
    },
    interactive: false,
    colors: false,
    cells: null,
    directory: where,
    configDirectories: [where],
    untilStopped: () => stopped.promise,
    onReload: (reload) => void reloaders.push(reload),
    onHandOver: () => {},
    takesReloads: () => reloaders.length > 0,
    stop: () => stopped.resolve("SIGTERM"),
    reload: () => {
      for (const reload of reloaders) reload();
    },
  };
}

/** A command that runs until it is stopped. */
export interface Running {
  readonly terminal: TestTerminal;
  /** Stops the command; the end of the test does the same. @returns its exit code. */
  stop(): Promise<number>;
}

/** Starts a command and waits until it has written `sign` to either stream. @throws Error if it ends before. */
export async function start(argv: readonly string[], sign: string, terminal = testTerminal()): Promise<Running> {
  let ended: number | null = null;
  const running = run(argv, terminal).finally(() => {
    ended ??= 0;
  });
  await until(() => {
    if (ended !== null) throw new Error(`it ended: ${terminal.written.err}`);
    return (terminal.written.out + terminal.written.err).includes(sign);
  });
  const stop = (): Promise<number> => {
    terminal.stop();
    return running;
  };
  onTestFinished(async () => void (await stop()));
  return { terminal, stop };
}

export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await turn();
}

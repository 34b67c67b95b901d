import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const projectRoot = fileURLToPath(new URL("../..", import.meta.url));

export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end; one that hangs is killed after `limitMs`. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const child = spawn(command, args, {
    cwd: options.cwd ?? projectRoot,
    env: { ...process.env, ...options.env },
    timeout: options.limitMs ?? 30_000,
    shell: options.shell ?? false,
  });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (chunk) => (output.stdout += chunk));
  child.stderr.on("data", (chunk) => (output.stderr += chunk));
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (status) => resolve({ status, ...output }));
  });
}

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly limitMs?: number;
  readonly shell?: boolean;
}

/** A program that goes on running. */
export interface Running {
  /** What it has written so far, to either stream. */
  readonly output: () => string;
  readonly child: ChildProcess;
  /** Ends it, and waits until it has ended. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
}

/** Starts a program and waits until its output matches `ready`. @throws Error with that output where it ends first. */
export async function start(command: string, args: readonly string[], ready: RegExp, options: RunOptions = {}): Promise<Running> {
  const child = spawn(command, args, { cwd: options.cwd ?? projectRoot, env: { ...process.env, ...options.env } });
  let output = "";
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  await new Promise<void>((resolve, reject) => {
    const take = (chunk: Buffer) => {
      output += chunk;
      if (ready.test(output)) resolve();
    };
    child.stdout.on("data", take);
    child.stderr.on("data", take);
    child.on("error", reject);
    const limit = setTimeout(() => reject(new Error(`${command} was not ready in time: ${output}`)), options.limitMs ?? 30_000);
    void ended
      .then((status) => reject(new Error(`${command} ended with ${status}: ${output}`)))
      .finally(() => clearTimeout(limit));
  });
  return {
    output: () => output,
    child,
    stop(signal = "SIGTERM") {
      child.kill(signal);
      return ended;
    },
  };
}

/** A folder that goes with the test file. */
export function scratchFolder(): { readonly path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), "fenliu-clients-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}

/** A port of 127.0.0.1 that nobody uses at the moment, for programs that cannot choose one themselves. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      if (address === null || typeof address === "string") throw new Error("a TCP server without a port");
      probe.close(() => resolve(address.port));
    });
  });
}

/** Tries until it works, for servers that do not say when they are ready. */
export async function eventually<T>(attempt: () => Promise<T | null>, limitMs = 15_000): Promise<T> {
  const until = Date.now() + limitMs;
  for (;;) {
    const result = await attempt();
    if (result !== null) return result;
    if (Date.now() > until) throw new Error("it did not happen in time");
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

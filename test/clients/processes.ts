import { type ChildProcess, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";

export const projectRoot = fileURLToPath(new URL("../..", import.meta.url));

/**
 * The environment of a user's shell: without what npm tells those it starts, by which Fenliu takes where paths on the
 * command line begin, and without what CI machines and users set, by which Node decides on colours, libraries on what they tell,
 * and shells on whether to complain of a locale that is not installed.
 */
const userEnv: NodeJS.ProcessEnv = { ...process.env, TERM: "xterm-256color", LC_ALL: "C.UTF-8" };
for (const name of ["npm_lifecycle_event", "INIT_CWD", "CI", "NO_COLOR", "NODE_DISABLE_COLORS", "FORCE_COLOR", "DEBUG"])
  delete userEnv[name];

export interface Finished {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a program to its end; one that hangs is killed after `limitMs`. */
export function run(command: string, args: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const child = spawn(command, args, {
    cwd: options.cwd ?? projectRoot,
    env: { ...userEnv, ...options.env },
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
  /** Its exit code, once it has ended. */
  readonly ended: Promise<number | null>;
  /** Sends the signal to the program and to all its descendants. */
  signal(signal: NodeJS.Signals): void;
  /** Ends the program and waits for its end. SIGTERM goes to the program alone, as from a service manager. */
  stop(signal?: "SIGTERM" | "SIGKILL"): Promise<number | null>;
}

/** When a program is ready: once its output matches, or once the function no longer gives null. */
export type Readiness = RegExp | (() => Promise<unknown>);

/** Starts a program and waits until it is ready. @throws Error with its output where it is not, or ends first; then it is stopped. */
export async function start(
  command: string,
  args: readonly string[],
  ready: Readiness,
  options: RunOptions = {},
): Promise<Running> {
  const limitMs = options.limitMs ?? 30_000;
  const child = spawn(command, args, { cwd: options.cwd ?? projectRoot, env: { ...userEnv, ...options.env } });
  let output = "";
  child.stdout.on("data", (chunk) => (output += chunk));
  child.stderr.on("data", (chunk) => (output += chunk));
  const ended = new Promise<number | null>((resolve) => child.on("close", resolve));
  const running: Running = {
    output: () => output,
    child,
    ended,
    signal(signal) {
      for (const pid of family(child.pid)) process.kill(pid, signal);
    },
    async stop(signal = "SIGTERM") {
      if (signal === "SIGTERM") child.kill(signal);
      else running.signal(signal);
      const timer = setTimeout(() => running.signal("SIGKILL"), STOP_LIMIT_MS);
      const status = await ended;
      clearTimeout(timer);
      return status;
    },
  };
  const isReady = ready instanceof RegExp ? async () => (ready.test(output) ? true : null) : ready;
  try {
    await once(child, "spawn");
    await eventually(async () => {
      if (child.exitCode !== null || child.signalCode !== null) throw new Error(`it ended with ${child.exitCode}`);
      return isReady();
    }, limitMs);
  } catch (error) {
    if (child.pid !== undefined) await running.stop("SIGKILL");
    throw new Error(`${command} ${args.join(" ")} was not ready: ${output}`, { cause: error });
  }
  return running;
}

/** A process and its descendants, as Linux tells them; none where it has ended. */
function family(pid: number | undefined): readonly number[] {
  const tasks = `/proc/${pid}/task`;
  if (pid === undefined || !existsSync(tasks)) return [];
  const children = readFileSync(`${tasks}/${pid}/children`, "latin1").split(" ").map(Number);
  return [pid, ...children.filter((child) => child > 0).flatMap(family)];
}

/** Longer than Fenliu waits for the answers under way. */
const STOP_LIMIT_MS = 10_000;

/** A port of 127.0.0.1 that nobody uses at the moment, for UDP and TCP, for programs that cannot choose one themselves. */
export async function freePort(): Promise<number> {
  for (;;) {
    const streams = createServer().listen(0, "127.0.0.1");
    await once(streams, "listening");
    const address = streams.address();
    if (address === null || typeof address === "string") throw new Error("a TCP server without a port");
    const datagrams = createSocket("udp4");
    const isFree = await new Promise<boolean>((resolve) => {
      datagrams.on("error", () => resolve(false)).bind(address.port, "127.0.0.1", () => resolve(true));
    });
    datagrams.close();
    await new Promise((resolve) => streams.close(resolve));
    if (isFree) return address.port;
  }
}

/** Tries until the function returns something other than null, for events that cannot be awaited. */
export async function eventually<T>(attempt: () => Promise<T | null>, limitMs = 15_000): Promise<T> {
  const until = Date.now() + limitMs;
  for (;;) {
    const result = await attempt();
    if (result !== null) return result;
    if (Date.now() > until) throw new Error("it did not happen in time");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

import { execFile, spawnSync } from "node:child_process";

/**
 * Runs a program to its end and gives what it wrote to its standard output.
 * @throws Error with what it said where it ends badly, or has not ended after `limitMs`; an AbortError where `signal` fires.
 */
export function runProgram(command: string, args: readonly string[], { limitMs, signal }: RunLimits): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, { timeout: limitMs, signal, maxBuffer: MAX_OUTPUT_BYTES }, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else
        reject(signal.aborted ? error : new Error(`${command} ${args.join(" ")}: ${error.message}\n${stderr}`, { cause: error }));
    });
  });
}

export interface RunLimits {
  readonly limitMs: number;
  readonly signal: AbortSignal;
}

/** One line for each query at a fixed rate is all that is ever written. */
const MAX_OUTPUT_BYTES = 2 ** 30;

/** The first number with a point or a dash that a program says of itself; null where it is not installed. */
export function versionOf(command: string, args: readonly string[]): string | null {
  const { error, stdout, stderr } = spawnSync(command, args, { encoding: "utf8", timeout: 10_000 });
  if (error !== undefined) return null;
  return /\d+(?:\.\d+)+|\b\d+\b/.exec(`${stdout}${stderr}`)?.[0] ?? "of unknown version";
}

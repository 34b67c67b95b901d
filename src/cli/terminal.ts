/** Where a command writes, and what it may know of its surroundings. Passed in, so that tests read what a person would. */
export interface Terminal {
  out(text: string): void;
  err(text: string): void;
  /** Whether a person reads along: headings and progress; else plain lines. */
  readonly interactive: boolean;
  /** Whether that person sees colours, and has not asked for none with NO_COLOR. */
  readonly colors: boolean;
  /** How many cells a line of that person's terminal has now; null = nobody knows, or there is none. */
  readonly cells: number | null;
  /** The folder relative paths on the command line start from. */
  readonly directory: string;
  /** Where `fenliu.yaml` is looked for when the command line names no file, in this order. */
  readonly configDirectories: readonly string[];
  /** From the first call on, a signal to end resolves this with its name instead of ending the process. */
  untilStopped(): Promise<string>;
  /** Calls back each time the process is told to read its configuration again. */
  onReload(run: () => void): void;
}

/** Exit codes. */
export const EXIT = { ok: 0, failed: 1, usage: 2 } as const;

/** Prints its message and ends the command with exit code 2. */
export class UsageError extends Error {}

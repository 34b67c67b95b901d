import { ControlError, ParameterError } from "../admin/control.ts";
import type { ConfigResult } from "../config/load.ts";
import type { Clock } from "../lib/clock.ts";
import { Thread, ThreadError } from "../lib/worker.ts";
import type { DraftCalls } from "./draft-calls.ts";
import { Turns } from "./turns.ts";

/** Decisions are made of a draft where queries are answered, which takes a tenth of a second for one of this size. Real files have a twentieth of it. */
const MAX_DRAFT_BYTES = 256 * 1024;

const LIMITS = {
  /** YAML can be written that takes minutes to read. */
  readMs: 10_000,
  /** From a draft's turn to what is said of it: less than a response of the API may take. */
  judgeMs: 45_000,
  /** Drafts that wait for their turn. */
  waiting: 3,
} as const;

/** A configuration that somebody thinks of. */
export interface Draft {
  readonly text: string;
  /** The file that it would be: relative paths start beside it; null = at the working directory. */
  readonly path: string | null;
}

/**
 * Reads drafts in a thread of its own, so that no answer waits for it, and has them judged one after the other, because each takes memory as
 * long as that goes on.
 */
export class Drafts {
  readonly #clock: Clock;
  readonly #turns: Turns;
  #thread: Thread<DraftCalls> | null = null;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#turns = new Turns({ clock, maxWaiting: LIMITS.waiting, limitMs: LIMITS.judgeMs });
  }

  /** @throws ControlError `invalid` where the draft is too large or takes too long to be read, and as `Turns.take` does. */
  async judge<Result>(draft: Draft, judged: (read: ConfigResult) => Promise<Result>): Promise<Result> {
    if (Buffer.byteLength(draft.text) > MAX_DRAFT_BYTES)
      throw new ParameterError({
        parameter: "config",
        reason: `a draft may have at most ${MAX_DRAFT_BYTES / 1024} KiB: move what is large into lists and hosts files, or ask \`fenliu check\``,
      });
    return await this.#turns.take(async () => judged(await this.#read(draft)));
  }

  /** Gives up what is being read. May be called again. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#thread?.close();
  }

  /** A thread for each, because the next one may come in a year. */
  async #read(draft: Draft): Promise<ConfigResult> {
    if (this.#closed) throw new ControlError("unavailable", "Fenliu is stopping");
    const thread = new Thread<DraftCalls>(THREAD, { clock: this.#clock, deadlineMs: LIMITS.readMs, maxWaiting: 1 });
    this.#thread = thread;
    try {
      return await thread.call("read", draft);
    } catch (error) {
      throw error instanceof ThreadError ? refusalOf(error) : error;
    } finally {
      this.#thread = null;
      await thread.close();
    }
  }
}

/** Types are stripped from sources, not from what was built of them. */
const THREAD = import.meta.url.endsWith(".ts")
  ? new URL("./draft-thread.ts", import.meta.url)
  : new URL("./draft-thread.js", import.meta.url);

function refusalOf({ kind, message }: ThreadError): ControlError {
  if (kind === "slow") return new ControlError("invalid", `the draft cannot be read within ${LIMITS.readMs / 1000} s`);
  if (kind === "ended") return new ControlError("invalid", `the draft cannot be read: ${message}`);
  return new ControlError("unavailable", `the draft cannot be read now: ${message}`);
}

import { ControlError, ParameterError } from "../admin/control.ts";
import type { ConfigCheck, ConfigProblem } from "../admin/schemas/views.ts";
import type { ConfigResult } from "../config/load.ts";
import type { Problem } from "../config/reading.ts";
import type { Config } from "../config/types.ts";
import type { Clock } from "../lib/clock.ts";
import { withinMs } from "../lib/deadline.ts";
import { SerialQueue } from "../lib/serial-queue.ts";
import { Thread, ThreadError } from "../lib/worker.ts";
import { type DiagnosticPlace, openPolicy } from "../server/policy.ts";
import { checkExpected, checkReloadable, checkServable } from "../server/preflight.ts";
import type { DraftCalls } from "./draft-thread.ts";

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
  readonly #queue: BoundedQueue;
  #thread: Thread<DraftCalls> | null = null;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#queue = new BoundedQueue({ clock, maxWaiting: LIMITS.waiting, limitMs: LIMITS.judgeMs });
  }

  /** @throws ControlError `invalid` where the draft is too large or takes too long to be read, and as `BoundedQueue.run` does. */
  async judge<Result>(draft: Draft, judged: (read: ConfigResult) => Promise<Result>): Promise<Result> {
    if (Buffer.byteLength(draft.text) > MAX_DRAFT_BYTES)
      throw new ParameterError({
        parameter: "config",
        reason: `a draft may have at most ${MAX_DRAFT_BYTES / 1024} KiB: move what is large into lists and hosts files, or ask \`fenliu check\``,
      });
    return await this.#queue.run(async () => judged(await this.#read(draft)));
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

/**
 * What would be said of this draft, were it the file: at a start, and in warnings also at a reload in place of what is in force. Files that it
 * names are read, nothing is downloaded.
 */
export async function checkDraft(read: ConfigResult, inForce: Config | null): Promise<ConfigCheck> {
  if (read.kind === "invalid") return { ok: false, problems: read.problems.map(shown), warnings: [] };
  const { config } = read;
  const warnings = read.warnings.map(shown);
  const refusals = checkServable(config);
  if (refusals.length > 0) return { ok: false, problems: refusals.map(nowhere), warnings };
  const reloadRefusal = inForce === null ? null : checkReloadable(config, inForce);
  if (reloadRefusal !== null) warnings.push(nowhere(reloadRefusal));
  const diagnostics = { warn: (place: DiagnosticPlace, text: string) => void warnings.push(nowhere(placed(place, text))) };
  const faults = checkExpected(await openPolicy(config, diagnostics), config, diagnostics);
  return { ok: faults.length === 0, problems: faults.map(nowhere), warnings };
}

function shown({ message, fix, line, column }: Problem): ConfigProblem {
  return { message: `${message}; ${fix}`, line, column };
}

/** Of something that no place in the text is to blame for. */
function nowhere(message: string): ConfigProblem {
  return { message, line: null, column: null };
}

/**
 * `list ads: rules/ads.txt: 3 lines were passed over`. What stands in the file is not told: a draft may name any file of this machine, keys and
 * passwords as well as hosts.
 */
function placed({ list, source, line, lines }: DiagnosticPlace, said: string): string {
  const text = line === undefined ? said : said.replace(/"(?:[^"\\]|\\.)*"/g, "what stands there");
  const where = [...(list === undefined ? [] : [`list ${list}`]), ...(source === undefined ? [] : [source])];
  const place = line === undefined || line === 0 ? where.join(": ") : `${where.join(": ")}:${line}`;
  return `${place === "" ? "" : `${place}: `}${lines === undefined ? "" : `${lines} `}${text}`;
}

interface QueueLimits {
  readonly clock: Clock;
  /** How many tasks may wait besides the one that runs. */
  readonly maxWaiting: number;
  /** How long a task may take. After that the next task begins. */
  readonly limitMs: number;
}

/** Runs tasks that take much memory or time: one at a time, few of them waiting, each for a limited time. */
export class BoundedQueue {
  readonly #limits: QueueLimits;
  readonly #queue = new SerialQueue();

  constructor(limits: QueueLimits) {
    this.#limits = limits;
  }

  /**
   * @throws what `task` throws; ControlError `unavailable` where too many tasks wait, `slow` where the task took too long: its result is lost then.
   */
  async run<Result>(task: () => Promise<Result>): Promise<Result> {
    const { clock, maxWaiting, limitMs } = this.#limits;
    if (this.#queue.pending > maxWaiting) throw new ControlError("unavailable", "others are being worked on: try again later");
    return await this.#queue.add(async () => {
      const done = await withinMs(
        clock,
        limitMs,
        task().then((result) => ({ result })),
      );
      if (done === null) throw new ControlError("slow", `it took more than ${limitMs / 1000} s`);
      return done.result;
    });
  }
}

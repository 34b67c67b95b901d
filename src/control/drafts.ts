import { ControlError, ParameterError } from "../admin/control.ts";
import type { ConfigCheck, ConfigProblem } from "../admin/schemas/views.ts";
import type { ConfigResult } from "../config/load.ts";
import type { Problem } from "../config/reading.ts";
import type { Config } from "../config/types.ts";
import type { Clock } from "../lib/clock.ts";
import { awaitWithin } from "../lib/deadline.ts";
import { SerialQueue } from "../lib/serial-queue.ts";
import { Thread, ThreadError } from "../lib/worker.ts";
import { checkExpectations } from "../rules/checks.ts";
import { type DiagnosticPlace, openPolicy } from "../server/policy.ts";
import { checkPolicy, checkReloadable, checkServable } from "../server/preflight.ts";

/** What-if builds the policy of a draft in the main thread, a tenth of a second for this size. Real files have a twentieth of it. */
const MAX_DRAFT_BYTES = 256 * 1024;

/** Each source is read and built anew, and a short draft could name one large file ten thousand times. */
const MAX_DRAFT_SOURCES = 200;

const LIMITS = {
  /** Time to parse a draft; some YAML takes minutes. */
  readMs: 10_000,
  /** Time to use a draft once its turn has come: less than the time limit of a response. */
  useMs: 45_000,
  /** Drafts that may wait for their turn. */
  waiting: 3,
} as const;

/** The text of a configuration that is not in force. */
export interface Draft {
  readonly text: string;
  /** The file that the draft would replace; relative paths start in its folder. null = they start in the working directory. */
  readonly path: string | null;
}

/** The calls of the thread that reads drafts. */
export type DraftCalls = {
  readonly read: { readonly argument: Draft; readonly result: ConfigResult };
  /** Checks the draft that was read, beside the configuration in force. */
  readonly check: { readonly argument: Config | null; readonly result: ConfigCheck };
};

/**
 * Reads and checks drafts in a thread that can be ended, so that no answer waits for a parser or for the building of lists. Drafts are used one after the
 * other, because each one takes memory while it is in use.
 */
export class Drafts {
  readonly #clock: Clock;
  readonly #queue: BoundedQueue;
  #thread: Thread<DraftCalls> | null = null;
  #closed = false;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#queue = new BoundedQueue({ clock, maxWaiting: LIMITS.waiting, limitMs: LIMITS.useMs });
  }

  /**
   * @param signal see `BoundedQueue.run`.
   * @throws ControlError `invalid` if the draft is too large or takes too long to read; the errors of `BoundedQueue.run`.
   */
  use<Result>(draft: Draft, task: (read: ConfigResult) => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    return this.#withThread(draft, (_, read) => task(read), signal);
  }

  /** Checks a draft as if it were the configuration file at a start (`checkDraft`). @throws as `use`. */
  check(draft: Draft, inForce: Config | null): Promise<ConfigCheck> {
    return this.#withThread(draft, (thread) => thread.call("check", inForce, LIMITS.useMs));
  }

  /** Stops what is done with the present draft. May be called again. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#thread?.close();
  }

  async #withThread<Result>(
    draft: Draft,
    work: (thread: Thread<DraftCalls>, read: ConfigResult) => Promise<Result>,
    signal?: AbortSignal,
  ): Promise<Result> {
    if (Buffer.byteLength(draft.text) > MAX_DRAFT_BYTES)
      throw new ParameterError({
        parameter: "config",
        reason: `a draft may have at most ${MAX_DRAFT_BYTES / 1024} KiB: move what is large into lists and hosts files, or ask \`fenliu check\``,
      });
    return await this.#queue.run(async () => {
      if (this.#closed) throw new ControlError("unavailable", "Fenliu is stopping");
      // A thread for each draft, because the next one may come in a year.
      const thread = new Thread<DraftCalls>(THREAD, { clock: this.#clock, deadlineMs: LIMITS.readMs, maxWaiting: 1 });
      this.#thread = thread;
      try {
        const read = await thread.call("read", draft);
        if (read.kind === "ok") checkSources(read.config);
        signal?.throwIfAborted();
        return await work(thread, read);
      } catch (error) {
        throw error instanceof ThreadError ? refusalOf(error) : error;
      } finally {
        this.#thread = null;
        await thread.close();
      }
    }, signal);
  }
}

/** @throws ParameterError */
function checkSources({ lists }: Config): void {
  const count = lists.reduce((sum, { sources }) => sum + sources.length, 0);
  if (count <= MAX_DRAFT_SOURCES) return;
  throw new ParameterError({
    parameter: "config",
    reason: `a draft may name at most ${MAX_DRAFT_SOURCES} sources of lists, not ${count}: ask \`fenliu check\``,
  });
}

/** A build has no `.ts` files. */
const THREAD = import.meta.url.endsWith(".ts")
  ? new URL("./draft-thread.ts", import.meta.url)
  : new URL("./draft-thread.js", import.meta.url);

function refusalOf({ kind, message }: ThreadError): ControlError {
  if (kind === "slow") return new ControlError("invalid", `the draft cannot be read within ${LIMITS.readMs / 1000} s`);
  if (kind === "ended") return new ControlError("invalid", `the draft cannot be read: ${message}`);
  return new ControlError("unavailable", `the draft cannot be read now: ${message}`);
}

/**
 * Checks a draft as if it were the configuration file at a start; the thread of drafts calls it. What only a reload would refuse is a warning. The check reads the files that
 * the draft names, and downloads nothing.
 */
export async function checkDraft(read: ConfigResult, inForce: Config | null): Promise<ConfigCheck> {
  return (await assessDraft(read, inForce)).check;
}

/** A check, and which of its problems are expectations that fail. */
interface DraftAssessment {
  readonly check: ConfigCheck;
  readonly expectations: { readonly total: number; readonly failures: readonly string[] };
}

/** As `checkDraft`, with the expectations apart. */
export async function assessDraft(read: ConfigResult, inForce: Config | null): Promise<DraftAssessment> {
  const none = { total: 0, failures: [] };
  if (read.kind === "invalid")
    return { check: { ok: false, problems: read.problems.map(configProblem), warnings: [] }, expectations: none };
  const { config } = read;
  const warnings = read.warnings.map(configProblem);
  const refusals = checkServable(config);
  if (refusals.length > 0) return { check: { ok: false, problems: refusals.map(withoutPlace), warnings }, expectations: none };
  const reloadRefusal = inForce === null ? null : checkReloadable(config, inForce);
  if (reloadRefusal !== null) warnings.push(withoutPlace(reloadRefusal));
  const diagnostics = {
    warn: (place: DiagnosticPlace, text: string) => void warnings.push(withoutPlace(placeText(place, text))),
  };
  const policy = await openPolicy(config, diagnostics);
  const faults = checkPolicy(policy, config, diagnostics);
  const messages = new Set(checkExpectations(policy.decider, config.expect).map(({ message }) => message));
  return {
    check: { ok: faults.length === 0, problems: faults.map(withoutPlace), warnings },
    expectations: { total: config.expect.length, failures: faults.filter((fault) => messages.has(fault)) },
  };
}

function configProblem({ message, key, fix, line, column }: Problem): ConfigProblem {
  return { message, key, fix, line, column };
}

/** A problem without a place in the text. */
function withoutPlace(message: string): ConfigProblem {
  return { message, key: "", fix: null, line: null, column: null };
}

/**
 * For example `list ads: rules/ads.txt: 3 lines were passed over`. The text never quotes the file: a draft may name any file of this machine,
 * even one with keys or passwords.
 */
function placeText({ list, source, line, lines }: DiagnosticPlace, message: string): string {
  const text = line === undefined ? message : message.replace(/"(?:[^"\\]|\\.)*"/g, "what stands there");
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
   * @param signal gives the place in the queue up. A task that has one may wait however many do: it is wanted as long as the signal is silent.
   * @throws what `task` throws; ControlError `unavailable` where too many tasks wait, `slow` where the task took too long: its result is lost then.
   */
  async run<Result>(task: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    const { clock, maxWaiting, limitMs } = this.#limits;
    if (signal === undefined && this.#queue.pending > maxWaiting)
      throw new ControlError("unavailable", "others are being worked on: try again later");
    return await this.#queue.add(async () => {
      signal?.throwIfAborted();
      const done = await awaitWithin(
        clock,
        limitMs,
        task().then((result) => ({ result })),
      );
      if (done === null) throw new ControlError("slow", `it took more than ${limitMs / 1000} s`);
      return done.result;
    });
  }
}

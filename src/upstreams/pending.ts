import type { Clock, Timer } from "../lib/clock.ts";
import { type Attempt, type ExchangeOptions, type StopSignal, UpstreamError } from "./upstream.ts";

/** Ends one pending request. The first call counts; later calls do nothing. */
export interface Settle<T> {
  readonly resolve: (value: T) => void;
  readonly reject: (error: Error) => void;
}

/** One server and how it is asked: what its attempts have in common. */
export interface AttemptSubject {
  readonly server: string;
  readonly transport: Attempt["transport"];
  readonly clock: Clock;
}

/**
 * The pending requests of one server, at most `limit`. Each ends with its caller's signal or with `close`, whatever the transport does, and is appended to
 * the attempts of its caller then.
 */
export class PendingRequests {
  readonly #subject: AttemptSubject;
  readonly #limit: number;
  readonly #pending = new Set<{ reject(error: Error): void }>();
  #closed = false;

  constructor(subject: AttemptSubject, limit: number) {
    this.#subject = subject;
    this.#limit = limit;
  }

  /**
   * Calls `start` at once. `start` begins the work and returns a function that undoes it, which is called exactly once, however the work ends.
   * @throws UpstreamError `aborted`, `closed`, or `barred` when the limit is reached; and the error that `start` rejects with.
   */
  run<T extends { readonly rcode: number }>(
    { signal, attempts, group }: Pick<ExchangeOptions, "signal" | "attempts" | "group">,
    start: (settle: Settle<T>) => () => void,
  ): Promise<T> {
    const { server, transport, clock } = this.#subject;
    const startedMs = clock.now();
    return new Promise<T>((resolve, reject) => {
      let undo: (() => void) | null = null;
      let hasEnded = false;
      const end = (came: Pick<Attempt, "rcode" | "failure"> | null): boolean => {
        if (hasEnded) return false;
        hasEnded = true;
        signal.removeEventListener("abort", abort);
        this.#pending.delete(settle);
        undo?.();
        const elapsedMs = clock.now() - startedMs;
        if (came !== null) attempts.push({ group: group ?? null, server, transport, startedMs, elapsedMs, ...came });
        return true;
      };
      const settle: Settle<T> = {
        resolve: (reply) => {
          if (end({ rcode: reply.rcode, failure: null })) resolve(reply);
        },
        reject: (error) => {
          // Any other error is a bug of ours, and no attempt of the server.
          if (end(error instanceof UpstreamError ? { rcode: null, failure: error.failure } : null)) reject(error);
        },
      };
      const abort = (): void => settle.reject(new UpstreamError("aborted", server, "the caller gave up"));
      const refusal = this.#refusal(signal);
      if (refusal !== null) return settle.reject(refusal);
      signal.addEventListener("abort", abort);
      this.#pending.add(settle);
      const undoStart = start(settle);
      if (hasEnded) undoStart();
      else undo = undoStart;
    });
  }

  #refusal({ aborted }: StopSignal): UpstreamError | null {
    const { server } = this.#subject;
    if (this.#closed) return new UpstreamError("closed", server, "closed");
    if (aborted) return new UpstreamError("aborted", server, "the caller gave up");
    if (this.#pending.size < this.#limit) return null;
    return new UpstreamError("barred", server, `${this.#limit} questions are already waiting`);
  }

  close(): void {
    this.#closed = true;
    const error = new UpstreamError("closed", this.#subject.server, "closed while a question was pending");
    for (const pending of this.#pending) pending.reject(error);
  }
}

/** The signal of a group's own, in place of an `AbortController`, of which each costs a miss more than finding its answer. */
export class Stopper implements StopSignal {
  readonly #listeners = new Set<() => void>();
  aborted = false;

  addEventListener(_: "abort", listener: () => void): void {
    this.#listeners.add(listener);
  }

  removeEventListener(_: "abort", listener: () => void): void {
    this.#listeners.delete(listener);
  }

  abort(): void {
    this.aborted = true;
    for (const listener of this.#listeners) listener();
  }
}

/**
 * One request on its way, perhaps on two connections: what waits on a connection that has fallen silent is sent again over another one, and the first
 * answer counts. A line may just have become slow, and a new connection over it takes longer than the answer.
 */
export class CarriedRequest<T> {
  readonly #settle: Settle<T>;
  /** By connection, or its part: what takes the request off it. */
  readonly #carriers = new Map<object, () => void>();

  constructor(settle: Settle<T>) {
    this.#settle = settle;
  }

  /** This one carries the request from now on. */
  join(carrier: object, remove: () => void): void {
    this.#carriers.set(carrier, remove);
  }

  /** This one carries it no longer. @returns whether no other one does. */
  leave(carrier: object): boolean {
    this.#carriers.delete(carrier);
    return this.#carriers.size === 0;
  }

  resolve(value: T): void {
    this.#settle.resolve(value);
  }

  /** This one has lost it: the request fails, unless another one carries it. */
  fail(carrier: object, error: Error): void {
    if (this.leave(carrier)) this.#settle.reject(error);
  }

  /** Takes the request off all connections. */
  cancel(): void {
    for (const remove of this.#carriers.values()) remove();
    this.#carriers.clear();
  }
}

/**
 * How long a connection is kept without a question: a quiet house asks for a new name every few minutes, and another connection is two round trips, more
 * behind a proxy. Servers often close sooner (RFC 7766 §6.2.3), which costs nothing here; `dial.ts` finds out where it was forgotten on the way.
 */
export const IDLE_MS = 300_000;

interface WatchOptions {
  /** Called when nothing has arrived for the time given after a question was sent. */
  readonly onStalled: () => void;
  /** Called when the connection has had no question for a while. */
  readonly onIdle: () => void;
}

/** How long an answer may take on top of what opening the connection took, which is one round trip at the least. */
const BEYOND_OPENING_MS = 500;

/** How long a connection may be silent: `leastMs`, or longer over a line on which it took long to open. */
export function silenceLimitMs(leastMs: number, openingMs: number): number {
  return Math.max(leastMs, openingMs + BEYOND_OPENING_MS);
}

/** Notices that a kept connection is silent while questions wait, or is unused. One timer serves all questions. */
export class ConnectionWatch {
  readonly #clock: Clock;
  readonly #options: WatchOptions;
  #isSilent = false;
  #timer: Timer | null = null;

  constructor(clock: Clock, options: WatchOptions) {
    this.#clock = clock;
    this.#options = options;
  }

  /** A question was sent. The silence starts with the first question after bytes were received, and becomes a stall after `stalledMs`. */
  noteSent(stalledMs: number): void {
    if (this.#isSilent) return;
    this.#isSilent = true;
    this.#arm(stalledMs, this.#options.onStalled);
  }

  noteReceived(): void {
    this.#isSilent = false;
    this.#timer?.cancel();
  }

  /** No question waits any more. A running silence still counts: an abandoned question tells as much about the connection as others. */
  noteIdle(): void {
    if (!this.#isSilent) this.#arm(IDLE_MS, this.#options.onIdle);
  }

  stop(): void {
    this.#timer?.cancel();
  }

  #arm(delayMs: number, run: () => void): void {
    this.#timer?.cancel();
    this.#timer = this.#clock.setTimer(run, delayMs);
  }
}

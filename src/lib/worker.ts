import { getPriority, setPriority } from "node:os";
import { parentPort, Worker } from "node:worker_threads";
import type { Clock, Timer } from "./clock.ts";
import { errorText } from "./text.ts";

/** What a thread can be asked, by name: one argument, one result, both fit for structured cloning. */
type Calls = Readonly<Record<string, { readonly argument: unknown; readonly result: unknown }>>;

interface ThreadOptions {
  readonly clock: Clock;
  /** How long a call may take, the waiting for earlier calls included. */
  readonly deadlineMs: number;
  /** How many calls may wait. */
  readonly maxWaiting: number;
  /** What the thread is given at its beginning, fit for structured cloning. */
  readonly workerData?: unknown;
}

/** Why a call came to nothing. */
export class ThreadError extends Error {
  /**
   * `slow`: not done in time; the thread was ended if this was what it did. `busy`: too many calls wait. `ended`: the thread came to an end.
   * `failed`: the call threw; the message is that of the error. `closed`: `close` was called.
   */
  readonly kind: "slow" | "busy" | "ended" | "failed" | "closed";

  constructor(kind: ThreadError["kind"], message: string) {
    super(message);
    this.name = "ThreadError";
    this.kind = kind;
  }
}

/** Threads that were ended and have not come to their end, as in the midst of a call of SQLite: with so many no further one is begun. */
const MAX_LINGERING = 2;

/** How long the end of a thread is waited for in `close`. */
const CLOSE_MS = 1000;

/** Megabytes of JavaScript values that a thread may hold: one that wants more is ended, and not the process. */
const MAX_HEAP_MB = 256;

/** A worker thread that does one call after the other. It is begun by the first call, and anew by the next one after it came to an end. */
export class Thread<C extends Calls> {
  readonly #url: URL;
  readonly #options: ThreadOptions;
  readonly #waiting: Job[] = [];
  #worker: Worker | null = null;
  #current: Job | null = null;
  #lingering = 0;
  #closed = false;

  /** @param url of a module that calls `serveThread`. */
  constructor(url: URL, options: ThreadOptions) {
    this.#url = url;
    this.#options = options;
  }

  /** @throws ThreadError */
  async call<K extends keyof C & string>(name: K, argument: C[K]["argument"]): Promise<C[K]["result"]> {
    if (this.#closed) throw new ThreadError("closed", "the thread was closed");
    if (this.#waiting.length >= this.#options.maxWaiting) throw new ThreadError("busy", "too many calls wait");
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const job: Job = { request: { name, argument }, resolve, reject, timer: null };
    job.timer = this.#options.clock.setTimer(() => this.#expire(job), this.#options.deadlineMs);
    this.#waiting.push(job);
    this.#next();
    return promise;
  }

  /** Ends the thread, whatever it does. Calls under way and waiting are rejected. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    const worker = this.#worker;
    this.#worker = null;
    for (const job of [this.#current, ...this.#waiting.splice(0)])
      if (job !== null) settle(job, new ThreadError("closed", "the thread was closed"));
    this.#current = null;
    if (worker === null) return;
    const { promise: late, resolve } = Promise.withResolvers<void>();
    const timer = this.#options.clock.setTimer(resolve, CLOSE_MS);
    await Promise.race([worker.terminate(), late]);
    timer.cancel();
  }

  #next(): void {
    if (this.#current !== null) return;
    const job = this.#waiting.shift();
    if (job === undefined) return;
    if (this.#worker === null && this.#lingering >= MAX_LINGERING) {
      settle(job, new ThreadError("busy", "earlier calls have not come to an end"));
      this.#next();
      return;
    }
    try {
      this.#worker ??= this.#begin();
    } catch (error) {
      // As where the system allows the process no further thread.
      settle(job, new ThreadError("ended", `it cannot be begun: ${errorText(error)}`));
      this.#next();
      return;
    }
    this.#current = job;
    this.#worker.ref();
    this.#worker.postMessage(job.request);
  }

  #begin(): Worker {
    const worker = new Worker(this.#url, {
      workerData: this.#options.workerData,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    });
    let reason = "it came to its end";
    worker.on("message", (reply: Reply) => {
      if (worker === this.#worker) this.#done(reply);
    });
    worker.on("error", (error) => {
      reason = errorText(error);
    });
    worker.on("exit", () => {
      if (worker === this.#worker) this.#ended(reason);
    });
    return worker;
  }

  #done(reply: Reply): void {
    const job = this.#current;
    this.#current = null;
    this.#worker?.unref();
    if (job !== null) settle(job, "error" in reply ? new ThreadError("failed", reply.error) : null, reply);
    this.#next();
  }

  #ended(reason: string): void {
    const job = this.#current;
    this.#current = null;
    this.#worker = null;
    if (job !== null) settle(job, new ThreadError("ended", reason));
    this.#next();
  }

  #expire(job: Job): void {
    job.timer = null;
    settle(job, new ThreadError("slow", "it took too long"));
    const place = this.#waiting.indexOf(job);
    if (place >= 0) this.#waiting.splice(place, 1);
    if (job !== this.#current) return;
    const worker = this.#worker;
    this.#current = null;
    this.#worker = null;
    if (worker !== null) this.#abandon(worker);
    this.#next();
  }

  /** A thread within a call of SQLite ends only when that returns. */
  #abandon(worker: Worker): void {
    this.#lingering++;
    worker.unref();
    worker.once("exit", () => {
      this.#lingering--;
      this.#next();
    });
    void worker.terminate();
  }
}

interface Job {
  readonly request: Request;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  timer: Timer | null;
}

function settle(job: Job, error: Error | null, reply?: Reply): void {
  job.timer?.cancel();
  if (error !== null) job.reject(error);
  else job.resolve(reply !== undefined && "result" in reply ? reply.result : undefined);
}

/** What goes to a thread, and comes back. */
interface Request {
  readonly name: string;
  readonly argument: unknown;
}

type Reply = { readonly result: unknown } | { readonly error: string };

type Handlers<C extends Calls> = { readonly [K in keyof C]: (argument: C[K]["argument"]) => C[K]["result"] };

/** Where the processor is short, a third of what the thread that answers gets. */
const NICER = 5;

/**
 * Within a worker thread: does the calls of a `Thread`, one after the other.
 * @param nicer than the rest of the process, 0 to 19: Linux gives a thread less of a short processor by about a fifth with each.
 */
export function serveThread<C extends Calls>(handlers: Handlers<C>, nicer: number = NICER): void {
  const port = parentPort;
  if (port === null) throw new Error("this is no worker thread");
  giveWay(nicer);
  port.on("message", (request: Request) => {
    port.postMessage(reply(handlers, request));
  });
}

/** On Linux a priority is a thread's own, elsewhere it is the whole process's. */
function giveWay(nicer: number): void {
  if (process.platform !== "linux") return;
  try {
    setPriority(0, Math.min(19, getPriority(0) + nicer));
  } catch {
    // Not permitted here: it works as well, only not as politely.
  }
}

function reply<C extends Calls>(handlers: Handlers<C>, { name, argument }: Request): Reply {
  const handler: ((argument: unknown) => unknown) | undefined = handlers[name];
  if (handler === undefined) return { error: `nothing is called ${name}` };
  try {
    return { result: handler(argument) };
  } catch (error) {
    return { error: errorText(error) };
  }
}

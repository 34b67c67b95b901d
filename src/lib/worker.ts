import { getPriority, setPriority } from "node:os";
import { parentPort, Worker } from "node:worker_threads";
import type { Clock, Timer } from "./clock.ts";
import { errorText } from "./text.ts";

/** The calls that a thread takes, by name: one argument and one result, both fit for structured cloning. */
type Calls = Readonly<Record<string, { readonly argument: unknown; readonly result: unknown }>>;

interface ThreadOptions {
  readonly clock: Clock;
  /** How long a call may take, including the wait for earlier calls. */
  readonly deadlineMs: number;
  /** How many calls may wait. */
  readonly maxWaiting: number;
  /** Handed to the thread at its start; fit for structured cloning. */
  readonly workerData?: unknown;
}

/** Why a call failed. */
export class ThreadError extends Error {
  /**
   * `slow`: the deadline passed; the thread is terminated if it was working on the call. `busy`: too many calls wait. `ended`: the thread ended.
   * `failed`: the call threw; the message is that of the error. `closed`: `close` was called.
   */
  readonly kind: "slow" | "busy" | "ended" | "failed" | "closed";

  constructor(kind: ThreadError["kind"], message: string) {
    super(message);
    this.name = "ThreadError";
    this.kind = kind;
  }
}

/** No new thread starts while so many terminated threads still run: a call of SQLite cannot be interrupted. */
const MAX_LINGERING = 2;

/** How long `close` waits for the end of the thread. */
const CLOSE_MS = 400;

/** Megabytes of JavaScript values in a thread. At the limit the thread ends, and not the process. */
const MAX_HEAP_MB = 256;

/** A worker thread that runs one call after the other. The first call starts it; after an end of the thread the next call starts another. */
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
  async call<K extends keyof C & string>(
    name: K,
    argument: C[K]["argument"],
    deadlineMs = this.#options.deadlineMs,
  ): Promise<C[K]["result"]> {
    if (this.#closed) throw new ThreadError("closed", "the thread was closed");
    if (this.#waiting.length >= this.#options.maxWaiting) throw new ThreadError("busy", "too many calls wait");
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const job: Job = { request: { name, argument }, resolve, reject, timer: null };
    job.timer = this.#options.clock.setTimer(() => this.#expire(job), deadlineMs);
    this.#waiting.push(job);
    this.#next();
    return promise;
  }

  /** Terminates the thread. Running and waiting calls are rejected. */
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
      this.#worker ??= this.#start();
    } catch (error) {
      // For example, the system allows the process no further thread.
      settle(job, new ThreadError("ended", `it cannot be begun: ${errorText(error)}`));
      this.#next();
      return;
    }
    this.#current = job;
    this.#worker.ref();
    this.#worker.postMessage(job.request);
  }

  #start(): Worker {
    const worker = new Worker(this.#url, {
      workerData: this.#options.workerData,
      resourceLimits: { maxOldGenerationSizeMb: MAX_HEAP_MB },
    });
    let reason = "it came to its end";
    worker.on("message", (reply: Reply) => {
      if (worker === this.#worker) this.#settleReply(reply);
    });
    worker.on("error", (error) => {
      reason = errorText(error);
    });
    worker.on("exit", () => {
      if (worker === this.#worker) this.#settleEnded(reason);
    });
    return worker;
  }

  #settleReply(reply: Reply): void {
    const job = this.#current;
    this.#current = null;
    this.#worker?.unref();
    if (job !== null) settle(job, "error" in reply ? new ThreadError("failed", reply.error) : null, reply);
    this.#next();
  }

  #settleEnded(reason: string): void {
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
    if (worker !== null) this.#terminate(worker);
    this.#next();
  }

  /** A thread in a call of SQLite ends only when the call returns. */
  #terminate(worker: Worker): void {
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

/** Messages to a thread and back. */
interface Request {
  readonly name: string;
  readonly argument: unknown;
}

type Reply = { readonly result: unknown } | { readonly error: string };

type Handlers<C extends Calls> = {
  readonly [K in keyof C]: (argument: C[K]["argument"]) => C[K]["result"] | Promise<C[K]["result"]>;
};

/** With this niceness a thread gets about a third of the processor time of the main thread, where time is short. */
const NICER = 5;

/**
 * Runs the calls of a `Thread`, inside its worker thread.
 * @param nicer niceness above that of the process, 0 to 19: each step costs the thread about a fifth of its processor time on a busy Linux machine.
 */
export function serveThread<C extends Calls>(handlers: Handlers<C>, nicer: number = NICER): void {
  const port = parentPort;
  if (port === null) throw new Error("this is no worker thread");
  lowerPriority(nicer);
  port.on("message", (request: Request) => void reply(handlers, request).then((answer) => port.postMessage(answer)));
}

/** Only on Linux has each thread a priority of its own. */
function lowerPriority(nicer: number): void {
  if (process.platform !== "linux") return;
  try {
    setPriority(0, Math.min(19, getPriority(0) + nicer));
  } catch {
    // Not permitted here: the thread works with the priority of the process.
  }
}

async function reply<C extends Calls>(handlers: Handlers<C>, { name, argument }: Request): Promise<Reply> {
  const handler: ((argument: unknown) => unknown) | undefined = handlers[name];
  if (handler === undefined) return { error: `nothing is called ${name}` };
  try {
    return { result: await handler(argument) };
  } catch (error) {
    return { error: errorText(error) };
  }
}

/**
 * The only source of time, passed to everything that waits or ages, so that tests can set the time. `now` may be called without its object.
 */
export interface Clock {
  /** Milliseconds on a scale that never goes back; only differences have a meaning. */
  readonly now: () => number;
  /** Milliseconds since 1970 in UTC, for times that are stored or shown. */
  readonly wallMs: () => number;
  /** Calls `run` once after `delayMs`. A pending timer does not keep the process alive. */
  readonly setTimer: (run: () => void, delayMs: number) => Timer;
  /** Where other threads read a clock that is not the system's: `now` and `wallMs` as two Float64. */
  readonly shared?: SharedArrayBuffer;
}

export interface Timer {
  /** Has no effect after the timer has run. */
  cancel(): void;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  wallMs: () => Date.now(),
  setTimer: (run, delayMs) => new SystemTimer(run, delayMs),
};

/**
 * How long due timers run in one turn of the event loop. Thousands of queries that wait for a dead upstream come to their deadlines together, and each
 * ends in a reply: run in one turn they would keep everybody else waiting.
 */
const TURN_MS = 4;

class SystemTimer implements Timer {
  readonly #timeout: NodeJS.Timeout;
  #run: (() => void) | null;

  constructor(run: () => void, delayMs: number) {
    this.#run = run;
    // What was due while the process was busy is due now.
    this.#timeout = setTimeout(runInTurn, Math.max(0, delayMs), this);
    this.#timeout.unref();
  }

  cancel(): void {
    this.#run = null;
    clearTimeout(this.#timeout);
  }

  fire(): void {
    const run = this.#run;
    this.#run = null;
    run?.();
  }
}

/** Due timers that wait for another turn, in their order. */
let postponed: SystemTimer[] = [];
let turnBegunMs: number | null = null;

function runInTurn(timer: SystemTimer): void {
  if (turnBegunMs === null) {
    turnBegunMs = performance.now();
    setImmediate(nextTurn);
  }
  // What a timer begins runs before the next one does, and its time counts.
  if (postponed.length > 0 || performance.now() - turnBegunMs >= TURN_MS) postponed.push(timer);
  else timer.fire();
}

function nextTurn(): void {
  void runPostponed();
}

async function runPostponed(): Promise<void> {
  turnBegunMs = performance.now();
  let next = 0;
  for (; next < postponed.length && performance.now() - turnBegunMs < TURN_MS; next++) {
    postponed[next]?.fire();
    // Lets what the timer begins run, so that its time counts too.
    await Promise.resolve();
  }
  postponed = postponed.slice(next);
  if (postponed.length > 0) setImmediate(nextTurn);
  else turnBegunMs = null;
}

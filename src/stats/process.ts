import { monitorEventLoopDelay } from "node:perf_hooks";

/** How the process itself is doing. */
export interface ProcessStats {
  readonly cpuUserSeconds: number;
  readonly cpuSystemSeconds: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  /** Seconds since 1970. */
  readonly startedSeconds: number;
  /** How late the event loop was since the last look, in seconds; null = it was not looked at before. */
  readonly loopDelaySeconds: { readonly p50: number; readonly p99: number; readonly max: number } | null;
}

/** How often the event loop's delay is measured. */
const RESOLUTION_MS = 20;

/** Watches the process. The measurement keeps nothing alive, and costs some microseconds a second. */
export class ProcessWatch {
  readonly #delays: ReturnType<typeof monitorEventLoopDelay>;
  readonly #startedSeconds: number;

  constructor(wallMs: () => number) {
    this.#startedSeconds = wallMs() / 1000 - process.uptime();
    this.#delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
    this.#delays.enable();
  }

  read(): ProcessStats {
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed, external } = process.memoryUsage();
    const loopDelaySeconds = this.#readDelays();
    return {
      cpuUserSeconds: user / 1e6,
      cpuSystemSeconds: system / 1e6,
      residentBytes: rss,
      heapBytes: heapUsed,
      externalBytes: external,
      startedSeconds: this.#startedSeconds,
      loopDelaySeconds,
    };
  }

  /** May be called again. */
  close(): void {
    this.#delays.disable();
  }

  // What is measured is the time from one firing to the next, which is the resolution where nothing was late.
  #readDelays(): ProcessStats["loopDelaySeconds"] {
    const delays = this.#delays;
    if (delays.count === 0) return null;
    const seconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1000);
    const read = { p50: seconds(delays.percentile(50)), p99: seconds(delays.percentile(99)), max: seconds(delays.max) };
    delays.reset();
    return read;
  }
}

/** How reloads of the configuration ended, and since when the one in force is. */
export class Reloads {
  readonly #wallMs: () => number;
  #succeeded = 0;
  #failed = 0;
  #sinceWallMs: number;
  #lastSucceeded = true;

  constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
    this.#sinceWallMs = wallMs();
  }

  succeeded(): void {
    this.#succeeded++;
    this.#lastSucceeded = true;
    this.#sinceWallMs = this.#wallMs();
  }

  failed(): void {
    this.#failed++;
    this.#lastSucceeded = false;
  }

  read(): ReloadStats {
    return {
      succeeded: this.#succeeded,
      failed: this.#failed,
      sinceWallMs: this.#sinceWallMs,
      lastSucceeded: this.#lastSucceeded,
    };
  }
}

export interface ReloadStats {
  readonly succeeded: number;
  readonly failed: number;
  /** When the configuration in force was put in place, in milliseconds since 1970. */
  readonly sinceWallMs: number;
  /** Of the last try, the start included. */
  readonly lastSucceeded: boolean;
}

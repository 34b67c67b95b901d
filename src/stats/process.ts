import { monitorEventLoopDelay } from "node:perf_hooks";

/** Load and memory of the process. */
export interface ProcessStats {
  readonly cpuUserSeconds: number;
  readonly cpuSystemSeconds: number;
  readonly residentBytes: number;
  readonly heapBytes: number;
  readonly externalBytes: number;
  /** Seconds since 1970. */
  readonly startedSeconds: number;
  /** How late the event loop was since the last `read`, in seconds; null = nothing was measured since. */
  readonly loopDelaySeconds: { readonly p50: number; readonly p99: number; readonly max: number } | null;
}

/** How often the event loop's delay is measured. */
const RESOLUTION_MS = 20;

/**
 * Measures the process. The delay of the event loop is measured from the first reading on: it takes fifty wake-ups a second, which a server that nobody
 * watches does without. The measurement does not keep the process alive.
 */
export class ProcessWatch {
  readonly #delays: ReturnType<typeof monitorEventLoopDelay>;
  readonly #startedSeconds: number;

  constructor(wallMs: () => number) {
    this.#startedSeconds = wallMs() / 1000 - process.uptime();
    this.#delays = monitorEventLoopDelay({ resolution: RESOLUTION_MS });
  }

  read(): ProcessStats {
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed, external } = process.memoryUsage();
    return {
      cpuUserSeconds: user / 1e6,
      cpuSystemSeconds: system / 1e6,
      residentBytes: rss,
      heapBytes: heapUsed,
      externalBytes: external,
      startedSeconds: this.#startedSeconds,
      loopDelaySeconds: this.#readDelays(),
    };
  }

  /** May be called again. */
  close(): void {
    this.#delays.disable();
  }

  // The monitor measures the time from one firing of its timer to the next: without any delay this is the resolution.
  #readDelays(): ProcessStats["loopDelaySeconds"] {
    const delays = this.#delays;
    // Without effect where it is enabled.
    delays.enable();
    if (delays.count === 0) return null;
    const seconds = (nanoseconds: number) => Math.max(0, nanoseconds / 1e9 - RESOLUTION_MS / 1000);
    const read = { p50: seconds(delays.percentile(50)), p99: seconds(delays.percentile(99)), max: seconds(delays.max) };
    delays.reset();
    return read;
  }
}

/** How reloads of the configuration ended. */
export interface ReloadStats {
  readonly succeeded: number;
  readonly failed: number;
  /** When the configuration in force was put in place, in milliseconds since 1970. */
  readonly sinceWallMs: number;
  /** Whether the last reload, or the start, succeeded. */
  readonly lastSucceeded: boolean;
}

/** Counts reloads of the configuration. Lives as long as the process. */
export class Reloads {
  readonly #wallMs: () => number;
  #stats: ReloadStats;

  constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
    this.#stats = { succeeded: 0, failed: 0, sinceWallMs: wallMs(), lastSucceeded: true };
  }

  noteSuccess(): void {
    const succeeded = this.#stats.succeeded + 1;
    this.#stats = { ...this.#stats, succeeded, sinceWallMs: this.#wallMs(), lastSucceeded: true };
  }

  noteFailure(): void {
    this.#stats = { ...this.#stats, failed: this.#stats.failed + 1, lastSucceeded: false };
  }

  read(): ReloadStats {
    return this.#stats;
  }
}

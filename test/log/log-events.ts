import type { LogEvent } from "../../src/log/writer.ts";

/** The reports of a query log, which can be awaited. */
export class LogEvents {
  readonly #events: LogEvent[] = [];
  #waiting: ((event: LogEvent) => void) | null = null;

  readonly report = (event: LogEvent): void => {
    const told = this.#waiting;
    this.#waiting = null;
    if (told === null) this.#events.push(event);
    else told(event);
  };

  /** Reported and not yet asked for. */
  get pending(): readonly LogEvent[] {
    return this.#events;
  }

  /** The next report that was not taken yet. */
  next(): Promise<LogEvent> {
    const event = this.#events.shift();
    if (event !== undefined) return Promise.resolve(event);
    return new Promise((resolve) => {
      this.#waiting = resolve;
    });
  }
}

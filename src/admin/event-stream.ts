import { Readable } from "node:stream";
import type { Clock, Timer } from "../lib/clock.ts";
import type { QueryRecord } from "../log/record.ts";

export interface EventStreamParts {
  readonly clock: Clock;
  readonly heartbeatMs: number;
  /** Live records that may wait for the reader. */
  readonly maxWaiting: number;
}

/** How long a reader is to wait before it connects again. */
const RECONNECT_MS = 2000;

/**
 * Records as Server-Sent Events, made only as fast as they are read. Where the reader is slow the oldest of those that wait are dropped, and it is
 * told how many. Live records wait until `begin` has been called with what is to come before them.
 */
export class EventStream extends Readable {
  readonly #parts: EventStreamParts;
  /** What was missed before, oldest first; then what came since. */
  #missed: QueryRecord[] = [];
  /** Of what was missed: the log may have a record before it is told of. */
  #missedIds: ReadonlySet<number> = new Set();
  #waiting: QueryRecord[] = [];
  #dropped = 0;
  #missedMore = false;
  #begun = false;
  #finished = false;
  #wanted = false;
  #heartbeat: Timer;

  constructor(parts: EventStreamParts) {
    super({ encoding: "utf8" });
    this.#parts = parts;
    this.#heartbeat = this.#setHeartbeat();
    // At once, so that the reader knows that it is connected.
    this.push(`retry: ${RECONNECT_MS}\n\n`);
  }

  /** Takes a record that came now. */
  offer(record: QueryRecord): void {
    if (this.#isOver() || this.#missedIds.has(record.id)) return;
    this.#waiting.push(record);
    if (this.#waiting.length > this.#parts.maxWaiting) {
      this.#waiting.shift();
      this.#dropped++;
    }
    this.#send();
  }

  /** Sends these first, oldest first, each once. `more`: others before them were missed too, nobody knows how many. */
  begin(missed: readonly QueryRecord[], more: boolean): void {
    this.#missedIds = new Set(missed.map(({ id }) => id));
    this.#waiting = this.#waiting.filter(({ id }) => !this.#missedIds.has(id));
    this.#missed = [...missed];
    this.#missedMore = more;
    this.#begun = true;
    this.#send();
  }

  /** Ends the stream as it should end: what was sent is read, and nothing more comes. What still waits the reader asks for when it comes again. */
  finish(): void {
    if (this.#isOver()) return;
    this.#finished = true;
    this.#heartbeat.cancel();
    this.push(null);
  }

  override _read(): void {
    this.#wanted = true;
    this.#send();
  }

  override _destroy(error: Error | null, done: (error: Error | null) => void): void {
    this.#heartbeat.cancel();
    this.#missed = [];
    this.#waiting = [];
    done(error);
  }

  #send(): void {
    while (this.#wanted && this.#begun && !this.#isOver()) {
      const event = this.#next();
      if (event === null) return;
      this.#wanted = this.push(event);
    }
  }

  #next(): string | null {
    if (this.#missedMore) {
      this.#missedMore = false;
      return droppedEvent(null);
    }
    const missed = this.#missed.shift();
    if (missed !== undefined) return recordEvent(missed);
    if (this.#dropped > 0) {
      const records = this.#dropped;
      this.#dropped = 0;
      return droppedEvent(records);
    }
    const record = this.#waiting.shift();
    return record === undefined ? null : recordEvent(record);
  }

  #isOver(): boolean {
    return this.#finished || this.destroyed;
  }

  #setHeartbeat(): Timer {
    const { clock, heartbeatMs } = this.#parts;
    return clock.setTimer(() => {
      // A comment, which readers pass over: it keeps proxies from closing, and finds out who is gone.
      if (this.#wanted) this.#wanted = this.push(":\n\n");
      this.#heartbeat = this.#setHeartbeat();
    }, heartbeatMs);
  }
}

/** A default event (`message`), so that `onmessage` gets it; its id is what `Last-Event-ID` repeats. */
function recordEvent(record: QueryRecord): string {
  return `id: ${record.id}\ndata: ${JSON.stringify(record)}\n\n`;
}

function droppedEvent(records: number | null): string {
  return `event: dropped\ndata: ${JSON.stringify({ records })}\n\n`;
}

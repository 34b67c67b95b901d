import type { Socket } from "node:net";
import { Readable } from "node:stream";
import type { Clock, Timer } from "../lib/clock.ts";
import type { QueryFilter } from "../log/filter.ts";
import type { RecordText } from "../log/record.ts";
import { wallMsOf } from "../log/schema.ts";
import { ControlError, type QuerySource } from "./control.ts";
import { HttpProblem } from "./problem.ts";

interface EventStreamParts {
  readonly clock: Clock;
  readonly heartbeatMs: number;
  /** Whether scripts see the heartbeat; else it is a comment. */
  readonly isSeen?: boolean;
  /** Live records that may wait for the reader. */
  readonly maxWaiting: number;
}

/** Time that a reader waits before it reconnects. */
const RECONNECT_MS = 2000;

/**
 * Query records as Server-Sent Events, rendered only as fast as the reader reads. If the reader is slow, the stream drops the oldest waiting
 * records and says how many. Live records wait until `begin` has been called with the records that must come first.
 */
export class EventStream extends Readable {
  readonly #parts: EventStreamParts;
  /** Records from the store, oldest first; they are sent before the live records. */
  #missed: RecordText[] = [];
  /** Ids of the records from the store: the store may have a live record before the stream is told about it. */
  #missedIds: ReadonlySet<number> = new Set();
  #waiting: RecordText[] = [];
  /** The newest text of each event that says how something stands: a slow reader skips those before. */
  readonly #states = new Map<string, string>();
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
    // The first bytes show the reader that it is connected.
    this.push(`retry: ${RECONNECT_MS}\n\n`);
  }

  /** Adds live records, oldest first; `leftOut` records before them do not come. */
  offer(records: readonly RecordText[], leftOut: number): void {
    if (this.#isOver()) return;
    this.#dropped += leftOut;
    for (const record of records) {
      if (this.#missedIds.has(record.id)) continue;
      this.#waiting.push(record);
      if (this.#waiting.length > this.#parts.maxWaiting) {
        this.#waiting.shift();
        this.#dropped++;
      }
    }
    this.#send();
  }

  /** Tells the reader how something stands now. */
  state(event: string, data: unknown): void {
    if (this.#isOver()) return;
    this.#states.set(event, `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    this.#send();
  }

  /** Sends the missed records before all live records. */
  begin({ records, more }: MissedRecords): void {
    this.#missedIds = new Set(records.map(({ id }) => id));
    this.#waiting = this.#waiting.filter(({ id }) => !this.#missedIds.has(id));
    this.#missed = [...records];
    this.#missedMore = more;
    this.#begun = true;
    this.#send();
  }

  /** Ends the stream: the reader still gets what was sent. It asks for the waiting records when it reconnects. */
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
    this.#states.clear();
    done(error);
  }

  #send(): void {
    while (this.#wanted && this.#begun && !this.#isOver()) {
      const event = this.#takeEvent();
      if (event === null) return;
      this.#wanted = this.push(event);
    }
  }

  #takeEvent(): string | null {
    for (const [event, text] of this.#states) {
      this.#states.delete(event);
      return text;
    }
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
    const { clock, heartbeatMs, isSeen = false } = this.#parts;
    return clock.setTimer(() => {
      // It keeps proxies from closing the connection, and shows us which readers are gone. Only an event shows a script that the server is there.
      if (this.#wanted) this.#wanted = this.push(isSeen ? "event: alive\ndata: {}\n\n" : ":\n\n");
      this.#heartbeat = this.#setHeartbeat();
    }, heartbeatMs);
  }
}

/** A default event (`message`), so that `onmessage` gets it. The reader repeats its id in `Last-Event-ID`. */
function recordEvent({ id, json }: RecordText): string {
  return `id: ${id}\ndata: ${json}\n\n`;
}

function droppedEvent(records: number | null): string {
  return `event: dropped\ndata: ${JSON.stringify({ records })}\n\n`;
}

/** The records that a reader missed while it was not connected. */
interface MissedRecords {
  /** Oldest first. */
  readonly records: readonly RecordText[];
  /** Whether the reader missed, or may have missed, other records as well. */
  readonly more: boolean;
}

export const NOTHING_MISSED: MissedRecords = { records: [], more: false };

interface MissedRequest {
  /** Id of the last record that the reader has. */
  readonly last: number;
  readonly filter: QueryFilter;
  /** The reader gets no more than this many; the newest ones. */
  readonly limit: number;
  readonly nowWallMs: number;
}

/** Reads from the store what a reader missed. */
export async function findMissedRecords(
  queries: QuerySource,
  { last, filter, limit, nowWallMs }: MissedRequest,
): Promise<MissedRecords> {
  // The clock was set back since: newer records may have lower ids.
  if (wallMsOf(last) > nowWallMs) return { records: [], more: true };
  try {
    // One record more than the limit shows whether there are more.
    const search = { filter: { ...filter, fromMs: wallMsOf(last) }, limit: limit + 1, cursor: null };
    const { records, cursor } = await queries.search(search);
    const missed = records.filter(({ id }) => id > last);
    // The search may have run out of time before it reached the last record.
    const isCut = cursor !== null && missed.length === records.length;
    const isStoreFailing = queries.status().fault !== null;
    return { records: missed.slice(0, limit).reverse(), more: missed.length > limit || isCut || isStoreFailing };
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    return { records: [], more: true };
  }
}

/** One place among the long responses. */
interface StreamPlace {
  /**
   * Binds the place to a stream: the place is free when the stream closes. If the connection is closed already, this destroys the stream.
   * The limiter calls `end` when the server closes.
   */
  hold(stream: Readable, socket: Socket, end: () => void): void;
  /** Frees the place when there will be no stream. */
  release(): void;
}

/** When a refused client may try again. */
const RETRY_SECONDS = 10;

/** Limits how many long responses are open at the same time, and ends them when the server closes. */
export class StreamLimiter {
  readonly #most: number;
  readonly #ends = new Set<() => void>();
  #taken = 0;

  constructor(most: number) {
    this.#most = most;
  }

  /** @throws HttpProblem 503 if no place is free. */
  take(): StreamPlace {
    // The refusal closes the connection: thousands of refused readers must not hold thousands of sockets.
    const headers = { "retry-after": String(RETRY_SECONDS), connection: "close" };
    if (this.#taken >= this.#most) throw new HttpProblem(503, `there are ${this.#taken} of these open already`, { headers });
    this.#taken++;
    let taken = true;
    const release = () => {
      if (taken) this.#taken--;
      taken = false;
    };
    const hold = (stream: Readable, socket: Socket, end: () => void) => {
      this.#ends.add(end);
      stream.once("close", () => {
        this.#ends.delete(end);
        release();
      });
      // Nothing else would end a stream whose connection is closed.
      if (socket.destroyed) stream.destroy();
    };
    return { hold, release };
  }

  /** Ends every open stream. */
  end(): void {
    for (const end of this.#ends) end();
  }
}

import type { Socket } from "node:net";
import { Readable } from "node:stream";
import type { Clock, Timer } from "../lib/clock.ts";
import type { Page, PageRequest, QueryFilter } from "../log/filter.ts";
import { compileFilter } from "../log/filter-tests.ts";
import type { QueryRecord } from "../log/record.ts";
import { wallMsOf } from "../log/schema.ts";
import { ClientCounts } from "./api.ts";
import { ControlError, type QuerySource } from "./control.ts";
import { HttpProblem } from "./problem.ts";

interface EventStreamParts {
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

interface StreamLimits {
  readonly atOnce: number;
  readonly perClient: number;
}

/** A place among the responses that take long. */
interface Slot {
  /**
   * Ties it to a stream: when the stream closes, the place is free. Where the connection is closed already, the stream is destroyed. `end` is how it is
   * ended when the server closes.
   */
  hold(stream: Readable, socket: Socket, end: () => void): void;
  /** For when there will be no stream. */
  release(): void;
}

/** When somebody who was refused may try again. */
const RETRY_SECONDS = 10;

/** Responses that take long: a limited number at once, all of them ended when the server closes. */
export class StreamLimiter {
  readonly #limits: StreamLimits;
  readonly #clients = new ClientCounts();
  readonly #ends = new Set<() => void>();
  #taken = 0;

  constructor(limits: StreamLimits) {
    this.#limits = limits;
  }

  /** @throws HttpProblem where there is no place, for this client or for anybody. */
  take(client: string): Slot {
    const { atOnce, perClient } = this.#limits;
    const own = this.#clients.of(client);
    // The connection goes with the refusal: thousands of refused readers must not hold thousands of sockets.
    const headers = { "retry-after": String(RETRY_SECONDS), connection: "close" };
    if (own >= perClient) throw new HttpProblem(429, `this client has ${own} of these open already`, { headers });
    if (this.#taken >= atOnce) throw new HttpProblem(503, `there are ${this.#taken} of these open already`, { headers });
    this.#taken++;
    this.#clients.add(client);
    return this.#slot(client);
  }

  /** Ends every stream that is open. */
  end(): void {
    for (const end of this.#ends) end();
  }

  #slot(client: string): Slot {
    let taken = true;
    const release = () => {
      if (!taken) return;
      taken = false;
      this.#taken--;
      this.#clients.remove(client);
    };
    const hold = (stream: Readable, socket: Socket, end: () => void) => {
      this.#ends.add(end);
      stream.once("close", () => {
        this.#ends.delete(end);
        release();
      });
      // Nothing that is sent on it would end otherwise.
      if (socket.destroyed) stream.destroy();
    };
    return { hold, release };
  }
}

/** Records that are remembered at least, once there were so many: more than a reader is sent of what it missed. */
const REMEMBERED = 1024;

/** How long after the last reader went: readers come again within seconds. */
const LINGER_MS = 60_000;

const EVERYTHING = { fromMs: null, toMs: null, conditions: [] };

/**
 * The newest records, remembered while somebody reads the live stream and a minute longer. The store has a record seconds after it was told, or
 * while it is out of order not at all; a reader that comes again finds here what lies between.
 */
export class RecentRecords {
  readonly #clock: Clock;
  /** Oldest first. */
  #records: QueryRecord[] = [];
  /** Every record above this id is here; null = none was told yet. */
  #from: number | null = null;
  #readers = 0;
  #stop: (() => void) | null = null;
  #linger: Timer | null = null;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get size(): number {
    return this.#records.length;
  }

  /** Begins to remember, unless that is done already. @returns what is to be called when the reader goes. */
  join(queries: QuerySource): () => void {
    this.#linger?.cancel();
    this.#linger = null;
    this.#stop ??= queries.follow(EVERYTHING, (record) => this.#add(record));
    this.#readers++;
    let joined = true;
    return () => {
      if (!joined) return;
      joined = false;
      this.#readers--;
      if (this.#readers === 0) this.#linger = this.#clock.setTimer(() => this.end(), LINGER_MS);
    };
  }

  /**
   * What came after this id, in the order in which it came. `complete`: nothing else did. null = nobody knows: the id is above that of the newest, was
   * not given to any of these, and is of a time that is still to come, so that the clock was set back since.
   */
  since(id: number): { readonly records: readonly QueryRecord[]; readonly complete: boolean } | null {
    // Where the clock was set back, lower ids came later.
    const place = this.#records.findLastIndex((record) => record.id === id);
    if (place >= 0) return { records: this.#records.slice(place + 1), complete: true };
    if (id > (this.#records.at(-1)?.id ?? id) && wallMsOf(id) > this.#clock.wallMs()) return null;
    return { records: this.#records.filter((record) => record.id > id), complete: this.#from !== null && id >= this.#from };
  }

  /** Forgets everything, until somebody joins again. */
  end(): void {
    this.#linger?.cancel();
    this.#linger = null;
    this.#stop?.();
    this.#stop = null;
    this.#records = [];
    this.#from = null;
  }

  #add(record: QueryRecord): void {
    this.#from ??= record.id - 1;
    this.#records.push(record);
    if (this.#records.length < 2 * REMEMBERED) return;
    const forgotten = this.#records.splice(0, REMEMBERED);
    this.#from = forgotten.at(-1)?.id ?? this.#from;
  }
}

interface Missed {
  /** Oldest first. */
  readonly records: readonly QueryRecord[];
  /** Whether there are others before them, or may be. */
  readonly more: boolean;
}

interface MissedRequest {
  /** Id of the last record that the reader had. */
  readonly last: number;
  readonly filter: QueryFilter;
  /** The newest are given. */
  readonly limit: number;
}

/** What a reader missed that comes again: from memory as far as that reaches, and else from the store. */
export async function missedRecords(
  { last, filter, limit }: MissedRequest,
  { queries, recent }: { readonly queries: QuerySource; readonly recent: RecentRecords },
): Promise<Missed> {
  const since = recent.since(last);
  if (since === null) return { records: [], more: true };
  const { records, complete } = since;
  const fits = compileFilter(filter);
  const remembered = records.filter(fits);
  if (complete) return newest(remembered, limit);
  const held = recent.size;
  const before = queries.status();
  // One more than is sent shows whether there were more.
  const page = await searched(queries, { filter: { ...filter, fromMs: wallMsOf(last) }, limit: limit + 1, cursor: null });
  const stored = page?.records.filter(({ id }) => id > last) ?? [];
  const all = new Map([...stored, ...remembered].map((record) => [record.id, record]));
  const missed = newest(
    [...all.values()].sort((one, other) => one.id - other.id),
    limit,
  );
  // The search may have ended before it came to the last record.
  const isCut = page === null || (page.cursor !== null && stored.length === page.records.length);
  // What waited for the store was the newest, but may be more than is held in memory.
  const unstored = before.waiting - (queries.status().stored - before.stored);
  return { records: missed.records, more: missed.more || isCut || unstored > held };
}

function newest(records: readonly QueryRecord[], limit: number): Missed {
  return { records: records.slice(-limit), more: records.length > limit };
}

/** null = the log cannot be read. */
async function searched(queries: QuerySource, request: PageRequest): Promise<Page | null> {
  try {
    return await queries.search(request);
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    return null;
  }
}

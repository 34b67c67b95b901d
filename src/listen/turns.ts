import { networkOfAddress } from "../dns/address.ts";
import { FairShare } from "../lib/fair-share.ts";

/** How long the listeners work on queries in one turn of the event loop. What a turn has begun to await comes on top. */
const TURN_MS = 4;

/** So many looks at the end of the turn are free: most turns have fewer queries, and need no timing. */
const UNTIMED = 16;

/** Queries that a connection answers in one turn of its client, while others wait. */
const SLICE = 8;

/** Datagrams that are held until their turn comes. Those of streams wait in their connections, which are not read meanwhile. */
export const MAX_DATAGRAMS = 8192;

interface ClientQueue {
  readonly work: (() => void)[];
  /** The first place in `work` that has not run. */
  next: number;
}

/**
 * Bounds how long one turn of the event loop works on queries, whatever arrives at once: 20,000 questions that are read in one turn would keep everybody
 * else waiting for seconds. What finds the turn over is postponed to the next one, where each client has its turn after the others: a client that
 * floods waits for itself.
 */
export class Turns {
  readonly #now: () => number;
  /** In the order in which clients have their turns. */
  readonly #queues = new Map<string, ClientQueue>();
  readonly #datagrams = new FairShare(MAX_DATAGRAMS, networkOfAddress);
  #untimed = 0;
  /** When the turn began; null = it is not timed, and has done little. */
  #begunMs: number | null = null;

  /** @param now the real time in ms, whatever the clock of the server says. */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Whether the next query has to be postponed: the turn has lasted long enough, or others wait already. Asked before each query. */
  get isOver(): boolean {
    if (this.#queues.size > 0) return true;
    if (this.#begunMs !== null) return this.#now() - this.#begunMs >= TURN_MS;
    if (++this.#untimed < UNTIMED) return false;
    this.#begunMs = this.#now();
    setImmediate(this.#nextTurn);
    return false;
  }

  /** Runs the work in another turn, when it is the client's. The caller bounds how much it postpones. */
  postpone(client: string, work: () => void): void {
    const queue = this.#queues.get(client);
    if (queue !== undefined) {
      queue.work.push(work);
      return;
    }
    if (this.#queues.size === 0 && this.#begunMs === null) {
      this.#begunMs = this.#now();
      setImmediate(this.#nextTurn);
    }
    this.#queues.set(client, { work: [work], next: 0 });
  }

  /** The same for a datagram. @returns false = there is no room for it: the client has too many of them there. */
  postponeDatagram(client: string, work: () => void): boolean {
    if (!this.#datagrams.hasRoom(client)) return false;
    this.#datagrams.take(client);
    this.postpone(client, () => {
      this.#datagrams.release(client);
      work();
    });
    return true;
  }

  readonly #nextTurn = (): void => {
    const begunMs = this.#now();
    for (const [client, queue] of this.#queues) {
      this.#queues.delete(client);
      const work = queue.work[queue.next++];
      // Before the work, which may postpone its rest.
      if (queue.next < queue.work.length) this.#queues.set(client, queue);
      work?.();
      if (this.#now() - begunMs >= TURN_MS) break;
    }
    this.#untimed = 0;
    this.#begunMs = this.#queues.size > 0 ? begunMs : null;
    if (this.#queues.size > 0) setImmediate(this.#nextTurn);
  };
}

/** Bytes that one connection reads ahead of its turns: two of the longest messages. What it has not read has not arrived. */
export const MAX_READ_AHEAD = 128 << 10;

/** What is read so soon after another piece counts as read with it: what comes byte by byte takes no memory for each byte. */
const SAME_READ_MS = 10;

/** The turns of one connection. */
export class ConnectionTurns {
  readonly #turns: Turns;
  readonly #client: string;
  readonly #run: () => void;
  #isWaiting = false;
  /** Bytes that were read. */
  #readBytes = 0;
  /** When those were read that are still to be taken, up to which byte. */
  #reads: { upTo: number; readonly atMs: number }[] = [];
  /** Queries that are still granted. */
  #granted = 0;

  /** @param client whose turns they are. @param run goes on with what had to wait. */
  constructor(turns: Turns, client: string, run: () => void) {
    this.#turns = turns;
    this.#client = client;
    this.#run = run;
  }

  /** Whether what was read goes on in another turn. */
  get isWaiting(): boolean {
    return this.#isWaiting;
  }

  /** Notes that so many bytes were read. @param leftBytes what was read before, and is still to be taken. */
  noteRead(bytes: number, leftBytes: number, nowMs: number): void {
    this.#forget(this.#readBytes - leftBytes + 1);
    this.#readBytes += bytes;
    const last = this.#reads.at(-1);
    if (last !== undefined && nowMs - last.atMs < SAME_READ_MS) last.upTo = this.#readBytes;
    else this.#reads.push({ upTo: this.#readBytes, atMs: nowMs });
  }

  /** When that was read whole which was just taken. @param leftBytes what is still to be taken. */
  arrivedMs(leftBytes: number): number {
    this.#forget(this.#readBytes - leftBytes);
    return this.#reads[0]?.atMs ?? Number.NaN;
  }

  /** Forgets when what comes before this byte was read. */
  #forget(upTo: number): void {
    let first = 0;
    while (first < this.#reads.length && (this.#reads[first]?.upTo ?? 0) < upTo) first++;
    if (first > 0) this.#reads = this.#reads.slice(first);
  }

  /** Whether the connection may read on while it waits. @param leftBytes what is still to be taken. */
  mayReadAhead(leftBytes: number): boolean {
    return !this.#isWaiting || leftBytes < MAX_READ_AHEAD;
  }

  /** Asked before each query: whether what was read has to wait for another turn. Then `run` is called in that turn. */
  mustWait(): boolean {
    if (this.#granted > 0) {
      this.#granted--;
      return false;
    }
    if (!this.#isWaiting && this.#turns.isOver) {
      this.#isWaiting = true;
      this.#turns.postpone(this.#client, this.#goOn);
    }
    return this.#isWaiting;
  }

  readonly #goOn = (): void => {
    this.#isWaiting = false;
    this.#granted = SLICE;
    this.#run();
    this.#granted = 0;
  };
}

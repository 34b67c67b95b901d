import { Followers } from "./followers.ts";
import { QueryRing, RING_BYTES, TextTable } from "./ring.ts";

/** What the listener was told since it asked to be told. */
type Told = "nothing" | "that there is something" | "that it is half full";

/** When a thread that writes into the second ring is to call. */
export type ThreadCall = "never" | "when there is something" | "when it is half full";

const THREAD_CALLS: Readonly<Record<Told, ThreadCall>> = {
  nothing: "when there is something",
  "that there is something": "when it is half full",
  "that it is half full": "never",
};

/** The thread that writes into the second ring, as far as the feed needs it. */
export interface FeedThread {
  /** How many entries it ever wrote, modulo 2^32. */
  readonly written: () => number;
  /** Asks for one call of `QueryFeed.called`. */
  readonly await: (call: ThreadCall) => void;
}

/**
 * What the answering threads and the query log share: the first write entries, the other takes them. It outlives logs, which a reload may replace.
 * The main thread writes into the first ring; another thread may write into the second one.
 */
export class QueryFeed {
  readonly rings: readonly [QueryRing, QueryRing];
  readonly texts = new TextTable();
  readonly followers = new Followers();
  /** Entries of which it is known what became of them. */
  settled = 0;
  #written = 0;
  #thread: FeedThread | null = null;
  #threadWritten = 0;
  #listener: ((isHalfFull: boolean) => void) | null = null;
  #told: Told = "nothing";

  /** @param ringBytes of the first ring, a power of two. The second has half: most queries go there while the thread is at work, and then the first is idle. */
  constructor(ringBytes = RING_BYTES) {
    this.rings = [new QueryRing(ringBytes), new QueryRing(ringBytes / 2)];
  }

  get ring(): QueryRing {
    return this.rings[0];
  }

  /** Entries written since the start. */
  get written(): number {
    if (this.#thread !== null) {
      const now = this.#thread.written();
      this.#written += (now - this.#threadWritten) >>> 0;
      this.#threadWritten = now;
    }
    return this.#written;
  }

  get waiting(): number {
    return this.written - this.settled;
  }

  get isEmpty(): boolean {
    return this.rings.every((ring) => ring.isEmpty);
  }

  get isHalfFull(): boolean {
    return this.rings.some((ring) => ring.isHalfFull);
  }

  /** Where the next entry of each ring will begin. */
  positions(): readonly number[] {
    return this.rings.map(({ written }) => written);
  }

  /** A thread writes into the second ring from now on. */
  use(thread: FeedThread): void {
    this.#thread = thread;
    this.#threadWritten = thread.written();
    this.#awaitThread();
  }

  /** To be called after an entry was published in the first ring. */
  published(): void {
    this.#written++;
    if (this.#told === "nothing") this.#tell(false);
    else if (this.#told === "that there is something" && this.ring.isHalfFull) this.#tell(true);
  }

  /** To be called when the thread calls, for whatever reason. */
  called(): void {
    const isNews = this.#told === "nothing" ? !this.isEmpty : this.#told === "that there is something" && this.isHalfFull;
    if (isNews) this.#tell(this.isHalfFull);
    else this.#awaitThread();
  }

  /** Who takes the entries: is told of the first entry, and when a ring becomes half full. null = nobody takes them for now. */
  listen(listener: ((isHalfFull: boolean) => void) | null): void {
    this.#listener = listener;
    this.await();
  }

  /** The listener wants to be told anew. */
  await(): void {
    this.#told = "nothing";
    this.#awaitThread();
  }

  #tell(isHalfFull: boolean): void {
    this.#told = isHalfFull ? "that it is half full" : "that there is something";
    this.#awaitThread();
    this.#listener?.(isHalfFull);
  }

  #awaitThread(): void {
    this.#thread?.await(THREAD_CALLS[this.#told]);
  }
}

import { Followers } from "./followers.ts";
import { QueryRing, TextTable } from "./ring.ts";

/** What the answering thread and the query log share: the first writes entries, the other takes them. It outlives logs, which a reload may replace. */
export class QueryFeed {
  readonly ring: QueryRing;
  readonly texts = new TextTable();
  readonly followers = new Followers();
  /** Entries written since the start, and those of which it is known what became of them. */
  written = 0;
  settled = 0;
  #listener: ((isHalfFull: boolean) => void) | null = null;
  /** What the listener was told since `await`. */
  #told: "nothing" | "that there is something" | "that it is half full" = "nothing";

  /** @param ringBytes a power of two. */
  constructor(ringBytes?: number) {
    this.ring = new QueryRing(ringBytes);
  }

  get waiting(): number {
    return this.written - this.settled;
  }

  /** To be called after an entry was published. */
  published(): void {
    this.written++;
    if (this.#told === "nothing") this.#tell(false);
    else if (this.#told === "that there is something" && this.ring.isHalfFull) this.#tell(true);
  }

  /** Who takes the entries: is told of the first entry, and when the ring becomes half full. null = nobody takes them for now. */
  listen(listener: ((isHalfFull: boolean) => void) | null): void {
    this.#listener = listener;
    this.await();
  }

  /** The listener wants to be told anew. */
  await(): void {
    this.#told = "nothing";
  }

  #tell(isHalfFull: boolean): void {
    this.#told = isHalfFull ? "that it is half full" : "that there is something";
    this.#listener?.(isHalfFull);
  }
}

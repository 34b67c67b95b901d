import type { Clock, Timer } from "../lib/clock.ts";
import type { QueryRecord } from "../log/record.ts";
import { wallMsOf } from "../log/schema.ts";
import type { QuerySource } from "./control.ts";

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

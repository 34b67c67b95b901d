import type { Database } from "./database.ts";
import { latencyBucket } from "./latency.ts";
import { minuteOf } from "./schema.ts";

/** What of a query is counted. */
export interface Counted {
  readonly id: number;
  readonly kind: number;
  readonly client: number;
  readonly durationUs: number;
  /** Whether an upstream was asked. */
  readonly asked: boolean;
}

/** Counts of their own in one minute, for kinds and for clients: what is beyond is counted under id 0. */
const MAX_PER_MINUTE = 1000;

/** Counts queries by minute, and adds the counts to the tables of a part at the end of each batch. */
export class RollUps {
  readonly #kinds: MinuteCounts;
  readonly #clients: MinuteCounts;
  readonly #latencies: MinuteCounts;

  constructor(database: Database, part: string) {
    const upsert = (table: string, columns: readonly string[]) =>
      database.prepare(
        `INSERT INTO ${table}_${part} (${columns.join(", ")}, count) VALUES (${columns.map(() => "?").join(", ")}, ?)
         ON CONFLICT DO UPDATE SET count = count + excluded.count`,
      );
    const kinds = upsert("kind_minutes", ["minute", "kind"]);
    const clients = upsert("client_minutes", ["minute", "client"]);
    const latencies = upsert("latency_minutes", ["minute", "asked", "bucket"]);
    this.#kinds = new MinuteCounts((minute, kind, count) => kinds.run(minute, kind, count));
    this.#clients = new MinuteCounts((minute, client, count) => clients.run(minute, client, count));
    this.#latencies = new MinuteCounts((minute, key, count) => latencies.run(minute, key & 1, key >> 1, count));
  }

  count({ id, kind, client, durationUs, asked }: Counted): void {
    const minute = minuteOf(id);
    this.#kinds.add(minute, kind);
    this.#clients.add(minute, client);
    this.#latencies.add(minute, latencyBucket(durationUs) * 2 + (asked ? 1 : 0));
  }

  /** To be called within the transaction of the rows. @throws Error of SQLite; the roll-ups must then be made anew. */
  write(): void {
    this.#kinds.write();
    this.#clients.write();
    this.#latencies.write();
  }
}

/** Counts by minute and key since the last `write`. */
class MinuteCounts {
  readonly #write: (minute: number, key: number, count: number) => unknown;
  readonly #counts = new Map<number, Map<number, number>>();
  /** The keys with a count of their own in the latest minute, over all batches since the part was opened. */
  readonly #keys = new Set<number>();
  #minute = 0;

  constructor(write: (minute: number, key: number, count: number) => unknown) {
    this.#write = write;
  }

  add(minute: number, key: number): void {
    if (minute !== this.#minute) {
      this.#minute = minute;
      this.#keys.clear();
    }
    if (this.#keys.size < MAX_PER_MINUTE) this.#keys.add(key);
    const counted = this.#keys.has(key) ? key : 0;
    let counts = this.#counts.get(minute);
    if (counts === undefined) {
      counts = new Map();
      this.#counts.set(minute, counts);
    }
    counts.set(counted, (counts.get(counted) ?? 0) + 1);
  }

  write(): void {
    for (const [minute, counts] of this.#counts) for (const [key, count] of counts) this.#write(minute, key, count);
    this.#counts.clear();
  }
}

import type { QueryRecord } from "../record.ts";

/**
 * Records that wait for the store: 48 MB of texts when there are most. Beyond, new ones are turned away: that costs nothing where there is
 * too much to do already, and when a fault is over the log shows the moment it began.
 */
const MAX_RECORDS = 49_152;

/** So many are made a text at once: 0.15 ms of the main thread. */
const CHUNK_RECORDS = 64;

export interface Chunk {
  readonly json: string;
  readonly records: number;
}

/** The records that wait for the store, oldest first. */
export class Waiting {
  #open: QueryRecord[] = [];
  #chunks: Chunk[] = [];
  #inChunks = 0;

  get records(): number {
    return this.#inChunks + this.#open.length;
  }

  /** @returns how many found no room. */
  add(records: readonly QueryRecord[]): number {
    const room = MAX_RECORDS - this.records;
    const taken = records.length <= room ? records : records.slice(0, room);
    for (const record of taken) {
      this.#open.push(record);
      if (this.#open.length >= CHUNK_RECORDS) this.#closeChunk();
    }
    return records.length - taken.length;
  }

  /** Takes the oldest, up to about `maxRecords`. */
  take(maxRecords: number): readonly Chunk[] {
    this.#closeChunk();
    let records = 0;
    const end = this.#chunks.findIndex((chunk) => {
      records += chunk.records;
      return records > maxRecords;
    });
    const taken = this.#chunks.splice(0, end < 0 ? this.#chunks.length : Math.max(1, end));
    this.#inChunks -= countOf(taken);
    return taken;
  }

  /** Puts back what was taken and could not be stored. */
  putBack(chunks: readonly Chunk[]): void {
    this.#chunks.unshift(...chunks);
    this.#inChunks += countOf(chunks);
  }

  /** Drops everything. @returns how many there were. */
  clear(): number {
    const { records } = this;
    this.#open = [];
    this.#chunks = [];
    this.#inChunks = 0;
    return records;
  }

  #closeChunk(): void {
    if (this.#open.length === 0) return;
    this.#chunks.push({ json: JSON.stringify(this.#open), records: this.#open.length });
    this.#inChunks += this.#open.length;
    this.#open = [];
  }
}

export function countOf(chunks: readonly Chunk[]): number {
  return chunks.reduce((sum, { records }) => sum + records, 0);
}

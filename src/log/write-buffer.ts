import { type Chunk, ChunkFiller } from "./packing.ts";
import type { QueryRecord } from "./record.ts";

/**
 * What waits for the store at the most. Beyond, new records are turned away: that costs nothing where there is too much to do already, and when a fault is
 * over the log shows the moment it began.
 */
const MAX_RECORDS = 49_152;
const MAX_BYTES = 64 * 2 ** 20;

/** Has room for some 600 records. One that is larger has a chunk of its own, up to `MAX_RECORD_BYTES`, which none comes near. */
const CHUNK_BYTES = 128 * 1024;
const MAX_RECORD_BYTES = 4 * 2 ** 20;

/** Chunks that are filled again and again: memory that was used before costs nothing, and new memory as much as all else. */
const MAX_SPARE = 8;

/** The records that wait for the store, oldest first. */
export class WriteBuffer {
  #filler: ChunkFiller | null = null;
  #chunks: Chunk[] = [];
  #inChunks = 0;
  #octets = 0;
  readonly #spare: SharedArrayBuffer[] = [];

  get records(): number {
    return this.#inChunks + (this.#filler?.records ?? 0);
  }

  /** @returns whether there was room. @throws TypeError where the record is not as its type says. */
  add(record: QueryRecord): boolean {
    if (this.records >= MAX_RECORDS) return false;
    return this.#filler?.add(record) === true || this.#begin(record);
  }

  /** Takes the oldest, up to about `maxRecords`. */
  take(maxRecords: number): readonly Chunk[] {
    if (this.#inChunks < maxRecords) this.#endFiller();
    let records = 0;
    const end = this.#chunks.findIndex((chunk) => {
      records += chunk.records;
      return records > maxRecords;
    });
    const taken = this.#chunks.splice(0, end < 0 ? this.#chunks.length : Math.max(1, end));
    this.#inChunks -= countOf(taken);
    this.#octets -= bytesOf(taken);
    return taken;
  }

  /**
   * Puts back what was taken and could not be stored: a copy, because a thread that does not answer may still read the memory, which is given up. Of a
   * chunk that was taken before it was full only what is used is kept; a store that fails for hours has many.
   */
  putBack(chunks: readonly Chunk[]): void {
    const copies = chunks.map(({ octets, records, used }) => ({ octets: octets.slice(0, used), records, used }));
    this.#chunks.unshift(...copies);
    this.#inChunks += countOf(copies);
    this.#octets += bytesOf(copies);
  }

  /** Gives back the memory of what was taken and is read by nobody any more. */
  done(chunks: readonly Chunk[]): void {
    for (const { octets } of chunks)
      if (octets.byteLength === CHUNK_BYTES && this.#spare.length < MAX_SPARE) this.#spare.push(octets);
  }

  /** Drops everything. @returns how many there were. */
  clear(): number {
    const { records } = this;
    this.take(records);
    return records;
  }

  /** Begins a chunk with this record, which found no room in the one before. */
  #begin(record: QueryRecord): boolean {
    this.#endFiller();
    const most = Math.min(MAX_RECORD_BYTES, MAX_BYTES - this.#octets);
    for (let size = CHUNK_BYTES; size <= most; size *= 2) {
      const octets = (size === CHUNK_BYTES ? this.#spare.pop() : undefined) ?? new SharedArrayBuffer(size);
      const filler = new ChunkFiller(octets);
      if (!filler.add(record)) continue;
      this.#filler = filler;
      this.#octets += size;
      return true;
    }
    return false;
  }

  #endFiller(): void {
    if (this.#filler === null) return;
    this.#chunks.push(this.#filler.chunk());
    this.#inChunks += this.#filler.records;
    this.#filler = null;
  }
}

export function countOf(chunks: readonly Chunk[]): number {
  return chunks.reduce((sum, { records }) => sum + records, 0);
}

function bytesOf(chunks: readonly Chunk[]): number {
  return chunks.reduce((sum, { octets }) => sum + octets.byteLength, 0);
}

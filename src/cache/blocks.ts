/** Small, because most answers take 60 to 250 bytes and each wastes half a block on average. The link of a block takes 4 bytes more. */
export const BLOCK_BYTES = 64;
const BLOCK_COST_BYTES = BLOCK_BYTES + 4;

const BLOCKS_PER_SLAB = 4096;
const NONE = 0xffff_ffff;

/**
 * Memory for records of any length: slabs of equal blocks, where each block links to the next one of its record. Any free block serves any record,
 * so nothing is moved, and the slabs never outgrow the most that was held at one time.
 */
export class BlockStore {
  readonly #slabs: { readonly bytes: Uint8Array; readonly links: Uint32Array }[] = [];
  #firstFree = NONE;

  /** Copies a record, or its first bytes: at least one. @returns its first block. */
  write(record: Uint8Array, recordBytes = record.length): number {
    const first = this.#takeBlock();
    let block = first;
    for (let start = 0; ; start += BLOCK_BYTES) {
      this.#fill(block, record, { start, end: Math.min(recordBytes, start + BLOCK_BYTES) });
      if (start + BLOCK_BYTES >= recordBytes) break;
      const next = this.#takeBlock();
      this.#setLink(block, next);
      block = next;
    }
    this.#setLink(block, NONE);
    return first;
  }

  /**
   * Copies a record out. Not for keeping: small copies share a pool of memory, and one that is kept keeps all of the pool alive. The copy begins at an
   * even address.
   */
  read(first: number, recordBytes: number): Uint8Array<ArrayBuffer> {
    const record = Buffer.allocUnsafe(recordBytes);
    let block = first;
    for (let start = 0; start < recordBytes; start += BLOCK_BYTES) {
      const slab = this.#slabOf(block).bytes;
      const offset = offsetOf(block) - start;
      const end = Math.min(recordBytes, start + BLOCK_BYTES);
      // A loop: a view and a native call for each block cost more than copying its bytes one by one.
      for (let index = start; index < end; index++) record[index] = slab[offset + index] ?? 0;
      block = this.#link(block);
    }
    return record;
  }

  free(first: number): void {
    let last = first;
    for (let next = this.#link(last); next !== NONE; next = this.#link(last)) last = next;
    this.#setLink(last, this.#firstFree);
    this.#firstFree = first;
  }

  #takeBlock(): number {
    if (this.#firstFree === NONE) this.#addSlab();
    const block = this.#firstFree;
    this.#firstFree = this.#link(block);
    return block;
  }

  #addSlab(): void {
    const first = this.#slabs.length * BLOCKS_PER_SLAB;
    const links = new Uint32Array(BLOCKS_PER_SLAB);
    for (let index = 0; index < BLOCKS_PER_SLAB; index++) links[index] = first + index + 1;
    links[BLOCKS_PER_SLAB - 1] = NONE;
    this.#slabs.push({ bytes: new Uint8Array(BLOCKS_PER_SLAB * BLOCK_BYTES), links });
    this.#firstFree = first;
  }

  #fill(block: number, record: Uint8Array, { start, end }: { readonly start: number; readonly end: number }): void {
    const slab = this.#slabOf(block).bytes;
    const offset = offsetOf(block) - start;
    for (let index = start; index < end; index++) slab[offset + index] = record[index] ?? 0;
  }

  #link(block: number): number {
    return this.#slabOf(block).links[block % BLOCKS_PER_SLAB] ?? NONE;
  }

  #setLink(block: number, next: number): void {
    this.#slabOf(block).links[block % BLOCKS_PER_SLAB] = next;
  }

  #slabOf(block: number): { readonly bytes: Uint8Array; readonly links: Uint32Array } {
    const slab = this.#slabs[Math.floor(block / BLOCKS_PER_SLAB)];
    if (slab === undefined) throw new Error(`there is no block ${block}`);
    return slab;
  }
}

/** Memory that a record of so many bytes takes. */
export function blockBytes(recordBytes: number): number {
  return Math.ceil(recordBytes / BLOCK_BYTES) * BLOCK_COST_BYTES;
}

function offsetOf(block: number): number {
  return (block % BLOCKS_PER_SLAB) * BLOCK_BYTES;
}

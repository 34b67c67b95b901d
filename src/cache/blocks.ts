/**
 * Bytes a record is cut into. Small, because most answers take 60 to 250 bytes and half a block of each is lost.
 * With its link a block costs 4 bytes more.
 */
export const BLOCK_BYTES = 64;
const BLOCK_COST_BYTES = BLOCK_BYTES + 4;

const BLOCKS_PER_SLAB = 4096;
const NONE = 0xffff_ffff;

/**
 * Records of any length in slabs of equal blocks, each block linked to the next of its record. Any free block serves any
 * record, so nothing is ever moved and the slabs never outgrow the most that was held at one time.
 */
export class BlockStore {
  readonly #slabs: { readonly octets: Uint8Array; readonly links: Uint32Array }[] = [];
  #firstFree = NONE;
  #used = 0;

  /** Blocks that hold a record. */
  get usedBlocks(): number {
    return this.#used;
  }

  /** What the slabs take, full or not. */
  get slabBytes(): number {
    return this.#slabs.length * BLOCKS_PER_SLAB * BLOCK_COST_BYTES;
  }

  /** Copies `record`, which is not empty. @returns its first block. */
  write(record: Uint8Array): number {
    const first = this.#takeBlock();
    let block = first;
    for (let start = 0; ; start += BLOCK_BYTES) {
      this.#fill(block, record, start);
      if (start + BLOCK_BYTES >= record.length) break;
      const next = this.#takeBlock();
      this.#setLink(block, next);
      block = next;
    }
    this.#setLink(block, NONE);
    return first;
  }

  /** A copy of a record of so many bytes, for the moment: small ones lie in a memory they share, which they would keep alive. It begins at an even address. */
  read(first: number, octets: number): Uint8Array<ArrayBuffer> {
    const record = Buffer.allocUnsafe(octets);
    let block = first;
    for (let start = 0; start < octets; start += BLOCK_BYTES) {
      const slab = this.#slabOf(block).octets;
      const offset = offsetOf(block) - start;
      const end = Math.min(octets, start + BLOCK_BYTES);
      // A loop, because a view and a native call for each block cost more than the bytes themselves.
      for (let index = start; index < end; index++) record[index] = slab[offset + index] ?? 0;
      block = this.#link(block);
    }
    return record;
  }

  free(first: number): void {
    let last = first;
    this.#used--;
    for (let next = this.#link(last); next !== NONE; next = this.#link(last)) {
      last = next;
      this.#used--;
    }
    this.#setLink(last, this.#firstFree);
    this.#firstFree = first;
  }

  clear(): void {
    this.#slabs.length = 0;
    this.#firstFree = NONE;
    this.#used = 0;
  }

  #takeBlock(): number {
    if (this.#firstFree === NONE) this.#addSlab();
    const block = this.#firstFree;
    this.#firstFree = this.#link(block);
    this.#used++;
    return block;
  }

  #addSlab(): void {
    const first = this.#slabs.length * BLOCKS_PER_SLAB;
    const links = new Uint32Array(BLOCKS_PER_SLAB);
    for (let index = 0; index < BLOCKS_PER_SLAB; index++) links[index] = first + index + 1;
    links[BLOCKS_PER_SLAB - 1] = NONE;
    this.#slabs.push({ octets: new Uint8Array(BLOCKS_PER_SLAB * BLOCK_BYTES), links });
    this.#firstFree = first;
  }

  #fill(block: number, record: Uint8Array, start: number): void {
    const slab = this.#slabOf(block).octets;
    const offset = offsetOf(block) - start;
    const end = Math.min(record.length, start + BLOCK_BYTES);
    for (let index = start; index < end; index++) slab[offset + index] = record[index] ?? 0;
  }

  #link(block: number): number {
    return this.#slabOf(block).links[block % BLOCKS_PER_SLAB] ?? NONE;
  }

  #setLink(block: number, next: number): void {
    this.#slabOf(block).links[block % BLOCKS_PER_SLAB] = next;
  }

  #slabOf(block: number): { readonly octets: Uint8Array; readonly links: Uint32Array } {
    const slab = this.#slabs[Math.floor(block / BLOCKS_PER_SLAB)];
    if (slab === undefined) throw new Error(`there is no block ${block}`);
    return slab;
  }
}

/** What a record of so many bytes takes. */
export function blockBytes(octets: number): number {
  return Math.ceil(octets / BLOCK_BYTES) * BLOCK_COST_BYTES;
}

function offsetOf(block: number): number {
  return (block % BLOCKS_PER_SLAB) * BLOCK_BYTES;
}

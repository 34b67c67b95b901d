import { NameCollector, type NameRows } from "./name-collector.ts";

/** Names of which it is remembered that they were gathered, a power of 2. */
const REMEMBERED = 4096;

/** Octets that they may have however small the entries are. */
const MIN_OCTETS = 65_536;

/** Gathers the names above the entries of a table, each at least once, and not much oftener: most entries lie right below one of a few names. */
export class NamesAbove {
  readonly #octets: Uint8Array;
  readonly #collector = new NameCollector();
  /** By hash, where a name that was gathered begins and ends. */
  readonly #remembered = new Uint32Array(2 * REMEMBERED);
  readonly #maxOctets: number;
  #hasRoot = false;
  #isFull = false;

  /** @param octets of the entries, without root labels, up to `end`. */
  constructor(octets: Uint8Array, end: number) {
    this.#octets = octets;
    this.#maxOctets = end + MIN_OCTETS;
  }

  /** The name whose labels begin at `start` and whose entry ends at `end`. */
  add(start: number, end: number, spreadHash: number): void {
    const slot = (spreadHash >>> 20) * 2;
    if (this.#isRemembered(slot, start, end)) return;
    this.#isFull ||= this.#collector.octets > this.#maxOctets;
    if (this.#isFull) return;
    this.#remembered[slot] = start;
    this.#remembered[slot + 1] = end;
    this.#collector.addWire(this.#octets, { start, end }, "full");
  }

  addRoot(): void {
    if (!this.#hasRoot) this.#collector.addWire(this.#octets, { start: 0, end: 0 }, "full");
    this.#hasRoot = true;
  }

  /** null = together they are larger than the entries: of names with a hundred labels each the names above could fill all memory. */
  rows(): NameRows | null {
    return this.#isFull ? null : this.#collector.rows();
  }

  #isRemembered(slot: number, start: number, end: number): boolean {
    const octets = this.#octets;
    const first = this.#remembered[slot] ?? 0;
    const length = end - start;
    if ((this.#remembered[slot + 1] ?? 0) - first !== length) return false;
    for (let index = 0; index < length; index++) if (octets[first + index] !== octets[start + index]) return false;
    return true;
  }
}

import { type Name, parentOf, ROOT } from "../name.ts";

/** Two octets of length on streams, and IP itself, allow no more (RFC 1035 §4.2.2). */
const MAX_MESSAGE_OCTETS = 0xffff;

/** The last place a compression pointer can name (RFC 1035 §4.1.4). */
const MAX_POINTER = 0x3fff;

/** Writes one message. Every method throws RangeError for a value outside its field, or where the message gets too long. */
export class WireWriter {
  #wire = Buffer.alloc(512);
  #length = 0;
  /** Where the names written so far, and their parents, stand. */
  readonly #places = new Map<Name, number>();
  readonly #compressing: boolean;

  constructor({ compressing }: { readonly compressing: boolean }) {
    this.#compressing = compressing;
  }

  /** What was written, in a buffer of its own. */
  bytes(): Buffer {
    return Buffer.from(this.#wire.subarray(0, this.#length));
  }

  uint8(value: number): void {
    const start = this.#claim(1);
    this.#wire.writeUInt8(value, start);
  }

  uint16(value: number): void {
    const start = this.#claim(2);
    this.#wire.writeUInt16BE(value, start);
  }

  uint32(value: number): void {
    const start = this.#claim(4);
    this.#wire.writeUInt32BE(value, start);
  }

  octets(octets: Uint8Array): void {
    const start = this.#claim(octets.length);
    this.#wire.set(octets, start);
  }

  /** A string whose every character (0 to 255) stands for an octet. */
  octetText(text: string): void {
    const start = this.#claim(text.length);
    this.#wire.write(text, start, "latin1");
  }

  /** A name in full, which later names do not point into: it may stand where others must not look (RFC 3597 §4). */
  plainName(name: Name): void {
    this.octetText(name);
  }

  /** A name of which, in a compressing writer, only the part not written before is written, and the rest is pointed at. */
  compressedName(name: Name): void {
    if (!this.#compressing) {
      this.plainName(name);
      return;
    }
    for (let rest = name; rest !== ROOT; rest = parentOf(rest)) {
      const place = this.#places.get(rest);
      if (place !== undefined) {
        this.uint16(0xc000 | place);
        return;
      }
      if (this.#length <= MAX_POINTER) this.#places.set(rest, this.#length);
      this.octetText(rest.slice(0, 1 + rest.charCodeAt(0)));
    }
    this.uint8(0);
  }

  /** What `write` writes, behind its length in two octets. */
  behindLength(write: () => void): void {
    const start = this.#claim(2);
    write();
    this.#wire.writeUInt16BE(this.#length - start - 2, start);
  }

  /** @returns where the claimed octets begin. May replace the buffer, so it is called before the buffer is named. */
  #claim(length: number): number {
    const start = this.#length;
    const end = start + length;
    if (end > MAX_MESSAGE_OCTETS) throw new RangeError(`a message may have ${MAX_MESSAGE_OCTETS} octets at most`);
    if (end > this.#wire.length) {
      const larger = Buffer.alloc(Math.max(end, this.#wire.length * 2));
      larger.set(this.#wire.subarray(0, start));
      this.#wire = larger;
    }
    this.#length = end;
    return start;
  }
}

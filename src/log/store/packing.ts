/**
 * Values in octets, as they go from the thread that answers to the one that stores: a text that comes again is a number, so that a record is a
 * quarter of its JSON and made in half the time. What was packed can be read from its octets alone, one value after the other in the same order.
 *
 * A count is seven bits an octet, the lowest first, the eighth bit set in all but the last. A number is a count: 0 for null, 1 before eight octets of
 * IEEE 754, lowest first, else itself plus 2. A text is a count, twice its length and 1 more where it has two octets a UTF-16 unit instead of one, and
 * its units. A common text is a count: 0 for null, 1 before a text that is new, else the place of the text among those that were new, plus 2.
 */

/** Above it numbers are written as IEEE 754, so that a count fits 32 bits. */
const MAX_COUNTED = 0x7fff_fff0;

const FLOAT = new Float64Array(1);
const FLOAT_OCTETS = new Uint8Array(FLOAT.buffer);

/** Packs values into octets that are the caller's. What finds no room is not written, but counted in `position`: the caller asks `hadRoom` now and then. */
export class Packer {
  readonly #octets: Uint8Array;
  readonly #texts = new Map<string, number>();
  /** Where the next value begins; past the end of the octets where there was no room. */
  position = 0;

  constructor(octets: Uint8Array) {
    this.#octets = octets;
  }

  get hadRoom(): boolean {
    return this.position <= this.#octets.length;
  }

  /** @param value an integer from 0 below 2^32. */
  count(value: number): void {
    let rest = value;
    for (; rest > 0x7f; rest >>>= 7) this.#octets[this.position++] = (rest & 0x7f) | 0x80;
    this.#octets[this.position++] = rest;
  }

  number(value: number | null): void {
    if (value === null) this.count(0);
    else if (value >= 0 && value <= MAX_COUNTED && Math.floor(value) === value && !Object.is(value, -0)) this.count(value + 2);
    else {
      this.count(1);
      FLOAT[0] = value;
      for (let index = 0; index < 8; index++) this.#octets[this.position++] = FLOAT_OCTETS[index] ?? 0;
    }
  }

  text(text: string): void {
    const start = this.position;
    const { length } = text;
    this.count(length * 2);
    let position = this.position;
    for (let index = 0; index < length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 0xff) {
        this.position = start;
        this.#wideText(text);
        return;
      }
      this.#octets[position++] = unit;
    }
    this.position = position;
  }

  /** For what many records have in common: each text is written once. */
  common(text: string | null): void {
    if (text === null) {
      this.count(0);
      return;
    }
    const place = this.#texts.get(text);
    if (place !== undefined) {
      this.count(place + 2);
      return;
    }
    this.#texts.set(text, this.#texts.size);
    this.count(1);
    this.text(text);
  }

  #wideText(text: string): void {
    this.count(text.length * 2 + 1);
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      this.#octets[this.position++] = unit & 0xff;
      this.#octets[this.position++] = unit >> 8;
    }
  }
}

/** Reads what a `Packer` wrote. Octets that none wrote are not recognized: they come from the same process. */
export class Unpacker {
  readonly #octets: Buffer;
  readonly #texts: string[] = [];
  #position = 0;

  constructor(octets: Uint8Array) {
    this.#octets = Buffer.from(octets.buffer, octets.byteOffset, octets.length);
  }

  count(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const octet = this.#octets[this.#position++] ?? 0;
      value |= (octet & 0x7f) << shift;
      if (octet < 0x80) return value >>> 0;
    }
  }

  number(): number | null {
    const counted = this.count();
    if (counted === 0) return null;
    if (counted > 1) return counted - 2;
    this.#position += 8;
    return this.#octets.readDoubleLE(this.#position - 8);
  }

  text(): string {
    const counted = this.count();
    const start = this.#position;
    this.#position += counted & 1 ? counted - 1 : counted / 2;
    return this.#octets.toString(counted & 1 ? "utf16le" : "latin1", start, this.#position);
  }

  common(): string | null {
    const counted = this.count();
    if (counted === 0) return null;
    if (counted > 1) return this.#texts[counted - 2] ?? "";
    const text = this.text();
    this.#texts.push(text);
    return text;
  }
}

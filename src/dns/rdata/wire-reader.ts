import { type Name, nameEnd, plainName, plainNameEnd, ROOT, readName } from "../name.ts";
import { uint16, uint32 } from "../octets.ts";

/**
 * Reads the octets of one record's data, or of part of it. The first fault is kept in `failure`, and from then on nothing is left to read
 * and every number is zero: callers read to the end and look at `failure` once. What is given out are copies.
 */
export class WireReader {
  readonly #message: Uint8Array;
  readonly #names: MessageNames | null;
  readonly #start: number;
  readonly #end: number;
  #position: number;
  #failure: string | null = null;

  /** `names` = those of the message, or null where compression pointers would lead nowhere. */
  constructor(message: Uint8Array, span: { readonly start: number; readonly end: number }, names: MessageNames | null) {
    this.#message = message;
    this.#names = names;
    this.#start = span.start;
    this.#position = span.start;
    this.#end = span.end;
  }

  get failure(): string | null {
    return this.#failure;
  }

  get remaining(): number {
    return this.#end - this.#position;
  }

  fail(reason: string): void {
    this.#failure ??= reason;
    this.#position = this.#end;
  }

  uint8(): number {
    const start = this.#take(1);
    return start < 0 ? 0 : (this.#message[start] ?? 0);
  }

  uint16(): number {
    const start = this.#take(2);
    return start < 0 ? 0 : uint16(this.#message, start);
  }

  uint32(): number {
    const start = this.#take(4);
    return start < 0 ? 0 : uint32(this.#message, start);
  }

  octets(length: number): Uint8Array {
    const start = this.#take(length);
    return start < 0 ? new Uint8Array() : new Uint8Array(this.#message.subarray(start, start + length));
  }

  /** So many octets as a string of one character (0 to 255) each. */
  octetText(length: number): string {
    const start = this.#take(length);
    if (start < 0) return "";
    return Buffer.from(this.#message.buffer, this.#message.byteOffset + start, length).toString("latin1");
  }

  name(pointersAllowed: boolean): Name {
    const start = this.#position;
    if (this.#names !== null && pointersAllowed) {
      const end = nameEnd(this.#message, start);
      const name = end < 0 || end > this.#end ? null : this.#names.read(start);
      if (name !== null) {
        this.#position = end;
        return name;
      }
    } else {
      const end = plainNameEnd(this.#message, start);
      if (end > 0 && end <= this.#end) {
        this.#position = end;
        return plainName(this.#message, start, end);
      }
    }
    this.fail("a name is malformed, or compressed where it may not be");
    return ROOT;
  }

  /** All the octets, whatever was read of them. */
  whole(): Uint8Array {
    return new Uint8Array(this.#message.subarray(this.#start, this.#end));
  }

  /** @returns where the octets taken begin, or -1 where there are not so many. */
  #take(length: number): number {
    const start = this.#position;
    if (start + length > this.#end) {
      this.fail("the data ends within a field");
      return -1;
    }
    this.#position = start + length;
    return start;
  }
}

/**
 * Octets that the names of one message may have together once their pointers are followed, each place counted once: eight times the longest
 * message. Honest ones stay far below; without a bound, two octets could be made into 255 some ten thousand times.
 */
const MAX_NAMES_OCTETS = 0x8_0000;

/** The names of one message that may be compressed. Each place is read once, so that a pointer repeated a thousand times gives one string. */
export class MessageNames {
  readonly #message: Uint8Array;
  readonly #known = new Map<number, Name>();
  #octets = 0;

  constructor(message: Uint8Array) {
    this.#message = message;
  }

  /** Whether the message asked for more than `MAX_NAMES_OCTETS`: then some names were refused that are well formed. */
  get exhausted(): boolean {
    return this.#octets > MAX_NAMES_OCTETS;
  }

  /** null where the name is malformed. */
  read(offset: number): Name | null {
    const place = this.#pointedAt(offset);
    if (place < 0 || this.exhausted) return null;
    const known = this.#known.get(place);
    if (known !== undefined) return known;
    const name = readName(this.#message, place);
    if (name === null) return null;
    this.#octets += name.length;
    this.#known.set(place, name);
    return name;
  }

  /** Where a name that is but a pointer really stands; -1 where the pointer does not lead back. */
  #pointedAt(offset: number): number {
    if ((this.#message[offset] ?? 0) < 0xc0) return offset;
    const target = uint16(this.#message, offset) & 0x3fff;
    return target < offset ? target : -1;
  }
}

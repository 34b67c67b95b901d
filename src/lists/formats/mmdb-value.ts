import { MalformedFile } from "./malformed.ts";

/** What a database says of a network, as far as it is of use here: numbers and octets are null. */
export type DatabaseValue = string | number | null | readonly DatabaseValue[] | ReadonlyMap<string, DatabaseValue>;

const TYPE = { pointer: 1, text: 2, uint16: 5, uint32: 6, map: 7, uint64: 9, uint128: 10, array: 11, boolean: 14 };

/** Nested maps, arrays and pointers beyond this are refused. Databases in use have four. */
const MAX_DEPTH = 16;
/** Values decoded for one record at most: pointers could make a small file mean a large value. */
const MAX_VALUES = 10_000;

/** Reads values of the data section (MaxMind DB File Format 2.0), which begins at `base`: pointers count from there. */
export class ValueReader {
  readonly #bytes: Buffer;
  readonly #base: number;
  #position = 0;
  #values = 0;

  constructor(bytes: Buffer, base: number) {
    this.#bytes = bytes;
    this.#base = base;
  }

  /** The value at an offset from the beginning of the section. @throws MalformedFile */
  read(offset: number): DatabaseValue {
    this.#position = this.#base + offset;
    this.#values = 0;
    return this.#value(0);
  }

  #value(depth: number): DatabaseValue {
    if (depth > MAX_DEPTH || ++this.#values > MAX_VALUES) throw new MalformedFile("a database value without end");
    const control = this.#number(1);
    const type = control >> 5 || this.#number(1) + 7;
    if (type === TYPE.pointer) return this.#pointed(control, depth);
    const size = this.#size(control & 31);
    switch (type) {
      case TYPE.text:
        return this.#octets(size).toString("utf8");
      case TYPE.uint16:
      case TYPE.uint32:
        return this.#number(size);
      case TYPE.map: {
        const entries = new Map<string, DatabaseValue>();
        for (let index = 0; index < size; index++) {
          const key = this.#value(depth + 1);
          if (typeof key !== "string") throw new MalformedFile("a database map with a key that is no text");
          entries.set(key, this.#value(depth + 1));
        }
        return entries;
      }
      case TYPE.array: {
        const elements: DatabaseValue[] = [];
        for (let index = 0; index < size; index++) elements.push(this.#value(depth + 1));
        return elements;
      }
      case TYPE.boolean:
        return null;
      default:
        this.#octets(size);
        return null;
    }
  }

  /** The value behind a pointer; reading goes on after the pointer. */
  #pointed(control: number, depth: number): DatabaseValue {
    const high = control & 7;
    const length = (control >> 3) & 3;
    const low = this.#number(length + 1);
    const target = length === 3 ? low : high * 2 ** (8 * (length + 1)) + low + (POINTER_BASE[length] ?? 0);
    const after = this.#position;
    this.#position = this.#base + target;
    const value = this.#value(depth + 1);
    this.#position = after;
    return value;
  }

  #size(bits: number): number {
    if (bits < 29) return bits;
    return this.#number(bits - 28) + (SIZE_BASE[bits - 29] ?? 0);
  }

  #number(octets: number): number {
    return this.#octets(octets).reduce((value, octet) => value * 256 + octet, 0);
  }

  #octets(count: number): Buffer {
    if (count > this.#bytes.length - this.#position) throw new MalformedFile("a database that is cut off");
    this.#position += count;
    return this.#bytes.subarray(this.#position - count, this.#position);
  }
}

const POINTER_BASE = [0, 2048, 526_336];
const SIZE_BASE = [29, 285, 65_821];

import { type Name, nameEnd, parentOf, plainName, plainNameEnd, ROOT, readName } from "./name.ts";

/** Unsigned numbers in network order. Bytes beyond the end count as zero: callers check lengths before they read. */

export function uint16(message: Uint8Array, offset: number): number {
  return ((message[offset] ?? 0) << 8) | (message[offset + 1] ?? 0);
}

export function uint32(message: Uint8Array, offset: number): number {
  return uint16(message, offset) * 0x1_0000 + uint16(message, offset + 2);
}

export function setUint16(message: Uint8Array, offset: number, value: number): void {
  message[offset] = value >>> 8;
  message[offset + 1] = value;
}

export function setUint32(message: Uint8Array, offset: number, value: number): void {
  setUint16(message, offset, value >>> 16);
  setUint16(message, offset + 2, value & 0xffff);
}

/** The end of the record whose owner ends at `ownerEnd`; -1 where the record runs over the end of the message, or `ownerEnd` is negative. */
export function recordEnd(message: Uint8Array, ownerEnd: number): number {
  const data = ownerEnd + 10;
  if (ownerEnd < 0 || data > message.length) return -1;
  const end = data + uint16(message, ownerEnd + 8);
  return end > message.length ? -1 : end;
}

/** The largest message two bytes of length can announce. RFC 1035 §4.2.2. */
export const MAX_MESSAGE_BYTES = 65_535;

/** A header alone; no DNS message is shorter. RFC 1035 §4.1.1. */
export const MIN_MESSAGE_BYTES = 12;

const PREFIX_BYTES = 2;

/** A buffer that grew beyond this is given back once it is empty, so that an idle connection holds next to nothing. */
const KEPT_BUFFER_BYTES = 4096;

/**
 * A message taken out of a stream, or why there is none: `incomplete` = more bytes are needed; `badLength` = the prefix
 * announces a length outside the limits, after which the stream cannot be read on and is best closed.
 */
export type FrameResult = Uint8Array | "incomplete" | "badLength";

/**
 * Takes DNS messages out of a stream that carries each behind its length in two bytes (RFC 1035 §4.2.2, RFC 7766 §8).
 * Chunks may be cut anywhere. What is pushed is copied, and so is each message, which then belongs to the caller.
 * The reader holds what was pushed and not yet taken: a caller that stops taking must stop pushing.
 */
export class MessageFramer {
  readonly #minBytes: number;
  readonly #maxBytes: number;
  #buffer = new Uint8Array(0);
  #start = 0;
  #end = 0;

  /** Limits on the length of one message, both inclusive; by default all that the framing and a DNS header allow. */
  constructor(limits: { readonly minBytes?: number; readonly maxBytes?: number } = {}) {
    this.#minBytes = limits.minBytes ?? MIN_MESSAGE_BYTES;
    this.#maxBytes = limits.maxBytes ?? MAX_MESSAGE_BYTES;
  }

  /** Bytes pushed and not yet taken; 0 = the stream stands between two messages. */
  get pendingBytes(): number {
    return this.#end - this.#start;
  }

  /** Whether `next` would give something other than `incomplete`. */
  get ready(): boolean {
    const length = this.#announcedLength();
    return length !== null && (!this.#isAllowed(length) || this.pendingBytes >= PREFIX_BYTES + length);
  }

  push(chunk: Uint8Array): void {
    this.#makeRoomFor(chunk.length);
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  next(): FrameResult {
    const length = this.#announcedLength();
    if (length === null) return "incomplete";
    if (!this.#isAllowed(length)) return "badLength";
    if (this.pendingBytes < PREFIX_BYTES + length) return "incomplete";
    const from = this.#start + PREFIX_BYTES;
    const message = this.#buffer.slice(from, from + length);
    this.#start = from + length;
    if (this.#start === this.#end) this.#release();
    return message;
  }

  #announcedLength(): number | null {
    const high = this.#buffer[this.#start];
    const low = this.#buffer[this.#start + 1];
    return this.pendingBytes < PREFIX_BYTES || high === undefined || low === undefined ? null : high * 256 + low;
  }

  #isAllowed(length: number): boolean {
    return length >= this.#minBytes && length <= this.#maxBytes;
  }

  #makeRoomFor(extraBytes: number): void {
    if (this.#end + extraBytes <= this.#buffer.length) return;
    const pending = this.pendingBytes;
    const needed = pending + extraBytes;
    // Doubling keeps the cost of a message that arrives byte by byte linear in its length.
    const target = needed <= this.#buffer.length / 2 ? this.#buffer : new Uint8Array(Math.max(needed, pending * 2));
    target.set(this.#buffer.subarray(this.#start, this.#end));
    this.#buffer = target;
    this.#start = 0;
    this.#end = pending;
  }

  #release(): void {
    this.#start = 0;
    this.#end = 0;
    if (this.#buffer.length > KEPT_BUFFER_BYTES) this.#buffer = new Uint8Array(0);
  }
}

/**
 * The message behind its length, in one new buffer so that both leave in one segment (RFC 7766 §8).
 * @throws RangeError for a message longer than 65535 bytes.
 */
export function frame(message: Uint8Array): Uint8Array {
  if (message.length > MAX_MESSAGE_BYTES) throw new RangeError(`a message of ${message.length} octets cannot be framed`);
  const framed = new Uint8Array(PREFIX_BYTES + message.length);
  framed[0] = message.length >> 8;
  framed[1] = message.length & 0xff;
  framed.set(message, PREFIX_BYTES);
  return framed;
}

/**
 * Reads the bytes of one record's data, or of part of it. The first fault is kept in `failure`, and from then on nothing is left to read
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

  bytes(length: number): Uint8Array {
    const start = this.#take(length);
    return start < 0 ? new Uint8Array() : new Uint8Array(this.#message.subarray(start, start + length));
  }

  /** So many bytes as a string of one character (0 to 255) each. */
  byteText(length: number): string {
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

  /** All the bytes, whatever was read of them. */
  whole(): Uint8Array {
    return new Uint8Array(this.#message.subarray(this.#start, this.#end));
  }

  /** @returns where the bytes taken begin, or -1 where there are not so many. */
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
 * Bytes that the names of one message may have together once their pointers are followed, each place counted once: eight times the longest
 * message. Honest ones stay far below; without a bound, two bytes could be made into 255 some ten thousand times.
 */
const MAX_NAMES_BYTES = 0x8_0000;

/** The names of one message that may be compressed. Each place is read once, so that a pointer repeated a thousand times gives one string. */
export class MessageNames {
  readonly #message: Uint8Array;
  readonly #known = new Map<number, Name>();
  #totalBytes = 0;

  constructor(message: Uint8Array) {
    this.#message = message;
  }

  /** Whether the message asked for more than `MAX_NAMES_BYTES`: then some names were refused that are well formed. */
  get exhausted(): boolean {
    return this.#totalBytes > MAX_NAMES_BYTES;
  }

  /** null where the name is malformed. */
  read(offset: number): Name | null {
    const place = this.#pointedAt(offset);
    if (place < 0 || this.exhausted) return null;
    const known = this.#known.get(place);
    if (known !== undefined) return known;
    const name = readName(this.#message, place);
    if (name === null) return null;
    this.#totalBytes += name.length;
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

  /** A copy of the bytes written. */
  finish(): Buffer {
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

  bytes(bytes: Uint8Array): void {
    const start = this.#claim(bytes.length);
    this.#wire.set(bytes, start);
  }

  /** A string whose every character (0 to 255) stands for an byte. */
  byteText(text: string): void {
    const start = this.#claim(text.length);
    this.#wire.write(text, start, "latin1");
  }

  /** A name in full, which later names do not point into: it may stand where others must not look (RFC 3597 §4). */
  plainName(name: Name): void {
    this.byteText(name);
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
      this.byteText(rest.slice(0, 1 + rest.charCodeAt(0)));
    }
    this.uint8(0);
  }

  /** What `write` writes, behind its length in two bytes. */
  behindLength(write: () => void): void {
    const start = this.#claim(2);
    write();
    this.#wire.writeUInt16BE(this.#length - start - 2, start);
  }

  /** @returns where the claimed bytes begin. May replace the buffer, so it is called before the buffer is named. */
  #claim(length: number): number {
    const start = this.#length;
    const end = start + length;
    if (end > MAX_MESSAGE_BYTES) throw new RangeError(`a message may have ${MAX_MESSAGE_BYTES} octets at most`);
    if (end > this.#wire.length) {
      const larger = Buffer.alloc(Math.max(end, this.#wire.length * 2));
      larger.set(this.#wire.subarray(0, start));
      this.#wire = larger;
    }
    this.#length = end;
    return start;
  }
}

import { type Name, nameEnd, plainName, plainNameEnd, ROOT, readName } from "./name.ts";

/**
 * Bytes of DNS messages: numbers, framing in streams, and a reader and a writer for record data. This is the door of `dns/`: read it first, then `name.ts`,
 * `query.ts` (questions, on the path of every query), `answer.ts` (answers, on that path too) with `chain.ts` (records that do not belong to the answer),
 * `edns.ts`, `address.ts` (addresses and sets of them), `types.ts` (numbers of types, classes and rcodes), `hashed-map.ts` (a map by names). `message.ts`, `rdata.ts`,
 * `svcb.ts` and `text.ts` take whole messages apart, for display and for edits; `rebuild.ts` puts them together again.
 */

/** Unsigned numbers in network order. Bytes beyond the end count as zero: callers check lengths first. */

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

/** Length of the longest message that two bytes of length can announce (RFC 1035 §4.2.2). */
export const MAX_MESSAGE_BYTES = 65_535;

/** Length of a header, which every message has (RFC 1035 §4.1.1). */
export const HEADER_BYTES = 12;

const PREFIX_BYTES = 2;

/** A larger buffer is freed when it is empty, so that an idle connection takes little memory. */
const KEPT_BUFFER_BYTES = 4096;

/**
 * A message, or why there is none: `incomplete` = more bytes are needed; `badLength` = the prefix announces less than a header. After `badLength` the
 * stream cannot be read on, and the caller closes it.
 */
export type FrameResult = Uint8Array | "incomplete" | "badLength";

/**
 * Splits a stream into DNS messages: in the stream each message follows its length in two bytes (RFC 1035 §4.2.2, RFC 7766 §8).
 * Chunks may be cut anywhere. `push` copies the chunk, and `next` returns a copy that the caller owns.
 * The buffer is not limited: a caller that takes no more messages must push no more chunks.
 */
export class MessageFramer {
  #buffer = new Uint8Array(0);
  #start = 0;
  #end = 0;

  /** Bytes pushed and not yet taken; 0 = the stream is between two messages. */
  get pendingBytes(): number {
    return this.#end - this.#start;
  }

  /** Whether `next` would return something other than `incomplete`. */
  get ready(): boolean {
    const length = this.#announcedLength();
    return length !== null && (length < HEADER_BYTES || this.pendingBytes >= PREFIX_BYTES + length);
  }

  push(chunk: Uint8Array): void {
    this.#makeRoomFor(chunk.length);
    this.#buffer.set(chunk, this.#end);
    this.#end += chunk.length;
  }

  next(): FrameResult {
    const length = this.#announcedLength();
    if (length === null) return "incomplete";
    if (length < HEADER_BYTES) return "badLength";
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

  #makeRoomFor(extraBytes: number): void {
    if (this.#end + extraBytes <= this.#buffer.length) return;
    const pending = this.pendingBytes;
    const needed = pending + extraBytes;
    // Doubling keeps the cost linear for a message that arrives byte by byte.
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
 * The length and the message in one buffer, so that both leave in one segment (RFC 7766 §8).
 * @throws RangeError for a message of more than 65535 bytes.
 */
export function frame(message: Uint8Array): Uint8Array {
  if (message.length > MAX_MESSAGE_BYTES) throw new RangeError(`a message of ${message.length} bytes cannot be framed`);
  const framed = new Uint8Array(PREFIX_BYTES + message.length);
  framed[0] = message.length >> 8;
  framed[1] = message.length & 0xff;
  framed.set(message, PREFIX_BYTES);
  return framed;
}

/**
 * Reads the data of one record. `failure` keeps the first fault; after a fault nothing remains and every number is zero, so callers read to the end and
 * check `failure` once. The bytes returned are copies.
 */
export class WireReader {
  readonly #message: Uint8Array;
  readonly #names: MessageNames | null;
  readonly #start: number;
  readonly #end: number;
  #position: number;
  #failure: string | null = null;

  /** @param names of the message; null where compression pointers have no message to point into. */
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

  /** Bytes as a string with one character (0 to 255) for each. */
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

  /** All bytes of the data, whatever was read before. */
  whole(): Uint8Array {
    return new Uint8Array(this.#message.subarray(this.#start, this.#end));
  }

  /** @returns the start of the bytes, or -1 where there are fewer. */
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
 * Bytes of all names of one message with their pointers followed, each offset counted once: eight times the longest message. Real messages stay far
 * below. Without a limit two bytes could become 255 bytes ten thousand times.
 */
const MAX_NAMES_BYTES = 0x8_0000;

/** Reads the compressed names of one message. Each offset is read once, so a thousand equal pointers give one string. */
export class MessageNames {
  readonly #message: Uint8Array;
  readonly #known = new Map<number, Name>();
  #totalBytes = 0;

  constructor(message: Uint8Array) {
    this.#message = message;
  }

  /** Whether the limit `MAX_NAMES_BYTES` was reached: `read` returns null for well-formed names then. */
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

  /** The offset to which a pointer leads, else `offset` itself; -1 for a pointer that does not lead back. */
  #pointedAt(offset: number): number {
    if ((this.#message[offset] ?? 0) < 0xc0) return offset;
    const target = uint16(this.#message, offset) & 0x3fff;
    return target < offset ? target : -1;
  }
}

/** The largest message two octets of length can announce. RFC 1035 §4.2.2. */
export const MAX_MESSAGE_BYTES = 65_535;

/** A header alone; no DNS message is shorter. RFC 1035 §4.1.1. */
export const MIN_MESSAGE_BYTES = 12;

const PREFIX_BYTES = 2;

/** A buffer that grew beyond this is given back once it is empty, so that an idle connection holds next to nothing. */
const KEPT_BUFFER_BYTES = 4096;

/**
 * A message taken out of a stream, or why there is none: `incomplete` = more octets are needed; `badLength` = the prefix
 * announces a length outside the limits, after which the stream cannot be read on and is best closed.
 */
export type FrameResult = Uint8Array | "incomplete" | "badLength";

/**
 * Takes DNS messages out of a stream that carries each behind its length in two octets (RFC 1035 §4.2.2, RFC 7766 §8).
 * Chunks may be cut anywhere. What is pushed is copied, and so is each message, which then belongs to the caller.
 * The reader holds what was pushed and not yet taken: a caller that stops taking must stop pushing.
 */
export class FrameReader {
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

  /** Octets pushed and not yet taken; 0 = the stream stands between two messages. */
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
    // Doubling keeps the cost of a message that arrives octet by octet linear in its length.
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
 * @throws RangeError for a message longer than 65535 octets.
 */
export function frame(message: Uint8Array): Uint8Array {
  if (message.length > MAX_MESSAGE_BYTES) throw new RangeError(`a message of ${message.length} octets cannot be framed`);
  const framed = new Uint8Array(PREFIX_BYTES + message.length);
  framed[0] = message.length >> 8;
  framed[1] = message.length & 0xff;
  framed.set(message, PREFIX_BYTES);
  return framed;
}

import { ERROR, FRAME_OCTETS } from "./codes.ts";
import { ConnectionError } from "./connection-error.ts";

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  /** Of the chunk pushed last: to be read, or copied, before the next one. */
  readonly payload: Uint8Array;
}

const HEAD_OCTETS = 9;

/** Cuts what comes in into frames (RFC 9113 §4.1). */
export class FrameReader {
  #octets: Uint8Array = new Uint8Array(0);
  #position = 0;

  /** The chunk is only read, and not after the next one is pushed. */
  push(chunk: Uint8Array): void {
    const rest = this.#octets.subarray(this.#position);
    this.#octets = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    this.#position = 0;
  }

  /** null = the next one is not whole yet. @throws ConnectionError where it is larger than we allow. */
  next(): Frame | null {
    const octets = this.#octets;
    const start = this.#position;
    if (octets.length - start < HEAD_OCTETS) return this.#keep();
    const length = ((octets[start] ?? 0) << 16) | ((octets[start + 1] ?? 0) << 8) | (octets[start + 2] ?? 0);
    if (length > FRAME_OCTETS.initial) throw new ConnectionError(ERROR.FRAME_SIZE_ERROR, `a frame of ${length} octets`);
    const end = start + HEAD_OCTETS + length;
    if (octets.length < end) return this.#keep();
    this.#position = end;
    return {
      type: octets[start + 3] ?? 0,
      flags: octets[start + 4] ?? 0,
      streamId: uint31(octets, start + 5),
      payload: octets.subarray(start + HEAD_OCTETS, end),
    };
  }

  /** What is left over is copied: the chunk is only lent, and large. */
  #keep(): null {
    this.#octets = Uint8Array.from(this.#octets.subarray(this.#position));
    this.#position = 0;
    return null;
  }
}

/** The highest bit is reserved, and not looked at. */
export function uint31(octets: Uint8Array, at: number): number {
  return uint32(octets, at) & 0x7fff_ffff;
}

export function uint32(octets: Uint8Array, at: number): number {
  return (((octets[at] ?? 0) << 24) | ((octets[at + 1] ?? 0) << 16) | ((octets[at + 2] ?? 0) << 8) | (octets[at + 3] ?? 0)) >>> 0;
}

/**
 * What a frame says behind its padding, of which the first octet gives the length, and `before` octets that are not looked at.
 * @throws ConnectionError where there is more padding than frame (RFC 9113 §6.1, §6.2).
 */
export function unpadded(payload: Uint8Array, { isPadded, before }: { readonly isPadded: boolean; readonly before: number }) {
  const start = (isPadded ? 1 : 0) + before;
  const end = payload.length - (isPadded ? (payload[0] ?? 0) : 0);
  if (start > end) throw new ConnectionError(ERROR.PROTOCOL_ERROR, "more padding than frame");
  return payload.subarray(start, end);
}

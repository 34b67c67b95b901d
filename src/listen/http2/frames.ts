/** What HTTP/2 (RFC 9113) writes as numbers. */

/** Types of frames, §6. */
export const FRAME = {
  DATA: 0,
  HEADERS: 1,
  PRIORITY: 2,
  RST_STREAM: 3,
  SETTINGS: 4,
  PUSH_PROMISE: 5,
  PING: 6,
  GOAWAY: 7,
  WINDOW_UPDATE: 8,
  CONTINUATION: 9,
} as const;

/** Flags of frames, §6. */
export const FRAME_FLAG = { ACK: 0x1, END_STREAM: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 } as const;

/** §6.5.2. */
export const SETTING = {
  HEADER_TABLE_SIZE: 1,
  ENABLE_PUSH: 2,
  MAX_CONCURRENT_STREAMS: 3,
  INITIAL_WINDOW_SIZE: 4,
  MAX_FRAME_SIZE: 5,
  MAX_HEADER_LIST_SIZE: 6,
} as const;

/** Why a stream or a connection ends, §7. */
export const ERROR = {
  NO_ERROR: 0,
  PROTOCOL_ERROR: 1,
  FLOW_CONTROL_ERROR: 3,
  STREAM_CLOSED: 5,
  FRAME_SIZE_ERROR: 6,
  REFUSED_STREAM: 7,
  CANCEL: 8,
  COMPRESSION_ERROR: 9,
  ENHANCE_YOUR_CALM: 11,
} as const;

export type ErrorCode = (typeof ERROR)[keyof typeof ERROR];

/** What the client sends first, §3.4. */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** §6.9.2: of a stream and of the connection, until told otherwise. */
export const INITIAL_WINDOW_BYTES = 65_535;

/** §6.9.1. */
export const MAX_WINDOW_BYTES = 2 ** 31 - 1;

/** §4.2: of a payload, until told otherwise; and the most that may be told. */
export const FRAME_BYTES = { initial: 16_384, max: 2 ** 24 - 1 } as const;

/** RFC 7541 §4.2, RFC 9113 §6.5.2: of a dynamic table, until told otherwise. */
export const INITIAL_TABLE_BYTES = 4096;

interface FramePlace {
  readonly flags?: number;
  /** 0 = the connection. */
  readonly streamId?: number;
}

/** What stands before a payload (RFC 9113 §4.1). */
export function frameHead(type: number, { flags = 0, streamId = 0 }: FramePlace, length: number): Uint8Array {
  const head = Buffer.allocUnsafe(9);
  head.writeUIntBE(length, 0, 3);
  head[3] = type;
  head[4] = flags;
  head.writeUInt32BE(streamId, 5);
  return head;
}

function frameOf(type: number, place: FramePlace, payload: Uint8Array): Uint8Array {
  return Buffer.concat([frameHead(type, place, payload.length), payload]);
}

const NOTHING = new Uint8Array(0);

export function settingsFrame(settings: readonly (readonly [setting: number, value: number])[]): Uint8Array {
  const payload = Buffer.alloc(6 * settings.length);
  for (const [index, [setting, value]] of settings.entries()) {
    payload.writeUInt16BE(setting, 6 * index);
    payload.writeUInt32BE(value, 6 * index + 2);
  }
  return frameOf(FRAME.SETTINGS, {}, payload);
}

export const SETTINGS_ACK = frameOf(FRAME.SETTINGS, { flags: FRAME_FLAG.ACK }, NOTHING);

export function pingAck(payload: Uint8Array): Uint8Array {
  return frameOf(FRAME.PING, { flags: FRAME_FLAG.ACK }, payload);
}

export function resetFrame(streamId: number, code: ErrorCode): Uint8Array {
  return frameOf(FRAME.RST_STREAM, { streamId }, uint32Bytes(code));
}

/** @param streamId 0 = the connection. */
export function windowUpdateFrame(streamId: number, octets: number): Uint8Array {
  return frameOf(FRAME.WINDOW_UPDATE, { streamId }, uint32Bytes(octets));
}

/** @param lastStreamId the highest whose request may have been taken. */
export function goawayFrame(lastStreamId: number, code: ErrorCode): Uint8Array {
  return frameOf(FRAME.GOAWAY, {}, Buffer.concat([uint32Bytes(lastStreamId), uint32Bytes(code)]));
}

function uint32Bytes(value: number): Uint8Array {
  const octets = Buffer.allocUnsafe(4);
  octets.writeUInt32BE(value);
  return octets;
}

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  /** Of the chunk pushed last: to be read, or copied, before the next one. */
  readonly payload: Uint8Array;
}

const HEAD_BYTES = 9;

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
    if (octets.length - start < HEAD_BYTES) return this.#keep();
    const length = ((octets[start] ?? 0) << 16) | ((octets[start + 1] ?? 0) << 8) | (octets[start + 2] ?? 0);
    if (length > FRAME_BYTES.initial) throw new ConnectionError(ERROR.FRAME_SIZE_ERROR, `a frame of ${length} octets`);
    const end = start + HEAD_BYTES + length;
    if (octets.length < end) return this.#keep();
    this.#position = end;
    return {
      type: octets[start + 3] ?? 0,
      flags: octets[start + 4] ?? 0,
      streamId: readUint31(octets, start + 5),
      payload: octets.subarray(start + HEAD_BYTES, end),
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
export function readUint31(octets: Uint8Array, at: number): number {
  return readUint32(octets, at) & 0x7fff_ffff;
}

export function readUint32(octets: Uint8Array, at: number): number {
  return (((octets[at] ?? 0) << 24) | ((octets[at + 1] ?? 0) << 16) | ((octets[at + 2] ?? 0) << 8) | (octets[at + 3] ?? 0)) >>> 0;
}

/**
 * What a frame says behind its padding, of which the first byte gives the length, and `before` bytes that are not looked at.
 * @throws ConnectionError where there is more padding than frame (RFC 9113 §6.1, §6.2).
 */
export function unpadded(payload: Uint8Array, { isPadded, before }: { readonly isPadded: boolean; readonly before: number }) {
  const start = (isPadded ? 1 : 0) + before;
  const end = payload.length - (isPadded ? (payload[0] ?? 0) : 0);
  if (start > end) throw new ConnectionError(ERROR.PROTOCOL_ERROR, "more padding than frame");
  return payload.subarray(start, end);
}

/** The peer broke the protocol in a way that ends the connection (RFC 9113 §5.4.1). */
export class ConnectionError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

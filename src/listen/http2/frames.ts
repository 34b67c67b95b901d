import { uint32 } from "../../dns/wire.ts";

/** The numbers of HTTP/2 (RFC 9113). */

/** Frame types, §6. */
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

/** Frame flags, §6. */
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

/** Error codes, §7. */
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

/** The first bytes of a client, §3.4. */
export const PREFACE = Buffer.from("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "latin1");

/** §6.9.2: the window of each stream and of the connection, before any update. */
export const INITIAL_WINDOW_BYTES = 65_535;

/** §4.1: the head of a frame. */
export const FRAME_HEAD_BYTES = 9;

/** §6.9.1. */
export const MAX_WINDOW_BYTES = 2 ** 31 - 1;

/** §4.2: the largest payload, before any setting; and the largest value of the setting. */
export const FRAME_BYTES = { initial: 16_384, max: 2 ** 24 - 1 } as const;

export interface FramePlace {
  readonly flags?: number;
  /** 0 = the connection. */
  readonly streamId?: number;
}

/** The nine bytes before a payload (RFC 9113 §4.1). */
export function frameHead(type: number, { flags = 0, streamId = 0 }: FramePlace, length: number): Uint8Array {
  const head = Buffer.allocUnsafe(FRAME_HEAD_BYTES);
  putFrameHead(head, 0, { type, flags, streamId, length });
  return head;
}

interface FrameHead extends Required<FramePlace> {
  readonly type: number;
  /** Of the payload. */
  readonly length: number;
}

export function putFrameHead(bytes: Buffer, offset: number, { type, flags, streamId, length }: FrameHead): void {
  bytes.writeUIntBE(length, offset, 3);
  bytes[offset + 3] = type;
  bytes[offset + 4] = flags;
  bytes.writeUInt32BE(streamId, offset + 5);
}

function frameOf(type: number, place: FramePlace, payload: Uint8Array): Uint8Array {
  return Buffer.concat([frameHead(type, place, payload.length), payload]);
}

export function settingsFrame(settings: readonly (readonly [setting: number, value: number])[]): Uint8Array {
  const payload = Buffer.alloc(6 * settings.length);
  for (const [index, [setting, value]] of settings.entries()) {
    payload.writeUInt16BE(setting, 6 * index);
    payload.writeUInt32BE(value, 6 * index + 2);
  }
  return frameOf(FRAME.SETTINGS, {}, payload);
}

export const SETTINGS_ACK = frameOf(FRAME.SETTINGS, { flags: FRAME_FLAG.ACK }, new Uint8Array(0));

/** @param payload eight bytes. */
export function pingFrame(payload: Uint8Array): Uint8Array {
  return frameOf(FRAME.PING, {}, payload);
}

export function pingAck(payload: Uint8Array): Uint8Array {
  return frameOf(FRAME.PING, { flags: FRAME_FLAG.ACK }, payload);
}

export function resetFrame(streamId: number, code: ErrorCode): Uint8Array {
  return frameOf(FRAME.RST_STREAM, { streamId }, uint32Bytes(code));
}

/** @param streamId 0 = the connection. */
export function windowUpdateFrame(streamId: number, bytes: number): Uint8Array {
  return frameOf(FRAME.WINDOW_UPDATE, { streamId }, uint32Bytes(bytes));
}

/** @param lastStreamId the highest stream whose request may have been processed. */
export function goawayFrame(lastStreamId: number, code: ErrorCode): Uint8Array {
  return frameOf(FRAME.GOAWAY, {}, Buffer.concat([uint32Bytes(lastStreamId), uint32Bytes(code)]));
}

function uint32Bytes(value: number): Uint8Array {
  const bytes = Buffer.allocUnsafe(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

export interface Frame {
  readonly type: number;
  readonly flags: number;
  readonly streamId: number;
  /** Part of the last chunk: to be read, or copied, before the next chunk is pushed. */
  readonly payload: Uint8Array;
}

/** Cuts received bytes into frames (RFC 9113 §4.1). */
export class FrameReader {
  #bytes: Uint8Array = new Uint8Array(0);
  #position = 0;

  /** The chunk is only read, and only until the next one is pushed. */
  push(chunk: Uint8Array): void {
    const rest = this.#bytes.subarray(this.#position);
    this.#bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk]);
    this.#position = 0;
  }

  /** Of which frames have not been taken. */
  get unreadBytes(): number {
    return this.#bytes.length - this.#position;
  }

  /** null = the next frame is incomplete. @throws ConnectionError when it is larger than we allow. */
  next(): Frame | null {
    const bytes = this.#bytes;
    const start = this.#position;
    if (bytes.length - start < FRAME_HEAD_BYTES) return this.#keep();
    const length = ((bytes[start] ?? 0) << 16) | ((bytes[start + 1] ?? 0) << 8) | (bytes[start + 2] ?? 0);
    if (length > FRAME_BYTES.initial) throw new ConnectionError(ERROR.FRAME_SIZE_ERROR, `a frame of ${length} bytes`);
    const end = start + FRAME_HEAD_BYTES + length;
    if (bytes.length < end) return this.#keep();
    this.#position = end;
    return {
      type: bytes[start + 3] ?? 0,
      flags: bytes[start + 4] ?? 0,
      streamId: uint31(bytes, start + 5),
      payload: bytes.subarray(start + FRAME_HEAD_BYTES, end),
    };
  }

  /** Copies the incomplete frame: the chunk is only lent, and large. */
  #keep(): null {
    this.#bytes = Uint8Array.from(this.#bytes.subarray(this.#position));
    this.#position = 0;
    return null;
  }
}

/** The highest bit is reserved and ignored. */
export function uint31(bytes: Uint8Array, offset: number): number {
  return uint32(bytes, offset) & 0x7fff_ffff;
}

/**
 * Returns the content of a frame: the payload without its padding, whose length is in the first byte, and without `before` bytes at the start.
 * @throws ConnectionError when the padding is longer than the frame (RFC 9113 §6.1, §6.2).
 */
export function unpadded(payload: Uint8Array, { isPadded, before }: { readonly isPadded: boolean; readonly before: number }) {
  const start = (isPadded ? 1 : 0) + before;
  const end = payload.length - (isPadded ? (payload[0] ?? 0) : 0);
  if (start > end) throw new ConnectionError(ERROR.PROTOCOL_ERROR, "more padding than frame");
  return payload.subarray(start, end);
}

/** A fault of the peer that ends the connection (RFC 9113 §5.4.1). */
export class ConnectionError extends Error {
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string) {
    super(message);
    this.code = code;
  }
}

/** @throws ConnectionError with this code when the condition is false. */
export function insist(condition: boolean, code: ErrorCode, problem = "the peer broke the protocol"): void {
  if (!condition) throw new ConnectionError(code, problem);
}

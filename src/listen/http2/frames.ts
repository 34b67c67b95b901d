import { type ErrorCode, FLAG, FRAME } from "./codes.ts";

export interface FramePlace {
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

export const SETTINGS_ACK = frameOf(FRAME.SETTINGS, { flags: FLAG.ACK }, NOTHING);

export function pingAck(payload: Uint8Array): Uint8Array {
  return frameOf(FRAME.PING, { flags: FLAG.ACK }, payload);
}

export function resetFrame(streamId: number, code: ErrorCode): Uint8Array {
  return frameOf(FRAME.RST_STREAM, { streamId }, uint32Octets(code));
}

/** @param streamId 0 = the connection. */
export function windowUpdateFrame(streamId: number, octets: number): Uint8Array {
  return frameOf(FRAME.WINDOW_UPDATE, { streamId }, uint32Octets(octets));
}

/** @param lastStreamId the highest whose request may have been taken. */
export function goawayFrame(lastStreamId: number, code: ErrorCode): Uint8Array {
  return frameOf(FRAME.GOAWAY, {}, Buffer.concat([uint32Octets(lastStreamId), uint32Octets(code)]));
}

function uint32Octets(value: number): Uint8Array {
  const octets = Buffer.allocUnsafe(4);
  octets.writeUInt32BE(value);
  return octets;
}

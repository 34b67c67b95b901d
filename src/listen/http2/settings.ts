import { ERROR, FRAME_OCTETS, INITIAL_TABLE_OCTETS, INITIAL_WINDOW_OCTETS, MAX_WINDOW_OCTETS, SETTING } from "./codes.ts";
import { ConnectionError } from "./connection-error.ts";
import { uint32 } from "./frame-reader.ts";

/** What the peer has told of itself (RFC 9113 §6.5.2), as far as a server that never pushes goes by it. */
export interface PeerSettings {
  readonly initialWindowOctets: number;
  readonly maxFrameOctets: number;
  /** The smallest it has ever told, of the dynamic table by which our header blocks would be read. */
  readonly tableOctets: number;
}

export const INITIAL_SETTINGS: PeerSettings = {
  initialWindowOctets: INITIAL_WINDOW_OCTETS,
  maxFrameOctets: FRAME_OCTETS.initial,
  tableOctets: INITIAL_TABLE_OCTETS,
};

/** Brings settings up to date with a SETTINGS frame. @throws ConnectionError where a value is not allowed. */
export function settingsAfter(settings: PeerSettings, payload: Uint8Array): PeerSettings {
  if (payload.length % 6 !== 0) throw new ConnectionError(ERROR.FRAME_SIZE_ERROR, "half a setting");
  let after = settings;
  for (let at = 0; at < payload.length; at += 6) {
    const value = uint32(payload, at + 2);
    switch (((payload[at] ?? 0) << 8) | (payload[at + 1] ?? 0)) {
      case SETTING.HEADER_TABLE_SIZE:
        after = { ...after, tableOctets: Math.min(after.tableOctets, value) };
        break;
      case SETTING.ENABLE_PUSH:
        if (value > 1) throw new ConnectionError(ERROR.PROTOCOL_ERROR, "ENABLE_PUSH is neither 0 nor 1");
        break;
      case SETTING.INITIAL_WINDOW_SIZE:
        if (value > MAX_WINDOW_OCTETS) throw new ConnectionError(ERROR.FLOW_CONTROL_ERROR, "too large an initial window");
        after = { ...after, initialWindowOctets: value };
        break;
      case SETTING.MAX_FRAME_SIZE:
        if (value < FRAME_OCTETS.initial || value > FRAME_OCTETS.max)
          throw new ConnectionError(ERROR.PROTOCOL_ERROR, "frames of a size that is not allowed");
        after = { ...after, maxFrameOctets: value };
        break;
      default:
        // Unknown settings are ignored (§6.5.2); the others concern what clients are sent on their own.
        break;
    }
  }
  return after;
}

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
export const FLAG = { ACK: 0x1, END_STREAM: 0x1, END_HEADERS: 0x4, PADDED: 0x8, PRIORITY: 0x20 } as const;

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
export const INITIAL_WINDOW_OCTETS = 65_535;

/** §6.9.1. */
export const MAX_WINDOW_OCTETS = 2 ** 31 - 1;

/** §4.2: of a payload, until told otherwise; and the most that may be told. */
export const FRAME_OCTETS = { initial: 16_384, max: 2 ** 24 - 1 } as const;

/** RFC 7541 §4.2, RFC 9113 §6.5.2: of a dynamic table, until told otherwise. */
export const INITIAL_TABLE_OCTETS = 4096;

import { KIND } from "../log/ring.ts";
import type { RawSocket } from "./socket-calls.ts";

/** Messages that are taken at once, and room for the longest message. What nobody writes to takes no memory. */
export const BATCH = { messages: 64, bytesEach: 0x1_0000 } as const;

/** The words of a query on its way from the thread of UDP to the main thread. After these come socket address, control message and message. */
export const FORWARDED = {
  length: 0,
  kind: 1,
  query: KIND.query,
  /** Place of the socket in `ThreadData.sockets`. */
  socket: 2,
  /** 16 bits each. */
  nameAndControlBytes: 3,
  bytes: 4,
  /** When the query was read, in milliseconds of the main thread's clock, modulo 2^32. */
  arrivedMs: 5,
  words: 6,
} as const;

/** What the thread is given. */
export interface ThreadData {
  readonly sockets: readonly RawSocket[];
  /** See `UdpMemory`. */
  readonly replies: SharedArrayBuffer;
  readonly log: SharedArrayBuffer;
  readonly queries: SharedArrayBuffer;
  /** See `Clock.shared`; null = the system's clock. */
  readonly now: SharedArrayBuffer | null;
  /** `performance.now()` of the main thread when the clock that all threads have in common was 0, in milliseconds. */
  readonly originMs: number;
}

import type { Client } from "../lib/client.ts";
import { HISTOGRAM_SLOTS } from "../lib/histogram.ts";
import { FLAGS, HTTP_VERSIONS, METHODS, TRANSPORTS } from "../log/ring.ts";

/**
 * The memory that the thread of UDP and the main thread share. Each word has one writer, but for `bell` and `index`; what a word of the index
 * points to does not change while the word is there.
 */

/** Words at the beginning. */
export const HEADER = {
  /** Odd while the reader is at work on a batch: it may hold on to what it has found. */
  batch: 0,
  /** Whether queries are to be written into the ring of the log. */
  logWanted: 1,
  /** When the main thread wants to be called because of the ring of the log: see `LOG_CALL`. */
  logAwaited: 2,
  /** Entries written into the ring of the log, and entries that found no room. */
  logWritten: 3,
  logDropped: 4,
  /** Replies that the system did not take, and queries that found no room on their way to the main thread. */
  unsent: 5,
  /** Rises while the thread lives. */
  beat: 6,
  /** 1 = the thread is to end. */
  stop: 7,
  /** Whether the main thread has been called and has not looked yet. */
  bell: 8,
  /** Where hashes begin: a random number, so that nobody outside can choose names that collide. */
  seed: 9,
  /** When replies may be repeated by the clock on the wall, in minutes since 1970: from the first until before the second. Rules may have hours. */
  steadyFrom: 10,
  steadyUntil: 11,
  words: 64,
} as const;

/** The least and the most that a word holds: a span that never ends. */
export const ALL_MINUTES = { from: -(2 ** 31), until: 2 ** 31 - 1 } as const;

export const LOG_CALL = { none: 0, any: 1, halfFull: 2 } as const;

/** Below 2^15: see `ROW_MASK`. Memory is taken as rows are first used. */
export const ROWS = 32_000;

/**
 * The ways that queries come: what the log and the counters say depends on them, and the reply does not. The first is that of the thread of UDP, all others are the
 * main thread's, so that each count of uses has one writer.
 */
export const CHANNELS: readonly Pick<Client, "transport" | "http" | "method">[] = [
  { transport: "udp", http: null, method: null },
  { transport: "tcp", http: null, method: null },
  { transport: "dot", http: null, method: null },
  { transport: "doh", http: "2", method: "GET" },
  { transport: "doh", http: "2", method: "POST" },
  { transport: "doh", http: "1.1", method: "GET" },
  { transport: "doh", http: "1.1", method: "POST" },
];

/** The place of a query's channel among them; -1 = replies to such queries are never repeated. */
export function channelOf({ transport, http, method }: Pick<Client, "transport" | "http" | "method">): number {
  for (let channel = 0; channel < CHANNELS.length; channel++) {
    const each = CHANNELS[channel];
    if (each?.transport === transport && each.http === http && each.method === method) return channel;
  }
  return -1;
}

/** What `ENTRY.flags` of the log says of each channel, and the bits in which it does. */
export const CHANNEL_FLAGS = Int32Array.from(
  CHANNELS,
  ({ transport, http, method }) =>
    (TRANSPORTS.indexOf(transport) << FLAGS.transport.shift) |
    (HTTP_VERSIONS.indexOf(http) << FLAGS.http.shift) |
    (METHODS.indexOf(method) << FLAGS.method.shift),
);
export const CHANNEL_BITS = [FLAGS.transport, FLAGS.http, FLAGS.method].reduce(
  (bits, { shift, mask }) => bits | (mask << shift),
  0,
);

/**
 * The words of a row: a reply, and all that its repetition needs. After these come the TTLs (a word each), their offsets in the reply (two
 * bytes each), and the reply.
 */
export const ROW = {
  hash: 0,
  /** Bytes of the name without the root, then `SHAPE`, then the type: 8, 8 and 16 bits. */
  key: 1,
  client: 2,
  /** Bytes of the reply, and how many TTLs it has: 16 bits each. */
  sizes: 3,
  /** See `MODE`. */
  mode: 4,
  lifeSeconds: 5,
  /** Of two words each, as a Float64: when the answer came, and for how long after that the row may be used, in milliseconds. */
  storedAtMs: 6,
  usableMs: 8,
  /** How often the reply was repeated over each channel. */
  uses: 10,
  /** What the entries of the log have in common: the words `ENTRY.flags` to `ENTRY.editTo`, without the bits of the channel. */
  log: 17,
  logWords: 10,
  /** Another number for every reply that is written into the table, never 0: the log remembers by it what it has read of a reply. */
  serial: 27,
  words: 28,
} as const;

/** With what a row holds beside its reply, no reply is longer than the 512 bytes that every client takes. */
export const ROW_BYTES = 512;
export const ROW_WORDS = ROW_BYTES / 4;

/** What a reply depends on besides name, type and client. */
export const SHAPE = { edns: 1, dnssecOk: 2, checkingDisabled: 4, authenticData: 8 } as const;

export const MODE = {
  /** TTLs are lowered to what is left of the answer's life; else by its age. */
  negative: 1,
  /** No entry is written into the log. */
  unlogged: 2,
  /** Above the flags: how many of the TTLs, from the first on, are those of the answer section. */
  answerTtlsShift: 8,
} as const;

/** Buckets of the index, a power of two, and the words of each: a row's number plus one in the lower bits, the upper bits of its hash above. */
export const BUCKETS = 8192;
export const WAYS = 8;
export const ROW_MASK = 0x7fff;

/** Clients that may be answered without the main thread: a power of two. */
export const CLIENTS = 4096;
/** How far from its place a client is looked for. */
export const CLIENT_PROBES = 8;

/** The words of a client. The address is an IPv6 address, or an IPv4-mapped one. */
export const CLIENT = {
  /** The class of the client, see `ROW.client`; 0 = the place is empty. */
  class: 0,
  /** Bytes of what the log is told: the address in the low half, the client id in the high half. */
  textBytes: 1,
  address: 2,
  /** What the log is told of the address, then the client id. */
  text: 6,
  maxTextBytes: 112,
  /** Another number for every client that is added, never 0, as `ROW.serial`. */
  serial: 34,
  words: 35,
} as const;

const INDEX_AT = HEADER.words * 4;
const CLIENTS_AT = INDEX_AT + BUCKETS * WAYS * 4;
const DURATIONS_AT = CLIENTS_AT + CLIENTS * CLIENT.words * 4;
export const ROWS_AT = DURATIONS_AT + Math.ceil((HISTOGRAM_SLOTS * 8) / ROW_BYTES) * ROW_BYTES;

/** The memory as each thread sees it. */
export class ReplyMemory {
  readonly memory: SharedArrayBuffer;
  readonly header: Int32Array;
  readonly index: Int32Array;
  readonly clients: Int32Array;
  readonly clientBytes: Uint8Array;
  /** A histogram of the durations of repeated replies. */
  readonly durations: Float64Array;
  readonly rows: Int32Array;
  readonly rowBytes: Uint8Array;
  readonly rowTimes: Float64Array;

  constructor(memory = new SharedArrayBuffer(ROWS_AT + ROWS * ROW_BYTES)) {
    this.memory = memory;
    this.header = new Int32Array(memory, 0, HEADER.words);
    this.index = new Int32Array(memory, INDEX_AT, BUCKETS * WAYS);
    this.clients = new Int32Array(memory, CLIENTS_AT, CLIENTS * CLIENT.words);
    this.clientBytes = new Uint8Array(memory, CLIENTS_AT, CLIENTS * CLIENT.words * 4);
    this.durations = new Float64Array(memory, DURATIONS_AT, HISTOGRAM_SLOTS);
    this.rows = new Int32Array(memory, ROWS_AT, ROWS * ROW_WORDS);
    this.rowBytes = new Uint8Array(memory, ROWS_AT, ROWS * ROW_BYTES);
    this.rowTimes = new Float64Array(memory, ROWS_AT, (ROWS * ROW_BYTES) / 8);
  }
}

/** One more byte of a name. */
export function hashByte(hash: number, byte: number): number {
  return Math.imul(hash ^ byte, 0x0100_0193);
}

/** The hash of a name with the rest of the key. */
export function hashKey(nameHash: number, key: number, clientClass: number): number {
  let hash = Math.imul(nameHash ^ key, 0x85eb_ca6b);
  hash ^= hash >>> 15;
  hash = Math.imul(hash ^ clientClass, 0xc2b2_ae35);
  return hash ^ (hash >>> 16);
}

/** The first place to look for a client at, by the words of its address. */
export function clientPlace(first: number, second: number, third: number, fourth: number): number {
  let hash = Math.imul(first ^ Math.imul(second, 0x85eb_ca6b), 0xc2b2_ae35);
  hash = Math.imul(hash ^ third ^ (hash >>> 15), 0x85eb_ca6b);
  hash = Math.imul(hash ^ fourth ^ (hash >>> 13), 0xc2b2_ae35);
  return (hash ^ (hash >>> 16)) & (CLIENTS - 1);
}

import { countDuration } from "../lib/histogram.ts";
import { ENTRY, KIND, QueryRing } from "../log/ring.ts";
import { RecordIds, wallMsOf } from "../log/schema.ts";
import {
  BUCKETS,
  CHANNEL_FLAGS,
  CLIENT,
  CLIENT_PROBES,
  CLIENTS,
  clientPlace,
  HEADER,
  hashByte,
  hashKey,
  LOG_CALL,
  MODE,
  ReplyMemory,
  ROW,
  ROW_BYTES,
  ROW_MASK,
  ROW_WORDS,
  SHAPE,
  WAYS,
} from "./layout.ts";

/** Times of the main thread's clock, wherever they are read. */
export interface ReaderClock {
  readonly now: () => number;
  /** What is to be added for milliseconds since 1970. */
  readonly wallOffsetMs: () => number;
}

/** How long `wallOffsetMs` is taken as it was: clocks are set seldom. */
const CLOCK_MS = 1000;

const MINUTE_MS = 60_000;

/** Where a reader counts and records what it has answered. */
export interface ReaderBooks {
  readonly ring: QueryRing;
  readonly ids: Pick<RecordIds, "next">;
  /** Counts an answer. */
  readonly count: (durationMs: number) => void;
  /** Called after an entry was published in the ring, or found no room there. */
  readonly recorded: (hasRoom: boolean) => void;
}

/** The books of the thread of UDP: in memory that the main thread reads. */
export function threadBooks(memory: SharedArrayBuffer, log: SharedArrayBuffer): ReaderBooks {
  const { header, durations } = new ReplyMemory(memory);
  return {
    ring: new QueryRing(log),
    // The ids of this thread are odd.
    ids: new RecordIds(1),
    count: (durationMs) => countDuration(durations, 0, durationMs),
    recorded: (hasRoom) => void Atomics.add(header, hasRoom ? HEADER.logWritten : HEADER.logDropped, 1),
  };
}

/**
 * Repeats replies. Only plain queries of known clients are answered; all others must be answered in full. Two readers share a table, whose
 * channels differ; `begin` and `end` are for a reader in another thread than the table's.
 */
export class ReplyReader {
  readonly #memory: ReplyMemory;
  readonly #books: ReaderBooks;
  readonly #clock: ReaderClock;
  readonly #name = new Uint8Array(256);
  readonly #seed: number;
  #wallOffsetMs = 0;
  #offsetAtMs = Number.NEGATIVE_INFINITY;
  #isLogged = false;
  /** Whether the clock on the wall is where replies may be repeated. */
  #isSteady = false;
  #nowMs = 0;
  /** The way that the next queries came, see `channelOf`. */
  channel = 0;
  /** For how many seconds the reply that `answer` made last may be held. */
  maxAgeSeconds = 0;

  constructor(memory: SharedArrayBuffer, books: ReaderBooks, clock: ReaderClock) {
    this.#memory = new ReplyMemory(memory);
    this.#seed = this.#memory.header[HEADER.seed] ?? 0;
    this.#books = books;
    this.#clock = clock;
  }

  /** To be called before the first query of a batch, which has just arrived. Between `begin` and `end` rows keep their contents. */
  begin(): void {
    Atomics.add(this.#memory.header, HEADER.batch, 1);
    this.readClocks();
  }

  /** To be called before a query, or several that arrived together. */
  readClocks(): void {
    const { header } = this.#memory;
    this.#isLogged = Atomics.load(header, HEADER.logWanted) === 1;
    this.#nowMs = this.#clock.now();
    if (this.#nowMs - this.#offsetAtMs >= CLOCK_MS) {
      this.#offsetAtMs = this.#nowMs;
      this.#wallOffsetMs = this.#clock.wallOffsetMs();
    }
    const minute = Math.floor((this.#nowMs + this.#wallOffsetMs) / MINUTE_MS);
    this.#isSteady = minute >= Atomics.load(header, HEADER.steadyFrom) && minute < Atomics.load(header, HEADER.steadyUntil);
  }

  end(): void {
    Atomics.add(this.#memory.header, HEADER.batch, 1);
  }

  /** Whether the main thread is to be called now because of the ring of the log. */
  takeLogCall(): boolean {
    const { header } = this.#memory;
    const awaited = Atomics.load(header, HEADER.logAwaited);
    const isDue =
      awaited === LOG_CALL.any ? !this.#books.ring.isEmpty : awaited === LOG_CALL.halfFull && this.#books.ring.isHalfFull;
    return isDue && Atomics.exchange(header, HEADER.logAwaited, LOG_CALL.none) === awaited;
  }

  /** @returns what `answer` knows the client by; -1 = the client is not known. The address is IPv6 or IPv4-mapped, in words of this machine. */
  findClient(first: number, second: number, third: number, fourth: number): number {
    const { clients } = this.#memory;
    let place = clientPlace(first, second, third, fourth);
    for (let probe = 0; probe < CLIENT_PROBES; probe++, place = (place + 1) & (CLIENTS - 1)) {
      const at = place * CLIENT.words;
      if (Atomics.load(clients, at + CLIENT.class) === 0) return -1;
      if (
        clients[at + CLIENT.address] === first &&
        clients[at + CLIENT.address + 1] === second &&
        clients[at + CLIENT.address + 2] === third &&
        clients[at + CLIENT.address + 3] === fourth
      )
        return at;
    }
    return -1;
  }

  /**
   * Turns a query of `length` bytes at `start` into its reply, in place: there is room for `ROW_BYTES`.
   * @param client as from `findClient`, in this batch.
   * @returns the bytes of the reply; 0 = the query is as it was, and for the main thread.
   */
  answer(bytes: Uint8Array, start: number, length: number, client: number): number {
    const end = start + length;
    // 12 bytes of header, the root, type and class.
    if (!this.#isSteady || length < 17 || length > ROW_BYTES) return 0;
    // QR, opcode, AA and TC are 0, and so are RA, Z and the rcode; one question, no answer, no authority.
    if ((byteAt(bytes, start + 2) & 0xfe) !== 0 || (byteAt(bytes, start + 3) & 0xcf) !== 0) return 0;
    if (pairAt(bytes, start + 4) !== 1 || pairAt(bytes, start + 6) !== 0 || pairAt(bytes, start + 8) !== 0) return 0;
    const additional = pairAt(bytes, start + 10);
    const name = this.#name;
    let hash = this.#seed;
    let nameBytes = 0;
    let position = start + 12;
    for (let label = byteAt(bytes, position); label !== 0; label = byteAt(bytes, position)) {
      const stop = position + 1 + label;
      // What is above 63 is no label; a name has 255 bytes with its root.
      if (label > 63 || stop >= end || nameBytes + label > 253) return 0;
      hash = hashByte(hash, label);
      name[nameBytes++] = label;
      for (position++; position < stop; position++) {
        const byte = byteAt(bytes, position);
        const lower = byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte;
        hash = hashByte(hash, lower);
        name[nameBytes++] = lower;
      }
    }
    const questionEnd = position + 5;
    if (questionEnd > end || pairAt(bytes, position + 3) !== 1) return 0;
    const low = byteAt(bytes, start + 3);
    let shape = ((low & 0x20) === 0 ? 0 : SHAPE.authenticData) | ((low & 0x10) === 0 ? 0 : SHAPE.checkingDisabled);
    if (additional === 1) {
      if (end !== questionEnd + 11 || !isPlainOpt(bytes, questionEnd)) return 0;
      shape |= SHAPE.edns | (byteAt(bytes, questionEnd + 7) === 0 ? 0 : SHAPE.dnssecOk);
    } else if (additional !== 0 || end !== questionEnd) return 0;
    const row = this.#find(hash, nameBytes | (shape << 8) | (pairAt(bytes, position + 1) << 16), client);
    return row < 0 ? 0 : this.#repeat(row, { bytes, start, questionEnd, client });
  }

  #find(nameHash: number, key: number, client: number): number {
    const { index, rows, clients } = this.#memory;
    const clientClass = clients[client + CLIENT.class] ?? 0;
    const hash = hashKey(nameHash, key, clientClass);
    const bucket = (hash & (BUCKETS - 1)) * WAYS;
    for (let way = 0; way < WAYS; way++) {
      const word = Atomics.load(index, bucket + way);
      if (word === 0 || ((word ^ hash) & ~ROW_MASK) !== 0) continue;
      const row = (word & ROW_MASK) - 1;
      const at = row * ROW_WORDS;
      if (rows[at + ROW.hash] !== hash || rows[at + ROW.key] !== key || rows[at + ROW.client] !== clientClass) continue;
      if (this.#hasName(row, key & 0xff)) return row;
    }
    return -1;
  }

  #hasName(row: number, nameBytes: number): boolean {
    const { rowBytes } = this.#memory;
    const start = this.#wireStart(row) + 12;
    for (let index = 0; index < nameBytes; index++) if (rowBytes[start + index] !== this.#name[index]) return false;
    return true;
  }

  #wireStart(row: number): number {
    const ttlCount = (this.#memory.rows[row * ROW_WORDS + ROW.sizes] ?? 0) >>> 16;
    return row * ROW_BYTES + ROW.words * 4 + ttlCount * 6;
  }

  #repeat(row: number, query: AcceptedQuery): number {
    const { rows, rowBytes, rowTimes } = this.#memory;
    const { bytes, start, questionEnd, client } = query;
    const at = row * ROW_WORDS;
    const sizes = rows[at + ROW.sizes] ?? 0;
    const wireBytes = sizes & 0xffff;
    const elapsedMs = this.#nowMs - (rowTimes[(at + ROW.storedAtMs) >> 1] ?? 0);
    if (!(elapsedMs < (rowTimes[(at + ROW.usableMs) >> 1] ?? 0))) return 0;
    const wire = this.#wireStart(row);
    // The id and the question stay, in the client's letter case; RD is the client's.
    bytes[start + 2] = byteAt(rowBytes, wire + 2) | byteAt(bytes, start + 2);
    bytes[start + 3] = byteAt(rowBytes, wire + 3);
    for (let offset = 4; offset < 12; offset++) bytes[start + offset] = byteAt(rowBytes, wire + offset);
    for (let offset = questionEnd - start; offset < wireBytes; offset++) bytes[start + offset] = byteAt(rowBytes, wire + offset);
    const ageSeconds = Math.max(0, Math.floor(elapsedMs / 1000));
    const mode = rows[at + ROW.mode] ?? 0;
    const leftSeconds = (rows[at + ROW.lifeSeconds] ?? 0) - ageSeconds;
    const ttlCount = sizes >>> 16;
    const offsets = row * ROW_BYTES + (ROW.words + ttlCount) * 4;
    const answerTtls = mode >>> MODE.answerTtlsShift;
    let lowest = (mode & MODE.negative) === 0 ? 0xffff_ffff : leftSeconds;
    for (let index = 0; index < ttlCount; index++) {
      const ttl = (rows[at + ROW.words + index] ?? 0) >>> 0;
      const value = (mode & MODE.negative) === 0 ? Math.max(0, ttl - ageSeconds) : Math.min(ttl, leftSeconds);
      if (index < answerTtls && value < lowest) lowest = value;
      const place = start + pairAt(rowBytes, offsets + index * 2);
      bytes[place] = value >>> 24;
      bytes[place + 1] = value >>> 16;
      bytes[place + 2] = value >>> 8;
      bytes[place + 3] = value;
    }
    const uses = at + ROW.uses + this.channel;
    rows[uses] = (rows[uses] ?? 0) + 1;
    const durationMs = this.#clock.now() - this.#nowMs;
    this.#books.count(durationMs);
    this.maxAgeSeconds = lowest;
    if (this.#isLogged && (mode & MODE.unlogged) === 0)
      this.#log({ at, durationMs, client, bytes, start, wireBytes, nameBytes: questionEnd - start - 16 });
    return wireBytes;
  }

  /** One entry as `control/records.ts` writes it. */
  #log({ at, durationMs, client, bytes, start, wireBytes, nameBytes }: RepeatedQuery): void {
    const { rows, clients, clientBytes } = this.#memory;
    const { ring, ids, recorded } = this.#books;
    const { words } = ring;
    const textSizes = clients[client + CLIENT.textBytes] ?? 0;
    const addressBytes = textSizes & 0xffff;
    const clientIdBytes = textSizes >>> 16;
    const textBytes = addressBytes + clientIdBytes;
    const length = (ENTRY.words + ((nameBytes + textBytes + wireBytes + 3) >> 2) + 1) & ~1;
    const to = ring.reserve(length);
    if (to < 0) {
      recorded(false);
      return;
    }
    const arrivedWallMs = Math.round(this.#nowMs + this.#wallOffsetMs);
    const id = ids.next(arrivedWallMs);
    words[to + ENTRY.length] = length;
    words[to + ENTRY.kind] = KIND.query;
    words[to + ENTRY.idHigh] = id / 2 ** 32;
    words[to + ENTRY.idLow] = id;
    words[to + ENTRY.lagMs] = wallMsOf(id) - arrivedWallMs;
    words[to + ENTRY.durationUs] = Math.min(0xffff_ffff, Math.round(durationMs * 1000));
    for (let word = 0; word < ROW.logWords; word++) words[to + ENTRY.flags + word] = rows[at + ROW.log + word] ?? 0;
    words[to + ENTRY.flags] = (rows[at + ROW.log] ?? 0) | (CHANNEL_FLAGS[this.channel] ?? 0);
    words[to + ENTRY.nameAndClientBytes] = nameBytes | (addressBytes << 16);
    words[to + ENTRY.clientIdBytesAndExtraWords] = clientIdBytes;
    words[to + ENTRY.replyBytes] = wireBytes;
    words[to + ENTRY.repeatSerial] = rows[at + ROW.serial] ?? 0;
    words[to + ENTRY.repeatPlace] = at / ROW_WORDS;
    words[to + ENTRY.clientSerial] = clients[client + CLIENT.serial] ?? 0;
    let position = (to + ENTRY.words) * 4;
    for (let index = 0; index < nameBytes - 1; index++) ring.bytes[position++] = this.#name[index] ?? 0;
    ring.bytes[position++] = 0;
    const text = (client + CLIENT.text) * 4;
    for (let index = 0; index < textBytes; index++) ring.bytes[position++] = byteAt(clientBytes, text + index);
    for (let index = 0; index < wireBytes; index++) ring.bytes[position++] = byteAt(bytes, start + index);
    ring.publish(length);
    recorded(true);
  }
}

interface AcceptedQuery {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly questionEnd: number;
  readonly client: number;
}

interface RepeatedQuery extends Pick<AcceptedQuery, "client" | "bytes" | "start"> {
  /** The first word of the row. */
  readonly at: number;
  readonly durationMs: number;
  readonly wireBytes: number;
  /** With the root. */
  readonly nameBytes: number;
}

/** An OPT record of version 0 without options, whose only flag may be DO (RFC 6891 §6.1.2). */
function isPlainOpt(bytes: Uint8Array, at: number): boolean {
  return (
    byteAt(bytes, at) === 0 &&
    pairAt(bytes, at + 1) === 41 &&
    pairAt(bytes, at + 5) === 0 &&
    (byteAt(bytes, at + 7) & 0x7f) === 0 &&
    byteAt(bytes, at + 8) === 0 &&
    pairAt(bytes, at + 9) === 0
  );
}

function byteAt(bytes: Uint8Array, at: number): number {
  return bytes[at] ?? 0;
}

function pairAt(bytes: Uint8Array, at: number): number {
  return (byteAt(bytes, at) << 8) | byteAt(bytes, at + 1);
}

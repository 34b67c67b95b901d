/**
 * Replies that are repeated without asking anybody. The main thread answers a question in full, publishes the reply here where the same
 * question of the same kind of client must get the same, and withdraws it when that ends. The thread of UDP looks up what comes over UDP, the main thread
 * what comes over streams. `control/replies.ts` says what may be published, and reads for the main thread; `listen/udp-thread.ts` reads for UDP.
 *
 * Read `layout.ts` (the memory), this file (who publishes), `reader.ts` (who repeats).
 *
 * A row is written once, then its word in the index is stored; it is withdrawn by zeroing that word. It is written again only when the reader, which counts
 * its batches, is idle or has gone on to another batch since: until then it may hold on to the row.
 */
import { randomInt } from "node:crypto";
import { setUint16 } from "../dns/wire.ts";
import {
  ALL_MINUTES,
  BUCKETS,
  CHANNEL_BITS,
  CHANNELS,
  CLIENT,
  CLIENT_PROBES,
  CLIENTS,
  clientPlace,
  HEADER,
  hashByte,
  hashKey,
  MODE,
  ReplyMemory,
  ROW,
  ROW_BYTES,
  ROW_MASK,
  ROW_WORDS,
  ROWS,
  WAYS,
} from "./layout.ts";

/** A reply, and when it may be repeated. */
export interface RepeatableReply {
  /** The name of the question, as in `Name`. */
  readonly name: string;
  readonly type: number;
  /** Bits of `SHAPE`. */
  readonly shape: number;
  /** The class of the clients that get this reply, from 1. */
  readonly clientClass: number;
  /** As sent to one client. */
  readonly wire: Uint8Array;
  /** The values that are lowered as the answer ages, with their offsets in `wire`. */
  readonly ttls: readonly { readonly offset: number; readonly seconds: number }[];
  /** How many of these, from the first on, are those of the answer section. */
  readonly answerTtls: number;
  /** See `MODE.negative`. */
  readonly isNegative: boolean;
  readonly lifeSeconds: number;
  readonly storedAtMs: number;
  /** How long after `storedAtMs` the reply may be repeated. */
  readonly usableMs: number;
  /** The words `ENTRY.flags` to `ENTRY.editTo` of the log, whose bits of the channel do not matter; null = not to be logged. */
  readonly log: Int32Array | null;
  /** Is told how often the reply was repeated over a channel since it was last told. Must not throw. */
  readonly tally: (channel: number, uses: number) => void;
}

interface PublishedRow {
  /** What the reply was made from. */
  readonly owner: object;
  readonly tally: RepeatableReply["tally"];
  /** Where the index has the row; -1 = withdrawn. */
  place: number;
  /** The uses when the hand last passed. */
  seen: number;
}

export class ReplyTable {
  readonly #memory: ReplyMemory;
  /** By row. */
  readonly #rows: (PublishedRow | null)[] = new Array(ROWS).fill(null);
  /** How many uses the tally of each row knows of, by channel. */
  readonly #told = new Uint32Array(ROWS * CHANNELS.length);
  readonly #byOwner = new Map<object, number[]>();
  /** Rows that were never used, from this one on. */
  #unused = 0;
  readonly #free: number[] = [];
  /** Withdrawn rows, and the batch in which the reader may still have held them. */
  #resting: { readonly row: number; readonly batch: number }[] = [];
  #hand = 0;
  #lastReply = 0;
  #lastClient = 0;
  /** The batch in which the reader may still use clients that were forgotten. */
  #clientsRestIn = 0;
  #durationsTold: Float64Array;

  /** @param memory of a table that nobody uses any more, but for `ROWS_AT` bytes of zeros at its beginning; absent = new. */
  constructor(memory?: SharedArrayBuffer) {
    this.#memory = new ReplyMemory(memory);
    this.#durationsTold = new Float64Array(this.#memory.durations.length);
    this.#memory.header[HEADER.seed] = randomInt(2 ** 31);
    this.renew(ALL_MINUTES);
  }

  get memory(): SharedArrayBuffer {
    return this.#memory.memory;
  }

  get header(): Int32Array {
    return this.#memory.header;
  }

  /** Lets the reader repeat the reply until the owner is withdrawn. What finds no room is left out: the main thread goes on answering. */
  publish(owner: object, reply: RepeatableReply): void {
    const wireAt = ROW.words * 4 + reply.ttls.length * 6;
    if (wireAt + reply.wire.length > ROW_BYTES) return;
    const key = (reply.name.length - 1) | (reply.shape << 8) | (reply.type << 16);
    let nameHash = this.header[HEADER.seed] ?? 0;
    for (let index = 0; index < reply.name.length - 1; index++) nameHash = hashByte(nameHash, reply.name.charCodeAt(index));
    const hash = hashKey(nameHash, key, reply.clientClass);
    const place = this.#findPlace(hash, key, reply);
    if (place < 0) return;
    const row = this.#takeRow();
    if (row < 0) return;
    this.#write(row, { hash, key, wireAt }, reply);
    this.#rows[row] = { owner, tally: reply.tally, place, seen: 0 };
    const owned = this.#byOwner.get(owner);
    if (owned === undefined) this.#byOwner.set(owner, [row]);
    else owned.push(row);
    Atomics.store(this.#memory.index, place, (hash & ~ROW_MASK) | (row + 1));
  }

  /** Ends the repetition of all replies that were made from this. */
  withdraw(owner: object): void {
    for (const row of this.#byOwner.get(owner) ?? NO_ROWS) this.#withdraw(row);
    this.#byOwner.delete(owner);
  }

  /** Ends every repetition, and forgets the clients. */
  clear(): void {
    this.#withdrawAll();
    this.forgetClients();
  }

  /** Ends every repetition. What is published from now on is repeated in this span alone, in minutes since 1970 by the clock on the wall. */
  renew({ from, until }: { readonly from: number; readonly until: number }): void {
    // Nothing is repeated in between.
    Atomics.store(this.header, HEADER.steadyUntil, ALL_MINUTES.from);
    this.#withdrawAll();
    Atomics.store(this.header, HEADER.steadyFrom, from);
    Atomics.store(this.header, HEADER.steadyUntil, until);
  }

  #withdrawAll(): void {
    for (const owner of this.#byOwner.keys()) this.withdraw(owner);
  }

  /** Tells the tallies of what was made from this how often it was used. */
  settle(owner: object): void {
    for (const row of this.#byOwner.get(owner) ?? NO_ROWS) this.#tell(row);
  }

  /** Tells all tallies. */
  settleAll(): void {
    for (let row = 0; row < this.#unused; row++) if (this.#rows[row] !== null) this.#tell(row);
  }

  /** @returns how much the histogram of durations grew since the last call. */
  takeDurations(): Float64Array {
    const now = this.#memory.durations.slice();
    const grown = now.map((count, slot) => count - (this.#durationsTold[slot] ?? 0));
    this.#durationsTold = now;
    return grown;
  }

  /**
   * Lets the reader answer this client.
   * @param address 16 bytes, IPv4 as IPv4-mapped.
   * @param shown what the log is told, of one byte a character.
   * @returns what `ReplyReader.answer` knows the client by; -1 = there is no room.
   */
  addClient(address: Uint8Array, clientClass: number, shown: { readonly address: string; readonly clientId: string }): number {
    const text = shown.address + shown.clientId;
    if (text.length > CLIENT.maxTextBytes || this.#isHeldSince(this.#clientsRestIn)) return -1;
    const { clients, clientBytes } = this.#memory;
    const words = new Int32Array(Uint8Array.from(address).buffer);
    let place = clientPlace(words[0] ?? 0, words[1] ?? 0, words[2] ?? 0, words[3] ?? 0);
    for (let probe = 0; probe < CLIENT_PROBES; probe++, place = (place + 1) & (CLIENTS - 1)) {
      const at = place * CLIENT.words;
      if (clients[at + CLIENT.class] !== 0) continue;
      clients.set(words, at + CLIENT.address);
      clients[at + CLIENT.textBytes] = shown.address.length | (shown.clientId.length << 16);
      clientBytes.set(Buffer.from(text, "latin1"), (at + CLIENT.text) * 4);
      this.#lastClient = serialAfter(this.#lastClient);
      clients[at + CLIENT.serial] = this.#lastClient;
      Atomics.store(clients, at + CLIENT.class, clientClass);
      return at;
    }
    return -1;
  }

  forgetClients(): void {
    const { clients } = this.#memory;
    for (let place = 0; place < CLIENTS; place++) Atomics.store(clients, place * CLIENT.words + CLIENT.class, 0);
    this.#clientsRestIn = Atomics.load(this.header, HEADER.batch);
  }

  /** Whether the reader may still hold on to what it could find at the beginning of this batch. */
  #isHeldSince(batch: number): boolean {
    return (batch & 1) === 1 && Atomics.load(this.header, HEADER.batch) === batch;
  }

  /** A free word of the bucket. A row with the same key, or the least used one where there is none free, is withdrawn. */
  #findPlace(hash: number, key: number, { name, clientClass }: RepeatableReply): number {
    const { index, rows } = this.#memory;
    const bucket = (hash & (BUCKETS - 1)) * WAYS;
    let free = -1;
    let idle = bucket;
    for (let place = bucket; place < bucket + WAYS; place++) {
      const row = ((index[place] ?? 0) & ROW_MASK) - 1;
      if (row < 0) {
        free = place;
        continue;
      }
      const at = row * ROW_WORDS;
      if (rows[at + ROW.key] === key && rows[at + ROW.client] === clientClass && this.#hasName(row, name)) {
        this.#drop(row);
        return place;
      }
      if (!this.#isUsed(row)) idle = place;
    }
    if (free >= 0) return free;
    this.#drop(((index[idle] ?? 0) & ROW_MASK) - 1);
    return idle;
  }

  #hasName(row: number, name: string): boolean {
    const start = row * ROW_BYTES + this.#wireAt(row) + 12;
    for (let index = 0; index < name.length; index++)
      if (this.#memory.rowBytes[start + index] !== name.charCodeAt(index)) return false;
    return true;
  }

  #wireAt(row: number): number {
    return ROW.words * 4 + ((this.#memory.rows[row * ROW_WORDS + ROW.sizes] ?? 0) >>> 16) * 6;
  }

  /** @returns -1 where no row is free before the reader goes on. */
  #takeRow(): number {
    if (this.#resting.length > 0) this.#endRest();
    const free = this.#free.pop();
    if (free !== undefined) return free;
    if (this.#unused < ROWS) return this.#unused++;
    for (let looks = 0; looks < ROWS; looks++) {
      const row = this.#hand;
      this.#hand = (row + 1) % ROWS;
      const published = this.#rows[row];
      if (published == null || published.place < 0 || this.#isUsed(row)) continue;
      this.#drop(row);
      break;
    }
    this.#endRest();
    return this.#free.pop() ?? -1;
  }

  /** Whether the row was used since this was last asked. */
  #isUsed(row: number): boolean {
    const published = this.#rows[row];
    if (published == null) return false;
    const uses = this.#usesOf(row);
    const isUsed = uses !== published.seen;
    published.seen = uses;
    return isUsed;
  }

  #usesOf(row: number): number {
    let uses = 0;
    for (let channel = 0; channel < CHANNELS.length; channel++) uses += this.#usesOver(row, channel);
    return uses;
  }

  #usesOver(row: number, channel: number): number {
    return Atomics.load(this.#memory.rows, row * ROW_WORDS + ROW.uses + channel) >>> 0;
  }

  #tell(row: number): void {
    const published = this.#rows[row];
    if (published == null) return;
    for (let channel = 0; channel < CHANNELS.length; channel++) {
      const uses = this.#usesOver(row, channel);
      const place = row * CHANNELS.length + channel;
      const times = (uses - (this.#told[place] ?? 0)) >>> 0;
      this.#told[place] = uses;
      if (times > 0) published.tally(channel, times);
    }
  }

  /** Withdraws one row of an owner that stays. */
  #drop(row: number): void {
    const owner = this.#rows[row]?.owner;
    this.#withdraw(row);
    if (owner === undefined) return;
    const left = (this.#byOwner.get(owner) ?? NO_ROWS).filter((each) => each !== row);
    if (left.length === 0) this.#byOwner.delete(owner);
    else this.#byOwner.set(owner, left);
  }

  #withdraw(row: number): void {
    const published = this.#rows[row];
    if (published == null || published.place < 0) return;
    Atomics.store(this.#memory.index, published.place, 0);
    published.place = -1;
    this.#resting.push({ row, batch: Atomics.load(this.header, HEADER.batch) });
  }

  /** Frees the rows that the reader has let go of. */
  #endRest(): void {
    const resting = this.#resting;
    this.#resting = [];
    for (const rest of resting) {
      if (this.#isHeldSince(rest.batch)) {
        this.#resting.push(rest);
        continue;
      }
      this.#tell(rest.row);
      this.#rows[rest.row] = null;
      this.#free.push(rest.row);
    }
  }

  #write(
    row: number,
    { hash, key, wireAt }: { readonly hash: number; readonly key: number; readonly wireAt: number },
    reply: RepeatableReply,
  ): void {
    const { rows, rowBytes, rowTimes } = this.#memory;
    const { name, wire, ttls } = reply;
    const at = row * ROW_WORDS;
    rows[at + ROW.hash] = hash;
    rows[at + ROW.key] = key;
    rows[at + ROW.client] = reply.clientClass;
    rows[at + ROW.sizes] = wire.length | (ttls.length << 16);
    rows[at + ROW.mode] =
      (reply.isNegative ? MODE.negative : 0) |
      (reply.log === null ? MODE.unlogged : 0) |
      (reply.answerTtls << MODE.answerTtlsShift);
    rows[at + ROW.lifeSeconds] = reply.lifeSeconds;
    rowTimes[(at + ROW.storedAtMs) >> 1] = reply.storedAtMs;
    rowTimes[(at + ROW.usableMs) >> 1] = reply.usableMs;
    rows.fill(0, at + ROW.uses, at + ROW.uses + CHANNELS.length);
    this.#told.fill(0, row * CHANNELS.length, (row + 1) * CHANNELS.length);
    if (reply.log !== null) rows.set(reply.log, at + ROW.log);
    rows[at + ROW.log] = (rows[at + ROW.log] ?? 0) & ~CHANNEL_BITS;
    this.#lastReply = serialAfter(this.#lastReply);
    rows[at + ROW.serial] = this.#lastReply;
    const bytes = rowBytes.subarray(row * ROW_BYTES, (row + 1) * ROW_BYTES);
    for (const [index, { offset, seconds }] of ttls.entries()) {
      rows[at + ROW.words + index] = seconds;
      setUint16(bytes, (ROW.words + ttls.length) * 4 + index * 2, offset);
    }
    bytes.set(wire, wireAt);
    for (let index = 0; index < name.length; index++) bytes[wireAt + 12 + index] = name.charCodeAt(index);
    // RD is that of each query.
    bytes[wireAt + 2] = (bytes[wireAt + 2] ?? 0) & 0xfe;
  }
}

function serialAfter(serial: number): number {
  return (serial + 1) | 0 || 1;
}

const NO_ROWS: readonly number[] = [];

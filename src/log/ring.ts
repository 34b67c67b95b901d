/**
 * What the threads that answer hand to the thread of the query log: one entry of numbers and bytes for each query, in memory that both see.
 * `control/records.ts` writes entries, `entries.ts` reads them. The answering thread never waits, wakes nobody and keeps nothing alive: it
 * writes some hundred bytes and moves one word. Where the ring is full, the query is not recorded.
 */

/** The first words of the memory: how many words were ever written, and how many were taken. Both count modulo 2^32. */
const HEADER = { written: 0, taken: 1, words: 16 } as const;

/** Enough for 40,000 queries with answers of usual size: two seconds at 20,000 a second. */
export const RING_BYTES = 8 * 1024 * 1024;

/**
 * The words of an entry, by their place in it. After these come `extraWords` words (attempts, edits, a comparison), then the bytes of the
 * name, the client's address, the client id and the reply, one after the other.
 */
export const ENTRY = {
  /** Of the whole entry, in words. Always even, so that what is left at the end of the ring has room for a `skip` entry. */
  length: 0,
  kind: 1,
  idHigh: 2,
  idLow: 3,
  /** How much earlier the query came than its id says, in milliseconds. */
  lagMs: 4,
  durationUs: 5,
  /** See `FLAGS`. */
  flags: 6,
  type: 7,
  // Numbers of texts: 0 = none.
  action: 8,
  rule: 9,
  list: 10,
  /** Line of the list; -1 = none. */
  line: 11,
  route: 12,
  version: 13,
  /** The seconds that the edit of the TTLs speaks of. */
  editFrom: 14,
  editTo: 15,
  /** Bytes of the name in the low half, of the client's address in the high half. */
  nameAndClientBytes: 16,
  /** Bytes of the client id in the low half, words of the extras in the high half. */
  clientIdBytesAndExtraWords: 17,
  replyBytes: 18,
  // Of a reply that was repeated, see `RepeatHint`; else 0.
  repeatSerial: 19,
  repeatPlace: 20,
  clientSerial: 21,
  words: 22,
} as const;

export const KIND = { skip: 0, query: 1 } as const;

/** What the bits of `ENTRY.flags` say. */
export const FLAGS = {
  /** Places in `TRANSPORTS`, `HTTP_VERSIONS`, `METHODS` and `SOURCES`. */
  transport: { shift: 0, mask: 3 },
  http: { shift: 2, mask: 3 },
  method: { shift: 4, mask: 3 },
  source: { shift: 6, mask: 7 },
  /** Place in `TTL_EDITS`. */
  ttlEdit: { shift: 9, mask: 7 },
  /** Whether a reply was sent. */
  sent: 1 << 12,
  /** Whether the answer is a negative one, whose SOA says how long it holds. */
  negative: 1 << 13,
  /** Whether the message had a question that could be read. */
  question: 1 << 14,
} as const;

export const TRANSPORTS = ["udp", "tcp", "dot", "doh"] as const;
export const HTTP_VERSIONS = [null, "1.0", "1.1", "2"] as const;
export const METHODS = [null, "GET", "POST"] as const;
export const SOURCES = ["hosts", "special", "rule", "cache", "stale", "upstream", "failure", "refused"] as const;

/** What was done to TTLs. `raised`, `lowered` and `stale` use `editTo`; `both` says that some were raised to `editFrom` and others lowered to `editTo`. */
export const TTL_EDITS = ["none", "raised", "lowered", "both", "negative", "stale"] as const;

/** The first word of each extra: its kind in the lowest byte. An attempt has six words, the others have two. */
export const EXTRA = { attempt: 1, edit: 2, comparison: 3 } as const;
export const ATTEMPT_WORDS = 6;
export const ATTEMPT_TRANSPORTS = ["udp", "tcp", "tls", "https"] as const;
export const NO_RCODE = 0xffff;
export const SIDES = ["near", "far"] as const;
export const COMPARED_BY = ["comparison", "verdict", "default", "failure"] as const;

/** Entries one after the other, from one word up to another. */
export interface EntrySpan {
  readonly words: Int32Array;
  readonly bytes: Buffer;
  readonly from: number;
  readonly to: number;
}

/** The ring of one answering thread. One thread writes; one takes. */
export class QueryRing {
  readonly memory: SharedArrayBuffer;
  readonly words: Int32Array;
  readonly bytes: Buffer;
  readonly #header: Int32Array;
  readonly #mask: number;
  /** What the writer knows to be taken: by now it may be more. */
  #known = 0;

  /** @param memory of a ring that is there, or how many bytes a new one has: a power of two. */
  constructor(memory: SharedArrayBuffer | number) {
    this.memory = typeof memory === "number" ? new SharedArrayBuffer(HEADER.words * 4 + memory) : memory;
    this.#header = new Int32Array(this.memory, 0, HEADER.words);
    this.words = new Int32Array(this.memory, HEADER.words * 4);
    this.bytes = Buffer.from(this.memory, HEADER.words * 4);
    this.#mask = this.words.length - 1;
    if ((this.words.length & this.#mask) !== 0) throw new Error(`${this.words.length * 4} is no power of two`);
  }

  /** Where the next entry will begin, counted modulo 2^32. */
  get written(): number {
    return Atomics.load(this.#header, HEADER.written) >>> 0;
  }

  /** Where the oldest entry begins that was not taken. */
  get taken(): number {
    return Atomics.load(this.#header, HEADER.taken) >>> 0;
  }

  get isEmpty(): boolean {
    return this.written === this.taken;
  }

  get isHalfFull(): boolean {
    return ((this.written - this.taken) >>> 0) * 2 > this.words.length;
  }

  /**
   * Finds room for an entry of so many words, an even number. Nobody sees the entry before `publish`.
   * @returns the index of its first word in `words`; -1 where there is no room.
   */
  reserve(length: number): number {
    // Nobody else writes this word. A call of `Atomics` would take as long as all the rest here.
    const written = this.#header[HEADER.written] ?? 0;
    const at = written & this.#mask;
    const toEnd = this.words.length - at;
    const skipped = length <= toEnd ? 0 : toEnd;
    const mostUsed = this.words.length - skipped - length;
    if ((written - this.#known) >>> 0 > mostUsed) this.#known = Atomics.load(this.#header, HEADER.taken);
    if ((written - this.#known) >>> 0 > mostUsed) return -1;
    if (skipped === 0) return at;
    this.words[at + ENTRY.length] = skipped;
    this.words[at + ENTRY.kind] = KIND.skip;
    Atomics.store(this.#header, HEADER.written, (written + skipped) | 0);
    return 0;
  }

  /** Makes the entry that was reserved visible. */
  publish(length: number): void {
    Atomics.store(this.#header, HEADER.written, ((this.#header[HEADER.written] ?? 0) + length) | 0);
  }

  /** The entries from one position up to another, in one or two spans. */
  spans(from: number, to: number): readonly EntrySpan[] {
    if (from === to) return [];
    const { words, bytes } = this;
    const start = from & this.#mask;
    const end = start + ((to - from) >>> 0);
    if (end <= words.length) return [{ words, bytes, from: start, to: end }];
    return [
      { words, bytes, from: start, to: words.length },
      { words, bytes, from: 0, to: end - words.length },
    ];
  }

  /** Gives the room before this position back. */
  release(position: number): void {
    Atomics.store(this.#header, HEADER.taken, position | 0);
  }
}

/** A copy of entries in memory that nobody else writes to. */
export function copySpan({ words, from, to }: EntrySpan): EntrySpan {
  const copy = new Int32Array(words.subarray(from, to));
  return { words: copy, bytes: Buffer.from(copy.buffer), from: 0, to: copy.length };
}

/**
 * The index of the entry after this one; `to` after the last. A length that cannot be is a fault of ours: what follows cannot be found, and
 * the span ends there.
 */
export function nextEntry({ words, to }: EntrySpan, at: number): number {
  const length = words[at + ENTRY.length] ?? 0;
  return length < 2 || length > to - at ? to : at + length;
}

/** The id of a query whose entry begins at this word. */
export function entryId(words: Int32Array, at: number): number {
  return (words[at + ENTRY.idHigh] ?? 0) * 2 ** 32 + ((words[at + ENTRY.idLow] ?? 0) >>> 0);
}

/** The queries in a span. */
export function countEntries(span: EntrySpan): number {
  let count = 0;
  for (let at = span.from; at < span.to; at = nextEntry(span, at)) if (span.words[at + ENTRY.kind] === KIND.query) count++;
  return count;
}

/** Walks over the queries of a ring, from one position to another. */
export class RingWalk {
  /** What was walked over. */
  position: number;
  readonly #spans: readonly EntrySpan[];
  #index = 0;
  #at = 0;

  constructor(ring: QueryRing, from: number, to: number) {
    this.position = from;
    this.#spans = ring.spans(from, to);
    this.#at = this.#spans[0]?.from ?? 0;
    this.#pass();
  }

  /** The id of the next query; infinite after the last. */
  get nextId(): number {
    const words = this.#spans[this.#index]?.words;
    return words === undefined ? Number.POSITIVE_INFINITY : entryId(words, this.#at);
  }

  /** Walks over the next query, and over at most `count - 1` more that lie beside it and whose ids are not above `limitId`. @returns how many. */
  take(count: number, limitId: number): { readonly span: EntrySpan; readonly entries: number } | null {
    const span = this.#spans[this.#index];
    if (span === undefined) return null;
    const from = this.#at;
    let entries = 0;
    do {
      this.#move(span, nextEntry(span, this.#at));
      entries++;
    } while (entries < count && this.#at < span.to && this.nextId <= limitId && this.#isQuery(span));
    const to = this.#at;
    this.#pass();
    return { span: { ...span, from, to }, entries };
  }

  #move(span: EntrySpan, to: number): void {
    this.position = (this.position + to - this.#at) >>> 0;
    this.#at = Math.min(to, span.to);
  }

  #isQuery(span: EntrySpan): boolean {
    return span.words[this.#at + ENTRY.kind] === KIND.query;
  }

  /** Goes on to the next query. */
  #pass(): void {
    for (let span = this.#spans[this.#index]; span !== undefined; span = this.#spans[this.#index]) {
      while (this.#at < span.to && !this.#isQuery(span)) this.#move(span, nextEntry(span, this.#at));
      if (this.#at < span.to) return;
      this.#index++;
      this.#at = this.#spans[this.#index]?.from ?? 0;
    }
  }
}

const TEXT_TABLE_BYTES = { first: 64 * 1024, most: 16 * 1024 * 1024 } as const;

/**
 * Numbers for texts that come again and again: rules, lists, groups, servers, actions, versions. A number is never given to another text. Texts are only
 * added, by the thread that made the table; every thread can read them. A new text is in the memory before any entry bears its number.
 */
export class TextTable {
  readonly memory: SharedArrayBuffer;
  readonly #numbers = new Map<string, number>();
  readonly #texts: string[] = [];
  #read = 4;

  constructor(memory?: SharedArrayBuffer) {
    this.memory = memory ?? new SharedArrayBuffer(TEXT_TABLE_BYTES.first, { maxByteLength: TEXT_TABLE_BYTES.most });
  }

  /** @returns 0 for null; -1 where the table is full, which takes years of different configurations. */
  numberOf(text: string | null): number {
    if (text === null) return 0;
    return this.#numbers.get(text) ?? this.#add(text);
  }

  /** @returns null for 0, and for numbers that were never given. */
  textOf(number: number): string | null {
    if (number === 0) return null;
    if (number > this.#texts.length) this.#readOn();
    return this.#texts[number - 1] ?? null;
  }

  #add(text: string): number {
    const used = new Int32Array(this.memory, 0, 1);
    const start = Math.max(4, Atomics.load(used, 0));
    const encoded = Buffer.from(text);
    const end = start + 4 + encoded.length;
    if (end > TEXT_TABLE_BYTES.most) return -1;
    if (end > this.memory.byteLength) this.memory.grow(Math.min(TEXT_TABLE_BYTES.most, 2 * end));
    const bytes = Buffer.from(this.memory, start);
    bytes.writeUInt32LE(encoded.length, 0);
    bytes.set(encoded, 4);
    this.#texts.push(text);
    this.#numbers.set(text, this.#texts.length);
    this.#read = end;
    Atomics.store(used, 0, end);
    return this.#texts.length;
  }

  #readOn(): void {
    const end = Atomics.load(new Int32Array(this.memory, 0, 1), 0);
    const bytes = Buffer.from(this.memory);
    while (this.#read < end) {
      const start = this.#read + 4;
      this.#read = start + bytes.readUInt32LE(this.#read);
      this.#texts.push(bytes.toString("utf8", start, this.#read));
    }
  }
}

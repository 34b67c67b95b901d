import type { AttemptRecord, QueryRecord, TraceMatch, TraceStep } from "./record.ts";

/** Records one after the other, in bytes that two threads see. */
export interface Chunk {
  readonly octets: SharedArrayBuffer;
  readonly records: number;
  /** How many of the bytes they take. */
  readonly used: number;
}

/** Fills the bytes of a chunk with records. */
export class ChunkFiller {
  readonly #octets: SharedArrayBuffer;
  readonly #packer: Packer;
  #records = 0;
  #used = 0;
  #ended = false;

  /** @param bytes are the chunk's from now on. */
  constructor(octets: SharedArrayBuffer) {
    this.#octets = octets;
    this.#packer = new Packer(new Uint8Array(octets));
  }

  get records(): number {
    return this.#records;
  }

  /** @returns whether there was room; after a record that had none there is none for any. @throws TypeError where one is not as its type says. */
  add(record: QueryRecord): boolean {
    if (this.#ended) return false;
    // Half a record is left where it stands, and nothing can follow it.
    this.#ended = true;
    packRecord(this.#packer, record);
    if (!this.#packer.hadRoom) return false;
    this.#ended = false;
    this.#records++;
    this.#used = this.#packer.position;
    return true;
  }

  /** What there is; the filler is not used after. */
  chunk(): Chunk {
    return { octets: this.#octets, records: this.#records, used: this.#used };
  }
}

export function recordsIn({ octets, records }: Chunk): QueryRecord[] {
  const from = new Unpacker(new Uint8Array(octets));
  return Array.from({ length: records }, () => unpackRecord(from));
}

/** How a step of a trace is written: most are of rules, which are spelled out; the others are JSON. */
const STEP = { json: 0, miss: 1, match: 2 } as const;

function packRecord(to: Packer, record: QueryRecord): void {
  to.number(record.id);
  to.text(record.time);
  to.common(record.client);
  to.common(record.clientId);
  to.common(record.transport);
  to.common(record.http);
  to.common(record.method);
  to.text(record.name);
  to.common(record.type);
  to.common(record.rcode);
  to.count(record.answers.length);
  for (const answer of record.answers) to.text(answer);
  to.common(record.source);
  to.common(record.action);
  to.common(record.rule);
  to.common(record.list);
  to.number(record.line);
  to.common(record.route);
  to.common(record.upstream);
  to.count(record.attempts.length);
  for (const attempt of record.attempts) packAttempt(to, attempt);
  to.number(record.negativeTtl);
  to.number(record.durationUs);
  to.number(record.size);
  packCommon(to, record.ede);
  packCommon(to, record.edits);
  to.count(record.trace.length);
  for (const step of record.trace) packStep(to, step);
  to.common(record.version);
}

// What is read was written by `packRecord` in this process: texts and numbers are of the types that it was given.
function unpackRecord(from: Unpacker): QueryRecord {
  const record: { readonly [Key in keyof QueryRecord]: unknown } = {
    id: from.number(),
    time: from.text(),
    client: from.common(),
    clientId: from.common(),
    transport: from.common(),
    http: from.common(),
    method: from.common(),
    name: from.text(),
    type: from.common(),
    rcode: from.common(),
    answers: several(from, () => from.text()),
    source: from.common(),
    action: from.common(),
    rule: from.common(),
    list: from.common(),
    line: from.number(),
    route: from.common(),
    upstream: from.common(),
    attempts: several(from, () => unpackAttempt(from)),
    negativeTtl: from.number(),
    durationUs: from.number(),
    size: from.number(),
    ede: several(from, () => from.common()),
    edits: several(from, () => from.common()),
    trace: several(from, () => unpackStep(from)),
    version: from.common(),
  };
  return record as QueryRecord;
}

function packAttempt(to: Packer, attempt: AttemptRecord): void {
  to.common(attempt.group);
  to.common(attempt.server);
  to.common(attempt.transport);
  to.number(attempt.ms);
  to.common(attempt.rcode);
  to.common(attempt.failure);
}

function unpackAttempt(from: Unpacker): { readonly [Key in keyof AttemptRecord]: unknown } {
  return {
    group: from.common(),
    server: from.common(),
    transport: from.common(),
    ms: from.number(),
    rcode: from.common(),
    failure: from.common(),
  };
}

function packStep(to: Packer, step: TraceStep): void {
  if (step.kind !== "rule") {
    to.count(STEP.json);
    to.text(JSON.stringify(step));
    return;
  }
  to.count(step.match === null ? STEP.miss : STEP.match);
  to.common(step.rule);
  to.common(step.outcome);
  if (step.match !== null) packMatch(to, step.match);
}

function unpackStep(from: Unpacker): unknown {
  const written = from.count();
  if (written === STEP.json) return JSON.parse(from.text());
  return {
    kind: "rule",
    rule: from.common(),
    outcome: from.common(),
    match: written === STEP.miss ? null : unpackMatch(from),
  };
}

function packMatch(to: Packer, match: TraceMatch): void {
  to.common(match.list);
  to.common(match.source);
  to.number(match.line);
  to.text(match.pattern);
}

function unpackMatch(from: Unpacker): { readonly [Key in keyof TraceMatch]: unknown } {
  return { list: from.common(), source: from.common(), line: from.number(), pattern: from.text() };
}

function packCommon(to: Packer, texts: readonly string[]): void {
  to.count(texts.length);
  for (const text of texts) to.common(text);
}

function several<T>(from: Unpacker, one: () => T): T[] {
  const found: T[] = [];
  for (let left = from.count(); left > 0; left--) found.push(one());
  return found;
}

/**
 * Values in bytes, as they go from the thread that answers to the one that stores: a text that comes again is a number, so that a record is a
 * quarter of its JSON and made in half the time. What was packed can be read from its bytes alone, one value after the other in the same order.
 *
 * A count is seven bits an byte, the lowest first, the eighth bit set in all but the last. A number is a count: 0 for null, 1 before eight bytes of
 * IEEE 754, lowest first, else itself plus 2. A text is a count, twice its length and 1 more where it has two bytes a UTF-16 unit instead of one, and
 * its units. A common text is a count: 0 for null, 1 before a text that is new, else the place of the text among those that were new, plus 2.
 */

/** Above it numbers are written as IEEE 754, so that a count fits 32 bits. */
const MAX_COUNTED = 0x7fff_fff0;

const FLOAT = new Float64Array(1);
const FLOAT_BYTES = new Uint8Array(FLOAT.buffer);

/** Packs values into bytes that are the caller's. What finds no room is not written, but counted in `position`: the caller asks `hadRoom` now and then. */
export class Packer {
  readonly #octets: Uint8Array;
  readonly #texts = new Map<string, number>();
  /** Where the next value begins; past the end of the bytes where there was no room. */
  position = 0;

  constructor(octets: Uint8Array) {
    this.#octets = octets;
  }

  get hadRoom(): boolean {
    return this.position <= this.#octets.length;
  }

  /** @param value an integer from 0 below 2^32. */
  count(value: number): void {
    let rest = value;
    for (; rest > 0x7f; rest >>>= 7) this.#octets[this.position++] = (rest & 0x7f) | 0x80;
    this.#octets[this.position++] = rest;
  }

  number(value: number | null): void {
    if (value === null) this.count(0);
    else if (value >= 0 && value <= MAX_COUNTED && Math.floor(value) === value && !Object.is(value, -0)) this.count(value + 2);
    else {
      this.count(1);
      FLOAT[0] = value;
      for (let index = 0; index < 8; index++) this.#octets[this.position++] = FLOAT_BYTES[index] ?? 0;
    }
  }

  text(text: string): void {
    const start = this.position;
    const { length } = text;
    this.count(length * 2);
    let position = this.position;
    for (let index = 0; index < length; index++) {
      const unit = text.charCodeAt(index);
      if (unit > 0xff) {
        this.position = start;
        this.#wideText(text);
        return;
      }
      this.#octets[position++] = unit;
    }
    this.position = position;
  }

  /** For what many records have in common: each text is written once. */
  common(text: string | null): void {
    if (text === null) {
      this.count(0);
      return;
    }
    const place = this.#texts.get(text);
    if (place !== undefined) {
      this.count(place + 2);
      return;
    }
    this.#texts.set(text, this.#texts.size);
    this.count(1);
    this.text(text);
  }

  #wideText(text: string): void {
    this.count(text.length * 2 + 1);
    for (let index = 0; index < text.length; index++) {
      const unit = text.charCodeAt(index);
      this.#octets[this.position++] = unit & 0xff;
      this.#octets[this.position++] = unit >> 8;
    }
  }
}

/** Reads what a `Packer` wrote. Bytes that none wrote are not recognized: they come from the same process. */
export class Unpacker {
  readonly #octets: Buffer;
  readonly #texts: string[] = [];
  #position = 0;

  constructor(octets: Uint8Array) {
    this.#octets = Buffer.from(octets.buffer, octets.byteOffset, octets.length);
  }

  count(): number {
    let value = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = this.#octets[this.#position++] ?? 0;
      value |= (byte & 0x7f) << shift;
      if (byte < 0x80) return value >>> 0;
    }
  }

  number(): number | null {
    const counted = this.count();
    if (counted === 0) return null;
    if (counted > 1) return counted - 2;
    this.#position += 8;
    return this.#octets.readDoubleLE(this.#position - 8);
  }

  text(): string {
    const counted = this.count();
    const start = this.#position;
    this.#position += counted & 1 ? counted - 1 : counted / 2;
    return this.#octets.toString(counted & 1 ? "utf16le" : "latin1", start, this.#position);
  }

  common(): string | null {
    const counted = this.count();
    if (counted === 0) return null;
    if (counted > 1) return this.#texts[counted - 2] ?? "";
    const text = this.text();
    this.#texts.push(text);
    return text;
  }
}

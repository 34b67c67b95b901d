import type { AttemptRecord, QueryRecord } from "../record.ts";
import type { TraceMatch, TraceStep } from "../trace.ts";
import { Packer, Unpacker } from "./packing.ts";

/** Records one after the other, in octets that two threads see. */
export interface Chunk {
  readonly octets: SharedArrayBuffer;
  readonly records: number;
  /** How many of the octets they take. */
  readonly used: number;
}

/** Fills the octets of a chunk with records. */
export class ChunkFiller {
  readonly #octets: SharedArrayBuffer;
  readonly #packer: Packer;
  #records = 0;
  #used = 0;
  #ended = false;

  /** @param octets are the chunk's from now on. */
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

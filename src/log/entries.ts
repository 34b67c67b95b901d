import { ttlAt } from "../dns/answer.ts";
import { type Name, nameText, plainNameEnd } from "../dns/name.ts";
import { RCODE, rcodeName, typeName } from "../dns/types.ts";
import { Remembered } from "../lib/recently-used.ts";
import type { AttemptRecord } from "./record.ts";
import {
  ATTEMPT_TRANSPORTS,
  ATTEMPT_WORDS,
  COMPARED_BY,
  ENTRY,
  type EntrySpan,
  EXTRA,
  entryId,
  FLAGS,
  HTTP_VERSIONS,
  KIND,
  METHODS,
  NO_RCODE,
  nextEntry,
  SIDES,
  SOURCES,
  type TextTable,
  TRANSPORTS,
  TTL_EDITS,
} from "./ring.ts";
import {
  attemptTimes,
  type ComparedStep,
  type Details,
  type Row,
  type RowClient,
  type RowKind,
  rowClient,
  rowKind,
  ttlsTogether,
} from "./rows.ts";
import { reversedName } from "./schema.ts";
import { answerTexts, type ReplyScan, scanReply } from "./sent.ts";

/** Texts that are remembered by the bytes they come from. */
const REMEMBERED = { names: 16_384, clients: 2048, kinds: 4096, answers: 16_384 } as const;

/** What is remembered by the serial numbers of repeated replies and their clients: as many as there can be at a time, both powers of two. */
const REPEATED = { replies: 32_768, clients: 4096 } as const;

/** The first word of each extra holds its kind in the lowest byte, and small values above it. */
const BYTE = 0xff;

/**
 * Turns entries of a ring into rows. Names, clients, kinds and answers become text once and are remembered by their bytes, so that an entry that says
 * nothing new costs some look-ups.
 */
export class EntryReader {
  readonly #texts: Pick<TextTable, "textOf">;
  readonly #names = new Remembered<string>(REMEMBERED.names);
  readonly #clients = new Remembered<RowClient>(REMEMBERED.clients);
  readonly #kinds = new Remembered<RowKind>(REMEMBERED.kinds);
  readonly #answers = new Remembered<string>(REMEMBERED.answers);
  /** By their places in the table of replies; made with the first of them. */
  #replies: (ReadReply | undefined)[] = [];
  readonly #repeatedTo: (ReadClient | undefined)[] = [];
  /** An answer whose id, TTLs and letter case are left out, so that equal ones have equal bytes. */
  readonly #plain = Buffer.alloc(0x1_0000);
  readonly #kindWords = new Int32Array(9);
  readonly #kindBytes = Buffer.from(this.#kindWords.buffer);

  constructor(texts: Pick<TextTable, "textOf">) {
    this.#texts = texts;
  }

  /** The rows of all queries in a span, in their order. */
  rows(span: EntrySpan): Row[] {
    const rows: Row[] = [];
    for (let at = span.from; at < span.to; at = nextEntry(span, at)) {
      const row = span.words[at + ENTRY.kind] === KIND.query ? this.row(span, at) : null;
      if (row !== null) rows.push(row);
    }
    return rows;
  }

  /** The row of the query whose entry begins at this word; null where its parts do not fit into it, which is a fault of ours. */
  row(span: EntrySpan, at: number): Row | null {
    const { words } = span;
    const end = nextEntry(span, at);
    const sizes = words[at + ENTRY.nameAndClientBytes] ?? 0;
    const idAndExtras = words[at + ENTRY.clientIdBytesAndExtraWords] ?? 0;
    const extraWords = idAndExtras >>> 16;
    const nameStart = (at + ENTRY.words + extraWords) * 4;
    const clientStart = nameStart + (sizes & 0xffff);
    const clientIdStart = clientStart + (sizes >>> 16);
    const replyStart = clientIdStart + (idAndExtras & 0xffff);
    const size = (words[at + ENTRY.replyBytes] ?? 0) >>> 0;
    const idHigh = words[at + ENTRY.idHigh] ?? 0;
    if (replyStart + size > end * 4 || idHigh < 0 || idHigh > MAX_ID_HIGH) return null;
    const places = { nameStart, clientStart, clientIdStart, replyStart, size };
    const serial = words[at + ENTRY.repeatSerial] ?? 0;
    if (serial === 0) return this.#newRow(span, at, places);
    const place = (words[at + ENTRY.repeatPlace] ?? 0) & (REPEATED.replies - 1);
    const flags = words[at + ENTRY.flags] ?? 0;
    const first = this.#replies[place];
    const known = first?.serial === serial ? first : undefined;
    for (let each = known; each !== undefined; each = each.next)
      if (each.flags === flags && each.row.size === size) return this.#repeatedRow(span, at, places, each);
    const row = this.#newRow(span, at, places);
    if (this.#replies.length === 0) this.#replies = new Array(REPEATED.replies);
    const reply = span.bytes.subarray(replyStart, replyStart + size);
    if (row.attemptMs === null) this.#replies[place] = readReply({ serial, flags, next: known }, row, reply);
    return row;
  }

  /** The row of a reply that was read before: it differs in its time, its client and its TTLs. */
  #repeatedRow(span: EntrySpan, at: number, places: EntryPlaces, { row, ttlOffsets }: ReadReply): Row {
    const { words, bytes } = span;
    const { replyStart, size } = places;
    const [first] = ttlOffsets;
    const lagMs = words[at + ENTRY.lagMs] ?? 0;
    return {
      id: entryId(words, at),
      reversed: row.reversed,
      client: this.#client(span, at, places),
      kind: row.kind,
      details: row.details,
      answers: row.answers,
      ttls:
        first !== undefined && ttlOffsets.length === 1
          ? ttlAt(bytes, replyStart + first)
          : ttlsTogether(ttlOffsets.map((offset) => ttlAt(bytes, replyStart + offset))),
      durationUs: (words[at + ENTRY.durationUs] ?? 0) >>> 0,
      size,
      line: row.line,
      attemptMs: null,
      negativeTtl: row.negativeTtl === null ? null : scanReply(bytes.subarray(replyStart, replyStart + size)).soaSeconds,
      lagMs: lagMs === 0 ? null : lagMs,
      repeat: row.repeat,
    };
  }

  #newRow(span: EntrySpan, at: number, places: EntryPlaces): Row {
    const { words, bytes } = span;
    const { nameStart, clientStart, replyStart, size } = places;
    const word = (place: number): number => words[at + place] ?? 0;
    const flags = word(ENTRY.flags);
    const extras = at + ENTRY.words;
    const extraWords = nameStart / 4 - extras;
    const reply = bytes.subarray(replyStart, replyStart + size);
    const sent = (flags & FLAGS.sent) !== 0 && reply.length >= 12 ? scanReply(reply) : null;
    const source = fieldOf(SOURCES, FLAGS.source, flags) ?? "failure";
    const attempts = extraWords === 0 ? NO_ATTEMPTS : this.#attempts(words, extras, extras + extraWords);
    const upstream = word(ENTRY.route) === 0 || source === "cache" || source === "stale" ? 0 : upstreamOf(attempts);
    const kind = this.#kind(word, { flags, rcode: sent === null ? -1 : sent.rcode, upstream });
    const hasName = (flags & FLAGS.question) !== 0;
    const name = hasName ? bytes.toString("latin1", nameStart, clientStart) : "";
    const answers = sent === null || sent.ttls.length === 0 ? null : this.#answerText(reply, sent, name);
    const lagMs = word(ENTRY.lagMs);
    return {
      id: entryId(words, at),
      reversed: hasName ? this.#reversed(name) : "",
      client: this.#client(span, at, places),
      kind,
      details: this.#details({ words, extras, extraWords, attempts, sent, action: kind.values.action, flags, word }),
      answers,
      ttls: answers === null || sent === null ? null : answerTtls(sent, answers),
      durationUs: word(ENTRY.durationUs) >>> 0,
      size,
      line: word(ENTRY.line),
      attemptMs: attemptTimes(attempts),
      negativeTtl: sent !== null && (flags & FLAGS.negative) !== 0 ? sent.soaSeconds : null,
      lagMs: lagMs === 0 ? null : lagMs,
      repeat: word(ENTRY.repeatSerial) === 0 ? null : { stored: null },
    };
  }

  #reversed(name: string): string {
    return this.#names.get(name) ?? this.#names.put(name, reversedOf(name));
  }

  #client(span: EntrySpan, at: number, places: EntryPlaces): RowClient {
    const serial = span.words[at + ENTRY.clientSerial] ?? 0;
    if (serial === 0) return this.#clientIn(span.bytes, places);
    const place = serial & (REPEATED.clients - 1);
    const known = this.#repeatedTo[place];
    if (known?.serial === serial) return known.client;
    const client = this.#clientIn(span.bytes, places);
    this.#repeatedTo[place] = { serial, client };
    return client;
  }

  #clientIn(bytes: Buffer, { clientStart, clientIdStart, replyStart }: EntryPlaces): RowClient {
    const address = bytes.toString("latin1", clientStart, clientIdStart);
    const clientId = replyStart > clientIdStart ? bytes.toString("latin1", clientIdStart, replyStart) : null;
    const key = clientId === null ? address : `${address}\0${clientId}`;
    return this.#clients.get(key) ?? this.#clients.put(key, rowClient(address, clientId));
  }

  #kind(
    word: (place: number) => number,
    { flags, rcode, upstream }: { flags: number; rcode: number; upstream: number },
  ): RowKind {
    const words = this.#kindWords;
    words[0] = flags & KIND_FLAGS;
    words[1] = word(ENTRY.type);
    words[2] = rcode;
    words[3] = word(ENTRY.action);
    words[4] = word(ENTRY.rule);
    words[5] = word(ENTRY.list);
    words[6] = word(ENTRY.route);
    words[7] = upstream;
    words[8] = word(ENTRY.version);
    const key = this.#kindBytes.toString("latin1");
    return this.#kinds.get(key) ?? this.#kinds.put(key, this.#newKind(word, { flags, rcode, upstream }));
  }

  #newKind(
    word: (place: number) => number,
    { flags, rcode, upstream }: { flags: number; rcode: number; upstream: number },
  ): RowKind {
    const text = (place: number): string | null => this.#texts.textOf(word(place));
    return rowKind({
      transport: fieldOf(TRANSPORTS, FLAGS.transport, flags),
      http: fieldOf(HTTP_VERSIONS, FLAGS.http, flags),
      method: fieldOf(METHODS, FLAGS.method, flags),
      type: (flags & FLAGS.question) === 0 ? "" : typeName(word(ENTRY.type) & 0xffff),
      rcode: rcode < 0 ? null : rcodeName(rcode),
      source: fieldOf(SOURCES, FLAGS.source, flags),
      action: text(ENTRY.action) ?? "none",
      rule: text(ENTRY.rule),
      list: text(ENTRY.list),
      route: text(ENTRY.route),
      upstream: this.#texts.textOf(upstream),
      version: text(ENTRY.version) ?? "",
    });
  }

  #answerText(reply: Buffer, { answersEnd, ttlOffsets }: ReplyScan, name: string): string {
    const plain = this.#plain;
    reply.copy(plain, 0, 0, answersEnd);
    plain.writeUInt16BE(0, 0);
    plain.write(name, 12, "latin1");
    for (const offset of ttlOffsets) plain.writeUInt32BE(0, offset);
    // The counts of the other sections differ from client to client.
    plain.writeUInt32BE(0, 8);
    plain.writeUInt16BE(0, 2);
    const key = plain.toString("latin1", 0, answersEnd);
    return this.#answers.get(key) ?? this.#answers.put(key, answerTexts(plain.subarray(0, answersEnd)).join("\n"));
  }

  #details(entry: {
    readonly words: Int32Array;
    readonly extras: number;
    readonly extraWords: number;
    readonly attempts: readonly ReadAttempt[];
    readonly sent: ReplyScan | null;
    readonly action: string | null;
    readonly flags: number;
    readonly word: (place: number) => number;
  }): string | null {
    const { words, extras, extraWords, attempts, sent, action, flags, word } = entry;
    const edits: string[] = [];
    let compared: ComparedStep | null = null;
    for (let at = extras; at < extras + extraWords; at += extraLength(words[at] ?? 0)) {
      const first = words[at] ?? 0;
      if ((first & BYTE) === EXTRA.edit) edits.push(this.#texts.textOf(words[at + 1] ?? 0) ?? "");
      else if ((first & BYTE) === EXTRA.comparison) compared = this.#compared(first, words[at + 1] ?? 0);
    }
    if (action === "nxdomain:guarded") edits.push("made NXDOMAIN NODATA");
    if (action === "void:nodata") edits.push("made a forged answer NODATA");
    else if (action === "rebinding:nodata") edits.push("left out addresses at home");
    const ttlEdit = fieldOf(TTL_EDITS, FLAGS.ttlEdit, flags) ?? "none";
    if (ttlEdit !== "none") edits.push(...ttlEdits(ttlEdit, word(ENTRY.editFrom), word(ENTRY.editTo)));
    if (sent?.truncated === true) edits.push("truncated");
    const ede = sent?.ede ?? [];
    if (compared === null && attempts.length === 0 && ede.length === 0 && edits.length === 0) return null;
    const told = attempts.map(({ upstream: _upstream, isGood: _isGood, startMs: _startMs, ms: _ms, ...attempt }) => attempt);
    return JSON.stringify([compared, told, ede, edits] satisfies Details);
  }

  #compared(first: number, near: number): ComparedStep {
    return {
      kind: "compared",
      side: SIDES[(first >>> 8) & BYTE] ?? "far",
      near: this.#texts.textOf(near),
      by: COMPARED_BY[(first >>> 16) & BYTE] ?? "default",
    };
  }

  #attempts(words: Int32Array, from: number, to: number): readonly ReadAttempt[] {
    const attempts: ReadAttempt[] = [];
    for (let at = from; at < to; at += extraLength(words[at] ?? 0)) {
      const first = words[at] ?? 0;
      if ((first & BYTE) !== EXTRA.attempt) continue;
      const rcode = first >>> 16;
      const upstream = words[at + 2] ?? 0;
      attempts.push({
        group: this.#texts.textOf(words[at + 1] ?? 0),
        server: this.#texts.textOf(upstream) ?? "",
        transport: ATTEMPT_TRANSPORTS[(first >>> 8) & BYTE] ?? "udp",
        startMs: words[at + 5] ?? 0,
        ms: ((words[at + 4] ?? 0) >>> 0) / 1000,
        rcode: rcode === NO_RCODE ? null : rcodeName(rcode),
        failure: this.#texts.textOf(words[at + 3] ?? 0),
        upstream,
        isGood: rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN,
      });
    }
    return attempts;
  }
}

/** Where the bytes of an entry are. */
interface EntryPlaces {
  readonly nameStart: number;
  readonly clientStart: number;
  readonly clientIdStart: number;
  readonly replyStart: number;
  /** Of the reply. */
  readonly size: number;
}

/** A repeated reply that was read, and over which channel. */
interface RepeatKey {
  readonly serial: number;
  /** `ENTRY.flags`. */
  readonly flags: number;
  /** The same reply over another channel. */
  readonly next: ReadReply | undefined;
}

interface ReadReply extends RepeatKey {
  /** Of one of its repetitions. */
  readonly row: Row;
  /** Of the answers that the row shows. */
  readonly ttlOffsets: readonly number[];
}

interface ReadClient {
  readonly serial: number;
  readonly client: RowClient;
}

interface ReadAttempt extends AttemptRecord {
  /** Number of the server's text. */
  readonly upstream: number;
  readonly isGood: boolean;
}

/** @returns undefined where repetitions differ in more than their TTLs: of a long answer some have none. */
function readReply(key: RepeatKey, row: Row, reply: Uint8Array): ReadReply | undefined {
  if (row.answers === null) return { ...key, row, ttlOffsets: [] };
  const { ttls, ttlOffsets } = scanReply(reply);
  return ttls.length === ttlOffsets.length ? { ...key, row, ttlOffsets } : undefined;
}

/** The upper half of 2 ** 53 - 1. */
const MAX_ID_HIGH = 0x1f_ffff;

/** @param bytes of a name, one character each, which is the name itself (`Name`). */
function reversedOf(bytes: string): string {
  return plainNameEnd(Buffer.from(bytes, "latin1"), 0) === bytes.length ? reversedName(nameText(bytes as Name)) : "";
}

const NO_ATTEMPTS: readonly ReadAttempt[] = [];

/** Bits of the flags that belong to a kind. */
const KIND_FLAGS = 0x1ff | FLAGS.question;

function extraLength(first: number): number {
  return (first & BYTE) === EXTRA.attempt ? ATTEMPT_WORDS : 2;
}

function fieldOf<T>(
  values: readonly T[],
  { shift, mask }: { readonly shift: number; readonly mask: number },
  flags: number,
): T | null {
  return values[(flags >>> shift) & mask] ?? null;
}

/** Of what was asked the last server that gave a good answer; where none did, the last that said anything, which is then what failed. */
function upstreamOf(attempts: readonly ReadAttempt[]): number {
  const answering = attempts.findLast(({ isGood }) => isGood) ?? attempts.findLast(({ rcode }) => rcode !== null);
  return answering?.upstream ?? 0;
}

/** A line for each record, and for those that are left out one without a TTL. */
function answerTtls({ ttls, ttlOffsets }: ReplyScan, answers: string): Row["ttls"] {
  const isCut = ttls.length < ttlOffsets.length && answers !== "";
  return ttlsTogether(isCut ? [...ttls, ""] : ttls);
}

function ttlEdits(edit: (typeof TTL_EDITS)[number], from: number, to: number): readonly string[] {
  switch (edit) {
    case "raised":
      return [`raised TTLs to ${to} s`];
    case "lowered":
      return [`lowered TTLs to ${to} s`];
    case "both":
      return [`raised TTLs to ${from} s`, `lowered TTLs to ${to} s`];
    case "negative":
      return [`${from < to ? "raised" : "lowered"} the negative TTL from ${from} s to ${to} s`];
    case "stale":
      return [`set the TTL to ${to} s`];
    case "none":
      return [];
  }
}

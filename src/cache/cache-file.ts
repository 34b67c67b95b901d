import type { FileHandle } from "node:fs/promises";
import { setImmediate as turn } from "node:timers/promises";
import { crc32 } from "node:zlib";
import type { AddressSet } from "../dns/address.ts";
import { type Answer, indexAnswer, outcomeOf, someAddress } from "../dns/answer.ts";
import { RCODE } from "../dns/types.ts";
import type { Clock } from "../lib/clock.ts";
import { readIfThere, replaceFile } from "../lib/files.ts";
import { errorText } from "../lib/text.ts";
import type { AnswerCache } from "./answer-cache.ts";
import type { Inspected } from "./entry.ts";
import { type CacheKey, keyFromText, readKey } from "./key.ts";
import type { LifetimeLimits } from "./lifetime.ts";

/** A short fingerprint, without NUL, of the servers behind each route. Answers of other servers under the same name are not restored. */
type RouteMarks = ReadonlyMap<string, string>;

/**
 * Writes the positive answers to a file for the next start. Volatile and synthesized answers are left out; negatives live too short to be
 * worth it. The file is replaced in one step. One save at a time.
 * @returns how many answers are in the file.
 * @throws the system's error.
 */
export async function saveCache(cache: AnswerCache, path: string, routes: RouteMarks): Promise<number> {
  let count = 0;
  // Readable for its owner alone: it tells which names were asked for.
  await replaceFile(path, async (file) => {
    count = await writeRecords(file, cache, routes);
  });
  return count;
}

interface CacheLoad {
  readonly restored: number;
  /** Answers that are too old, whose route has other servers now, or that the cache refused. */
  readonly dropped: number;
  /** Why the file, or the rest of it, was not read; null = it was read, or does not exist. */
  readonly problem: string | null;
}

export interface LoadOptions {
  /** The limits of section `answers`: they say which answers are still useful. */
  readonly limits: LifetimeLimits;
  readonly clock: Clock;
  readonly routes: RouteMarks;
  /** Answers with one of these addresses are not restored: they may be older than this set. */
  readonly volatileAddresses: AddressSet;
}

/**
 * Puts the answers of a file into the cache, with their age. To be called before the first query. A damaged file, or one of another version, is no
 * error: its untrusted part is ignored and the problem returned.
 */
export async function loadCache(cache: AnswerCache, path: string, options: LoadOptions): Promise<CacheLoad> {
  let file: Buffer | null;
  try {
    file = await readIfThere(path, MAX_FILE_BYTES);
  } catch (error) {
    return { restored: 0, dropped: 0, problem: errorText(error) };
  }
  if (file === null) return { restored: 0, dropped: 0, problem: null };
  if (!file.subarray(0, HEADER.length).equals(HEADER)) {
    return { restored: 0, dropped: 0, problem: "it is not a cache file of this version" };
  }
  let restored = 0;
  let dropped = 0;
  for (let start = HEADER.length; start < file.length; ) {
    const record = readRecord(file, start);
    if (record === null) return { restored, dropped, problem: `it is damaged at byte ${start}` };
    start = record.end;
    if (restoreRecord(cache, record, options)) restored++;
    else dropped++;
    if ((restored + dropped) % RECORDS_PER_TURN === 0) await turn();
  }
  return { restored, dropped, problem: null };
}

/** The file is this line and then records. The number is raised when the format of the file or of a key changes. */
const HEADER = Buffer.from("fenliu answers 2\n");

/**
 * Offsets in a record: CRC-32 of everything behind it, time of arrival (wall clock, ms), length of the key in bytes, length of the message; then the
 * key in UTF-8 and the message. A NUL and the fingerprint of the route follow the key and count as part of it.
 */
const RECORD = { checksumAt: 0, storedAt: 4, keyLengthAt: 12, wireLengthAt: 14, keyAt: 18 } as const;

/** Writing in chunks and reading in turns keep the event loop free for queries. */
const CHUNK_BYTES = 256 * 1024;
const RECORDS_PER_TURN = 500;

/** A larger file is not read: no sensible cache is that large. */
const MAX_FILE_BYTES = 1024 ** 3;

async function writeRecords(file: FileHandle, cache: AnswerCache, routes: RouteMarks): Promise<number> {
  let count = 0;
  let chunks: Uint8Array[] = [HEADER];
  let bytes = HEADER.length;
  for (const entry of cache.entries()) {
    const mark = routes.get(entry.parts.route);
    if (mark === undefined || !isWorthKeeping(entry)) continue;
    const record = encodeRecord(entry, mark);
    chunks.push(record);
    bytes += record.length;
    count++;
    if (bytes < CHUNK_BYTES) continue;
    await file.writeFile(Buffer.concat(chunks));
    chunks = [];
    bytes = 0;
  }
  await file.writeFile(Buffer.concat(chunks));
  return count;
}

function isWorthKeeping({ outcome, held }: Inspected): boolean {
  return outcome === "positive" && !held.volatile && !held.synthesized;
}

function encodeRecord({ key, held, storedWallMs }: Inspected, mark: string): Buffer {
  const { wire } = held.answer;
  const keyBytes = Buffer.from(`${key}\0${mark}`, "utf8");
  const record = Buffer.alloc(RECORD.keyAt + keyBytes.length + wire.length);
  record.writeDoubleBE(storedWallMs, RECORD.storedAt);
  record.writeUInt16BE(keyBytes.length, RECORD.keyLengthAt);
  record.writeUInt32BE(wire.length, RECORD.wireLengthAt);
  record.set(keyBytes, RECORD.keyAt);
  record.set(wire, RECORD.keyAt + keyBytes.length);
  record.writeUInt32BE(crc32(record.subarray(RECORD.storedAt)), RECORD.checksumAt);
  return record;
}

interface StoredRecord {
  readonly key: CacheKey;
  readonly mark: string;
  readonly answer: Answer;
  readonly storedWallMs: number;
  /** Offset of the next record. */
  readonly end: number;
}

/** null = the record is cut short or damaged. */
function readRecord(file: Buffer, start: number): StoredRecord | null {
  if (start + RECORD.keyAt > file.length) return null;
  const wireStart = start + RECORD.keyAt + file.readUInt16BE(start + RECORD.keyLengthAt);
  const end = wireStart + file.readUInt32BE(start + RECORD.wireLengthAt);
  if (end > file.length) return null;
  if (crc32(file.subarray(start + RECORD.storedAt, end)) !== file.readUInt32BE(start + RECORD.checksumAt)) return null;
  const marked = file.toString("utf8", start + RECORD.keyAt, wireStart);
  const keyEnd = marked.lastIndexOf("\0");
  const key = keyFromText(marked.slice(0, Math.max(0, keyEnd)));
  const answer = indexAnswer(Uint8Array.from(file.subarray(wireStart, end)));
  if (key === null || answer === null || !key.startsWith(answer.name)) return null;
  return { key, mark: marked.slice(keyEnd + 1), answer, storedWallMs: file.readDoubleBE(start + RECORD.storedAt), end };
}

function restoreRecord(cache: AnswerCache, { key, mark, answer, storedWallMs }: StoredRecord, options: LoadOptions): boolean {
  const { limits, clock, routes, volatileAddresses } = options;
  const ageMs = clock.wallMs() - storedWallMs;
  // An answer from the future: the clock was set back, or is not set yet, so that the age of the answer is unknown.
  if (!(ageMs >= 0) || answer.rcode !== RCODE.NOERROR || outcomeOf(answer) !== "positive") return false;
  if (routes.get(readKey(key).route) !== mark) return false;
  if (someAddress(answer, (address) => volatileAddresses.has(address))) return false;
  return cache.put(key, answer, { limits, ageMs }) === "taken";
}

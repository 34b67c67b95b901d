import type { FileHandle } from "node:fs/promises";
import { setImmediate as turn } from "node:timers/promises";
import { crc32 } from "node:zlib";
import type { AddressSet } from "../dns/address.ts";
import { type Answer, addressesOf, indexAnswer, outcomeOf } from "../dns/answer.ts";
import { RCODE } from "../dns/types.ts";
import type { Clock } from "../lib/clock.ts";
import { readIfThere, replaceFile } from "../lib/files.ts";
import { errorText } from "../lib/text.ts";
import type { AnswerCache } from "./answer-cache.ts";
import type { Inspected } from "./entry.ts";
import { type CacheKey, keyFromText, readKey } from "./key.ts";
import type { LifetimeLimits } from "./lifetime.ts";

/** By route, in a few characters without NUL, what its answers come from: what others gave under the same name is not brought back. */
type RouteMarks = ReadonlyMap<string, string>;

/**
 * Writes the positive answers to a file, for the next start. Volatile ones and those made here are left out, and negatives live
 * too short to be worth it. The file is written beside its place and then moved there, so it is whole or the one before.
 * One save at a time.
 * @returns how many answers are in it.
 * @throws the system's error where the file cannot be written.
 */
export async function saveCache(cache: AnswerCache, path: string, routes: RouteMarks): Promise<number> {
  let count = 0;
  // Only for its owner: it tells what was looked up here.
  await replaceFile(path, async (file) => {
    count = await writeRecords(file, cache, routes);
  });
  return count;
}

/** What became of a file at start. */
interface CacheLoad {
  readonly restored: number;
  /** Answers whose life is over, whose route is another by now, or that the cache would not take. */
  readonly dropped: number;
  /** Why the file, or its rest, was not read; null = it was, or there is none. */
  readonly problem: string | null;
}

export interface LoadOptions {
  /** Those of section `answers`: they say which answers still have a use. */
  readonly limits: LifetimeLimits;
  readonly clock: Clock;
  readonly routes: RouteMarks;
  /** Answers with one of these addresses are not brought back: they may have been kept before the set was this one. */
  readonly volatileAddresses: AddressSet;
}

/**
 * Puts the answers of a file into the cache, as old as they are. To be called before the first query. A file that is damaged
 * or of another version is no error: what cannot be trusted is left alone, and the problem is told.
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

/** The format: this line, then records. The number goes up whenever the format or that of a key changes. */
const HEADER = Buffer.from("fenliu answers 2\n");

/**
 * Of a record: CRC-32 of all that follows, when the answer came (wall clock, ms), bytes of the key in UTF-8, bytes of the message. Behind the key
 * stand a NUL and the mark of its route, which count as bytes of the key.
 */
const RECORD = { checksumAt: 0, storedAt: 4, keyLengthAt: 12, wireLengthAt: 14, keyAt: 18 } as const;

/** Both keep the loop free for queries. */
const CHUNK_BYTES = 256 * 1024;
const RECORDS_PER_TURN = 500;

/** Larger than any sensible cache. */
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
  /** Where the next one begins. */
  readonly end: number;
}

/** null where it is cut short or damaged. */
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
  // From the future: the clock was set back since, or is not set yet, and nobody knows how old the answer is.
  if (!(ageMs >= 0) || answer.rcode !== RCODE.NOERROR || outcomeOf(answer) !== "positive") return false;
  if (routes.get(readKey(key).route) !== mark) return false;
  if (addressesOf(answer).some((address) => volatileAddresses.has(address))) return false;
  return cache.put(key, answer, { limits, ageMs }) === "taken";
}

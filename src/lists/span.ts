import { SLICE_BYTES, type Sliced } from "../lib/cooperative.ts";

/**
 * A piece of a text file in bytes; `end` is exclusive. A list of a million lines makes as many spans: reading a line this way needs no
 * string for each.
 */
export interface Span {
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

const NEWLINE = Buffer.from("\n");
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/** Calls `visit` for each line that is not blank, without the white space around it. Line numbers begin at 1. */
export function* eachLine(bytes: Buffer, visit: (line: Span, lineNumber: number) => void): Sliced<void> {
  let pause = SLICE_BYTES;
  let position = bytes.subarray(0, 3).equals(BYTE_ORDER_MARK) ? 3 : 0;
  for (let lineNumber = 1; position < bytes.length; lineNumber++) {
    if (position >= pause) {
      yield;
      pause = position + SLICE_BYTES;
    }
    const newline = yield* findBytes(bytes, NEWLINE, position);
    const end = newline < 0 ? bytes.length : newline;
    const whole = { bytes, start: position, end };
    // No reader takes so long a line, and to pass over 64 MB of blanks holds the thread.
    const line = end - position > SLICE_BYTES * 32 ? whole : trim(whole);
    if (line.start < line.end) visit(line, lineNumber);
    position = end + 1;
  }
}

/** So many bytes are searched at once: a search of 64 MB holds the thread for 20 ms. */
const SEARCHED_BYTES = 1 << 20;

/** The first place of `wanted` from `start` on; -1 = nowhere. */
export function* findBytes(bytes: Buffer, wanted: Buffer, start = 0): Sliced<number> {
  for (let from = start; from < bytes.length; from += SEARCHED_BYTES) {
    if (from > start) yield;
    const found = bytes.subarray(from, from + SEARCHED_BYTES + wanted.length - 1).indexOf(wanted);
    if (found >= 0) return from + found;
  }
  return -1;
}

export function trim({ bytes, start, end }: Span): Span {
  let first = start;
  let last = end;
  while (first < last && isSpace(bytes[first])) first++;
  while (last > first && isSpace(bytes[last - 1])) last--;
  return { bytes, start: first, end: last };
}

/** Cuts the span at its first `#`, which no name or address can hold. */
export function stripComment(span: Span): Span {
  const hash = indexOf(span, 0x23);
  return hash < 0 ? span : trim({ ...span, end: hash });
}

/** The first place of a byte within the span, counted from the start of the file; -1 = nowhere. */
export function indexOf({ bytes, start, end }: Span, byte: number): number {
  for (let index = start; index < end; index++) if (bytes[index] === byte) return index;
  return -1;
}

/** Splits at white space. */
export function splitWords(span: Span): Span[] {
  const words: Span[] = [];
  for (let start = span.start; start < span.end; start++) {
    if (isSpace(span.bytes[start])) continue;
    let end = start + 1;
    while (end < span.end && !isSpace(span.bytes[end])) end++;
    words.push({ bytes: span.bytes, start, end });
    start = end;
  }
  return words;
}

export function startsWith({ bytes, start, end }: Span, prefix: string): boolean {
  if (end - start < prefix.length) return false;
  for (let index = 0; index < prefix.length; index++) if (bytes[start + index] !== prefix.charCodeAt(index)) return false;
  return true;
}

/** The span without its first `count` bytes. */
export function skip(span: Span, count: number): Span {
  return { bytes: span.bytes, start: Math.min(span.start + count, span.end), end: span.end };
}

/** Decodes UTF-8. */
export function spanText({ bytes, start, end }: Span): string {
  return bytes.toString("utf8", start, end);
}

export function spanOf(text: string): Span {
  const bytes = Buffer.from(text);
  return { bytes, start: 0, end: bytes.length };
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d);
}

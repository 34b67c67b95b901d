import { MAX_LABEL_LENGTH, MAX_NAME_LENGTH, type Name, nameFromText, nameWire } from "../dns/name.ts";
import { NAME_KIND, type NameKind, OFFSET_MASK } from "./name-table.ts";
import { type Span, spanText } from "./span.ts";

const DOT = 0x2e;
const NO_NAME = "not a domain name";
/** Octets that the names of one table may have together. */
const MAX_TABLE_OCTETS = OFFSET_MASK;
const IS_FULL = "the list is full";
const IS_ADDRESS = "an address, where a domain name belongs";

/**
 * The names of a table as they were collected. Entry `i` is the wire form without the root label in `octets[starts[i] .. starts[i + 1]]`, the two highest bits
 * of `starts[i]` masked off: these are its kind, one of `NAME_KIND`. All are only read.
 */
export interface NameRows {
  readonly octets: Uint8Array;
  /** One more than there are entries. */
  readonly starts: Uint32Array;
  readonly lines: Uint32Array;
}

/** Collects the entries of a NameTable from text, without making a string of each. */
export class NameCollector {
  #octets = new Uint8Array(1024);
  #used = 0;
  #starts = new Uint32Array(64);
  #lines = new Uint32Array(64);
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Of all names so far. */
  get octets(): number {
    return this.#used;
  }

  /**
   * Adds a name in presentation format: letters, digits, hyphen and underscore, a final dot allowed, or letters beyond ASCII (RFC 5890).
   * Answers why it is none, else null.
   */
  addText(span: Span, kind: NameKind, lineNumber: number): string | null {
    const end = span.bytes[span.end - 1] === DOT ? span.end - 1 : span.end;
    const length = end - span.start;
    if (this.#used > MAX_TABLE_OCTETS - MAX_NAME_LENGTH) return IS_FULL;
    if (length <= 0) return NO_NAME;
    // In UTF-8 a name may be longer than its A-labels.
    if (length > MAX_NAME_LENGTH - 2) return hasHighOctet(span) ? this.#addUnicode(span, kind, lineNumber) : NO_NAME;
    this.#reserve(length + 1);
    const { bytes } = span;
    const octets = this.#octets;
    const base = this.#used;
    let labelStart = base;
    let position = base + 1;
    let numeric = true;
    for (let index = span.start; index < end; index++) {
      const octet = LABEL_OCTETS[bytes[index] ?? 0] ?? 0;
      if (octet !== 0) {
        octets[position++] = octet;
        if (octet < 0x30 || octet > 0x39) numeric = false;
      } else if (bytes[index] === DOT) {
        const labelLength = position - labelStart - 1;
        if (labelLength === 0 || labelLength > MAX_LABEL_LENGTH) return NO_NAME;
        octets[labelStart] = labelLength;
        labelStart = position++;
        numeric = true;
      } else {
        return (bytes[index] ?? 0) >= 0x80 ? this.#addUnicode(span, kind, lineNumber) : NO_NAME;
      }
    }
    const labelLength = position - labelStart - 1;
    if (labelLength === 0 || labelLength > MAX_LABEL_LENGTH) return NO_NAME;
    // No top-level domain is all digits (RFC 3696 §2), so this is an address or a part of one.
    if (numeric) return IS_ADDRESS;
    octets[labelStart] = labelLength;
    this.#finish(position, kind, lineNumber);
    return null;
  }

  addName(name: Name, kind: NameKind, lineNumber: number): void {
    const length = name.length - 1;
    this.#reserve(length);
    this.#octets.set(nameWire(name).subarray(0, length), this.#used);
    this.#finish(this.#used + length, kind, lineNumber);
  }

  /** Adds the name whose wire form without the root label is `octets[start .. end]`. */
  addWire(octets: Uint8Array, { start, end }: Pick<Span, "start" | "end">, kind: NameKind): void {
    this.#reserve(end - start);
    for (let index = start; index < end; index++) this.#octets[this.#used + index - start] = octets[index] ?? 0;
    this.#finish(this.#used + end - start, kind, 0);
  }

  /** What was collected; nothing can be added any more. */
  rows(): NameRows {
    this.#starts[this.#count] = this.#used;
    return {
      octets: this.#octets,
      starts: this.#starts.subarray(0, this.#count + 1),
      lines: this.#lines.slice(0, this.#count),
    };
  }

  #addUnicode(span: Span, kind: NameKind, lineNumber: number): string | null {
    const name = nameFromText(spanText(span));
    if (name === null || !isListable(name)) return NO_NAME;
    this.addName(name, kind, lineNumber);
    return null;
  }

  #finish(used: number, kind: NameKind, lineNumber: number): void {
    this.#starts[this.#count] = this.#used | NAME_KIND[kind];
    this.#lines[this.#count] = lineNumber;
    this.#count++;
    this.#used = used;
  }

  #reserve(octets: number): void {
    if (this.#used + octets > this.#octets.length) this.#octets = grown(this.#octets, new Uint8Array(this.#octets.length * 2));
    if (this.#count + 2 <= this.#starts.length) return;
    this.#starts = grown(this.#starts, new Uint32Array(this.#starts.length * 2));
    this.#lines = grown(this.#lines, new Uint32Array(this.#lines.length * 2));
  }
}

/** The octets a label of a list may have, letters mapped to lower case; 0 = not allowed. */
const LABEL_OCTETS = new Uint8Array(256);
for (const octet of Buffer.from("abcdefghijklmnopqrstuvwxyz0123456789-_")) LABEL_OCTETS[octet] = octet;
for (const octet of Buffer.from("ABCDEFGHIJKLMNOPQRSTUVWXYZ")) LABEL_OCTETS[octet] = octet | 0x20;

function isListable(name: Name): boolean {
  for (let position = 0; name.charCodeAt(position) !== 0; ) {
    const end = position + 1 + name.charCodeAt(position);
    for (position++; position < end; position++) if (LABEL_OCTETS[name.charCodeAt(position)] === 0) return false;
  }
  return true;
}

function hasHighOctet({ bytes, start, end }: Span): boolean {
  for (let index = start; index < end; index++) if ((bytes[index] ?? 0) >= 0x80) return true;
  return false;
}

function grown<Words extends Uint8Array | Uint32Array>(old: Words, larger: Words): Words {
  larger.set(old);
  return larger;
}

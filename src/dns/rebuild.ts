import { type Answer, type RecordPlace, recordsOf, type Section, ttlAt } from "./answer.ts";
import { type Name, nameEnd, nameWire, parentOf, ROOT, readName } from "./name.ts";
import { TYPE } from "./types.ts";
import { HEADER_BYTES, MAX_MESSAGE_BYTES, setUint16, setUint32 } from "./wire.ts";

/** A record of one message, ready to be written into another message. */
export interface MovedRecord {
  readonly section: Section;
  readonly owner: Name;
  readonly type: number;
  readonly class: number;
  readonly ttlSeconds: number;
  /** The data in order: bytes, and names that may be compressed. */
  readonly data: readonly (Uint8Array | Name)[];
}

/** The header and the question of a message to be written. */
interface MessageStart {
  /** Twelve bytes or more, of which `writeMessage` sets the counts. */
  readonly header: Uint8Array;
  readonly name: Name;
  readonly type: number;
  readonly class: number;
}

/**
 * Writes a message of moved records, in order. Names are compressed as far as RFC 3597 §4 allows. `records` lists the sections in their order.
 * null where the message would be longer than 65535 bytes.
 */
export function writeMessage(start: MessageStart, records: readonly MovedRecord[]): Buffer | null {
  const writer = new MessageWriter();
  const header = Buffer.from(start.header.subarray(0, HEADER_BYTES));
  const sections = ["answer", "authority", "additional"] as const;
  setUint16(header, 4, 1);
  for (const [index, each] of sections.entries())
    setUint16(header, 6 + 2 * index, records.filter(({ section }) => section === each).length);
  writer.addBytes(header);
  writer.addName(start.name);
  writer.addBytes(Uint8Array.of(start.type >> 8, start.type & 255, start.class >> 8, start.class & 255));
  for (const record of records) {
    if (writer.length > MAX_MESSAGE_BYTES) return null;
    writer.addRecord(record);
  }
  return writer.finish();
}

/** All records of an answer, in order. */
export function moveRecords(answer: Answer): MovedRecord[] {
  return recordsOf(answer).map((place) => moveRecord(answer.wire, place));
}

/** @param place of a record whose owner is well formed, as in every Answer. */
export function moveRecord(wire: Uint8Array, place: RecordPlace): MovedRecord {
  const { section, type, class: klass } = place;
  const owner = readName(wire, place.owner) ?? ROOT;
  return { section, owner, type, class: klass, ttlSeconds: ttlAt(wire, place.ttl), data: splitData(wire, place) };
}

/**
 * The types whose data may have compressed names: bytes before the names, number of names, and whether the names may be compressed again. Only types of
 * RFC 1035 may be compressed; in the others old software may have done so (RFC 3597 §4).
 */
const NAMES_IN_DATA = new Map<number, { readonly before: number; readonly names: number; readonly compresses: boolean }>([
  [TYPE.NS, { before: 0, names: 1, compresses: true }],
  [TYPE.CNAME, { before: 0, names: 1, compresses: true }],
  [TYPE.SOA, { before: 0, names: 2, compresses: true }],
  [TYPE.PTR, { before: 0, names: 1, compresses: true }],
  [TYPE.MX, { before: 2, names: 1, compresses: true }],
  [TYPE.RP, { before: 0, names: 2, compresses: false }],
  [TYPE.AFSDB, { before: 2, names: 1, compresses: false }],
  [TYPE.SRV, { before: 6, names: 1, compresses: false }],
  [TYPE.NAPTR, { before: 4, names: 1, compresses: false }],
]);

/** Data that do not fit their type come back as they are. */
function splitData(wire: Uint8Array, { type, data, end }: RecordPlace): (Uint8Array | Name)[] {
  const layout = NAMES_IN_DATA.get(type);
  const whole = [wire.subarray(data, end)];
  if (layout === undefined) return whole;
  let position = data + layout.before;
  // Three character-strings stand before the name of NAPTR (RFC 3403 §4.1).
  if (type === TYPE.NAPTR) for (let count = 0; count < 3; count++) position += 1 + (wire[position] ?? 0);
  const parts: (Uint8Array | Name)[] = [wire.subarray(data, position)];
  for (let count = 0; count < layout.names; count++) {
    const next = nameEnd(wire, position);
    const name = next < 0 || next > end ? null : readName(wire, position);
    if (name === null) return whole;
    parts.push(layout.compresses ? name : nameWire(name));
    position = next;
  }
  return [...parts, wire.subarray(position, end)];
}

/** The highest offset of a compression pointer (RFC 1035 §4.1.4). */
const MAX_POINTER = 0x3fff;

/** Writes into a buffer of the longest message. Bytes beyond it are counted and not written. */
class MessageWriter {
  readonly #wire = Buffer.allocUnsafe(MAX_MESSAGE_BYTES);
  readonly #offsets = new Map<Name, number>();
  #length = 0;

  get length(): number {
    return this.#length;
  }

  addBytes(bytes: Uint8Array): void {
    if (this.#length + bytes.length <= MAX_MESSAGE_BYTES) this.#wire.set(bytes, this.#length);
    this.#length += bytes.length;
  }

  /** Writes a name, with a pointer for the part that was written before. */
  addName(name: Name): void {
    for (let rest = name; rest !== ROOT; rest = parentOf(rest)) {
      const offset = this.#offsets.get(rest);
      if (offset !== undefined) {
        this.addBytes(Uint8Array.of(0xc0 | (offset >> 8), offset & 255));
        return;
      }
      if (this.#length <= MAX_POINTER) this.#offsets.set(rest, this.#length);
      this.addBytes(Buffer.from(rest.slice(0, 1 + rest.charCodeAt(0)), "latin1"));
    }
    this.addBytes(Uint8Array.of(0));
  }

  addRecord({ owner, type, class: klass, ttlSeconds, data }: MovedRecord): void {
    this.addName(owner);
    const fixed = Buffer.alloc(10);
    setUint16(fixed, 0, type);
    setUint16(fixed, 2, klass);
    setUint32(fixed, 4, ttlSeconds);
    this.addBytes(fixed);
    const start = this.#length;
    for (const part of data) {
      if (typeof part === "string") this.addName(part);
      else this.addBytes(part);
    }
    if (this.#length <= MAX_MESSAGE_BYTES) setUint16(this.#wire, start - 2, this.#length - start);
  }

  finish(): Buffer | null {
    return this.#length > MAX_MESSAGE_BYTES ? null : Buffer.from(this.#wire.subarray(0, this.#length));
  }
}

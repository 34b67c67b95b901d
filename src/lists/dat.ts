import { type AddressRange, rangeOfPrefix, unmapped } from "../dns/address.ts";
import { SLICE_ENTRIES, type Sliced } from "../lib/cooperative.ts";
import { closest } from "../lib/text.ts";
import type { DomainSink, WarningLog } from "./types.ts";

// V2Ray's geosite and geoip files are protobuf messages: a list of categories, each with a code and its entries.

/** `cn@ads@!cn`: the code of a category, and the attributes that an entry must carry, all of them. */
export function parseCategory(text: string): { readonly code: string; readonly attributes: readonly string[] } {
  const [code = "", ...attributes] = text.split("@");
  return { code: code.toUpperCase(), attributes: attributes.map((attribute) => attribute.toLowerCase()) };
}

/** Numbers of the fields of a category, and of the messages in it. */
const CATEGORY = { code: 1, entry: 2, reverseMatch: 3 };
const DOMAIN = { type: 1, value: 2, attribute: 3 };
const ATTRIBUTE_KEY = 1;
const CIDR = { address: 1, prefix: 2 };

/** A longer entry is not read, as no longer line of a text is: an entry is read in one go. */
const MAX_ENTRY_BYTES = 4096;
const TOO_LONG = `an entry of more than ${MAX_ENTRY_BYTES} bytes`;

/** No category has a longer code. */
const MAX_CODE_BYTES = 256;

/**
 * Reads one category of a geosite file. The number of an entry within its category serves as its line.
 * Returns what is wrong with the file or the category, or null.
 */
export function* readGeosite(
  bytes: Buffer,
  category: string,
  { sink, warnings }: { readonly sink: DomainSink; readonly warnings: WarningLog },
): Sliced<string | null> {
  const { attributes } = parseCategory(category);
  let number = 0;
  return yield* eachField(bytes, category, (field) => {
    if (field.number !== CATEGORY.entry) return;
    number++;
    const reason = isTooLong(field) ? TOO_LONG : readDomain(field.message(), { attributes, number }, sink);
    if (reason !== null) warnings.add(number, reason);
  });
}

function readDomain(
  domain: ProtobufCursor,
  { attributes, number }: { readonly attributes: readonly string[]; readonly number: number },
  sink: DomainSink,
): string | null {
  let type = 0;
  let value = { bytes: domain.bytes, start: 0, end: 0 };
  const carried: string[] = [];
  while (domain.next()) {
    if (domain.number === DOMAIN.type) type = domain.value;
    else if (domain.number === DOMAIN.value) value = { bytes: domain.bytes, start: domain.start, end: domain.end };
    else if (domain.number === DOMAIN.attribute && attributes.length > 0)
      carried.push(textOf(domain.message(), ATTRIBUTE_KEY).toLowerCase());
  }
  if (!attributes.every((attribute) => carried.includes(attribute))) return null;
  switch (type) {
    case 0:
    case 1:
      return sink.text(type === 0 ? "keyword" : "regexp", value.bytes.toString("utf8", value.start, value.end), number);
    case 2:
      return sink.name("suffix", value, number);
    case 3:
      return sink.name("full", value, number);
    default:
      return "an entry of an unknown type";
  }
}

/**
 * Reads one category of a geoip file. The number of a block within its category serves as its line. Returns what is wrong with the file or the category,
 * or null; then nothing that was taken may be used.
 */
export function* readGeoip(
  bytes: Buffer,
  category: string,
  { take, warnings }: { readonly take: (range: AddressRange) => void; readonly warnings: WarningLog },
): Sliced<string | null> {
  let isReversed = false;
  let number = 0;
  const problem = yield* eachField(bytes, category, (field) => {
    if (field.number === CATEGORY.reverseMatch) isReversed = field.value !== 0;
    if (field.number !== CATEGORY.entry) return;
    number++;
    const range = isTooLong(field) ? null : readCidr(field.message());
    if (range === null) warnings.add(number, "not a block of addresses");
    else take(range);
  });
  if (problem !== null) return problem;
  // A reversed category names the addresses that it does not hold. Reading it as it stands would send traffic the wrong way.
  return isReversed ? `category ${category} is reversed, which cannot be read yet` : null;
}

function readCidr(cidr: ProtobufCursor): AddressRange | null {
  let address: Buffer = Buffer.alloc(0);
  let bits = 0;
  while (cidr.next()) {
    if (cidr.number === CIDR.address) address = cidr.bytes.subarray(cidr.start, cidr.end);
    else if (cidr.number === CIDR.prefix) bits = cidr.value;
  }
  if (address.length !== 4 && address.length !== 16) return null;
  const plain = unmapped(address);
  return rangeOfPrefix(plain, plain.length < address.length ? bits - 96 : bits);
}

function isTooLong({ start, end }: ProtobufCursor): boolean {
  return end - start > MAX_ENTRY_BYTES;
}

/** Visits the fields of one category. Returns what is wrong with the file or the category, or null. */
function* eachField(bytes: Buffer, category: string, visit: (field: ProtobufCursor) => void): Sliced<string | null> {
  const wanted = parseCategory(category).code;
  let count = 0;
  try {
    for (const found of eachCategory(bytes)) {
      if (found === undefined) yield;
      if (found?.code !== wanted) continue;
      for (const field = found.message; field.next(); ) {
        if (++count % SLICE_ENTRIES === 0) yield;
        visit(field);
      }
    }
  } catch (error) {
    if (error instanceof MalformedProtobuf) return error.message;
    throw error;
  }
  return count > 0 ? null : `it has no category ${category}`;
}

/** Why a .dat file can have no such category, with the most similar one that it has; null = it has the category, or cannot be read. */
export function* categoryFault(bytes: Buffer, category: string): Sliced<string | null> {
  const wanted = parseCategory(category).code;
  let near: string | null = null;
  try {
    for (const found of eachCategory(bytes)) {
      if (found === undefined) yield;
      else if (found.code === wanted) return null;
      else near = closest(wanted, near === null ? [found.code] : [near, found.code]);
    }
  } catch (error) {
    if (error instanceof MalformedProtobuf) return null;
    throw error;
  }
  return `it has no category ${wanted.toLowerCase()}${near === null ? "" : `; did you mean \`${near.toLowerCase()}\`?`}`;
}

/** How many categories, or fields before the code of one, are passed over without a pause. */
const SLICE_CATEGORIES = 32;

/** The categories of a file with their codes in capitals; undefined now and then, for a pause. @throws MalformedProtobuf */
function* eachCategory(
  bytes: Buffer,
): Generator<{ readonly code: string; readonly message: ProtobufCursor } | undefined, void, undefined> {
  let passed = 0;
  for (const file = new ProtobufCursor(bytes); file.next(); ) {
    if (++passed % SLICE_CATEGORIES === 0) yield undefined;
    if (file.number !== 1) continue;
    const fields = file.message();
    while (fields.next() && fields.number !== CATEGORY.code) if (++passed % SLICE_CATEGORIES === 0) yield undefined;
    const { number, start, end } = fields;
    if (number !== CATEGORY.code || end - start > MAX_CODE_BYTES) continue;
    yield { code: bytes.toString("utf8", start, end).toUpperCase(), message: file.message() };
  }
}

/** The first field of a message with this number, as text; empty if there is none. */
function textOf(message: ProtobufCursor, number: number): string {
  while (message.next()) if (message.number === number) return message.bytes.toString("utf8", message.start, message.end);
  return "";
}

/** The message says what a person should know. */
class MalformedProtobuf extends Error {}

/** Steps through the fields of one message between two offsets of a file, without copying. */
class ProtobufCursor {
  readonly bytes: Buffer;
  readonly #end: number;
  #position: number;
  /** Number of the current field. */
  number = 0;
  /** Value of a number field; 0 for other fields. */
  value = 0;
  /** Where the bytes of a length-delimited field begin and end; equal for other fields. */
  start = 0;
  end = 0;

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.#position = start;
    this.#end = end;
  }

  /** Goes on to the next field; false at the end. Values of fixed width are skipped. @throws MalformedProtobuf */
  next(): boolean {
    if (this.#position === this.#end) return false;
    const key = this.#readVarint();
    this.number = key >>> 3;
    this.value = 0;
    this.start = this.#position;
    this.end = this.#position;
    switch (key & 7) {
      case 0:
        this.value = this.#readVarint();
        break;
      case 1:
        this.#skip(8);
        break;
      case 2: {
        const length = this.#readVarint();
        this.start = this.#position;
        this.#skip(length);
        this.end = this.#position;
        break;
      }
      case 5:
        this.#skip(4);
        break;
      default:
        throw new MalformedProtobuf("not a protobuf message");
    }
    return true;
  }

  /** The message within the current field. */
  message(): ProtobufCursor {
    return new ProtobufCursor(this.bytes, this.start, this.end);
  }

  #skip(bytes: number): void {
    if (bytes > this.#end - this.#position) throw new MalformedProtobuf("a protobuf message that is cut off");
    this.#position += bytes;
  }

  // Exact up to 2^53; neither format holds larger numbers.
  #readVarint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      const byte = this.#position < this.#end ? this.bytes[this.#position++] : undefined;
      if (byte === undefined) throw new MalformedProtobuf("a protobuf message that is cut off");
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new MalformedProtobuf("not a protobuf message");
  }
}

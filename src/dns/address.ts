import { createHash } from "node:crypto";
import ipaddr from "ipaddr.js";
import { SLICE_ENTRIES, type Sliced } from "../lib/cooperative.ts";
import { type Name, nameOfLabels } from "./name.ts";
import { uint32 } from "./wire.ts";

/** The first and the last address of a block, both included; both have 4 or both 16 bytes, and the first is not above the last. */
export interface AddressRange {
  readonly first: Uint8Array;
  readonly last: Uint8Array;
}

/**
 * The bytes of an address: 4 for IPv4 and for IPv4-mapped IPv6 (RFC 4291 §2.5.5.2), else 16. null where the text is no address, has a zone, or is IPv4 in
 * another form than four decimal numbers without leading zeros (RFC 6943 §3.1.1).
 */
export function addressFromText(text: string): Uint8Array | null {
  const bytes = text.includes(":") ? ipv6FromText(text) : ipv4FromText(text);
  return bytes === null ? null : unmapped(bytes);
}

/** Canonical text of 4 or 16 bytes: dotted, or RFC 5952 in lower case. An IPv4-mapped address is written as IPv4. */
export function addressText(bytes: Uint8Array): string {
  const plain = unmapped(bytes);
  if (plain.length === 4) return plain.join(".");
  if (plain.length !== 16) throw new Error(`an address has 4 or 16 bytes, not ${plain.length}`);
  return ipv6Text(plain);
}

/** RFC 5952 of 16 bytes; an IPv4-mapped address stays IPv6, as RFC 5952 §5 recommends. Other lengths give the empty text. */
export function ipv6Text(bytes: Uint8Array): string {
  if (bytes.length !== 16) return "";
  return isMapped(bytes) ? `::ffff:${bytes.subarray(12).join(".")}` : new ipaddr.IPv6([...bytes]).toRFC5952String();
}

/** An address without its zone: `fe80::1` of `fe80::1%eth0`. */
export function withoutZone(text: string): string {
  const zone = text.indexOf("%");
  return zone < 0 ? text : text.slice(0, zone);
}

/** The one text of an address, as `addressText` writes it. A zone of an IPv6 address stays. null where the text is no address. */
export function canonicalAddress(text: string): string | null {
  // IPv4 is written in one way only.
  if (ipv4FromText(text) !== null) return text;
  const plain = withoutZone(text);
  const address = addressFromText(plain);
  if (address === null || (plain !== text && (!plain.includes(":") || plain.length + 1 === text.length))) return null;
  return `${addressText(address)}${text.slice(plain.length)}`;
}

/** `address:port`, with brackets round IPv6. */
export function endpointText(address: string, port: number): string {
  return address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
}

/** The 4 bytes of an IPv4-mapped IPv6 address; else `bytes`. */
export function unmapped(bytes: Uint8Array): Uint8Array {
  return isMapped(bytes) ? bytes.subarray(12) : bytes;
}

/** The network that one subscriber has: the /64 of an IPv6 address, as text; an IPv4 address stands for itself. */
export function networkOfAddress(text: string): string {
  if (!text.includes(":")) return text;
  const address = addressFromText(withoutZone(text));
  if (address === null) return text;
  return address.length === 4 ? addressText(address) : Buffer.from(address.subarray(0, 8)).toString("hex");
}

/** Reads an address, a CIDR (host bits are ignored), or a range `first-last`; null for any other text. */
export function rangeFromText(text: string): AddressRange | null {
  const dash = text.indexOf("-");
  if (dash >= 0) return rangeBetween(addressFromText(text.slice(0, dash).trim()), addressFromText(text.slice(dash + 1).trim()));
  const slash = text.indexOf("/");
  if (slash < 0) {
    const address = addressFromText(text);
    return address === null ? null : { first: address, last: address };
  }
  const bits = text.slice(slash + 1);
  const address = addressFromText(text.slice(0, slash));
  if (address === null || !/^\d{1,3}$/.test(bits)) return null;
  // ::ffff:10.0.0.0/104 is 10.0.0.0/8.
  const mapped = address.length === 4 && text.includes(":");
  return rangeOfPrefix(address, Number(bits) - (mapped ? 96 : 0));
}

/** All addresses that share the first `bits` bits with `address` (4 or 16 bytes); null where the address has fewer bits. */
export function rangeOfPrefix(address: Uint8Array, bits: number): AddressRange | null {
  if (!Number.isInteger(bits) || bits < 0 || bits > address.length * 8) return null;
  const first = Uint8Array.from(address);
  const last = Uint8Array.from(address);
  for (let index = 0; index < address.length; index++) {
    const hostMask = 0xff >> Math.min(8, Math.max(0, bits - index * 8));
    first[index] = (address[index] ?? 0) & ~hostMask;
    last[index] = (address[index] ?? 0) | hostMask;
  }
  return { first, last };
}

function rangeBetween(first: Uint8Array | null, last: Uint8Array | null): AddressRange | null {
  if (first === null || last === null || first.length !== last.length) return null;
  return Buffer.compare(first, last) <= 0 ? { first, last } : null;
}

// Written by hand because it runs for every query: the library runs a regular expression for each of the four numbers.
function ipv4FromText(text: string): Uint8Array | null {
  if (text.length < 7 || text.length > 15) return null;
  const bytes = new Uint8Array(4);
  let index = 0;
  let value = -1;
  for (let position = 0; position <= text.length; position++) {
    const digit = text.charCodeAt(position) - 0x30;
    if (digit >= 0 && digit <= 9) {
      if (value === 0) return null;
      value = value < 0 ? digit : value * 10 + digit;
      if (value > 255) return null;
    } else {
      const ends = position === text.length;
      if (value < 0 || (!ends && text[position] !== ".") || ends !== (index === 3)) return null;
      bytes[index++] = value;
      value = -1;
    }
  }
  return bytes;
}

// By hand as well: the library takes 30 ms for the 5,000 networks of a country, a tenth of a start.
function ipv6FromText(text: string): Uint8Array | null {
  const bytes = new Uint8Array(16);
  let length = 0;
  /** Where `::` stands; -1 = nowhere yet. */
  let gap = text.startsWith("::") ? 0 : -1;
  let position = gap < 0 ? 0 : 2;
  while (position < text.length) {
    const start = position;
    let value = 0;
    for (let digit = hexDigitAt(text, position); digit >= 0; digit = hexDigitAt(text, ++position)) value = (value << 4) | digit;
    if (text[position] === ".") {
      const ipv4 = ipv4FromText(text.slice(start));
      if (ipv4 === null || length > 12) return null;
      bytes.set(ipv4, length);
      length += 4;
      break;
    }
    const digits = position - start;
    if (digits === 0 || digits > 4 || length === 16) return null;
    bytes[length++] = value >> 8;
    bytes[length++] = value & 0xff;
    if (position === text.length) break;
    if (text[position++] !== ":" || position === text.length) return null;
    if (text[position] !== ":") continue;
    if (gap >= 0) return null;
    gap = length;
    position++;
  }
  if (gap < 0) return length === 16 ? bytes : null;
  // `::` stands for one group at least (RFC 4291 §2.2).
  if (length === 16) return null;
  const after = 16 - (length - gap);
  bytes.copyWithin(after, gap, length);
  return bytes.fill(0, gap, after);
}

/** -1 where there is none. */
function hexDigitAt(text: string, position: number): number {
  const code = text.charCodeAt(position);
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : -1;
}

function isMapped(bytes: Uint8Array): boolean {
  if (bytes.length !== 16 || bytes[10] !== 0xff || bytes[11] !== 0xff) return false;
  for (let index = 0; index < 10; index++) if (bytes[index] !== 0) return false;
  return true;
}

/**
 * An immutable set of addresses. IPv4 and IPv6 are separate: `::/0` contains no IPv4 address, and an IPv4-mapped IPv6 address counts as IPv4.
 * A lookup is a binary search in sorted blocks that neither touch nor overlap.
 */
export class AddressSet {
  /** The first and the last address of each block, one 32-bit word each. */
  #ipv4: Uint32Array;
  /** The same with four words an address. */
  #ipv6: Uint32Array;

  constructor(ranges: readonly AddressRange[]) {
    this.#ipv4 = mergeIpv4(ranges);
    this.#ipv6 = mergeBlocks(ranges, 4);
  }

  /** All addresses of all sets. */
  static *union(sets: readonly AddressSet[]): Sliced<AddressSet> {
    let left = sets;
    // In pairs: every block is copied as often as the number of sets can be halved.
    while (left.length > 1) {
      const merged: AddressSet[] = [];
      for (let at = 0; at < left.length; at += 2) {
        merged.push(yield* AddressSet.#merge(left[at] ?? EMPTY, left[at + 1] ?? EMPTY));
        yield;
      }
      left = merged;
    }
    return left[0] ?? EMPTY;
  }

  static *#merge(one: AddressSet, other: AddressSet): Sliced<AddressSet> {
    const merged = new AddressSet([]);
    merged.#ipv4 = yield* mergeSorted(one.#ipv4, other.#ipv4, 1);
    merged.#ipv6 = yield* mergeSorted(one.#ipv6, other.#ipv6, 4);
    return merged;
  }

  /** For texts that are checked already, or stand in the code. @throws Error where a text is no address, CIDR or range. */
  static of(...texts: readonly string[]): AddressSet {
    return new AddressSet(
      texts.map((text) => {
        const range = rangeFromText(text);
        if (range === null) throw new Error(`${text} is no address, CIDR or range`);
        return range;
      }),
    );
  }

  /** Number of blocks after merging. */
  get size(): number {
    return this.#ipv4.length / 2 + this.#ipv6.length / 8;
  }

  /** Whether any address of so many bytes, 4 or 16, is in the set. */
  hasFamily(addressBytes: number): boolean {
    return (addressBytes === 4 ? this.#ipv4 : this.#ipv6).length > 0;
  }

  /** Equal for equal sets, also after a restart. */
  get fingerprint(): string {
    return createHash("sha256").update(`${this.#ipv4.length} `).update(this.#ipv4).update(this.#ipv6).digest("base64url");
  }

  /** @param address of 4 or 16 bytes; only read. An address of another length is in no set. */
  has(address: Uint8Array): boolean {
    const plain = unmapped(address);
    if (plain.length === 4) return this.#hasIpv4(uint32(plain, 0));
    return plain.length === 16 && this.#hasIpv6(plain);
  }

  /** false for a text that is no address. Ignores a zone (`fe80::1%eth0`). */
  hasText(text: string): boolean {
    if (this.#ipv4.length + this.#ipv6.length === 0) return false;
    const address = addressFromText(withoutZone(text));
    return address !== null && this.has(address);
  }

  /** The blocks, IPv4 first, each in ascending order. */
  *ranges(): Generator<AddressRange> {
    for (const [words, blocks] of [
      [1, this.#ipv4],
      [4, this.#ipv6],
    ] as const) {
      for (let index = 0; index < blocks.length; index += 2 * words) {
        yield { first: bytesAt(blocks, index, words), last: bytesAt(blocks, index + words, words) };
      }
    }
  }

  #hasIpv4(address: number): boolean {
    const blocks = this.#ipv4;
    let low = 0;
    let high = blocks.length / 2;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((blocks[middle * 2 + 1] ?? 0) < address) low = middle + 1;
      else high = middle;
    }
    return low * 2 < blocks.length && (blocks[low * 2] ?? 0) <= address;
  }

  #hasIpv6(address: Uint8Array): boolean {
    const blocks = this.#ipv6;
    let low = 0;
    let high = blocks.length / 8;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (compareWords(blocks, middle * 8 + 4, address) < 0) low = middle + 1;
      else high = middle;
    }
    return low * 8 < blocks.length && compareWords(blocks, low * 8, address) <= 0;
  }
}

const EMPTY = new AddressSet([]);

/** Ranges that are sorted in one go, and that the garbage collector meets alive. */
const RANGES_AT_ONCE = 1024;

/** Builds the set of a large list. The ranges become words by and by: a million of them, each with two arrays, would hold the garbage collector for long. */
export class AddressSetBuilder {
  readonly #sets: AddressSet[] = [];
  #ranges: AddressRange[] = [];
  /** Ranges added so far. */
  count = 0;

  add(range: AddressRange): void {
    this.count++;
    if (this.#ranges.push(range) === RANGES_AT_ONCE) this.#close();
  }

  *build(): Sliced<AddressSet> {
    this.#close();
    return yield* AddressSet.union(this.#sets);
  }

  #close(): void {
    this.#sets.push(new AddressSet(this.#ranges));
    this.#ranges = [];
  }
}

/**
 * Addresses that nobody owns on the internet: loopback, RFC 1918, RFC 6598 (100.64.0.0/10), link-local (RFC 3927, RFC 4291 §2.5.6) and
 * unique local (RFC 4193).
 */
export const privateAddresses = AddressSet.of(
  "127.0.0.0/8",
  "10.0.0.0/8",
  "172.16.0.0/12",
  "192.168.0.0/16",
  "100.64.0.0/10",
  "169.254.0.0/16",
  "::1",
  "fe80::/10",
  "fc00::/7",
);

const loopback = AddressSet.of("127.0.0.0/8", "::1");

/** Whether only this host can reach the address. false for a text that is no address. */
export function isLoopback(text: string): boolean {
  return loopback.hasText(text);
}

function compareWords(blocks: Uint32Array, offset: number, address: Uint8Array): number {
  for (let word = 0; word < 4; word++) {
    const difference = (blocks[offset + word] ?? 0) - uint32(address, word * 4);
    if (difference !== 0) return difference;
  }
  return 0;
}

function bytesAt(blocks: Uint32Array, offset: number, words: number): Uint8Array {
  const bytes = Buffer.alloc(words * 4);
  for (let word = 0; word < words; word++) bytes.writeUInt32BE(blocks[offset + word] ?? 0, word * 4);
  return bytes;
}

/**
 * As `mergeBlocks` for IPv4, on numbers: a list of a country has a hundred thousand ranges, and the thread that answers builds it in one go. One 64-bit
 * number is the first address above the last one, on processors whose lower word comes first, as all have that Node runs on.
 */
function mergeIpv4(ranges: readonly AddressRange[]): Uint32Array {
  const family = ranges.filter(({ first }) => first.length === 4);
  const sorted = new BigUint64Array(family.length);
  const words = new Uint32Array(sorted.buffer);
  for (let index = 0; index < family.length; index++) {
    const range = family[index];
    if (range === undefined) break;
    words[2 * index] = uint32(range.last, 0);
    words[2 * index + 1] = uint32(range.first, 0);
  }
  sorted.sort();
  const blocks = new Uint32Array(2 * family.length);
  let length = 0;
  for (let index = 0; index < words.length; index += 2) {
    const [last = 0, first = 0] = [words[index], words[index + 1]];
    const previous = blocks[length - 1] ?? 0;
    if (length > 0 && first <= previous + 1) {
      if (last > previous) blocks[length - 1] = last;
    } else {
      blocks[length++] = first;
      blocks[length++] = last;
    }
  }
  return blocks.slice(0, length);
}

/** The blocks of one family as words, sorted; blocks that touch or overlap are merged. */
function mergeBlocks(ranges: readonly AddressRange[], words: number): Uint32Array {
  const family = ranges
    .filter(({ first }) => first.length === words * 4)
    .sort((left, right) => Buffer.compare(left.first, right.first));
  const result: { first: Uint8Array; last: Uint8Array }[] = [];
  for (const { first, last } of family) {
    const previous = result.at(-1);
    if (previous !== undefined && Buffer.compare(first, successor(previous.last)) <= 0) {
      if (Buffer.compare(last, previous.last) > 0) previous.last = last;
    } else {
      result.push({ first, last });
    }
  }
  const blocks = new Uint32Array(result.length * 2 * words);
  result.forEach(({ first, last }, index) => {
    for (let word = 0; word < words; word++) {
      blocks[index * 2 * words + word] = uint32(first, word * 4);
      blocks[(index * 2 + 1) * words + word] = uint32(last, word * 4);
    }
  });
  return blocks;
}

/** Blocks between two turns of the event loop: some milliseconds. */
const SLICE_BLOCKS = 8 * SLICE_ENTRIES;

/** The blocks of both, which are sorted; blocks that touch or overlap are merged. */
function* mergeSorted(one: Uint32Array, other: Uint32Array, words: number): Sliced<Uint32Array> {
  if (one.length === 0 || other.length === 0) return one.length === 0 ? other : one;
  const block = 2 * words;
  const result = new Uint32Array(one.length + other.length);
  let length = 0;
  let [oneAt, otherAt] = [0, 0];
  for (let count = 1; oneAt < one.length || otherAt < other.length; count++) {
    const isFirst = otherAt >= other.length || (oneAt < one.length && compareAt(one, oneAt, other, otherAt, words) <= 0);
    const source = isFirst ? one : other;
    const at = isFirst ? oneAt : otherAt;
    if (isFirst) oneAt += block;
    else otherAt += block;
    // The last address of the block before.
    const last = length - words;
    const overlaps = length > 0 && (compareAt(source, at, result, last, words) <= 0 || follows(source, at, result, last, words));
    if (!overlaps) {
      for (let word = 0; word < block; word++) result[length + word] = source[at + word] ?? 0;
      length += block;
    } else if (compareAt(source, at + words, result, last, words) > 0)
      for (let word = 0; word < words; word++) result[last + word] = source[at + words + word] ?? 0;
    if (count % SLICE_BLOCKS === 0) yield;
  }
  return result.slice(0, length);
}

function compareAt(one: Uint32Array, oneAt: number, other: Uint32Array, otherAt: number, words: number): number {
  for (let word = 0; word < words; word++) {
    const difference = (one[oneAt + word] ?? 0) - (other[otherAt + word] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

/** Whether the address in `one` is the one after that in `other`. */
function follows(one: Uint32Array, oneAt: number, other: Uint32Array, otherAt: number, words: number): boolean {
  let carry = 1;
  for (let word = words - 1; word >= 0; word--) {
    const sum = (other[otherAt + word] ?? 0) + carry;
    if (sum >>> 0 !== one[oneAt + word]) return false;
    carry = sum > 0xffff_ffff ? 1 : 0;
  }
  return carry === 0;
}

/** The next address; the highest address is its own successor. */
function successor(address: Uint8Array): Uint8Array {
  const next = Uint8Array.from(address);
  for (let index = next.length - 1; index >= 0; index--) {
    const byte = next[index] ?? 0;
    next[index] = byte + 1;
    if (byte !== 0xff) return next;
  }
  return address;
}

/** The owner of the PTR record of an address: in in-addr.arpa for 4 bytes (RFC 1035 §3.5), in ip6.arpa for 16 (RFC 3596 §2.5). */
export function reverseName(address: Uint8Array): Name {
  const labels =
    address.length === 4 ? [...address].reverse().map(String) : Buffer.from(address).toString("hex").split("").reverse();
  const name = nameOfLabels([...labels, address.length === 4 ? "in-addr" : "ip6", "arpa"]);
  if (name === null) throw new Error(`an address has 4 or 16 bytes, not ${address.length}`);
  return name;
}

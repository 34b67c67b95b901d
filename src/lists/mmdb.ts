import { type AddressRange, rangeOfPrefix } from "../dns/address.ts";
import { MalformedFile } from "./diagnostics.ts";

const MARKER = Buffer.from("\xab\xcd\xefMaxMind.com", "latin1");
/** Between the search tree and the data section. */
const SEPARATOR_BYTES = 16;

/** The metadata stand behind their marker within this much of the end. */
const METADATA_BYTES = 128 * 1024;

export function isMmdb(bytes: Buffer): boolean {
  return bytes.subarray(-METADATA_BYTES).includes(MARKER);
}

/**
 * The networks of a country (its ISO 3166 code in upper case) in a MaxMind database (MaxMind DB File Format 2.0). Records say it as `country.iso_code`,
 * `country_code`, `country`, or are the code, or an array of codes, themselves.
 * @throws MalformedFile
 */
export function readMmdb(bytes: Buffer, code: string): readonly AddressRange[] {
  const tree = treeOf(bytes);
  const reader = new ValueReader(bytes, tree.nodes * tree.nodeBytes + SEPARATOR_BYTES);
  // Few different records stand behind many networks.
  const known = new Map<number, boolean>();
  const isWanted = (record: number) => {
    const held =
      known.get(record) ??
      codesOf(reader.read(record - tree.nodes - SEPARATOR_BYTES)).some((found) => found.toUpperCase() === code);
    known.set(record, held);
    return held;
  };
  return new TreeWalk(tree, isWanted).ranges();
}

interface Tree {
  readonly bytes: Buffer;
  readonly nodes: number;
  /** Two records a node, of 24, 28 or 32 bits each. */
  readonly nodeBytes: number;
  readonly addressBytes: 4 | 16;
}

function treeOf(bytes: Buffer): Tree {
  const metadata = new ValueReader(bytes, bytes.lastIndexOf(MARKER) + MARKER.length).read(0);
  const number = (key: string) => (metadata instanceof Map ? metadata.get(key) : null);
  const [nodes, recordBits, version] = [number("node_count"), number("record_size"), number("ip_version")];
  if (
    typeof nodes !== "number" ||
    (recordBits !== 24 && recordBits !== 28 && recordBits !== 32) ||
    (version !== 4 && version !== 6)
  ) {
    throw new MalformedFile("a database without the metadata that is needed");
  }
  const nodeBytes = recordBits / 4;
  if (nodes * nodeBytes + SEPARATOR_BYTES > bytes.length) throw new MalformedFile("a database that is cut off");
  return { bytes, nodes, nodeBytes, addressBytes: version === 4 ? 4 : 16 };
}

/** Goes through the search tree, a node a bit of the address, and gathers the networks whose record is wanted. */
class TreeWalk {
  readonly #tree: Tree;
  readonly #isWanted: (record: number) => boolean;
  readonly #address: Uint8Array;
  readonly #ranges: AddressRange[] = [];
  /** The node of ::/96, where a database for both families keeps IPv4; elsewhere it is an alias (6to4 and the like). */
  readonly #ipv4Root: number;
  #visited = 0;

  constructor(tree: Tree, isWanted: (record: number) => boolean) {
    this.#tree = tree;
    this.#isWanted = isWanted;
    this.#address = new Uint8Array(tree.addressBytes);
    let node = 0;
    for (let bit = 0; bit < (tree.addressBytes === 16 ? 96 : 0) && node < tree.nodes; bit++) node = this.#record(node, 0);
    this.#ipv4Root = node;
  }

  ranges(): readonly AddressRange[] {
    this.#visit(0, 0);
    return this.#ranges;
  }

  #visit(record: number, bits: number): void {
    const { nodes, addressBytes } = this.#tree;
    if (record === nodes) return;
    if (record > nodes) {
      if (this.#isWanted(record)) this.#add(bits);
      return;
    }
    const alias = record === this.#ipv4Root && addressBytes === 16 && this.#address.some((byte) => byte !== 0);
    if (alias) return;
    // Every node has one place in the tree; a file in which they are shared could be walked without end.
    if (++this.#visited > nodes || bits === addressBytes * 8) throw new MalformedFile("a database whose tree has no end");
    const mask = 0x80 >> (bits % 8);
    const byte = bits >> 3;
    this.#visit(this.#record(record, 0), bits + 1);
    this.#address[byte] = (this.#address[byte] ?? 0) | mask;
    this.#visit(this.#record(record, 1), bits + 1);
    this.#address[byte] = (this.#address[byte] ?? 0) & ~mask;
  }

  #add(bits: number): void {
    const isIpv4 = this.#tree.addressBytes === 16 && bits >= 96 && this.#address.subarray(0, 12).every((byte) => byte === 0);
    const range = isIpv4 ? rangeOfPrefix(this.#address.subarray(12), bits - 96) : rangeOfPrefix(this.#address, bits);
    if (range !== null) this.#ranges.push(range);
  }

  #record(node: number, side: 0 | 1): number {
    const { bytes, nodeBytes } = this.#tree;
    const start = node * nodeBytes;
    if (nodeBytes === 6) return bytes.readUIntBE(start + side * 3, 3);
    if (nodeBytes === 8) return bytes.readUInt32BE(start + side * 4);
    // 28 bits: the middle byte holds the highest four of each, the left one's first.
    const middle = bytes.readUInt8(start + 3);
    return (side === 0 ? middle >> 4 : middle & 15) * 0x100_0000 + bytes.readUIntBE(start + side * 4, 3);
  }
}

function codesOf(value: DatabaseValue): readonly string[] {
  if (typeof value === "string") return [value];
  if (Array.isArray(value)) return value.filter((element) => typeof element === "string");
  if (!(value instanceof Map)) return [];
  const country = value.get("country");
  const code = country instanceof Map ? country.get("iso_code") : (value.get("country_code") ?? country);
  return typeof code === "string" ? [code] : [];
}

/** What a database says of a network, as far as it is of use here: numbers and bytes are null. */
type DatabaseValue = string | number | null | readonly DatabaseValue[] | ReadonlyMap<string, DatabaseValue>;

const TYPE = { pointer: 1, text: 2, uint16: 5, uint32: 6, map: 7, uint64: 9, uint128: 10, array: 11, boolean: 14 };

/** Nested maps, arrays and pointers beyond this are refused. Databases in use have four. */
const MAX_DEPTH = 16;
/** Values decoded for one record at most: pointers could make a small file mean a large value. */
const MAX_VALUES = 10_000;

/** Reads values of the data section (MaxMind DB File Format 2.0), which begins at `base`: pointers count from there. */
class ValueReader {
  readonly #bytes: Buffer;
  readonly #base: number;
  #position = 0;
  #values = 0;

  constructor(bytes: Buffer, base: number) {
    this.#bytes = bytes;
    this.#base = base;
  }

  /** The value at an offset from the beginning of the section. @throws MalformedFile */
  read(offset: number): DatabaseValue {
    this.#position = this.#base + offset;
    this.#values = 0;
    return this.#value(0);
  }

  #value(depth: number): DatabaseValue {
    if (depth > MAX_DEPTH || ++this.#values > MAX_VALUES) throw new MalformedFile("a database value without end");
    const control = this.#number(1);
    const type = control >> 5 || this.#number(1) + 7;
    if (type === TYPE.pointer) return this.#pointed(control, depth);
    const size = this.#size(control & 31);
    switch (type) {
      case TYPE.text:
        return this.#octets(size).toString("utf8");
      case TYPE.uint16:
      case TYPE.uint32:
        return this.#number(size);
      case TYPE.map: {
        const entries = new Map<string, DatabaseValue>();
        for (let index = 0; index < size; index++) {
          const key = this.#value(depth + 1);
          if (typeof key !== "string") throw new MalformedFile("a database map with a key that is no text");
          entries.set(key, this.#value(depth + 1));
        }
        return entries;
      }
      case TYPE.array: {
        const elements: DatabaseValue[] = [];
        for (let index = 0; index < size; index++) elements.push(this.#value(depth + 1));
        return elements;
      }
      case TYPE.boolean:
        return null;
      default:
        this.#octets(size);
        return null;
    }
  }

  /** The value behind a pointer; reading goes on after the pointer. */
  #pointed(control: number, depth: number): DatabaseValue {
    const high = control & 7;
    const length = (control >> 3) & 3;
    const low = this.#number(length + 1);
    const target = length === 3 ? low : high * 2 ** (8 * (length + 1)) + low + (POINTER_BASE[length] ?? 0);
    const after = this.#position;
    this.#position = this.#base + target;
    const value = this.#value(depth + 1);
    this.#position = after;
    return value;
  }

  #size(bits: number): number {
    if (bits < 29) return bits;
    return this.#number(bits - 28) + (SIZE_BASE[bits - 29] ?? 0);
  }

  #number(octets: number): number {
    return this.#octets(octets).reduce((value, byte) => value * 256 + byte, 0);
  }

  #octets(count: number): Buffer {
    if (count > this.#bytes.length - this.#position) throw new MalformedFile("a database that is cut off");
    this.#position += count;
    return this.#bytes.subarray(this.#position - count, this.#position);
  }
}

const POINTER_BASE = [0, 2048, 526_336];
const SIZE_BASE = [29, 285, 65_821];

import { type AddressRange, addressFromText, rangeFromText, unmapped } from "./address.ts";
import { uint32 } from "./octets.ts";

/**
 * An immutable set of addresses. IPv4 and IPv6 are apart: `::/0` holds no IPv4 address, and an IPv4-mapped IPv6 address counts as IPv4 throughout.
 * A lookup is a binary search over sorted blocks that neither touch nor overlap.
 */
export class AddressSet {
  /** Of each block the first and the last address, one 32-bit word each. */
  readonly #ipv4: Uint32Array;
  /** The same with four words an address. */
  readonly #ipv6: Uint32Array;

  constructor(ranges: Iterable<AddressRange>) {
    const all = [...ranges];
    this.#ipv4 = merged(all, 1);
    this.#ipv6 = merged(all, 4);
  }

  /** @throws Error where a text is no address, CIDR or range: for texts that were checked before, or stand in the code. */
  static of(...texts: readonly string[]): AddressSet {
    return new AddressSet(
      texts.map((text) => {
        const range = rangeFromText(text);
        if (range === null) throw new Error(`${text} is no address, CIDR or range`);
        return range;
      }),
    );
  }

  /** How many blocks are left after merging. */
  get size(): number {
    return this.#ipv4.length / 2 + this.#ipv6.length / 8;
  }

  /** `address` is 4 or 16 octets and only read; any other length is in no set. */
  has(address: Uint8Array): boolean {
    const plain = unmapped(address);
    if (plain.length === 4) return this.#hasIpv4(uint32(plain, 0));
    return plain.length === 16 && this.#hasIpv6(plain);
  }

  /** false for a text that is no address. A zone (`fe80::1%eth0`) is disregarded. */
  hasText(text: string): boolean {
    const zone = text.indexOf("%");
    const address = addressFromText(zone < 0 ? text : text.slice(0, zone));
    return address !== null && this.has(address);
  }

  /** The blocks, IPv4 first, each in ascending order. */
  *ranges(): Generator<AddressRange> {
    for (const [words, blocks] of [
      [1, this.#ipv4],
      [4, this.#ipv6],
    ] as const) {
      for (let index = 0; index < blocks.length; index += 2 * words) {
        yield { first: octetsAt(blocks, index, words), last: octetsAt(blocks, index + words, words) };
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

/**
 * Addresses that are no one's on the internet: loopback, RFC 1918, RFC 6598 (100.64.0.0/10), link-local (RFC 3927, RFC 4291 §2.5.6) and
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

function compareWords(blocks: Uint32Array, offset: number, address: Uint8Array): number {
  for (let word = 0; word < 4; word++) {
    const difference = (blocks[offset + word] ?? 0) - uint32(address, word * 4);
    if (difference !== 0) return difference;
  }
  return 0;
}

function octetsAt(blocks: Uint32Array, offset: number, words: number): Uint8Array {
  const octets = Buffer.alloc(words * 4);
  for (let word = 0; word < words; word++) octets.writeUInt32BE(blocks[offset + word] ?? 0, word * 4);
  return octets;
}

/** The blocks of one family, sorted, those that touch or overlap made one, as words. */
function merged(ranges: readonly AddressRange[], words: number): Uint32Array {
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

/** The next address; the highest stays as it is. */
function successor(address: Uint8Array): Uint8Array {
  const next = Uint8Array.from(address);
  for (let index = next.length - 1; index >= 0; index--) {
    const octet = next[index] ?? 0;
    next[index] = octet + 1;
    if (octet !== 0xff) return next;
  }
  return address;
}

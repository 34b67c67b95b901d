import ipaddr from "ipaddr.js";

/** The first and last address of a block, both counted in; of equal length (4 or 16 octets), first not above last. */
export interface AddressRange {
  readonly first: Uint8Array;
  readonly last: Uint8Array;
}

/**
 * The octets of an address: 4 for IPv4, also where it is written as IPv4-mapped IPv6 (RFC 4291 §2.5.5.2), else 16. null where the text is no
 * address, has a zone, or is IPv4 in another form than four decimal numbers without leading zeros (RFC 6943 §3.1.1).
 */
export function addressFromText(text: string): Uint8Array | null {
  const octets = ipv4FromText(text);
  if (octets !== null || !text.includes(":") || text.includes("%")) return octets;
  const groups = withoutDots(text);
  if (groups === null || !ipaddr.IPv6.isValid(groups)) return null;
  return unmapped(Uint8Array.from(ipaddr.IPv6.parse(groups).toByteArray()));
}

/**
 * IPv6 with the last two groups in hexadecimal where they were dotted; null where the dotted part is not IPv4. `ipaddr.js` would take leading
 * zeros there, and `::192.0.2.7` for IPv4-mapped, which it is not (RFC 4291 §2.5.5).
 */
function withoutDots(text: string): string | null {
  if (!text.includes(".")) return text;
  const start = text.lastIndexOf(":") + 1;
  const octets = ipv4FromText(text.slice(start));
  if (octets === null) return null;
  const hex = Buffer.from(octets).toString("hex");
  return `${text.slice(0, start)}${hex.slice(0, 4)}:${hex.slice(4)}`;
}

/** Canonical text of 4 or 16 octets: dotted, or RFC 5952 in lower case; an IPv4-mapped address is shown as IPv4. */
export function addressText(octets: Uint8Array): string {
  const plain = unmapped(octets);
  if (plain.length === 4) return plain.join(".");
  if (plain.length !== 16) throw new Error(`an address has 4 or 16 octets, not ${plain.length}`);
  return new ipaddr.IPv6([...plain]).toRFC5952String();
}

/** The same address in 4 octets if it is IPv4-mapped IPv6, else `octets` themselves. */
export function unmapped(octets: Uint8Array): Uint8Array {
  return isMapped(octets) ? octets.subarray(12) : octets;
}

/** Reads a single address, a CIDR (whose host bits may be set, and count for nothing), or a range `first-last`; null where it is none. */
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

/** The block of all addresses that share the first `bits` bits with `address` (4 or 16 octets); null where there are not so many. */
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

// Written out because it runs for every query: the library takes a regular expression to each of the four numbers.
function ipv4FromText(text: string): Uint8Array | null {
  if (text.length < 7 || text.length > 15) return null;
  const octets = new Uint8Array(4);
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
      octets[index++] = value;
      value = -1;
    }
  }
  return octets;
}

function isMapped(octets: Uint8Array): boolean {
  if (octets.length !== 16 || octets[10] !== 0xff || octets[11] !== 0xff) return false;
  for (let index = 0; index < 10; index++) if (octets[index] !== 0) return false;
  return true;
}

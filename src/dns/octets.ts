/** Unsigned numbers in network order. Octets beyond the end count as zero: callers check lengths before they read. */

export function uint16(message: Uint8Array, offset: number): number {
  return ((message[offset] ?? 0) << 8) | (message[offset + 1] ?? 0);
}

export function uint32(message: Uint8Array, offset: number): number {
  return uint16(message, offset) * 0x1_0000 + uint16(message, offset + 2);
}

export function setUint16(message: Uint8Array, offset: number, value: number): void {
  message[offset] = value >>> 8;
  message[offset + 1] = value;
}

export function setUint32(message: Uint8Array, offset: number, value: number): void {
  setUint16(message, offset, value >>> 16);
  setUint16(message, offset + 2, value & 0xffff);
}

import { StoreError } from "./database.ts";

/** A column of a block: whole numbers, each stored as what it has above the lowest of them, in as few bytes as the highest of these needs. */
export interface Column {
  readonly base: number;
  /** null = all are `base`. */
  readonly above: Uint8Array | Uint16Array | Uint32Array | Float64Array | null;
}

/** The lowest number as a float64, the width in bytes, and what brings the numbers to a place that a Float64Array may begin at. */
const HEADER_BYTES = 16;
const WIDTH_AT = 8;

const ARRAYS = { 1: Uint8Array, 2: Uint16Array, 4: Uint32Array, 8: Float64Array } as const;

/**
 * The bytes of a column, in the order of the machine's: all that Node runs on here have the low byte first.
 * @param values whole numbers; the first `count` of them are taken, which are one at least.
 */
export function encodeColumn(values: Float64Array, count: number): Uint8Array<ArrayBuffer> {
  let [base, highest] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (let index = 0; index < count; index++) {
    const value = values[index] ?? 0;
    if (value < base) base = value;
    if (value > highest) highest = value;
  }
  const width = widthOf(highest - base);
  const bytes = new Uint8Array(HEADER_BYTES + width * count);
  new Float64Array(bytes.buffer, 0, 1)[0] = base;
  bytes[WIDTH_AT] = width;
  if (width === 0) return bytes;
  const above = new ARRAYS[width](bytes.buffer, HEADER_BYTES, count);
  for (let index = 0; index < count; index++) above[index] = (values[index] ?? 0) - base;
  return bytes;
}

/**
 * @param bytes as `encodeColumn` gave them, at a place in their buffer that a Float64Array may begin at; the column refers to them.
 * @throws StoreError where they are no column of so many rows.
 */
export function decodeColumn(bytes: Uint8Array<ArrayBuffer>, rows: number): Column {
  const width = bytes[WIDTH_AT] ?? 0;
  const isKnown = width === 0 || width === 1 || width === 2 || width === 4 || width === 8;
  if (!isKnown || bytes.length !== HEADER_BYTES + width * rows)
    throw new StoreError("damaged", "a column of the file is damaged");
  const [base = 0] = new Float64Array(bytes.buffer, bytes.byteOffset, 1);
  return { base, above: width === 0 ? null : new ARRAYS[width](bytes.buffer, bytes.byteOffset + HEADER_BYTES, rows) };
}

export function valueAt({ base, above }: Column, index: number): number {
  return above === null ? base : base + (above[index] ?? 0);
}

function widthOf(span: number): 0 | keyof typeof ARRAYS {
  if (span === 0) return 0;
  if (span < 0x100) return 1;
  if (span < 0x1_0000) return 2;
  return span < 2 ** 32 ? 4 : 8;
}

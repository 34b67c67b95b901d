/**
 * The text of a string literal in Huffman code, one character for each byte (latin1). RFC 7541 §5.2.
 * @throws HpackError on the symbol EOS, and on padding that is longer than seven bits or not of ones.
 */
export function decodeHuffman(octets: Uint8Array, start: number, end: number): string {
  // No code is shorter than five bits.
  const text = Buffer.allocUnsafe(Math.floor(((end - start) * 8) / 5));
  let length = 0;
  let node = ROOT;
  for (let nibble = 2 * start; nibble < 2 * end; nibble++) {
    const byte = octets[nibble >> 1] ?? 0;
    const step = STEPS[(node << 4) | (nibble & 1 ? byte & 15 : byte >> 4)] ?? IS_EOS;
    if (step & HAS_SYMBOL) text[length++] = step >> 8;
    else if (step & IS_EOS) throw new HpackError("the symbol EOS within a Huffman string");
    node = step & 0xff;
  }
  if (IS_PADDING[node] !== 1) throw new HpackError("wrong padding of a Huffman string");
  return text.toString("latin1", 0, length);
}

/**
 * How many bits the code of each byte has, and last that of EOS. RFC 7541 Appendix B.
 * The code is canonical: codes of equal length are consecutive numbers in the order of their bytes, and shorter codes come first;
 * so the lengths determine it.
 */
export const CODE_LENGTHS: readonly number[] = [
  [13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28],
  [28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28],
  [6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6],
  [5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10],
  [13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7],
  [7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6],
  [15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5],
  [6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28],
  [20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23],
  [24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24],
  [22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23],
  [21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23],
  [26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25],
  [19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27],
  [20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23],
  [26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26],
  [30],
].flat();

const EOS = 256;

/** A complete code of 257 symbols is a binary tree of 256 inner nodes, numbered here from the root on. */
const NODES = 256;
const ROOT = 0;

/** Two children for each node: the number of an inner node, or ~symbol. */
const CHILDREN = growTree();

/** A step of four bits: the node where it ends, in the low byte; the byte it completed, in the next (four bits complete at most one). */
const HAS_SYMBOL = 1 << 16;
const IS_EOS = 1 << 17;

/** The step from each node for each four bits. */
const STEPS = Uint32Array.from({ length: NODES * 16 }, (_, index) => stepFrom(index >> 4, index & 15));

/** 1 where a string may end: at most seven bits of ones behind the last symbol. */
const IS_PADDING = markPadding();

function growTree(): Int16Array {
  const children = new Int16Array(2 * NODES);
  let nodes = 1;
  let code = 0;
  for (let length = 1; length <= 30; length++) {
    code <<= 1;
    for (let symbol = 0; symbol <= EOS; symbol++) {
      if (CODE_LENGTHS[symbol] !== length) continue;
      let node = ROOT;
      for (let bit = length - 1; bit > 0; bit--) {
        const branch = 2 * node + ((code >> bit) & 1);
        // The root is nobody's child, so 0 = nothing grows here yet.
        if (children[branch] === 0) children[branch] = nodes++;
        node = children[branch] ?? ROOT;
      }
      children[2 * node + (code & 1)] = ~symbol;
      code++;
    }
  }
  return children;
}

function stepFrom(start: number, bits: number): number {
  let node = start;
  let completed = 0;
  for (let bit = 3; bit >= 0; bit--) {
    const child = CHILDREN[2 * node + ((bits >> bit) & 1)] ?? ROOT;
    if (~child === EOS) return IS_EOS;
    if (child < 0) completed = HAS_SYMBOL | (~child << 8);
    node = child < 0 ? ROOT : child;
  }
  return completed | node;
}

function markPadding(): Uint8Array {
  const marks = new Uint8Array(NODES);
  for (let node = ROOT, bits = 0; bits <= 7; bits++) {
    marks[node] = 1;
    node = CHILDREN[2 * node + 1] ?? ROOT;
  }
  return marks;
}

/** What is wrong with a header block. The tables of both sides no longer agree, so the connection must end with COMPRESSION_ERROR (RFC 9113 §4.3). */
export class HpackError extends Error {
  constructor(problem: string) {
    super(problem);
    this.name = "HpackError";
  }
}

import { ERROR, FLAG, FRAME, INITIAL_TABLE_OCTETS } from "./codes.ts";
import { ConnectionError } from "./connection-error.ts";
import { type Frame, unpadded } from "./frame-reader.ts";
import { type HeaderField, HpackDecoder } from "./hpack/decoder.ts";
import { encodeFields } from "./hpack/encoder.ts";
import { HpackError } from "./hpack/hpack-error.ts";

/** A header block that is whole. */
export interface ReceivedBlock {
  readonly streamId: number;
  /** Nothing follows on the stream. */
  readonly hasEnded: boolean;
  /** null = the list is larger than we take. */
  readonly fields: readonly HeaderField[] | null;
}

/** Of a block as it comes, with nine for each of its frames: else it could go on for ever (CVE-2024-27316). */
const MAX_BLOCK_OCTETS = 65_536;
const FRAME_HEAD_OCTETS = 9;

/** RFC 7541 §6.3: the dynamic table has no entries from now on. */
const EMPTY_TABLE = Uint8Array.of(0x20);

/** The header blocks of one connection, whose compression goes from one to the next (RFC 9113 §4.3). */
export class HeaderBlocks {
  readonly #decoder: HpackDecoder;
  /** One whose last frame has not come. */
  #open: { readonly streamId: number; readonly hasEnded: boolean; readonly parts: Uint8Array[]; octets: number } | null = null;
  /** The client has made our table smaller, which has to be said once; we have no use for one. */
  #shrinking: "not asked" | "to be said" | "said" = "not asked";

  constructor(maxListOctets: number) {
    this.#decoder = new HpackDecoder({ tableBytes: INITIAL_TABLE_OCTETS, maxListBytes: maxListOctets });
  }

  /** Between the frames of a block no other may come. */
  get isOpen(): boolean {
    return this.#open !== null;
  }

  /** Takes a HEADERS or CONTINUATION frame; null = the block goes on. @throws ConnectionError */
  take({ type, flags, streamId, payload }: Frame): ReceivedBlock | null {
    if (type === FRAME.HEADERS) {
      if (streamId % 2 === 0) throw new ConnectionError(ERROR.PROTOCOL_ERROR, "a stream that no client begins (§5.1.1)");
      this.#open = { streamId, hasEnded: (flags & FLAG.END_STREAM) !== 0, parts: [], octets: 0 };
    }
    const block = this.#open;
    if (block === null || block.streamId !== streamId)
      throw new ConnectionError(ERROR.PROTOCOL_ERROR, "a header block without its beginning");
    const isPadded = type === FRAME.HEADERS && (flags & FLAG.PADDED) !== 0;
    const before = type === FRAME.HEADERS && (flags & FLAG.PRIORITY) !== 0 ? 5 : 0;
    const part = unpadded(payload, { isPadded, before });
    block.octets += part.length + FRAME_HEAD_OCTETS;
    if (block.octets > MAX_BLOCK_OCTETS) throw new ConnectionError(ERROR.ENHANCE_YOUR_CALM, "a header block without end");
    if ((flags & FLAG.END_HEADERS) === 0) {
      // A copy: the frame is only lent.
      block.parts.push(Uint8Array.from(part));
      return null;
    }
    this.#open = null;
    const whole = block.parts.length === 0 ? part : Buffer.concat([...block.parts, part]);
    return { streamId, hasEnded: block.hasEnded, fields: this.#decode(whole) };
  }

  /** From the next block on our table has no entries, which a client may insist on hearing (RFC 7541 §4.2). */
  tableMustShrink(): void {
    if (this.#shrinking === "not asked") this.#shrinking = "to be said";
  }

  encode(fields: readonly HeaderField[]): Uint8Array {
    const block = encodeFields(fields);
    if (this.#shrinking !== "to be said") return block;
    this.#shrinking = "said";
    return Buffer.concat([EMPTY_TABLE, block]);
  }

  #decode(block: Uint8Array): readonly HeaderField[] | null {
    try {
      return this.#decoder.decode(block);
    } catch (error) {
      if (error instanceof HpackError) throw new ConnectionError(ERROR.COMPRESSION_ERROR, error.message);
      throw error;
    }
  }
}

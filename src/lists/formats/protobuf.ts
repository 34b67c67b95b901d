import { MalformedFile } from "./malformed.ts";

/** Steps through the fields of one message between two offsets of a file, without copying anything. */
export class ProtobufCursor {
  readonly bytes: Buffer;
  readonly #end: number;
  #position: number;
  /** Of the field that `next` has come to. */
  field = 0;
  /** The value of a number; 0 for other fields. */
  value = 0;
  /** Where the octets of a length-delimited field stand; empty for numbers. */
  start = 0;
  end = 0;

  constructor(bytes: Buffer, start = 0, end = bytes.length) {
    this.bytes = bytes;
    this.#position = start;
    this.#end = end;
  }

  /** Goes on to the next field; false at the end. Fixed-width numbers are passed over. @throws MalformedFile */
  next(): boolean {
    if (this.#position === this.#end) return false;
    const key = this.#varint();
    this.field = key >>> 3;
    this.value = 0;
    this.start = this.#position;
    this.end = this.#position;
    switch (key & 7) {
      case 0:
        this.value = this.#varint();
        break;
      case 1:
        this.#skip(8);
        break;
      case 2: {
        const length = this.#varint();
        this.start = this.#position;
        this.#skip(length);
        this.end = this.#position;
        break;
      }
      case 5:
        this.#skip(4);
        break;
      default:
        throw new MalformedFile("not a protobuf message");
    }
    return true;
  }

  /** The message within the field at hand. */
  message(): ProtobufCursor {
    return new ProtobufCursor(this.bytes, this.start, this.end);
  }

  text(): string {
    return this.bytes.toString("utf8", this.start, this.end);
  }

  #skip(octets: number): void {
    if (octets > this.#end - this.#position) throw new MalformedFile("a protobuf message that is cut off");
    this.#position += octets;
  }

  // Exact up to 2^53; the formats read here hold nothing larger.
  #varint(): number {
    let value = 0;
    let scale = 1;
    for (let count = 0; count < 10; count++) {
      const octet = this.#position < this.#end ? this.bytes[this.#position++] : undefined;
      if (octet === undefined) throw new MalformedFile("a protobuf message that is cut off");
      value += (octet & 0x7f) * scale;
      if (octet < 0x80) return value;
      scale *= 128;
    }
    throw new MalformedFile("not a protobuf message");
  }
}

import type { Readable } from "node:stream";
import { MAX_MESSAGE_BYTES } from "../../dns/wire.ts";

/** How much of a body is read only to be thrown away, so that the connection can be kept. */
const DRAINED_BYTES = 1 << 20;

/** `whole` belongs to the caller. `tooLarge`: read to its end. `endless`: longer than is read at all. `broken`: never ended. */
export type Body =
  | { readonly kind: "whole"; readonly bytes: Uint8Array }
  | { readonly kind: "tooLarge" }
  | { readonly kind: "endless" }
  | { readonly kind: "broken" };

export const NO_BODY: Body = { kind: "whole", bytes: new Uint8Array(0) };

/** Gathers a body to its end, or until `DRAINED_BYTES` are exceeded; what comes then is thrown away. */
export class BodyReader {
  readonly #whole = Promise.withResolvers<Body>();
  #kept = new Uint8Array(512);
  #lengthBytes = 0;

  get body(): Promise<Body> {
    return this.#whole.promise;
  }

  /** The octets are copied. */
  take(chunk: Uint8Array): void {
    const from = this.#lengthBytes;
    this.#lengthBytes += chunk.length;
    if (this.#lengthBytes > DRAINED_BYTES) {
      this.#whole.resolve({ kind: "endless" });
    } else if (this.#lengthBytes <= MAX_MESSAGE_BYTES) {
      // A copy: a body that dribbles in would hold a large network buffer for each of its octets.
      if (this.#lengthBytes > this.#kept.length) this.#kept = enlarge(this.#kept, this.#lengthBytes);
      this.#kept.set(chunk, from);
    }
  }

  end(): void {
    const isTooLarge = this.#lengthBytes > MAX_MESSAGE_BYTES;
    this.#whole.resolve(isTooLarge ? { kind: "tooLarge" } : { kind: "whole", bytes: this.#kept.slice(0, this.#lengthBytes) });
  }

  /** Does nothing after `end`. */
  abandon(): void {
    this.#whole.resolve({ kind: "broken" });
  }
}

/** Its time is bounded by the server, which breaks the stream. */
export function readBody(stream: Readable): Promise<Body> {
  const reader = new BodyReader();
  stream.on("data", (chunk: Buffer) => reader.take(chunk));
  stream.on("end", () => reader.end());
  stream.on("error", () => reader.abandon());
  stream.on("close", () => reader.abandon());
  return reader.body;
}

function enlarge(bytes: Uint8Array, neededBytes: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.max(neededBytes, bytes.length * 2));
  larger.set(bytes);
  return larger;
}

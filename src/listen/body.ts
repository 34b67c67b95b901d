import type { Readable } from "node:stream";
import { MAX_MESSAGE_BYTES } from "../dns/wire.ts";

/** How much of a too large body is read and discarded, so that the connection can be kept. */
const DRAINED_BYTES = 1 << 20;

/** The body of an HTTP request. `whole` belongs to the caller. `tooLarge` was read to its end. `endless` is longer than we read. `broken` never ended. */
export type Body =
  | { readonly kind: "whole"; readonly bytes: Uint8Array }
  | { readonly kind: "tooLarge" }
  | { readonly kind: "endless" }
  | { readonly kind: "broken" };

export const NO_BODY: Body = { kind: "whole", bytes: new Uint8Array(0) };

/** Reads the body of an HTTP/1 request. The server's timeouts bound the time: they break the stream. */
export function readBody(stream: Readable): Promise<Body> {
  const reader = new BodyReader();
  stream.on("data", (chunk: Buffer) => reader.take(chunk));
  stream.on("end", () => reader.end());
  stream.on("error", () => reader.abandon());
  stream.on("close", () => reader.abandon());
  return reader.done;
}

/** Collects a body to its end, or until it exceeds `DRAINED_BYTES`. */
export class BodyReader {
  readonly #body = Promise.withResolvers<Body>();
  #bytes = new Uint8Array(512);
  /** Bytes received so far. */
  lengthBytes = 0;

  get done(): Promise<Body> {
    return this.#body.promise;
  }

  /** Copies the chunk: without a copy a body that arrives byte by byte would hold a large network buffer for each of its bytes. */
  take(chunk: Uint8Array): void {
    const from = this.lengthBytes;
    this.lengthBytes += chunk.length;
    if (this.lengthBytes > DRAINED_BYTES) {
      this.#body.resolve({ kind: "endless" });
    } else if (this.lengthBytes <= MAX_MESSAGE_BYTES) {
      if (this.lengthBytes > this.#bytes.length) {
        const larger = new Uint8Array(Math.max(this.lengthBytes, this.#bytes.length * 2));
        larger.set(this.#bytes);
        this.#bytes = larger;
      }
      this.#bytes.set(chunk, from);
    }
  }

  end(): void {
    const isTooLarge = this.lengthBytes > MAX_MESSAGE_BYTES;
    this.#body.resolve(isTooLarge ? { kind: "tooLarge" } : { kind: "whole", bytes: this.#bytes.slice(0, this.lengthBytes) });
  }

  /** The body will not be completed. Does nothing after `end`. */
  abandon(): void {
    this.#body.resolve({ kind: "broken" });
  }
}

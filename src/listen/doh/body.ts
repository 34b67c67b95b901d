import type { Readable } from "node:stream";
import { MAX_MESSAGE_BYTES } from "../../dns/frame.ts";

/** How much of a body is read only to be thrown away, so that the connection can be kept. */
const DRAINED_BYTES = 1 << 20;

/** `whole` belongs to the caller. `tooLarge`: read to its end. `endless`: longer than is read at all. `broken`: never ended. */
export type Body =
  | { readonly kind: "whole"; readonly bytes: Uint8Array }
  | { readonly kind: "tooLarge" }
  | { readonly kind: "endless" }
  | { readonly kind: "broken" };

export const NO_BODY: Body = { kind: "whole", bytes: new Uint8Array(0) };

/**
 * Reads a request's body to its end, or until `DRAINED_BYTES` are exceeded; then the rest flows on unread.
 * Its time is bounded by the server, which breaks the stream.
 */
export function readBody(stream: Readable): Promise<Body> {
  return new Promise((resolve) => {
    let kept = new Uint8Array(512);
    let lengthBytes = 0;
    stream.on("data", (chunk: Buffer) => {
      const from = lengthBytes;
      lengthBytes += chunk.length;
      if (lengthBytes > DRAINED_BYTES) {
        resolve({ kind: "endless" });
      } else if (lengthBytes <= MAX_MESSAGE_BYTES) {
        // A copy: a body that dribbles in would hold a large network buffer for each of its octets.
        if (lengthBytes > kept.length) kept = enlarge(kept, lengthBytes);
        kept.set(chunk, from);
      }
    });
    stream.on("end", () => {
      resolve(lengthBytes <= MAX_MESSAGE_BYTES ? { kind: "whole", bytes: kept.slice(0, lengthBytes) } : { kind: "tooLarge" });
    });
    stream.on("error", () => resolve({ kind: "broken" }));
    stream.on("close", () => resolve({ kind: "broken" }));
  });
}

function enlarge(bytes: Uint8Array, neededBytes: number): Uint8Array<ArrayBuffer> {
  const larger = new Uint8Array(Math.max(neededBytes, bytes.length * 2));
  larger.set(bytes);
  return larger;
}

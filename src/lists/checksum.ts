import { createHash } from "node:crypto";
import type { Sliced } from "../lib/cooperative.ts";

/** Where the processor has no instructions for it, so much takes some milliseconds. */
const SLICE_OCTETS = 1024 * 1024;

/** SHA-256 of a file, in hexadecimal digits. */
export function* checksumOf(bytes: Buffer): Sliced<string> {
  const hash = createHash("sha256");
  for (let position = 0; position < bytes.length; position += SLICE_OCTETS) {
    if (position > 0) yield;
    hash.update(bytes.subarray(position, position + SLICE_OCTETS));
  }
  return hash.digest("hex");
}

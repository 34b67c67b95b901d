import type { HttpResponse } from "../types.ts";
import { FRAME, FRAME_FLAG, FRAME_HEAD_BYTES, putFrameHead } from "./frames.ts";
import { encodeFields } from "./hpack.ts";

/** HEADERS and DATA of a response in one buffer. */
export function wholeResponse(streamId: number, block: Uint8Array, body: Uint8Array): Uint8Array {
  const bodyStart = FRAME_HEAD_BYTES + block.length + FRAME_HEAD_BYTES;
  const bytes = Buffer.allocUnsafe(bodyStart + body.length);
  putFrameHead(bytes, 0, { type: FRAME.HEADERS, flags: FRAME_FLAG.END_HEADERS, streamId, length: block.length });
  bytes.set(block, FRAME_HEAD_BYTES);
  const dataStart = FRAME_HEAD_BYTES + block.length;
  putFrameHead(bytes, dataStart, { type: FRAME.DATA, flags: FRAME_FLAG.END_STREAM, streamId, length: body.length });
  bytes.set(body, bodyStart);
  return bytes;
}

/** The header block of a response. The most common head is copied, and only two of its values are written anew. */
export function encodeResponse({ status, contentType, cacheControl, allow, challenge, body }: HttpResponse): Uint8Array {
  if (status === 200 && contentType === COMMON_TYPE && cacheControl !== null) return encodeCommon(body.length, cacheControl);
  const fields = [
    { name: ":status", value: String(status) },
    { name: "content-type", value: contentType },
    { name: "content-length", value: String(body.length) },
  ];
  if (cacheControl !== null) fields.push({ name: "cache-control", value: cacheControl });
  if (allow !== null) fields.push({ name: "allow", value: allow });
  if (challenge !== undefined) fields.push({ name: "www-authenticate", value: challenge });
  return encodeFields(fields);
}

const COMMON_TYPE = "application/dns-message";

const COMMON_START = encodeFields([
  { name: ":status", value: "200" },
  { name: "content-type", value: COMMON_TYPE },
]);

/** The longest number of seconds, and `no-store`, fit. */
const MAX_COMMON_VALUE_BYTES = 32;

/** Makes the same block as `encodeFields`. */
function encodeCommon(bodyBytes: number, cacheControl: string): Uint8Array {
  const block = Buffer.allocUnsafe(COMMON_START.length + 2 * (3 + MAX_COMMON_VALUE_BYTES));
  block.set(COMMON_START);
  const end = putLiteral(block, COMMON_START.length, CONTENT_LENGTH_INDEX, String(bodyBytes));
  return block.subarray(0, putLiteral(block, end, CACHE_CONTROL_INDEX, cacheControl));
}

/** RFC 7541 §6.2.2 and Appendix A: a literal without indexing whose name is in the static table. */
const CONTENT_LENGTH_INDEX = 28;
const CACHE_CONTROL_INDEX = 24;

/** @param nameIndex from 15 to 142. @returns where the next field begins. */
function putLiteral(block: Buffer, at: number, nameIndex: number, value: string): number {
  block[at] = 0x0f;
  block[at + 1] = nameIndex - 15;
  block[at + 2] = value.length;
  return at + 3 + block.write(value, at + 3, "latin1");
}

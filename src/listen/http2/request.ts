import type { BodyReader } from "../body.ts";
import type { RequestHead } from "../types.ts";
import type { HeaderField } from "./hpack.ts";

/** The head of a request, with the fields that the session itself needs. */
interface Http2Head extends RequestHead {
  /** Length of the body in bytes; null = not given. */
  readonly contentLength: number | null;
  readonly expectsContinue: boolean;
}

const PSEUDO_FIELDS = new Set([":method", ":scheme", ":authority", ":path"]);

/** RFC 9113 §8.2.2: fields about a connection, which HTTP/2 forbids. */
const CONNECTION_FIELDS = new Set(["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"]);

/** RFC 9110 §5.6.2, in lower case. */
const NAME = /^[!#$%&'*+\-.^_`|~\da-z]+$/;

/** RFC 9113 §8.2.1: NUL or a line break within a value, or blanks around it. */
const BAD_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;

/** null = the request is malformed (RFC 9113 §8.1.1, §8.3.1). */
export function readHead(fields: readonly HeaderField[]): Http2Head | null {
  const known = new Map<string, string>();
  let isPseudo = true;
  for (const { name, value } of fields) {
    if (BAD_VALUE.test(value)) return null;
    if (name.startsWith(":")) {
      if (!isPseudo || !PSEUDO_FIELDS.has(name) || known.has(name)) return null;
      known.set(name, value);
      continue;
    }
    isPseudo = false;
    if (!isRequestField(name, value)) return null;
    const before = known.get(name);
    if (before === undefined) known.set(name, value);
    else if (name === "content-length" && before !== value) return null;
    else if (name === "x-forwarded-for" || name === "x-real-ip") known.set(name, `${before},${value}`);
  }
  const method = known.get(":method");
  const path = known.get(":path");
  if (method === undefined || (method !== "CONNECT" && (!path || !known.has(":scheme")))) return null;
  const contentLength = known.get("content-length");
  if (contentLength !== undefined && !/^\d{1,15}$/.test(contentLength)) return null;
  return {
    method,
    target: path ?? "",
    contentType: known.get("content-type"),
    contentEncoding: known.get("content-encoding"),
    contentLength: contentLength === undefined ? null : Number(contentLength),
    forwardedFor: known.get("x-forwarded-for"),
    realIp: known.get("x-real-ip"),
    authorization: known.get("authorization"),
    expectsContinue: known.get("expect")?.toLowerCase() === "100-continue",
  };
}

/** Whether these fields may follow a body (RFC 9113 §8.1). Their content is ignored. */
export function areTrailers(fields: readonly HeaderField[]): boolean {
  return fields.every(({ name, value }) => !BAD_VALUE.test(value) && isRequestField(name, value));
}

function isRequestField(name: string, value: string): boolean {
  return NAME.test(name) && !CONNECTION_FIELDS.has(name) && (name !== "te" || value === "trailers");
}

/** One request and its response (RFC 9113 §5). Only the session changes it. */
export interface Http2Stream {
  readonly id: number;
  /** null = the head is larger than we take (status 431, RFC 6585 §5). */
  readonly head: Http2Head | null;
  readonly begunMs: number;
  /** When the last bytes of the request came that have been taken. */
  arrivedMs: number;
  /** null = the request has no body. */
  readonly body: BodyReader | null;
  /** The client has sent everything. */
  hasEnded: boolean;
  /** Nothing more is sent on the stream. */
  isClosed: boolean;
  /** Bytes that the client may send. */
  receiveWindow: number;
  /** Bytes that we may send. Below 0 if the client made its windows smaller (RFC 9113 §6.9.2). */
  sendWindow: number;
  /** The unsent rest of the response's body; null = nothing to send. */
  unsent: Uint8Array | null;
}

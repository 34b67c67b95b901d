import type { HeaderField } from "./hpack/decoder.ts";

/** What DoH needs of the head of a request. */
export interface RequestFields {
  readonly method: string;
  /** Empty for CONNECT. */
  readonly path: string;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  /** Of the body, in octets; null = it is not said. */
  readonly contentLength: number | null;
  readonly forwardedFor: string | undefined;
  readonly realIp: string | undefined;
  readonly expectsContinue: boolean;
}

const PSEUDO: ReadonlySet<string> = new Set([":method", ":scheme", ":authority", ":path"]);

/** RFC 9113 §8.2.2: they speak of a connection, of which HTTP/2 tells by other means. */
const OF_CONNECTIONS: ReadonlySet<string> = new Set([
  "connection",
  "keep-alive",
  "proxy-connection",
  "transfer-encoding",
  "upgrade",
]);

/** RFC 9110 §5.6.2, in lower case. */
const NAME = /^[!#$%&'*+\-.^_`|~\da-z]+$/;

/** RFC 9113 §8.2.1: the end of a string or of a line within a value, or blanks around it. */
const BAD_VALUE = /[\0\r\n]|^[ \t]|[ \t]$/;

/** null = the request is malformed (RFC 9113 §8.1.1, §8.3.1). */
export function requestFields(fields: readonly HeaderField[]): RequestFields | null {
  const known = new Map<string, string>();
  let isPseudo = true;
  for (const { name, value } of fields) {
    if (BAD_VALUE.test(value)) return null;
    if (name.startsWith(":")) {
      if (!isPseudo || !PSEUDO.has(name) || known.has(name)) return null;
      known.set(name, value);
      continue;
    }
    isPseudo = false;
    if (!isFieldOfRequest(name, value)) return null;
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
    path: path ?? "",
    contentType: known.get("content-type"),
    contentEncoding: known.get("content-encoding"),
    contentLength: contentLength === undefined ? null : Number(contentLength),
    forwardedFor: known.get("x-forwarded-for"),
    realIp: known.get("x-real-ip"),
    expectsContinue: known.get("expect")?.toLowerCase() === "100-continue",
  };
}

/** Whether fields may follow a body (RFC 9113 §8.1). What they say is not looked at. */
export function areTrailers(fields: readonly HeaderField[]): boolean {
  return fields.every(({ name, value }) => !BAD_VALUE.test(value) && isFieldOfRequest(name, value));
}

function isFieldOfRequest(name: string, value: string): boolean {
  return NAME.test(name) && !OF_CONNECTIONS.has(name) && (name !== "te" || value === "trailers");
}

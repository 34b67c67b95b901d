import { type ErrorCode, INITIAL_WINDOW_BYTES } from "./frames.ts";
import type { HeaderField } from "./hpack.ts";

/** What DoH needs of the head of a request. */
interface RequestFields {
  readonly method: string;
  /** Empty for CONNECT. */
  readonly path: string;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  /** Of the body, in bytes; null = it is not said. */
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

/** Where the body of a request goes. Called in turn; the bytes are only lent. */
interface BodySink {
  take(chunk: Uint8Array): void;
  /** It came whole. */
  end(): void;
  /** It will not come any more. */
  abandon(): void;
}

export interface StreamResponse {
  readonly status: number;
  /** In lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** What a stream does to its session. */
export interface StreamOwner {
  respond(stream: Http2Stream, response: StreamResponse): void;
  reset(stream: Http2Stream, code: ErrorCode): void;
}

/** One request and its response (RFC 9113 §5). Its session alone changes it. */
export class Http2Stream {
  readonly id: number;
  /** null = they are more than we take (status 431, RFC 6585 §5). */
  readonly fields: RequestFields | null;
  readonly begunMs: number;
  readonly #owner: StreamOwner;
  /** Where its body goes, if it has one; to be set at once. */
  sink: BodySink | null = null;
  /** The client has said everything. */
  hasEnded: boolean;
  /** Nothing is sent on it any more. */
  closed = false;
  /** Bytes that the client may send. */
  receiveWindow: number = INITIAL_WINDOW_BYTES;
  /** Bytes of its body that came. */
  received = 0;
  /** Bytes that we may send. Below 0 where the client made its windows smaller (RFC 9113 §6.9.2). */
  sendWindow: number;
  /** Of the response's body, what is not sent yet; null = there is nothing to send, or nothing yet. */
  unsent: Uint8Array | null = null;

  constructor(id: number, owner: StreamOwner, start: StreamStart) {
    this.id = id;
    this.#owner = owner;
    this.fields = start.fields;
    this.begunMs = start.begunMs;
    this.hasEnded = start.hasEnded;
    this.sendWindow = start.sendWindow;
  }

  /** Once at the most. Does nothing on a stream that is closed. */
  respond(response: StreamResponse): void {
    if (!this.closed) this.#owner.respond(this, response);
  }

  /** Does nothing on a stream that is closed. */
  reset(code: ErrorCode): void {
    if (!this.closed) this.#owner.reset(this, code);
  }

  /** For its session: it is over, whatever had been said of it. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.unsent = null;
    if (!this.hasEnded) this.sink?.abandon();
  }
}

interface StreamStart {
  readonly fields: RequestFields | null;
  readonly begunMs: number;
  readonly hasEnded: boolean;
  readonly sendWindow: number;
}

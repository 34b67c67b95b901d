import { type ErrorCode, INITIAL_WINDOW_BYTES } from "./frames.ts";
import type { HeaderField } from "./hpack.ts";

/** The parts of a request's head that DoH needs. */
interface RequestFields {
  readonly method: string;
  /** Empty for CONNECT. */
  readonly path: string;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
  /** Length of the body in bytes; null = not given. */
  readonly contentLength: number | null;
  readonly forwardedFor: string | undefined;
  readonly realIp: string | undefined;
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
export function requestFields(fields: readonly HeaderField[]): RequestFields | null {
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
    path: path ?? "",
    contentType: known.get("content-type"),
    contentEncoding: known.get("content-encoding"),
    contentLength: contentLength === undefined ? null : Number(contentLength),
    forwardedFor: known.get("x-forwarded-for"),
    realIp: known.get("x-real-ip"),
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

/** Receives the body of a request, chunk by chunk. The bytes are only lent. */
interface BodySink {
  take(chunk: Uint8Array): void;
  /** The body is complete. */
  end(): void;
  /** The body will not be completed. */
  abandon(): void;
}

export interface StreamResponse {
  readonly status: number;
  /** Names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
}

/** The session, as its streams see it. */
export interface StreamOwner {
  respond(stream: Http2Stream, response: StreamResponse): void;
  reset(stream: Http2Stream, code: ErrorCode): void;
}

interface StreamStart {
  /** null = the head is larger than we take (status 431, RFC 6585 §5). */
  readonly fields: RequestFields | null;
  readonly begunMs: number;
  readonly hasEnded: boolean;
  readonly sendWindow: number;
}

/** One request and its response (RFC 9113 §5). Only its session changes it. */
export class Http2Stream {
  readonly id: number;
  readonly fields: RequestFields | null;
  readonly begunMs: number;
  readonly #owner: StreamOwner;
  /** Receives the body, if there is one. To be set in `onRequest`. */
  sink: BodySink | null = null;
  /** The client has sent everything. */
  hasEnded: boolean;
  /** Nothing more is sent on the stream. */
  closed = false;
  /** Bytes that the client may send. */
  receiveWindow: number = INITIAL_WINDOW_BYTES;
  /** Bytes of the body received so far. */
  receivedBytes = 0;
  /** Bytes that we may send. Below 0 if the client made its windows smaller (RFC 9113 §6.9.2). */
  sendWindow: number;
  /** The unsent rest of the response's body; null = nothing to send. */
  unsent: Uint8Array | null = null;

  constructor(id: number, owner: StreamOwner, start: StreamStart) {
    this.id = id;
    this.#owner = owner;
    this.fields = start.fields;
    this.begunMs = start.begunMs;
    this.hasEnded = start.hasEnded;
    this.sendWindow = start.sendWindow;
  }

  /** To be called at most once. Does nothing on a closed stream. */
  respond(response: StreamResponse): void {
    if (!this.closed) this.#owner.respond(this, response);
  }

  /** Does nothing on a closed stream. */
  reset(code: ErrorCode): void {
    if (!this.closed) this.#owner.reset(this, code);
  }

  /** For the session: ends the stream, whatever its state. */
  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.unsent = null;
    if (!this.hasEnded) this.sink?.abandon();
  }
}

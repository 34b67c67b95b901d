import { type ErrorCode, INITIAL_WINDOW_OCTETS } from "./codes.ts";
import type { RequestFields } from "./request-fields.ts";

/** Where the body of a request goes. Called in turn; the octets are only lent. */
export interface BodySink {
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
  /** Octets that the client may send. */
  receiveWindow: number = INITIAL_WINDOW_OCTETS;
  /** Octets of its body that came. */
  received = 0;
  /** Octets that we may send. Below 0 where the client made its windows smaller (RFC 9113 §6.9.2). */
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

export interface StreamStart {
  readonly fields: RequestFields | null;
  readonly begunMs: number;
  readonly hasEnded: boolean;
  readonly sendWindow: number;
}

import type { Socket } from "node:net";
import type { Clock } from "../lib/clock.ts";
import type { CarriedRequest } from "./pending.ts";
import { UpstreamError } from "./upstream.ts";

/** Carries HTTP requests to one server: an HTTP/2 session, or a set of HTTP/1.1 connections. `https.ts` opens it and gives it exchanges. */
export interface HttpsTransport {
  /** Whether the transport takes another exchange. While false it ends with its last exchange. */
  readonly hasRoom: boolean;
  send(exchange: HttpsExchange): void;
  close(): Promise<void>;
}

/** What a transport needs from its server. */
export interface TransportContext {
  readonly target: HttpsTarget;
  readonly clock: Clock;
  /** How long the connection took to open. */
  readonly openingMs: number;
  /** Opens another connection without HTTP/2. */
  readonly dial: (signal: AbortSignal) => Promise<Socket>;
  /** Sends an exchange that was lost, or got no answer in time, over another connection. */
  readonly resend: (exchange: HttpsExchange) => void;
  /** Called once, when the connection is gone and has no exchange left. */
  readonly onEnd: () => void;
}

/** One DNS query on its way as an HTTP request. */
export interface HttpsExchange {
  readonly message: Buffer;
  /** Receives the body of the answer, in memory of its own. */
  readonly carried: CarriedRequest<Uint8Array>;
  /** Whether the request was sent twice. It is not sent a third time. */
  wasResent: boolean;
}

/** Where the requests of one server go. */
export interface HttpsTarget {
  readonly label: string;
  /** Host and port as in the URL, without the default port. */
  readonly authority: string;
  readonly path: string;
  readonly method: "GET" | "POST";
}

const DNS_MESSAGE = "application/dns-message";

/** Method, path, headers (without pseudo-headers) and body of a DoH request (RFC 8484 §4.1). */
export function httpsRequest({ method, path }: HttpsTarget, message: Buffer) {
  if (method === "POST") {
    const headers = { accept: DNS_MESSAGE, "content-type": DNS_MESSAGE, "content-length": String(message.length) };
    return { method, path, headers, body: message };
  }
  const query = `${path.includes("?") ? "&" : "?"}dns=${message.toString("base64url")}`;
  return { method, path: path + query, headers: { accept: DNS_MESSAGE }, body: null };
}

/** The head of a response, as far as DoH needs it. */
interface ResponseHead {
  readonly status: number;
  readonly contentType: string | undefined;
  readonly retryAfter: string | undefined;
}

/** Why the head of a response is unusable; null = it is usable. A redirect is never followed. */
export function responseFault(label: string, { status, contentType, retryAfter }: ResponseHead): UpstreamError | null {
  if (status !== 200) return new UpstreamError("http", label, `status ${status}`, retryAfter);
  if (contentType !== undefined && /^application\/dns-message\s*(?:;|$)/i.test(contentType)) return null;
  return new UpstreamError("malformed", label, `the content type is ${contentType ?? "missing"}`);
}

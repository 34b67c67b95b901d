import type { Settle } from "./pending.ts";
import { UpstreamError } from "./upstream.ts";

/** A question on its way as an HTTP request. */
export interface HttpsExchange {
  /** The DNS message to be asked with. */
  readonly message: Buffer;
  /** Gets the body of the answer, in memory of its own. */
  readonly ends: Settle<Uint8Array>;
  /** Whether it has been sent a second time already: there is no third. */
  resent: boolean;
  /** Takes it off the connection it is on. */
  cancel: () => void;
}

/** How requests for one server look. */
export interface HttpsTarget {
  readonly label: string;
  /** Host and port as the URL has them, the default port left out. */
  readonly authority: string;
  readonly path: string;
  readonly method: "GET" | "POST";
}

/** Something that carries requests: an HTTP/2 session, or a set of HTTP/1.1 connections. */
export interface HttpsTransport {
  /** Whether it takes another request. Once false it stays false, and it ends by itself with its last request. */
  readonly hasRoom: boolean;
  ask(job: HttpsExchange): void;
  close(): Promise<void>;
}

export interface TransportEvents {
  /** Takes a request that was lost, and not answered, to another connection. */
  readonly resend: (job: HttpsExchange) => void;
  /** Called once, when the connection is gone and no request is left on it. */
  readonly ended: () => void;
}

const DNS_MESSAGE = "application/dns-message";

/** Method, path and headers, without pseudo-headers, and the body (RFC 8484 §4.1). */
interface HttpsRequest {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer | null;
}

export function httpsRequest({ method, path }: HttpsTarget, message: Buffer): HttpsRequest {
  if (method === "POST") {
    const headers = { accept: DNS_MESSAGE, "content-type": DNS_MESSAGE, "content-length": String(message.length) };
    return { method, path, headers, body: message };
  }
  const query = `${path.includes("?") ? "&" : "?"}dns=${message.toString("base64url")}`;
  return { method, path: path + query, headers: { accept: DNS_MESSAGE }, body: null };
}

/** What speaks against an answer before its body is read; null = nothing. A redirect is an answer like any other status, and never followed. */
export function responseFault(label: string, status: number, contentType: string | undefined): UpstreamError | null {
  if (status !== 200) return new UpstreamError("http", label, `status ${status}`);
  if (contentType !== undefined && /^application\/dns-message\s*(?:;|$)/i.test(contentType)) return null;
  return new UpstreamError("malformed", label, `the content type is ${contentType ?? "missing"}`);
}

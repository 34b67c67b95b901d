import { MAX_MESSAGE_BYTES, MIN_MESSAGE_BYTES } from "../../dns/wire.ts";

/** The head of an HTTP request, of whichever version. */
export interface RequestHead {
  readonly method: string;
  /** The path with its query, or a whole URL as proxies are sent it. */
  readonly target: string;
  readonly contentType: string | undefined;
  readonly contentEncoding: string | undefined;
}

/** What a request asks for. `clientId` is the segment behind the path of the service. */
export type DohRequest =
  | { readonly kind: "message"; readonly message: Uint8Array; readonly clientId: string | null }
  | { readonly kind: "body"; readonly clientId: string | null }
  | { readonly kind: "json"; readonly parameters: URLSearchParams; readonly clientId: string | null }
  | Refusal;

export interface Refusal {
  readonly kind: "refused";
  readonly status: 400 | 404 | 405 | 413 | 415;
  readonly text: string;
}

export const ALLOWED_METHODS = "GET, HEAD, POST";

/**
 * Reads a DoH request (RFC 8484 §4.1) but for its body: `message` = it came in the URL and belongs to the caller, `body` = it
 * is the body. `path` as in `ListenOptions.dohPath`. What the client accepts is not asked: there is one form of answer.
 */
export function readRequest(head: RequestHead, path: string): DohRequest {
  const target = head.target.replace(/^https?:\/\/[^/?]*/i, "");
  const mark = target.indexOf("?");
  const clientId = readPath(mark === -1 ? target : target.slice(0, mark), path);
  if (clientId === undefined) return refuse(404, "There is nothing here; DNS is asked at another path.");
  switch (head.method) {
    case "GET":
    case "HEAD":
      return readQuery(mark === -1 ? "" : target.slice(mark + 1), clientId);
    case "POST":
      return readPostHead(head, clientId);
    default:
      return refuse(405, "DNS is asked by GET or POST.");
  }
}

/** Whether octets that came as a body, or out of the URL, can be a message at all. */
export function checkMessage(message: Uint8Array): Refusal | null {
  if (message.length === 0) return refuse(400, "There is no DNS message in this request.");
  if (message.length < MIN_MESSAGE_BYTES) return refuse(400, "The DNS message is shorter than its header.");
  if (message.length > MAX_MESSAGE_BYTES) return TOO_LARGE;
  return null;
}

export function refuse(status: Refusal["status"], text: string): Refusal {
  return { kind: "refused", status, text };
}

export const TOO_LARGE = refuse(413, "A DNS message has at most 65535 octets.");

/** The client id, null without one; undefined = another path. */
function readPath(path: string, servicePath: string): string | null | undefined {
  const base = servicePath === "/" ? "" : servicePath;
  if (path === servicePath || path === base) return null;
  if (!path.startsWith(`${base}/`)) return undefined;
  const clientId = path.slice(base.length + 1);
  return /^[a-z0-9-]{1,63}$/.test(clientId) ? clientId : undefined;
}

function readPostHead(head: RequestHead, clientId: string | null): DohRequest {
  const mediaType = head.contentType?.split(";", 1)[0]?.trim().toLowerCase();
  if (mediaType !== "application/dns-message") return refuse(415, "The body must be of type application/dns-message.");
  const encoding = head.contentEncoding?.trim().toLowerCase() ?? "identity";
  if (encoding !== "identity") return refuse(415, "The body must not be compressed.");
  return { kind: "body", clientId };
}

function readQuery(query: string, clientId: string | null): DohRequest {
  const values = query.split("&").filter((pair) => pair.startsWith("dns="));
  const [value] = values;
  if (value !== undefined && values.length === 1) {
    const message = decodeBase64Url(value.slice("dns=".length));
    return message === null ? refuse(400, "The parameter dns is not base64url.") : { kind: "message", message, clientId };
  }
  if (values.length > 1) return refuse(400, "The parameter dns is there more than once.");
  const parameters = new URLSearchParams(query);
  if (parameters.has("name")) return { kind: "json", parameters, clientId };
  return refuse(400, "There is neither a parameter dns nor a parameter name.");
}

/** RFC 4648 §5, padding tolerated (RFC 8484 §6 forbids it, and clients send it). A fresh copy; null = not base64url. */
function decodeBase64Url(text: string): Uint8Array | null {
  const plain = text.replace(/(?:=|%3d){1,2}$/i, "");
  if (!/^[A-Za-z0-9_-]*$/.test(plain) || plain.length % 4 === 1) return null;
  return new Uint8Array(Buffer.from(plain, "base64url"));
}

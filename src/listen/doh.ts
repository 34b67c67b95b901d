import { HEADER_BYTES, MAX_MESSAGE_BYTES } from "../dns/wire.ts";
import type { Client, HttpVersion } from "../lib/client.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { Body } from "./body.ts";
import { forwardedPeer } from "./client-address.ts";
import type { HandlerReply, HttpResponse, ListenServices, Peer, RequestHead } from "./types.ts";

/** The other end of an HTTP connection. */
export interface HttpPeer {
  readonly direct: Peer;
  /** Whether its X-Forwarded-For names the client. */
  readonly isTrusted: boolean;
  /** The client id in the server name of TLS; null = none. An id in the path comes before it. */
  readonly clientId: string | null;
}

/** Where a request comes from. */
interface RequestOrigin {
  readonly version: HttpVersion;
  readonly peer: HttpPeer;
  readonly arrivedMs: number;
}

/** DoH (RFC 8484) without HTTP itself: takes a request and its peer, returns a response. */
export class DohService {
  readonly #path: string;
  readonly #services: ListenServices;

  constructor(path: string, services: ListenServices) {
    this.#path = path;
    this.#services = services;
  }

  peer(direct: Peer, clientId: string | null): HttpPeer {
    return { direct, isTrusted: this.#services.trustedProxies.hasText(direct.address), clientId };
  }

  /**
   * Answers at once where the handler does. null = the request broke off before its end.
   * @param from.arrivedMs see `Handler.answer`.
   */
  respond(
    head: RequestHead,
    body: Body,
    { version, peer, arrivedMs }: RequestOrigin,
  ): HttpResponse | null | Promise<HttpResponse> {
    if (head.target.startsWith(UPDATE_PATH) && body.kind !== "broken") return this.#update(head, peer, body.kind === "endless");
    const request = readRequest(head, this.#path);
    if (body.kind === "broken") return null;
    if (request.kind === "refused") return refusal(request, body.kind === "endless");
    if (body.kind !== "whole") return refusal(TOO_LARGE, body.kind === "endless");
    const { address, port } = this.#clientOf(head, peer);
    const client: Client = {
      address,
      port,
      transport: "doh",
      http: version,
      method: request.kind === "body" ? "POST" : "GET",
      clientId: request.clientId ?? peer.clientId,
    };
    switch (request.kind) {
      case "message":
        return this.#answerMessage(request.message, client, arrivedMs);
      case "body":
        return this.#answerMessage(body.bytes, client, arrivedMs);
      case "json":
        return this.#answerJson(request.parameters, client);
      default:
        return unreachable(request);
    }
  }

  #clientOf(head: RequestHead, { isTrusted, direct }: HttpPeer): Peer {
    return isTrusted ? forwardedPeer(direct, head, this.#services.trustedProxies) : direct;
  }

  async #update(head: RequestHead, peer: HttpPeer, unread: boolean): Promise<HttpResponse> {
    const [path, query = ""] = head.target.split("?", 2);
    const { address: client } = this.#clientOf(head, peer);
    const isUpdate = path === UPDATE_PATH && head.method === "GET";
    const reply = isUpdate ? await this.#services.handler.update?.({ query, authorization: head.authorization, client }) : null;
    if (reply == null) return refusal(NOT_FOUND, unread);
    const contentType = "text/plain; charset=utf-8";
    const plain = { contentType, cacheControl: "no-store", allow: null, body: Buffer.from(reply.text), unread };
    return reply.status === 401 ? { ...plain, status: 401, challenge: UPDATE_CHALLENGE } : { ...plain, status: 200 };
  }

  #answerMessage(message: Uint8Array, client: Client, arrivedMs: number): HttpResponse | Promise<HttpResponse> {
    const refused = checkMessage(message);
    if (refused !== null) return refusal(refused, false);
    const reply = this.#services.handler.answer(message, client, arrivedMs);
    return reply instanceof Promise ? reply.then(responseOf) : responseOf(reply);
  }

  async #answerJson(parameters: URLSearchParams, client: Client): Promise<HttpResponse> {
    const reply = await this.#services.handler.answerJson(parameters, client);
    if (reply.kind === "bad") return refusal(refuse(400, reply.text), false);
    return success("application/dns-json", Buffer.from(reply.body), reply.maxAgeSeconds);
  }
}

function responseOf(reply: HandlerReply | null): HttpResponse {
  if (reply === null) return refusal(refuse(400, "This is not a DNS query."), false);
  return success("application/dns-message", reply.wire, reply.maxAgeSeconds);
}

function success(contentType: string, body: Uint8Array, maxAgeSeconds: number | null): HttpResponse {
  const cacheControl = maxAgeSeconds === null ? "no-store" : `max-age=${maxAgeSeconds}`;
  return { status: 200, contentType, cacheControl, allow: null, body, unread: false };
}

function refusal({ status, text }: Refusal, unread: boolean): HttpResponse {
  const allow = status === 405 ? ALLOWED_METHODS : null;
  return { status, contentType: "text/plain; charset=utf-8", cacheControl: null, allow, body: Buffer.from(`${text}\n`), unread };
}

/** What a request asks for. `clientId` is the path segment after the path of the service. */
type DohRequest =
  | { readonly kind: "message"; readonly message: Uint8Array; readonly clientId: string | null }
  | { readonly kind: "body"; readonly clientId: string | null }
  | { readonly kind: "json"; readonly parameters: URLSearchParams; readonly clientId: string | null }
  | Refusal;

interface Refusal {
  readonly kind: "refused";
  readonly status: 400 | 404 | 405 | 413 | 415;
  readonly text: string;
}

/** Where hosts report their addresses. */
export const UPDATE_PATH = "/nic/update";

/** RFC 7617 §2. */
export const UPDATE_CHALLENGE = 'Basic realm="fenliu", charset="UTF-8"';

export const ALLOWED_METHODS = "GET, HEAD, POST";

/**
 * Reads a DoH request (RFC 8484 §4.1) without its body: `message` = the message was in the URL and belongs to the caller, `body` = the message
 * is the body. `path` is `ListenOptions.dohPath`. The Accept header is ignored: the answer to a message is a message; only a name in the query string is answered with JSON.
 */
export function readRequest(head: RequestHead, path: string): DohRequest {
  const target = head.target.startsWith("/") ? head.target : head.target.replace(/^https?:\/\/[^/?]*/i, "");
  const mark = target.indexOf("?");
  const clientId = readPath(mark === -1 ? target : target.slice(0, mark), path);
  if (clientId === undefined) return NOT_FOUND;
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

/** Refuses bytes that cannot be a message because of their length. */
export function checkMessage(message: Uint8Array): Refusal | null {
  if (message.length === 0) return refuse(400, "There is no DNS message in this request.");
  if (message.length < HEADER_BYTES) return refuse(400, "The DNS message is shorter than its header.");
  return message.length > MAX_MESSAGE_BYTES ? TOO_LARGE : null;
}

function refuse(status: Refusal["status"], text: string): Refusal {
  return { kind: "refused", status, text };
}

const NOT_FOUND = refuse(404, "There is nothing here; DNS is asked at another path.");

const TOO_LARGE = refuse(413, "A DNS message has at most 65535 bytes.");

/** Returns the client id, null without one; undefined = another path. */
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
  if (query.startsWith("dns=") && !query.includes("&")) return readMessage(query.slice("dns=".length), clientId);
  const values = query.split("&").filter((pair) => pair.startsWith("dns="));
  const [value] = values;
  if (value !== undefined && values.length === 1) return readMessage(value.slice("dns=".length), clientId);
  if (values.length > 1) return refuse(400, "The parameter dns is there more than once.");
  const parameters = new URLSearchParams(query);
  if (parameters.has("name")) return { kind: "json", parameters, clientId };
  return refuse(400, "There is neither a parameter dns nor a parameter name.");
}

function readMessage(value: string, clientId: string | null): DohRequest {
  const message = decodeBase64Url(value);
  return message === null ? refuse(400, "The parameter dns is not base64url.") : { kind: "message", message, clientId };
}

/** RFC 4648 §5. Accepts padding, which RFC 8484 §6 forbids and clients send. Returns a fresh copy; null = not base64url. */
function decodeBase64Url(value: string): Uint8Array | null {
  const text = value.endsWith("=") || value.includes("%") ? value.replace(/(?:=|%3d){1,2}$/i, "") : value;
  const tail = text.length % 4;
  if (tail === 1) return null;
  // From the pool, which is much cheaper than memory of its own. Every byte is written.
  const message = Buffer.allocUnsafe((text.length >> 2) * 3 + (tail === 0 ? 0 : tail - 1));
  let bits = 0;
  let heldBits = 0;
  let length = 0;
  for (let at = 0; at < text.length; at++) {
    const digit = BASE64URL_DIGITS[text.charCodeAt(at)] ?? NO_DIGIT;
    if (digit === NO_DIGIT) return null;
    bits = ((bits << 6) | digit) & 0xffff;
    heldBits += 6;
    if (heldBits < 8) continue;
    heldBits -= 8;
    message[length++] = bits >> heldBits;
  }
  return message;
}

const NO_DIGIT = 255;

/** The value of each digit, by its character code. */
const BASE64URL_DIGITS = Uint8Array.from({ length: 128 }, (_, code) => {
  const value = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".indexOf(String.fromCharCode(code));
  return value === -1 ? NO_DIGIT : value;
});

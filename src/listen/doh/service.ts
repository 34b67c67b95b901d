import type { Client, HttpVersion } from "../../lib/client.ts";
import { unreachable } from "../../lib/unreachable.ts";
import type { Peer } from "../address.ts";
import { forwardedPeer } from "../forwarded.ts";
import type { Reply } from "../handler.ts";
import type { ListenServices } from "../services.ts";
import type { Body } from "./body.ts";
import {
  ALLOWED_METHODS,
  checkMessage,
  type DohRequest,
  type Refusal,
  type RequestHead,
  readRequest,
  refuse,
  TOO_LARGE,
} from "./request.ts";

/** A request of any HTTP version, with what only its connection knows. */
export interface HttpRequest extends RequestHead {
  readonly version: HttpVersion;
  readonly forwardedFor: string | undefined;
  readonly realIp: string | undefined;
  readonly body: Body;
}

export interface HttpResponse {
  readonly status: number;
  /** In lower case, `content-length` included. */
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array;
  /** The rest of the request's body was not read. */
  readonly unread: boolean;
}

/** Whoever is at the other end of an HTTP connection. */
export interface HttpPeer {
  readonly direct: Peer;
  /** It may speak for others. */
  readonly isTrusted: boolean;
}

/** DoH (RFC 8484) without the HTTP: a request and its peer in, a response out. */
export class DohService {
  readonly #path: string;
  readonly #services: ListenServices;

  constructor(path: string, services: ListenServices) {
    this.#path = path;
    this.#services = services;
  }

  peer(direct: Peer): HttpPeer {
    return { direct, isTrusted: this.#services.trustedProxies.hasText(direct.address) };
  }

  /** null = the request broke off before its end. */
  async respond(request: HttpRequest, peer: HttpPeer): Promise<HttpResponse | null> {
    const asked = readRequest(request, this.#path);
    const { body } = request;
    switch (body.kind) {
      case "broken":
        return null;
      case "whole":
        return this.#answer(asked, body.bytes, request, peer);
      case "tooLarge":
        return refusal(asked.kind === "refused" ? asked : TOO_LARGE, false);
      case "endless":
        return refusal(asked.kind === "refused" ? asked : TOO_LARGE, true);
      default:
        return unreachable(body);
    }
  }

  async #answer(asked: DohRequest, body: Uint8Array, request: HttpRequest, peer: HttpPeer): Promise<HttpResponse> {
    switch (asked.kind) {
      case "refused":
        return refusal(asked, false);
      case "message":
        return this.#answerMessage(asked.message, this.#client(request, peer, asked));
      case "body":
        return this.#answerMessage(body, this.#client(request, peer, asked));
      case "json": {
        const reply = await this.#services.handler.answerJson(asked.parameters, this.#client(request, peer, asked));
        if (reply.kind === "bad") return refusal(refuse(400, reply.text), false);
        return success("application/dns-json", Buffer.from(reply.body), reply.maxAgeSeconds);
      }
      default:
        return unreachable(asked);
    }
  }

  async #answerMessage(message: Uint8Array, client: Client): Promise<HttpResponse> {
    const refused = checkMessage(message);
    if (refused !== null) return refusal(refused, false);
    const answer = this.#services.handler.answer(message, client);
    const reply: Reply | null = answer instanceof Promise ? await answer : answer;
    if (reply === null) return refusal(refuse(400, "This is not a DNS query."), false);
    return success("application/dns-message", reply.wire, reply.maxAgeSeconds);
  }

  #client(request: HttpRequest, { direct, isTrusted }: HttpPeer, { kind, clientId }: Exclude<DohRequest, Refusal>): Client {
    const { address, port } = isTrusted ? forwardedPeer(direct, request, this.#services.trustedProxies) : direct;
    return { address, port, transport: "doh", http: request.version, method: kind === "body" ? "POST" : "GET", clientId };
  }
}

function success(contentType: string, body: Uint8Array, maxAgeSeconds: number | null): HttpResponse {
  return {
    status: 200,
    headers: {
      "content-type": contentType,
      "content-length": String(body.length),
      "cache-control": maxAgeSeconds === null ? "no-store" : `max-age=${maxAgeSeconds}`,
    },
    body,
    unread: false,
  };
}

function refusal({ status, text }: Refusal, unread: boolean): HttpResponse {
  const body = Buffer.from(`${text}\n`);
  const headers = { "content-type": "text/plain; charset=utf-8", "content-length": String(body.length) };
  return { status, headers: status === 405 ? { ...headers, allow: ALLOWED_METHODS } : headers, body, unread };
}

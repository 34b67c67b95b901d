import { isIPv6, type Socket } from "node:net";
import { TLSSocket } from "node:tls";
import type { Answer } from "../dns/answer.ts";
import { askMessage, type Question } from "../dns/query.ts";
import { uint16 } from "../dns/wire.ts";
import type { Dialer } from "./dial.ts";
import type { HttpsExchange, HttpsTarget, HttpsTransport, TransportContext } from "./https-transport.ts";
import { MAX_MEMBER_IN_FLIGHT } from "./member.ts";
import type { ServerOptions } from "./options.ts";
import { type AttemptSubject, CarriedRequest, PendingRequests } from "./pending.ts";
import { readReply } from "./reply.ts";
import { type ExchangeOptions, type ServerContext, type Upstream, UpstreamError } from "./upstream.ts";

type Http2Class = new (socket: Socket, context: TransportContext) => HttpsTransport;

const DEFAULT_PORT = 443;

/**
 * Another one is opened where none has room: each ends with what it carries, or all its streams are without an answer. All together carry most of what
 * a member may have.
 */
const MAX_TRANSPORTS = 16;

/** RFC 9113 §3.1, RFC 7301 §6. */
const ALPN = { both: ["h2", "http/1.1"], http1: ["http/1.1"] } as const;

/** A server asked over HTTPS (RFC 8484): on one HTTP/2 session while it answers, or on a few HTTP/1.1 connections if the server does not choose HTTP/2. */
export class HttpsServer implements Upstream {
  readonly label: string;
  readonly encrypted = true;
  readonly #target: HttpsTarget;
  readonly #subject: AttemptSubject;
  readonly #dialer: Dialer;
  readonly #pending: PendingRequests;
  readonly #transports = new Set<HttpsTransport>();
  /** Exchanges that wait for a connection. */
  readonly #unsent = new Set<HttpsExchange>();
  readonly #closing = new AbortController();
  #opening: Promise<void> | null = null;

  constructor(server: ServerOptions, { clock }: ServerContext, dialer: Dialer) {
    const { label, host, port, path, method } = server;
    const authority = (isIPv6(host) ? `[${host}]` : host) + (port === DEFAULT_PORT ? "" : `:${port}`);
    this.label = label;
    this.#target = { label, authority, path, method };
    this.#subject = { server: label, transport: "https", clock };
    this.#dialer = dialer;
    this.#pending = new PendingRequests(this.#subject, MAX_MEMBER_IN_FLIGHT);
  }

  exchange(question: Question, options: ExchangeOptions): Promise<Answer> {
    // RFC 8484 §4.1: id 0, so that equal questions are equal requests.
    const message = askMessage(question, { id: 0, edns: true, padded: true });
    return this.#pending.run<Answer>(options, ({ resolve, reject }) => {
      const read = (body: Uint8Array): void => {
        // The HTTP stream ties the answer to the question, so an id that the server made up does no harm.
        const reply = readReply(body, uint16(body, 0), question);
        if (reply.kind === "answer") resolve(reply.answer);
        else
          reject(new UpstreamError("malformed", this.label, reply.kind === "foreign" ? "answers another question" : reply.kind));
      };
      const carried = new CarriedRequest<Uint8Array>({ resolve: read, reject });
      this.#send({ message, carried, wasResent: false });
      return () => carried.cancel();
    });
  }

  addresses(): readonly string[] {
    return this.#dialer.addresses.latest;
  }

  async close(): Promise<void> {
    this.#pending.close();
    this.#closing.abort(new UpstreamError("closed", this.label, "closed"));
    await this.#opening;
    await Promise.all([...this.#transports].map((transport) => transport.close()));
    this.#dialer.close();
  }

  #send(exchange: HttpsExchange): void {
    const transport = this.#transports.values().find(({ hasRoom }) => hasRoom);
    if (transport !== undefined) {
      transport.send(exchange);
      return;
    }
    if (this.#opening === null && this.#transports.size >= MAX_TRANSPORTS) {
      exchange.carried.fail(this, new UpstreamError("barred", this.label, `${MAX_TRANSPORTS} connections are full`));
      return;
    }
    this.#unsent.add(exchange);
    exchange.carried.join(this, () => this.#unsent.delete(exchange));
    this.#opening ??= this.#open();
  }

  async #open(): Promise<void> {
    try {
      const { clock } = this.#subject;
      const startedMs = clock.now();
      // A house without upstreams over HTTPS starts without Node's HTTP/2, which takes some milliseconds.
      const [socket, { Http2Transport }] = await Promise.all([
        this.#dialer.open(ALPN.both, this.#closing.signal),
        import("./http2.ts"),
      ]);
      const transport = await this.#transportOver(socket, Http2Transport, clock.now() - startedMs);
      this.#transports.add(transport);
      for (const exchange of this.#takeUnsent()) {
        transport.send(exchange);
        exchange.carried.leave(this);
      }
    } catch (error) {
      const failure = error instanceof Error ? error : new Error(String(error));
      for (const exchange of this.#takeUnsent()) exchange.carried.fail(this, failure);
    }
  }

  #takeUnsent(): HttpsExchange[] {
    // From now on an exchange that comes back opens another connection.
    this.#opening = null;
    const exchanges = [...this.#unsent];
    this.#unsent.clear();
    return exchanges;
  }

  async #transportOver(socket: Socket, Http2Transport: Http2Class, openingMs: number): Promise<HttpsTransport> {
    const context: TransportContext = {
      target: this.#target,
      clock: this.#subject.clock,
      openingMs,
      dial: (signal) => this.#dialer.open(ALPN.http1, signal),
      resend: (exchange) => this.#send(exchange),
      onEnd: () => this.#transports.delete(transport),
    };
    const isHttp2 = socket instanceof TLSSocket && socket.alpnProtocol === "h2";
    const transport: HttpsTransport = isHttp2 ? new Http2Transport(socket, context) : await openHttp1(socket, context);
    return transport;
  }
}

/** Few servers lack HTTP/2, and a server without such an upstream need not have the code in memory. */
async function openHttp1(socket: Socket, context: TransportContext): Promise<HttpsTransport> {
  const { Http1Transport } = await import("./http1.ts");
  return new Http1Transport(socket, context);
}

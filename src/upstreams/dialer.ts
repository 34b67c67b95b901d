import { isIP, type Socket } from "node:net";
import { checkServerIdentity, createSecureContext, type SecureContext, type TLSSocket, connect as tlsConnect } from "node:tls";
import { AddressBook } from "./address-book.ts";
import { connectError, connectTcp, whenReady } from "./connect.ts";
import { inTurn } from "./in-turn.ts";
import type { ServerOptions } from "./options.ts";
import type { ServerContext } from "./server-context.ts";
import { orStopped, stopAfter } from "./stop-after.ts";
import { openTunnel } from "./tunnel.ts";
import { UpstreamError } from "./upstream.ts";

/** How long a connection may take to be usable, TLS and proxy included: a query has its reply after 4 s whatever comes of it. */
const DIAL_LIMIT_MS = 5_000;

/** How long one address may be silent before the next one is tried beside it: longer than two round trips around the world. */
const STAGGER_MS = 1_000;

/** Opens connections to one server: to the address that works, through the proxy if there is one, with TLS if that is asked for. */
export class Dialer {
  readonly #server: ServerOptions;
  readonly #context: ServerContext;
  readonly #book: AddressBook;
  readonly #proxyBook: AddressBook | null;
  /** Made when first needed: the certificates of the system may be set after this was made. */
  #secureContext: SecureContext | null = null;
  /** The latest ticket, which saves the next handshake a round trip and both sides the signatures (RFC 8446 §2.2, RFC 5077). */
  #session: Buffer | null = null;

  constructor(server: ServerOptions, context: ServerContext, book: AddressBook) {
    this.#server = server;
    this.#context = context;
    this.#book = book;
    this.#proxyBook = context.proxy === null ? null : new AddressBook(context.proxy.host, [], context.bootstrap);
  }

  /** Addresses of the server, as far as they are known. */
  get addresses(): readonly string[] {
    return this.#book.latest;
  }

  /**
   * A usable socket without listeners of ours but one that ignores errors. `alpn` null = without TLS.
   * @throws UpstreamError; the signal's reason when it aborts. Nothing is left open then.
   */
  open(alpn: readonly string[] | null, signal: AbortSignal): Promise<Socket> {
    const { clock } = this.#context;
    const overdue = () => new UpstreamError("timeout", this.#server.label, `no connection within ${DIAL_LIMIT_MS} ms`);
    return stopAfter({ signal, clock, limitMs: DIAL_LIMIT_MS, overdue }, async (limited) => {
      const hosts = await this.#hosts(limited);
      const options = { signal: limited, clock, staggerMs: STAGGER_MS, discard: (late: Socket) => late.destroy() };
      return await inTurn(hosts, options, async (host, trySignal) => {
        try {
          const socket = await this.#openPlain(host, trySignal);
          return alpn === null ? socket : await this.#secure(socket, alpn, trySignal);
        } catch (error) {
          if (!trySignal.aborted || limited.aborted) this.#book.noteFailure(host);
          throw error;
        }
      });
    });
  }

  // Behind a proxy a name is the proxy's to look up, unless its addresses are pinned: what it means over there is what counts.
  async #hosts(signal: AbortSignal): Promise<readonly string[]> {
    const known = this.#book.known();
    if (known !== null) return known;
    return this.#context.proxy === null ? await orStopped(this.#book.list(), signal) : [this.#server.host];
  }

  async #openPlain(host: string, signal: AbortSignal): Promise<Socket> {
    const { label, port } = this.#server;
    const { proxy } = this.#context;
    if (proxy === null || this.#proxyBook === null) return await connectTcp({ address: host, port }, label, signal);
    return await openTunnel({ host, port }, { proxy, book: this.#proxyBook, label, signal });
  }

  async #secure(socket: Socket, alpn: readonly string[], signal: AbortSignal): Promise<TLSSocket> {
    const { host, tlsName, label } = this.#server;
    const { ca } = this.#context;
    const name = tlsName ?? host;
    this.#secureContext ??= createSecureContext({ minVersion: "TLSv1.2", ...(ca === null ? {} : { ca }) });
    const secured = tlsConnect({
      socket,
      // RFC 6066 §3: no literal addresses in SNI.
      servername: isIP(name) === 0 ? name : "",
      checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate),
      ALPNProtocols: [...alpn],
      secureContext: this.#secureContext,
      // Said here so that no setting of the environment can turn it off.
      rejectUnauthorized: true,
      ...(this.#session === null ? {} : { session: this.#session }),
    });
    secured.on("session", (session) => {
      this.#session = session;
    });
    const failure = (error: Error): UpstreamError => {
      this.#session = null;
      return handshakeError(error, label);
    };
    return await whenReady(secured, "secureConnect", { signal, failure });
  }
}

/** Errors of the socket below the handshake; all others are about TLS itself. */
const SOCKET_ERRORS = new Set(["ECONNRESET", "EPIPE", "ETIMEDOUT", "ECONNABORTED", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN"]);

function handshakeError(error: Error, label: string): UpstreamError {
  const isBroken = "code" in error ? SOCKET_ERRORS.has(String(error.code)) : false;
  if (isBroken) return connectError(error, label);
  // What OpenSSL says in full names lines of its sources, and ends in a line break.
  const isOpenSsl = "code" in error && String(error.code).startsWith("ERR_SSL_") && "reason" in error;
  return new UpstreamError("tls", label, isOpenSsl ? String(error.reason) : error.message);
}

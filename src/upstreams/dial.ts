import { connect, isIP, type Socket } from "node:net";
import { networkInterfaces } from "node:os";
import { checkServerIdentity, createSecureContext, type SecureContext, type TLSSocket, connect as tlsConnect } from "node:tls";
import type { Clock, Timer } from "../lib/clock.ts";
import { trustSystemCertificates } from "../lib/roots.ts";
import { errorText } from "../lib/text.ts";
import type { ProxyOptions, ServerOptions } from "./options.ts";
import { openTunnel } from "./tunnel.ts";
import { type AddressLookup, type ServerContext, UpstreamError } from "./upstream.ts";

/** How long a connection may take until it is usable, TLS and proxy included. A query has its reply after 4 s by default. */
const DIAL_LIMIT_MS = 5_000;

/** How long one address may be silent before the next one is tried beside it: more than two round trips around the world. */
const STAGGER_MS = 1_000;

/** Opens connections to one server: to an address that works, through the proxy if there is one, with TLS if asked for. */
export class Dialer {
  readonly #server: ServerOptions;
  readonly #context: ServerContext;
  /** The addresses of the server. */
  readonly addresses: ServerAddresses;
  readonly #proxy: { readonly options: ProxyOptions; readonly addresses: ServerAddresses } | null;
  readonly #watch: SourceWatch;
  /** Made at the first connection, when the roots of the system are wanted. */
  #secureContext: SecureContext | null = null;
  /** The latest session ticket. It saves the next handshake one round trip and the signatures (RFC 8446 §2.2, RFC 5077). */
  #session: Buffer | null = null;

  constructor(server: ServerOptions, context: ServerContext) {
    this.#server = server;
    this.#context = context;
    this.addresses = new ServerAddresses(server.host, server.addresses, context.bootstrap);
    const { proxy, bootstrap, clock, localAddresses } = context;
    this.#watch = new SourceWatch(clock, localAddresses ?? addressesOfHost);
    this.#proxy = proxy === null ? null : { options: proxy, addresses: new ServerAddresses(proxy.host, [], bootstrap) };
  }

  /**
   * Returns a usable socket with one listener, which ignores errors. `alpn` null = without TLS.
   * @throws UpstreamError; the signal's reason when it aborts. Then nothing stays open.
   */
  open(alpn: readonly string[] | null, signal: AbortSignal): Promise<Socket> {
    const { clock } = this.#context;
    const timeout = () => new UpstreamError("timeout", this.#server.label, `no connection within ${DIAL_LIMIT_MS} ms`);
    return stopAfter({ signal, clock, limitMs: DIAL_LIMIT_MS, timeout }, async (limited) => {
      if (alpn !== null && this.#context.ca === null) await trustSystemCertificates();
      const hosts = await this.#hosts(limited);
      const options = { signal: limited, clock, staggerMs: STAGGER_MS, discard: (late: Socket) => late.destroy() };
      return await staggered(hosts, options, async (host, trySignal) => {
        try {
          const plain = await this.#connect(host, trySignal);
          const socket = alpn === null ? plain : await this.#secure(plain, alpn, trySignal);
          this.#watch.add(socket);
          return socket;
        } catch (error) {
          if (!trySignal.aborted || limited.aborted) this.addresses.noteFailure(host);
          throw error;
        }
      });
    });
  }

  /** Forgets the sockets that were opened. Their owners close them. */
  close(): void {
    this.#watch.stop();
  }

  // The proxy looks up a name that is not pinned: the address that counts is the one on its side.
  async #hosts(signal: AbortSignal): Promise<readonly string[]> {
    const pinned = this.addresses.pinned();
    if (pinned !== null) return pinned;
    return this.#proxy === null ? await orAborted(this.addresses.list(), signal) : [this.#server.host];
  }

  /** @throws UpstreamError; behind a proxy `proxy`, or `bootstrap` if the proxy's name has no address; the signal's reason when it aborts. */
  async #connect(host: string, signal: AbortSignal): Promise<Socket> {
    const { label, port } = this.#server;
    if (this.#proxy === null) return await connectTcp(host, port, { label, signal });
    const { options: proxy, addresses } = this.#proxy;
    const [address = proxy.host] = addresses.pinned() ?? (await orAborted(addresses.list(), signal));
    try {
      const socket = await connectTcp(address, proxy.port, { label, signal });
      await openTunnel(socket, { host, port }, { proxy, signal });
      return socket;
    } catch (error) {
      // A timeout speaks against the proxy. An abort because another address was faster does not.
      if (!signal.aborted || isTimeout(signal.reason)) addresses.noteFailure(address);
      if (signal.aborted) throw signal.reason;
      throw new UpstreamError("proxy", label, `proxy ${proxy.host}:${proxy.port}: ${errorText(error)}`);
    }
  }

  async #secure(socket: Socket, alpn: readonly string[], signal: AbortSignal): Promise<TLSSocket> {
    const { host, tlsName, label } = this.#server;
    const { ca } = this.#context;
    const name = tlsName ?? host;
    this.#secureContext ??= createSecureContext({ minVersion: "TLSv1.2", ...(ca === null ? {} : { ca }) });
    const secured = tlsConnect({
      socket,
      // RFC 6066 §3: no IP literals in SNI.
      servername: isIP(name) === 0 ? name : "",
      checkServerIdentity: (_, certificate) => checkServerIdentity(name, certificate),
      ALPNProtocols: [...alpn],
      secureContext: this.#secureContext,
      // Explicit, so that NODE_TLS_REJECT_UNAUTHORIZED cannot turn it off.
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

/** The addresses of one server. Those that failed most recently come last. */
export class ServerAddresses {
  readonly #host: string;
  readonly #pinned: readonly string[];
  readonly #lookup: AddressLookup;
  /** Address to the serial number of its last failure. */
  readonly #failures = new Map<string, number>();
  #latest: readonly string[];
  #serial = 0;

  constructor(host: string, pinned: readonly string[], lookup: AddressLookup) {
    this.#host = host;
    this.#pinned = pinned.length > 0 ? pinned : isIP(host) === 0 ? [] : [host];
    this.#lookup = lookup;
    this.#latest = this.#pinned;
  }

  /** The addresses of the last lookup, or the pinned ones; empty before the first lookup. */
  get latest(): readonly string[] {
    return this.#latest;
  }

  /** The addresses that need no lookup; null = `list` has to look them up. */
  pinned(): readonly string[] | null {
    return this.#pinned.length === 0 ? null : this.#inOrder(this.#pinned);
  }

  /** @throws UpstreamError `bootstrap` */
  async list(): Promise<readonly string[]> {
    if (this.#pinned.length === 0) this.#latest = await this.#lookup.lookUp(this.#host);
    return this.#inOrder(this.#latest);
  }

  noteFailure(address: string): void {
    // A name whose addresses change often must not make the map grow.
    if (this.#failures.size >= MAX_FAILURES) this.#failures.clear();
    this.#serial += 1;
    this.#failures.set(address, this.#serial);
    const isLookedUp = this.#pinned.length === 0;
    if (isLookedUp && this.#latest.every((each) => this.#failures.has(each))) this.#lookup.noteUnreachable?.(this.#host);
  }

  #inOrder(addresses: readonly string[]): readonly string[] {
    if (addresses.length === 1 || this.#failures.size === 0) return addresses;
    return addresses.toSorted((a, b) => (this.#failures.get(a) ?? 0) - (this.#failures.get(b) ?? 0));
  }
}

const MAX_FAILURES = 64;

interface StaggerOptions<T> {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** How long a candidate may be silent before the next one is tried beside it. */
  readonly staggerMs: number;
  /** Frees a result that came too late. */
  readonly discard?: (late: T) => void;
}

/**
 * Tries candidates until one succeeds. The next one starts when the one before has failed, or has been silent for `staggerMs` (as RFC 8305 §5
 * does for addresses). After the first success the signals of the others abort. When all have failed, rejects with the first error. When
 * `signal` aborts, the running tries abort with its reason and no further one starts.
 * @throws RangeError without candidates.
 */
export function staggered<C, T>(
  candidates: readonly C[],
  { signal, clock, staggerMs, discard = ignore }: StaggerOptions<T>,
  run: (candidate: C, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    if (candidates.length === 0) return reject(new RangeError("nothing to try"));
    const trying = new Set<AbortController>();
    const errors: unknown[] = [];
    let next = 0;
    let hasEnded = false;
    let timer: Timer | null = null;
    const stop = (): void => {
      for (const controller of trying) controller.abort(signal.reason);
      next = candidates.length;
      timer?.cancel();
    };
    const end = (settle: () => void): void => {
      hasEnded = true;
      signal.removeEventListener("abort", stop);
      stop();
      settle();
    };
    const tryNext = (): void => {
      timer?.cancel();
      const candidate = candidates[next];
      if (candidate === undefined) return;
      next += 1;
      const controller = new AbortController();
      trying.add(controller);
      if (next < candidates.length) timer = clock.setTimer(tryNext, staggerMs);
      run(candidate, controller.signal).then(
        (value) => {
          trying.delete(controller);
          if (hasEnded) discard(value);
          else end(() => resolve(value));
        },
        (error: unknown) => {
          trying.delete(controller);
          if (hasEnded) return;
          errors.push(error);
          if (next < candidates.length) tryNext();
          else if (trying.size === 0) end(() => reject(errors[0]));
        },
      );
    };
    signal.addEventListener("abort", stop);
    tryNext();
    if (signal.aborted) stop();
  });
}

/** How often the addresses of this host are read while connections are open: as often as a user notices. It takes some 50 µs. */
const LOOK_MS = 2_000;

/**
 * Destroys connections from an address that this host has no longer: after a redial, or a change of the network, nothing comes back to it, and TCP takes
 * minutes to notice. What was under way goes out again over a new connection.
 */
class SourceWatch {
  readonly #clock: Clock;
  readonly #read: () => ReadonlySet<string>;
  readonly #sockets = new Set<Socket>();
  #timer: Timer | null = null;

  constructor(clock: Clock, read: () => ReadonlySet<string>) {
    this.#clock = clock;
    this.#read = read;
  }

  /** Some addresses are not listed, such as 127.0.0.2: about connections from there nothing is known. */
  add(socket: Socket): void {
    if (socket.destroyed || socket.localAddress === undefined || !this.#read().has(socket.localAddress)) return;
    this.#sockets.add(socket);
    socket.once("close", () => this.#remove(socket));
    this.#timer ??= this.#clock.setTimer(() => this.#look(), LOOK_MS);
  }

  stop(): void {
    this.#sockets.clear();
    this.#timer?.cancel();
    this.#timer = null;
  }

  #remove(socket: Socket): void {
    this.#sockets.delete(socket);
    if (this.#sockets.size === 0) this.stop();
  }

  #look(): void {
    this.#timer = this.#clock.setTimer(() => this.#look(), LOOK_MS);
    const here = this.#read();
    for (const socket of this.#sockets) {
      const { localAddress } = socket;
      if (localAddress !== undefined && !here.has(localAddress))
        socket.destroy(new Error(`this host has ${localAddress} no longer`));
    }
  }
}

function addressesOfHost(): ReadonlySet<string> {
  return new Set(Object.values(networkInterfaces()).flatMap((infos) => (infos ?? []).map(({ address }) => address)));
}

interface StopOptions {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly limitMs: number;
  /** Makes the abort reason for the end of the time limit. */
  readonly timeout: () => Error;
}

/** Runs `work` with a signal that aborts with the outer one, for its reason, or after `limitMs`. */
export async function stopAfter<T>(
  { signal, clock, limitMs, timeout }: StopOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const timer = clock.setTimer(() => controller.abort(timeout()), limitMs);
  try {
    return await work(AbortSignal.any([signal, controller.signal]));
  } finally {
    timer.cancel();
  }
}

/** Waits for a promise that cannot be stopped. Rejects with the reason of `signal` when it aborts first. */
function orAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const abort = (): void => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}

interface ConnectOptions {
  readonly label: string;
  readonly signal: AbortSignal;
}

/**
 * How long a connection is silent before the system sends an empty packet: routers on the way see that it is in use, and one that has forgotten the connection
 * is found out within some ten seconds, not by the next question.
 */
const KEEPALIVE_MS = 30_000;

/** @throws UpstreamError `refused` or `network`; the signal's reason when it aborts. Then nothing stays open. */
function connectTcp(address: string, port: number, { label, signal }: ConnectOptions): Promise<Socket> {
  const failure = (error: Error): UpstreamError => connectError(error, label);
  const options = { host: address, port, noDelay: true, keepAlive: true, keepAliveInitialDelay: KEEPALIVE_MS };
  return whenReady(connect(options), "connect", { signal, failure });
}

interface ReadyOptions {
  readonly signal: AbortSignal;
  /** Turns an error of the socket, or its end, before it is ready into the error to reject with. */
  readonly failure: (error: Error) => Error;
}

/** Waits for the event that makes a socket usable. Destroys the socket if the event does not come. */
function whenReady<S extends Socket>(socket: S, event: "connect" | "secureConnect", options: ReadyOptions): Promise<S> {
  return new Promise<S>((resolve, reject) => {
    const { signal, failure } = options;
    const settle = (): void => {
      signal.removeEventListener("abort", abort);
      socket.off(event, ready).off("error", error).off("close", close);
      // A later error, before or without a new owner of the socket, must not end the process.
      socket.on("error", ignore);
    };
    const ready = (): void => {
      settle();
      resolve(socket);
    };
    const fail = (error: Error): void => {
      settle();
      socket.destroy();
      reject(error);
    };
    const error = (cause: Error): void => fail(failure(cause));
    const close = (): void => error(Object.assign(new Error("closed before it was ready"), { code: "ECONNRESET" }));
    const abort = (): void => fail(signal.reason);
    socket.on(event, ready).on("error", error).on("close", close);
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
  });
}

/** Errors of the socket below the handshake. All others are about TLS itself. */
const SOCKET_ERRORS = new Set(["ECONNRESET", "EPIPE", "ETIMEDOUT", "ECONNABORTED", "EHOSTUNREACH", "ENETUNREACH", "ENETDOWN"]);

function handshakeError(error: Error, label: string): UpstreamError {
  const code = "code" in error ? String(error.code) : "";
  if (SOCKET_ERRORS.has(code)) return connectError(error, label);
  // The full message of OpenSSL names lines of its source code and ends with a line break.
  const isOpenSsl = code.startsWith("ERR_SSL_") && "reason" in error;
  return new UpstreamError("tls", label, isOpenSsl ? String(error.reason) : error.message);
}

/** The UpstreamError for an error of a TCP or UDP socket. */
export function connectError(error: Error, label: string): UpstreamError {
  const isRefused = "code" in error && error.code === "ECONNREFUSED";
  return new UpstreamError(isRefused ? "refused" : "network", label, error.message);
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof UpstreamError && reason.failure === "timeout";
}

/** Destroys a socket and waits for its `close`. */
export function destroyAndWait(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) return resolve();
    socket.on("error", ignore).once("close", () => resolve());
    socket.destroy();
  });
}

export function ignore(): void {}

import { connect, isIP, isIPv6, type Socket } from "node:net";
import {
  checkServerIdentity,
  createSecureContext,
  getCACertificates,
  type SecureContext,
  setDefaultCACertificates,
  type TLSSocket,
  connect as tlsConnect,
} from "node:tls";
import { addressFromText } from "../dns/address.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";
import type { ProxyOptions, ServerOptions } from "./options.ts";
import { type ServerContext, UpstreamError } from "./upstream.ts";

/** How long a connection may take to be usable, TLS and proxy included: a query has its reply after 4 s whatever comes of it. */
const DIAL_LIMIT_MS = 5_000;

/** How long one address may be silent before the next one is tried beside it: longer than two round trips around the world. */
const STAGGER_MS = 1_000;

/** Opens connections to one server: to the address that works, through the proxy if there is one, with TLS if that is asked for. */
export class Dialer {
  readonly #server: ServerOptions;
  readonly #context: ServerContext;
  readonly #book: ServerAddresses;
  readonly #proxyBook: ServerAddresses | null;
  /** Made when first needed: the certificates of the system may be set after this was made. */
  #secureContext: SecureContext | null = null;
  /** The latest ticket, which saves the next handshake a round trip and both sides the signatures (RFC 8446 §2.2, RFC 5077). */
  #session: Buffer | null = null;

  constructor(server: ServerOptions, context: ServerContext, book: ServerAddresses) {
    this.#server = server;
    this.#context = context;
    this.#book = book;
    this.#proxyBook = context.proxy === null ? null : new ServerAddresses(context.proxy.host, [], context.bootstrap);
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
      return await staggered(hosts, options, async (host, trySignal) => {
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

/** Finds the addresses of a host name: never through ourselves, never by the resolver of the system. */
export interface AddressLookup {
  /**
   * At least one address, IPv4 first.
   * @throws UpstreamError `bootstrap` where there is none.
   */
  lookUp(host: string): Promise<readonly string[]>;
  /** To be told when none of the addresses found for a name works: it may have moved, and is to be looked up anew before their time is up. */
  doubt?(host: string): void;
}

/** The addresses of one server, those that failed most recently last. */
export class ServerAddresses {
  readonly #host: string;
  readonly #pinned: readonly string[];
  readonly #lookup: AddressLookup;
  readonly #failures = new Map<string, number>();
  #latest: readonly string[];
  #serial = 0;

  constructor(host: string, pinned: readonly string[], lookup: AddressLookup) {
    this.#host = host;
    this.#pinned = pinned.length > 0 ? pinned : isIP(host) === 0 ? [] : [host];
    this.#lookup = lookup;
    this.#latest = this.#pinned;
  }

  /** What `list` would have given when it was last called; nothing before a first look-up. */
  get latest(): readonly string[] {
    return this.#latest;
  }

  /** null = they have to be looked up first. */
  known(): readonly string[] | null {
    return this.#pinned.length === 0 ? null : this.#inOrder(this.#pinned);
  }

  /** @throws UpstreamError `bootstrap` */
  async list(): Promise<readonly string[]> {
    if (this.#pinned.length === 0) this.#latest = await this.#lookup.lookUp(this.#host);
    return this.#inOrder(this.#latest);
  }

  noteFailure(address: string): void {
    // Names whose addresses change often must not make this grow.
    if (this.#failures.size >= MAX_FAILURES) this.#failures.clear();
    this.#serial += 1;
    this.#failures.set(address, this.#serial);
    const isLookedUp = this.#pinned.length === 0;
    if (isLookedUp && this.#latest.every((each) => this.#failures.has(each))) this.#lookup.doubt?.(this.#host);
  }

  #inOrder(addresses: readonly string[]): readonly string[] {
    if (addresses.length === 1 || this.#failures.size === 0) return addresses;
    return addresses.toSorted((a, b) => (this.#failures.get(a) ?? 0) - (this.#failures.get(b) ?? 0));
  }
}

const MAX_FAILURES = 64;

interface TunnelOptions {
  readonly proxy: ProxyOptions;
  /** The addresses of the proxy itself. */
  readonly book: ServerAddresses;
  readonly label: string;
  readonly signal: AbortSignal;
}

/**
 * A connection to the target through a proxy.
 * @throws UpstreamError `proxy` whatever goes wrong, `bootstrap` where the proxy's own name is not found; the signal's reason when it aborts.
 */
async function openTunnel(target: TunnelTarget, { proxy, book, label, signal }: TunnelOptions): Promise<Socket> {
  const [address = proxy.host] = book.known() ?? (await orStopped(book.list(), signal));
  try {
    const socket = await connectTcp({ address, port: proxy.port }, label, signal);
    await agree(socket, target, { proxy, signal });
    return socket;
  } catch (error) {
    // Given up because another way was quicker says nothing about the proxy; because the time was over does.
    if (!signal.aborted || isTimeout(signal.reason)) book.noteFailure(address);
    if (signal.aborted) throw signal.reason;
    const detail = errorText(error);
    throw new UpstreamError("proxy", label, `proxy ${proxy.host}:${proxy.port}: ${detail}`);
  }
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof UpstreamError && reason.failure === "timeout";
}

/** Has the proxy connect; destroys the socket where it does not, or when the signal aborts. */
async function agree(
  socket: Socket,
  target: TunnelTarget,
  { proxy, signal }: Pick<TunnelOptions, "proxy" | "signal">,
): Promise<void> {
  const stop = (): void => void socket.destroy();
  signal.addEventListener("abort", stop);
  try {
    if (signal.aborted) stop();
    await (proxy.protocol === "socks5" ? openSocks5Tunnel : openHttpTunnel)(socket, target, proxy);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/**
 * Has an HTTP proxy connect `socket` to the target (RFC 9110 §9.3.6); a name goes to it as a name. The socket then carries the target's
 * bytes. Throws an Error that says what went wrong; the caller destroys the socket then, and may do so to stop this.
 */
async function openHttpTunnel(socket: Socket, { host, port }: TunnelTarget, proxy: ProxyOptions): Promise<void> {
  const authority = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
  const lines = [`CONNECT ${authority} HTTP/1.1`, `Host: ${authority}`];
  if (proxy.username !== null) lines.push(`Proxy-Authorization: Basic ${credentials(proxy.username, proxy.password ?? "")}`);
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  const head = (await readThrough(socket, "\r\n\r\n", MAX_HEAD_BYTES)).toString("latin1");
  const [, status] = /^HTTP\/1\.[01] (\d{3})\b/.exec(head) ?? [];
  if (status === undefined) throw new Error("the proxy does not speak HTTP");
  // RFC 9110 §9.3.6: any 2xx opens the tunnel, and a body there cannot be.
  if (!status.startsWith("2")) throw new Error(`the proxy answers with status ${status}`);
}

const MAX_HEAD_BYTES = 16_384;

// RFC 7617 §2.
function credentials(username: string, password: string): string {
  return Buffer.from(`${username}:${password}`).toString("base64");
}

/**
 * Has a SOCKS5 proxy connect `socket` to the target (RFC 1928); a name goes to it as a name. The socket then carries the target's bytes.
 * Throws an Error that says what went wrong; the caller destroys the socket then, and may do so to stop this.
 */
async function openSocks5Tunnel(socket: Socket, target: TunnelTarget, proxy: ProxyOptions): Promise<void> {
  const offered = proxy.username === null ? [METHOD.NONE] : [METHOD.NONE, METHOD.PASSWORD];
  socket.write(Uint8Array.of(VERSION, offered.length, ...offered));
  const [version, method] = await readBytes(socket, 2);
  if (version !== VERSION) throw new Error("the proxy does not speak SOCKS5");
  if (method === METHOD.PASSWORD && proxy.username !== null) await authenticate(socket, proxy.username, proxy.password ?? "");
  else if (method !== METHOD.NONE) throw new Error("the proxy accepts none of the ways to authenticate");
  socket.write(Buffer.concat([Uint8Array.of(VERSION, CONNECT, 0), targetAddress(target.host), portBytes(target.port)]));
  const [replyVersion, code = 1, , kind] = await readBytes(socket, 4);
  if (replyVersion !== VERSION) throw new Error("the proxy does not speak SOCKS5");
  if (code !== 0) throw new Error(`the proxy reports: ${REPLIES[code] ?? `code ${code}`}`);
  // The address the proxy uses is of no interest, but it stands before the first byte of the tunnel.
  await readBytes(socket, (await boundAddressBytes(socket, kind)) + 2);
}

const VERSION = 5;
const CONNECT = 1;
const METHOD = { NONE: 0, PASSWORD: 2 } as const;
const ADDRESS = { IPV4: 1, NAME: 3, IPV6: 4 } as const;

/** RFC 1928 §6. */
const REPLIES: readonly string[] = [
  "succeeded",
  "general failure",
  "connection not allowed",
  "network unreachable",
  "host unreachable",
  "connection refused",
  "TTL expired",
  "command not supported",
  "address type not supported",
];

// RFC 1929.
async function authenticate(socket: Socket, username: string, password: string): Promise<void> {
  socket.write(Buffer.concat([Uint8Array.of(1), counted(username), counted(password)]));
  const [, status] = await readBytes(socket, 2);
  if (status !== 0) throw new Error("the proxy refuses the user name or the password");
}

function targetAddress(host: string): Buffer {
  // A zone such as %eth0 means something on this host alone, and so nothing to the proxy.
  const octets = addressFromText(host.replace(/%.*$/, ""));
  if (octets === null) return Buffer.concat([Uint8Array.of(ADDRESS.NAME), counted(host)]);
  return Buffer.from([octets.length === 4 ? ADDRESS.IPV4 : ADDRESS.IPV6, ...octets]);
}

function counted(text: string): Buffer {
  const octets = Buffer.from(text);
  if (octets.length > 255) throw new Error(`too long for SOCKS5: ${octets.length} octets`);
  return Buffer.concat([Uint8Array.of(octets.length), octets]);
}

function portBytes(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 255);
}

async function boundAddressBytes(socket: Socket, kind: number | undefined): Promise<number> {
  if (kind === ADDRESS.IPV4) return 4;
  if (kind === ADDRESS.IPV6) return 16;
  if (kind !== ADDRESS.NAME) throw new Error("the proxy's reply is malformed");
  const [length = 0] = await readBytes(socket, 1);
  return length;
}

/**
 * Takes exactly `count` bytes, at least 1, from a socket in paused mode; what follows them stays in it.
 * Rejects where the socket fails or ends first: destroying it is the way to stop this.
 */
export function readBytes(socket: Socket, count: number): Promise<Buffer> {
  return whenReadable(socket, () => {
    const chunk: Buffer | null = socket.read(count);
    // At the end of a stream `read` gives what is left, however short.
    return chunk?.length === count ? chunk : null;
  });
}

/** Takes bytes up to and including `terminator`. Rejects where it does not come within `limit` bytes. */
export function readThrough(socket: Socket, terminator: string, limit: number): Promise<Buffer> {
  let taken = Buffer.alloc(0);
  return whenReadable(socket, () => {
    const chunk: Buffer | null = socket.read();
    if (chunk === null) return null;
    taken = Buffer.concat([taken, chunk]);
    const end = taken.indexOf(terminator);
    if (end < 0 && taken.length <= limit) return null;
    const length = end + terminator.length;
    if (end < 0 || length > limit) throw new Error(`no end within ${limit} octets`);
    if (length < taken.length) socket.unshift(taken.subarray(length));
    return taken.subarray(0, length);
  });
}

function whenReadable(socket: Socket, take: () => Buffer | null): Promise<Buffer> {
  return new Promise<Buffer>((resolve, reject) => {
    const settle = (settleWith: () => void): void => {
      socket.off("readable", attempt).off("error", fail).off("end", end).off("close", end);
      settleWith();
    };
    const attempt = (): void => {
      try {
        const taken = take();
        if (taken !== null) settle(() => resolve(taken));
      } catch (error) {
        settle(() => reject(error));
      }
    };
    const fail = (error: Error): void => settle(() => reject(error));
    const end = (): void => settle(() => reject(new Error("the connection ended")));
    socket.on("readable", attempt).on("error", fail).on("end", end).on("close", end);
    if (socket.destroyed || socket.readableEnded) end();
    else attempt();
  });
}

/** Where a TCP connection goes: an address, never a name. */
interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Where a proxy is to connect to: a host name, which it looks up, or an IP literal. */
interface TunnelTarget {
  readonly host: string;
  readonly port: number;
}

/**
 * Opens a TCP connection.
 * @throws UpstreamError `refused` or `network`; the signal's reason when it aborts, and then nothing is left open.
 */
function connectTcp({ address, port }: Endpoint, label: string, signal: AbortSignal): Promise<Socket> {
  return whenReady(connect({ host: address, port, noDelay: true, keepAlive: true }), "connect", {
    signal,
    failure: (error) => connectError(error, label),
  });
}

interface ReadyOptions {
  readonly signal: AbortSignal;
  /** What an error of the socket, or its end, before it is ready means. */
  readonly failure: (error: Error) => Error;
}

/** Waits for the event that makes a socket usable. The socket is destroyed where it does not come. */
function whenReady<S extends Socket>(socket: S, event: "connect" | "secureConnect", options: ReadyOptions): Promise<S> {
  return new Promise<S>((resolve, reject) => {
    const { signal, failure } = options;
    const settle = (): void => {
      signal.removeEventListener("abort", abort);
      socket.off(event, ready).off("error", error).off("close", close);
    };
    const ready = (): void => {
      settle();
      // Until its new owner listens for itself, an error must not end the process.
      socket.on("error", ignore);
      resolve(socket);
    };
    const fail = (error: Error): void => {
      settle();
      // An error may follow the first one, and nobody listens any more.
      socket.on("error", ignore).destroy();
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

export function ignore(): void {}

/** An error of a TCP connection. */
export function connectError(error: Error, label: string): UpstreamError {
  const refused = "code" in error && error.code === "ECONNREFUSED";
  return new UpstreamError(refused ? "refused" : "network", label, error.message);
}

/** Ends a socket at once and waits until it is gone. */
export function destroyed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) return resolve();
    socket.on("error", ignore).once("close", () => resolve());
    socket.destroy();
  });
}

interface TurnOptions<T> {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** How long a candidate may be silent before the next one is tried beside it. */
  readonly staggerMs: number;
  /** Frees a result that came too late. */
  readonly discard: (late: T) => void;
}

/**
 * Tries candidates one after the other until one succeeds: the next begins when the one before has failed, or has been silent for
 * `staggerMs` (as RFC 8305 §5 has it for addresses). Once one has succeeded the signals of the others abort. Rejects with the error that
 * came first when all have failed; when `signal` aborts, each of those under way is aborted with its reason and none is begun.
 * @throws RangeError without candidates.
 */
export function staggered<C, T>(
  candidates: readonly C[],
  { signal, clock, staggerMs, discard }: TurnOptions<T>,
  run: (candidate: C, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    if (candidates.length === 0) return reject(new RangeError("nothing to try"));
    const trying = new Set<AbortController>();
    const errors: unknown[] = [];
    let next = 0;
    let ended = false;
    let timer: Timer | null = null;
    const end = (settle: () => void): void => {
      ended = true;
      timer?.cancel();
      signal.removeEventListener("abort", stop);
      for (const controller of trying) controller.abort(signal.reason);
      settle();
    };
    const stop = (): void => {
      for (const controller of trying) controller.abort(signal.reason);
      next = candidates.length;
      timer?.cancel();
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
          if (ended) discard(value);
          else end(() => resolve(value));
        },
        (error: unknown) => {
          trying.delete(controller);
          if (ended) return;
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

/** When and why work is to stop. */
interface StopOptions {
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly limitMs: number;
  /** What the inner signal's reason is once the time is over. */
  readonly overdue: () => Error;
}

/** Runs `work` with a signal that aborts when the outer one does, with its reason, or when `limitMs` have passed. */
export async function stopAfter<T>(
  { signal, clock, limitMs, overdue }: StopOptions,
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const controller = new AbortController();
  const pass = (): void => controller.abort(signal.reason);
  signal.addEventListener("abort", pass);
  if (signal.aborted) pass();
  const timer = clock.setTimer(() => controller.abort(overdue()), limitMs);
  try {
    return await work(controller.signal);
  } finally {
    timer.cancel();
    signal.removeEventListener("abort", pass);
  }
}

/** Waits for a promise that cannot be stopped, but no longer than until `signal` aborts; rejects with its reason then. */
function orStopped<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(signal.reason);
    if (signal.aborted) return stop();
    signal.addEventListener("abort", stop);
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/**
 * Makes the whole process trust, beside the roots that come with Node, those of the system and of NODE_EXTRA_CA_CERTS. To be called once at
 * start. Node's own let a container without certificates work, the system's let a house use a server signed by its own authority. For the
 * process rather than for each server: some 300 certificates are parsed once (80 ms), and downloads of lists trust the same.
 */
export function trustSystemCertificates(): void {
  const all = [...getCACertificates("bundled"), ...getCACertificates("system"), ...getCACertificates("extra")];
  setDefaultCACertificates([...new Set(all)]);
}

import type { Socket } from "node:net";
import { AddressSet, endpointText } from "../dns/address.ts";
import type { Clock } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";
import type { Peer } from "./client-address.ts";
import { StreamConnection } from "./dns-stream.ts";
import { DohService } from "./doh.ts";
import { Http1Server } from "./http1.ts";
import { PREFACE } from "./http2/frames.ts";
import { Http2Connection } from "./http2-connection.ts";
import { type ListenLimits, limitsWith } from "./limits.ts";
import type { Endpoint, ListenOptions, TlsOptions } from "./options.ts";
import {
  type Connection,
  ConnectionSlots,
  readStart,
  type Serve,
  type StartDecision,
  StreamListener,
  type StreamService,
} from "./tcp.ts";
import { TlsAcceptor, TlsFiles } from "./tls.ts";
import type { Handler, ListenCounters, ListenEvent, ListenServices } from "./types.ts";
import { UdpListener } from "./udp.ts";

/** All listeners but the admin API's. */
export interface Listeners {
  /** In the order of the configuration, with the ports that were given out for port 0. */
  readonly bound: BoundEndpoints;
  readonly counters: Readonly<ListenCounters>;
  /** Takes no further question, lets the answers under way go out for at most `graceMs`, then closes everything. */
  close(graceMs?: number): Promise<void>;
}

export type BoundEndpoints = Readonly<Record<"dns" | "tls" | "https" | "http", readonly Endpoint[]>>;

/** The sections of the configuration that the listeners read. */
interface ListenersOptions {
  readonly listen: ListenOptions;
  readonly tls: TlsOptions | null;
  /** CIDRs. */
  readonly trustedProxies: readonly string[];
}

export interface ListenersSurroundings {
  readonly clock: Clock;
  /** Told of what went wrong and was coped with; by default nobody is. */
  readonly report?: (event: ListenEvent) => void;
  readonly limits?: Partial<ListenLimits>;
}

/** Longer than `answers.deadline` as it is by default. */
const GRACE_MS = 5000;

/** How many free ports are tried until one is free for UDP as it is for TCP. */
const FREE_PORT_TRIES = 16;

/**
 * Opens every listener of the configuration, or none.
 * @throws ListenError naming all that could not be opened, with the reasons.
 */
export async function openListeners(
  options: ListenersOptions,
  handler: Handler,
  { clock, report = () => {}, limits: overrides }: ListenersSurroundings,
): Promise<Listeners> {
  const limits = limitsWith(overrides);
  const counters: ListenCounters = { udpInFlight: 0, udpShed: 0, udpUnsent: 0, connections: 0, connectionsRefused: 0 };
  const services: ListenServices = {
    handler,
    clock,
    limits,
    counters,
    report,
    slots: new ConnectionSlots(limits, counters),
    proxyPeers: AddressSet.of(...options.listen.proxyProtocol),
    trustedProxies: AddressSet.of(...options.trustedProxies),
  };
  const opening = new Opening(services);
  await opening.openAll(options);
  if (opening.problems.length > 0) {
    await opening.close(0);
    throw new ListenError(opening.problems);
  }
  let closing: Promise<void> | null = null;
  return {
    bound: opening.bound,
    counters,
    close(graceMs = GRACE_MS) {
      closing ??= closeAlive(opening, graceMs);
      return closing;
    },
  };
}

/** Neither a clock's timers nor half-closed sockets keep the process alive, and it must not end before the last answer is out. */
async function closeAlive(opening: Opening, graceMs: number): Promise<void> {
  const alive = setInterval(() => {}, 1 << 30);
  try {
    await opening.close(graceMs);
  } finally {
    clearInterval(alive);
  }
}

interface Closable {
  close(graceMs: number): Promise<void>;
}

/** What has been opened so far, and what could not be. */
class Opening {
  readonly problems: string[] = [];
  readonly bound: Record<"dns" | "tls" | "https" | "http", Endpoint[]> = { dns: [], tls: [], https: [], http: [] };
  readonly #services: ListenServices;
  readonly #sockets: Closable[] = [];
  /** Closed after the sockets, which use them to the last. */
  readonly #others: Closable[] = [];

  constructor(services: ListenServices) {
    this.#services = services;
  }

  async openAll({ listen, tls }: ListenersOptions): Promise<void> {
    const services = this.#services;
    for (const endpoint of listen.dns) await this.#openDns(endpoint);
    const doh = new DohServer(listen.dohPath, services);
    this.#others.push(doh);
    const serveDoh: Serve = (socket, peer) => doh.serve(socket, peer);
    const exempt = services.trustedProxies;
    for (const endpoint of listen.http) await this.#openStream("http", endpoint, { serve: serveDoh, exempt });
    if (listen.tls.length + listen.https.length === 0) return;
    const secure = await this.#openTls(tls);
    if (secure === null) return;
    const { dot, https } = secure;
    for (const endpoint of listen.tls)
      await this.#openStream("tls", endpoint, { serve: over(dot, serveDns("dot", services)), exempt: null });
    for (const endpoint of listen.https) await this.#openStream("https", endpoint, { serve: over(https, serveDoh), exempt });
  }

  async close(graceMs: number): Promise<void> {
    await Promise.all(this.#sockets.map((socket) => socket.close(graceMs)));
    await Promise.all(this.#others.map((other) => other.close(graceMs)));
  }

  /** UDP and TCP of one endpoint have the same port, also where any free one was asked for. */
  async #openDns(endpoint: Endpoint): Promise<void> {
    const service = { serve: serveDns("tcp", this.#services), exempt: null };
    for (let tries = 1; ; tries++) {
      const tcp = await this.#attempt("dns", endpoint, () => StreamListener.open(endpoint, service, this.#services));
      const port = tcp?.bound.port ?? endpoint.port;
      const isLast = endpoint.port !== 0 || tries === FREE_PORT_TRIES || tcp === null;
      try {
        const udp = await UdpListener.open({ address: endpoint.address, port }, this.#services);
        this.#sockets.push(udp);
        if (tcp !== null) this.#keep("dns", tcp);
        return;
      } catch (error) {
        await tcp?.close(0);
        if (!isLast) continue;
        this.problems.push(`dns ${endpointText(endpoint.address, port)} (udp): ${explainBindError(error)}`);
        return;
      }
    }
  }

  async #openStream(kind: "tls" | "https" | "http", endpoint: Endpoint, service: StreamService): Promise<void> {
    const listener = await this.#attempt(kind, endpoint, () => StreamListener.open(endpoint, service, this.#services));
    if (listener !== null) this.#keep(kind, listener);
  }

  #keep(kind: keyof BoundEndpoints, listener: StreamListener): void {
    this.#sockets.push(listener);
    this.bound[kind].push(listener.bound);
  }

  async #attempt<T>(kind: keyof BoundEndpoints, endpoint: Endpoint, open: () => Promise<T>): Promise<T | null> {
    try {
      return await open();
    } catch (error) {
      this.problems.push(`${kind} ${endpointText(endpoint.address, endpoint.port)} (tcp): ${explainBindError(error)}`);
      return null;
    }
  }

  async #openTls(options: TlsOptions | null): Promise<{ readonly dot: TlsAcceptor; readonly https: TlsAcceptor } | null> {
    if (options === null) {
      this.problems.push("listen.tls and listen.https need the section tls with a certificate and its key");
      return null;
    }
    const { clock, limits, report } = this.#services;
    const acceptors: TlsAcceptor[] = [];
    try {
      const files = await TlsFiles.open(options, clock, {
        changed: (pair) => {
          for (const acceptor of acceptors) acceptor.use(pair);
          report({ kind: "certificateReloaded" });
        },
        refused: (reason) => report({ kind: "certificateRefused", reason }),
      });
      this.#others.push(files);
      const timing = { clock, handshakeMs: limits.tlsHandshakeMs };
      const dot = new TlsAcceptor(files.current, ["dot"], timing);
      // curl --http1.0 offers no other.
      const https = new TlsAcceptor(files.current, ["h2", "http/1.1", "http/1.0"], timing);
      acceptors.push(dot, https);
      return { dot, https };
    } catch (error) {
      this.problems.push(`tls: ${errorText(error)}`);
      return null;
    }
  }
}

/** The same service behind a TLS handshake. */
function over(acceptor: TlsAcceptor, serve: Serve): Serve {
  return async (raw, peer) => {
    const socket = await acceptor.accept(raw);
    return socket === null ? null : serve(socket, peer);
  };
}

function serveDns(transport: "tcp" | "dot", services: ListenServices): Serve {
  return async (socket, { address, port }) =>
    new StreamConnection(socket, { address, port, transport, http: null, method: null, clientId: null }, services);
}

/** Some listeners could not be opened, so none is. */
export class ListenError extends Error {
  /** One line each: section, address and reason. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`cannot listen:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
    this.name = "ListenError";
    this.problems = problems;
  }
}

/** Why an address could not be bound, in words, and what to do about it. */
function explainBindError(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const code = "code" in error ? error.code : undefined;
  switch (code) {
    case "EADDRINUSE":
      return "the port is taken by another program or by another line of this section (EADDRINUSE)";
    case "EACCES":
      return "not allowed; ports below 1024 need root, the capability CAP_NET_BIND_SERVICE or a lower net.ipv4.ip_unprivileged_port_start (EACCES)";
    case "EADDRNOTAVAIL":
      return "this host does not have the address (EADDRNOTAVAIL)";
    case "EINVAL":
      return "not an address to listen on; a link-local one needs its interface, as in fe80::1%eth0 (EINVAL)";
    case "EAFNOSUPPORT":
      return "this host has no IPv6 (EAFNOSUPPORT)";
    default:
      return error.message;
  }
}

/** DoH on connections that others have accepted, in clear or after the TLS handshake, in whichever HTTP version the client speaks. */
class DohServer {
  readonly #service: DohService;
  readonly #services: ListenServices;
  readonly #http1: Http1Server;

  constructor(path: string, services: ListenServices) {
    this.#services = services;
    this.#service = new DohService(path, services);
    this.#http1 = new Http1Server(this.#service, services);
  }

  /** Waits for the first bytes; null = none came, and the caller destroys the socket. */
  async serve(socket: Socket, peer: Peer): Promise<Connection | null> {
    const { clock, limits } = this.#services;
    const version = await readStart(socket, sniffHttp, { clock, timeoutMs: limits.httpIdleMs });
    if (version === null) return null;
    if (version === "http1") return this.#http1.serve(socket, peer);
    return new Http2Connection(socket, peer, { service: this.#service, services: this.#services });
  }

  close(): Promise<void> {
    return this.#http1.close();
  }
}

/** Tells HTTP/2 from everything else by its preface, which is taken, and which no HTTP/1 request can be (RFC 9113 §3.4). */
function sniffHttp(start: Uint8Array): StartDecision<"http1" | "http2"> {
  const length = Math.min(start.length, PREFACE.length);
  if (!PREFACE.subarray(0, length).equals(start.subarray(0, length))) return { kind: "decided", takenBytes: 0, value: "http1" };
  return length < PREFACE.length ? { kind: "more" } : { kind: "decided", takenBytes: PREFACE.length, value: "http2" };
}

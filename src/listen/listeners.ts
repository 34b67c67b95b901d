/**
 * The listeners for DNS: bytes from sockets to the `Handler`, and its replies back. `app/` opens them, one set for each configuration of
 * section `listen`; the API has a server of its own (`admin/`).
 *
 * Reading order: `types.ts`; here; `udp.ts` (a query at a time, anywhere); `udp-batch.ts` with `udp-thread.ts`, `udp-ring.ts`, `socket-calls.ts` and
 * `socket-self-test.ts` (a thread that repeats replies, on Linux); `tcp.ts` (accept, PROXY header) with `connection-table.ts` (all open connections), then what serves an
 * accepted connection: `tls.ts` (with `certificate.ts`), `dns-stream.ts` (DNS over TCP and TLS), `doh.ts` and `body.ts` (DoH of any HTTP version) under `http1.ts` (with `http1-connection.ts` and
 * `http1-request.ts`) and `http2-connection.ts`;
 * `http2/` is HTTP/2 itself, `session.ts` first. `client-address.ts` finds out who asks; `turns.ts` lets nobody hold the event loop;
 * `inheritance.ts` is how another process goes on with the sockets.
 */
import type { Socket } from "node:net";
import { AddressSet, endpointText } from "../dns/address.ts";
import { explainBindError } from "../lib/bind-error.ts";
import type { Clock } from "../lib/clock.ts";
import type { StartDecision } from "../lib/stream-start.ts";
import { errorText } from "../lib/text.ts";
import { ConnectionTable } from "./connection-table.ts";
import { StreamConnection } from "./dns-stream.ts";
import { DohService } from "./doh.ts";
import { Http1Server } from "./http1.ts";
import { PREFACE } from "./http2/frames.ts";
import { Http2Connection } from "./http2-connection.ts";
import type { Inheritance, Purpose, SharedSocket } from "./inheritance.ts";
import { LISTEN_LIMITS, type ListenLimits } from "./limits.ts";
import type { Endpoint, ListenOptions, TlsOptions } from "./options.ts";
import { beginsLike, readStartWithin, StreamListener } from "./tcp.ts";
import { type CertificateStatus, TlsAcceptor, TlsFiles } from "./tls.ts";
import { Turns } from "./turns.ts";
import type {
  Connection,
  Handler,
  ListenCounters,
  ListenEvent,
  ListenServices,
  Peer,
  ServeConnection,
  UdpMemory,
} from "./types.ts";
import { UdpListener } from "./udp.ts";
import { BatchedUdp } from "./udp-batch.ts";

/** All open listeners but the one of the API. */
export interface Listeners {
  /** In the order of the configuration, with the actual port where the configuration says 0. */
  readonly bound: BoundEndpoints;
  readonly counters: Readonly<ListenCounters>;
  /** Why UDP is answered by the main thread alone; null = it is not, or that is what was asked for. */
  udpUnbatched(): string | null;
  /** null = no listener speaks TLS. */
  certificate(): CertificateStatus | null;
  /** The sockets, for another process that takes the place of this one. Closing them afterwards leaves them open there. */
  shareSockets(): Promise<readonly SharedSocket[]>;
  /** Takes no more questions, sends the pending answers for at most `graceMs`, then closes everything. May be called again. */
  close(graceMs?: number): Promise<void>;
}

export type BoundEndpoints = Readonly<Record<StreamKind, readonly Endpoint[]>>;

type StreamKind = Exclude<Purpose, "udp" | "admin">;

/** The parts of the configuration that the listeners read. */
interface ListenersOptions {
  readonly listen: ListenOptions;
  readonly tls: TlsOptions | null;
  /** CIDRs. */
  readonly trustedProxies: readonly string[];
}

export interface ListenersContext {
  readonly clock: Clock;
  readonly report?: (event: ListenEvent) => void;
  /** For a thread that answers UDP; absent = the main thread answers. */
  readonly udp?: UdpMemory;
  /** The sockets of a process whose place is taken. Absent = there is none. */
  readonly inherited?: Inheritance;
  readonly limits?: Partial<ListenLimits>;
}

/** Longer than the default of `answers.deadline`. */
const GRACE_MS = 5000;

/** How many free TCP ports are tried until one is free for UDP too. */
const FREE_PORT_TRIES = 16;

/**
 * Opens every listener of the configuration, or none.
 * @throws ListenError with every endpoint that could not be opened and the reason.
 */
export async function openListeners(
  options: ListenersOptions,
  handler: Handler,
  { clock, report = () => {}, limits, udp, inherited }: ListenersContext,
): Promise<Listeners> {
  const counters: ListenCounters = {
    udpInFlight: 0,
    udpUnsent: 0,
    udpShed: 0,
    connections: 0,
    connectionsRefused: 0,
    connectionsEvicted: 0,
  };
  let unbatched: string | null = null;
  const merged = { ...LISTEN_LIMITS, ...limits };
  const opened = new OpenedListeners({
    handler,
    clock,
    limits: merged,
    counters,
    connections: new ConnectionTable(merged, counters, clock),
    turns: new Turns(),
    inherited: inherited ?? null,
    report: (event) => {
      if (event.kind === "udpUnbatched") unbatched = event.reason;
      report(event);
    },
    proxyPeers: AddressSet.of(...options.listen.proxyProtocol),
    trustedProxies: AddressSet.of(...options.trustedProxies),
  });
  await opened.open(options, udp ?? null);
  if (opened.problems.length > 0) {
    await opened.close(0);
    throw new ListenError(opened.problems);
  }
  let closing: Promise<void> | null = null;
  return {
    bound: opened.bound,
    counters,
    udpUnbatched: () => unbatched,
    certificate: () => opened.certificate(),
    shareSockets: () => opened.shareSockets(),
    close(graceMs = GRACE_MS) {
      closing ??= closeAlive(opened, graceMs);
      return closing;
    },
  };
}

/** Keeps the process alive until the last answer is sent: neither timers of the clock nor half-closed sockets do that. */
async function closeAlive(opened: OpenedListeners, graceMs: number): Promise<void> {
  const alive = setInterval(() => {}, 1 << 30);
  try {
    await opened.close(graceMs);
  } finally {
    clearInterval(alive);
  }
}

/** At least one listener could not be opened, so none is open. */
export class ListenError extends Error {
  /** One line each: section, address and reason. */
  readonly problems: readonly string[];

  constructor(problems: readonly string[]) {
    super(`cannot listen:\n${problems.map((problem) => `  ${problem}`).join("\n")}`);
    this.name = "ListenError";
    this.problems = problems;
  }
}

interface Closable {
  close(graceMs: number): Promise<void>;
}

interface Listener extends Closable {
  shareSockets(): readonly SharedSocket[] | Promise<readonly SharedSocket[]>;
}

/** The listeners opened so far, and the problems with the others. */
class OpenedListeners {
  readonly problems: string[] = [];
  readonly bound: Record<StreamKind, Endpoint[]> = { dns: [], tls: [], https: [], http: [] };
  readonly #services: ListenServices;
  readonly #listeners: Listener[] = [];
  /** Closed after the listeners, which use them to the end. */
  readonly #shared: Closable[] = [];
  #files: TlsFiles | null = null;
  /** null = each endpoint has a `UdpListener`. */
  #batched: BatchedUdp | null = null;

  constructor(services: ListenServices) {
    this.#services = services;
  }

  async open({ listen, tls }: ListenersOptions, udp: UdpMemory | null): Promise<void> {
    const services = this.#services;
    if (udp !== null && listen.dns.length > 0) this.#batched = this.#openBatched(udp);
    for (const endpoint of listen.dns) await this.#openDns(endpoint);
    const isAlone = services.inherited === null;
    if (isAlone) void this.#batched?.start();
    await this.#openStreams({ listen, tls });
    // The thread takes messages from the process whose place is taken, and which could answer them: it begins when all else is done, and that process
    // goes on until the thread reads.
    if (!isAlone && this.problems.length === 0) await this.#batched?.start();
  }

  async #openStreams({ listen, tls }: Pick<ListenersOptions, "listen" | "tls">): Promise<void> {
    const services = this.#services;
    const doh = new DohServer(listen.dohPath, services);
    this.#shared.push(doh);
    const serveDoh: ServeConnection = (socket, peer, clientId) => doh.serve(socket, peer, clientId);
    for (const endpoint of listen.http) await this.#openStream("http", endpoint, serveDoh);
    if (listen.tls.length + listen.https.length === 0) return;
    const acceptors = await this.#openTls(tls);
    if (acceptors === null) return;
    const { dot, https } = acceptors;
    for (const endpoint of listen.tls) await this.#openStream("tls", endpoint, over(dot, serveDns("dot", services)));
    for (const endpoint of listen.https) await this.#openStream("https", endpoint, over(https, serveDoh));
  }

  certificate(): CertificateStatus | null {
    return this.#files?.status() ?? null;
  }

  async shareSockets(): Promise<readonly SharedSocket[]> {
    const shared: SharedSocket[] = [];
    for (const listener of this.#listeners) shared.push(...(await listener.shareSockets()));
    return shared;
  }

  async close(graceMs: number): Promise<void> {
    await Promise.all(this.#listeners.map((listener) => listener.close(graceMs)));
    await Promise.all(this.#shared.map((shared) => shared.close(graceMs)));
  }

  /** UDP and TCP of one endpoint get the same port, also where the configuration says 0. */
  async #openDns(endpoint: Endpoint): Promise<void> {
    for (let tries = 1; ; tries++) {
      const tcp = await this.#tryStream("dns", endpoint, serveDns("tcp", this.#services));
      const port = tcp?.bound.port ?? endpoint.port;
      const isLast = endpoint.port !== 0 || tries === FREE_PORT_TRIES || tcp === null;
      try {
        await this.#openUdp({ address: endpoint.address, port });
        if (tcp !== null) this.#add("dns", tcp);
        return;
      } catch (error) {
        await tcp?.close(0);
        if (!isLast) continue;
        this.problems.push(
          `dns ${endpointText(endpoint.address, port)} (udp): ${explainBindError(error, { protocol: "udp", port })}`,
        );
        return;
      }
    }
  }

  #openBatched(memory: UdpMemory): BatchedUdp | null {
    try {
      const batched = new BatchedUdp(this.#services, memory);
      this.#listeners.push(batched);
      return batched;
    } catch (error) {
      this.#services.report({ kind: "udpUnbatched", reason: errorText(error) });
      return null;
    }
  }

  async #openUdp(endpoint: Endpoint): Promise<void> {
    if (this.#batched?.bind(endpoint) === true) return;
    this.#listeners.push(await UdpListener.open(endpoint, this.#services));
  }

  async #openStream(kind: StreamKind, endpoint: Endpoint, serve: ServeConnection): Promise<void> {
    const listener = await this.#tryStream(kind, endpoint, serve);
    if (listener !== null) this.#add(kind, listener);
  }

  #add(kind: StreamKind, listener: StreamListener): void {
    this.#listeners.push(listener);
    this.bound[kind].push(listener.bound);
  }

  async #tryStream(kind: StreamKind, endpoint: Endpoint, serve: ServeConnection): Promise<StreamListener | null> {
    try {
      return await StreamListener.open({ purpose: kind, endpoint, serve }, this.#services);
    } catch (error) {
      this.problems.push(
        `${kind} ${endpointText(endpoint.address, endpoint.port)} (tcp): ${explainBindError(error, { protocol: "tcp", port: endpoint.port })}`,
      );
      return null;
    }
  }

  async #openTls(options: TlsOptions | null): Promise<{ readonly dot: TlsAcceptor; readonly https: TlsAcceptor } | null> {
    if (options === null) {
      this.problems.push("listen.tls and listen.https need the section tls with a certificate and its key");
      return null;
    }
    const { clock, limits, report } = this.#services;
    try {
      const files = await TlsFiles.open(options, clock, report);
      this.#shared.push(files);
      this.#files = files;
      const dot = new TlsAcceptor(files, ["dot"], limits.tlsHandshakeMs);
      // curl --http1.0 offers http/1.0 alone.
      return { dot, https: new TlsAcceptor(files, ["h2", "http/1.1", "http/1.0"], limits.tlsHandshakeMs) };
    } catch (error) {
      this.problems.push(`tls: ${errorText(error)}`);
      return null;
    }
  }
}

/** The same service behind a TLS handshake. */
function over(acceptor: TlsAcceptor, serve: ServeConnection): ServeConnection {
  return async (raw, peer) => {
    const socket = await acceptor.accept(raw);
    return socket === null ? null : serve(socket, peer, acceptor.clientIdOf(socket));
  };
}

function serveDns(transport: "tcp" | "dot", services: ListenServices): ServeConnection {
  return async (socket, { address, port }, clientId) =>
    new StreamConnection(socket, { address, port, transport, http: null, method: null, clientId }, services);
}

/** Serves DoH on accepted connections, in clear or after the TLS handshake, in the HTTP version that the client speaks. */
class DohServer {
  readonly #service: DohService;
  readonly #services: ListenServices;
  readonly #http1: Http1Server;

  constructor(path: string, services: ListenServices) {
    this.#services = services;
    this.#service = new DohService(path, services);
    this.#http1 = new Http1Server(this.#service, services);
  }

  /** Waits for the first bytes; null = none came. */
  async serve(socket: Socket, peer: Peer, clientId: string | null): Promise<Connection | null> {
    const { clock, limits } = this.#services;
    const version = await readStartWithin(socket, sniffHttp, { clock, timeoutMs: limits.httpIdleMs });
    if (version === null) return null;
    const httpPeer = this.#service.peer(peer, clientId);
    if (version === "http1") return this.#http1.serve(socket, httpPeer);
    return new Http2Connection(socket, httpPeer, { service: this.#service, services: this.#services });
  }

  close(): Promise<void> {
    return this.#http1.close();
  }
}

/** Recognises HTTP/2 by its preface, which no HTTP/1 request begins with (RFC 9113 §3.4), and takes the preface. */
function sniffHttp(start: Buffer): StartDecision<"http1" | "http2"> {
  if (!beginsLike(start, PREFACE)) return { takenBytes: 0, value: "http1" };
  return start.length < PREFACE.length ? "more" : { takenBytes: PREFACE.length, value: "http2" };
}

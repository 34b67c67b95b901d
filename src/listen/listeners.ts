import { AddressSet } from "../dns/address.ts";
import type { Clock } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";
import { endpointText } from "./address.ts";
import { ConnectionSlots } from "./connection-slots.ts";
import type { ListenCounters } from "./counters.ts";
import { DohServer } from "./doh/doh-server.ts";
import type { Handler } from "./handler.ts";
import { type ListenLimits, limitsWith } from "./limits.ts";
import { explainBindError, ListenError } from "./listen-error.ts";
import type { Endpoint, ListenOptions, TlsOptions } from "./options.ts";
import type { ListenEvent, ListenServices } from "./services.ts";
import { StreamConnection } from "./stream-connection.ts";
import { type Serve, StreamListener, type StreamService } from "./stream-listener.ts";
import { TlsAcceptor } from "./tls-acceptor.ts";
import { TlsFiles } from "./tls-files.ts";
import { UdpListener } from "./udp-listener.ts";

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
export interface ListenersOptions {
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

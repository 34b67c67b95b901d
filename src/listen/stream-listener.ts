import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { AddressSet } from "../dns/address.ts";
import { addressOfSocket, endpointText, type Peer } from "./address.ts";
import type { Endpoint } from "./options.ts";
import { readProxyHeader } from "./proxy-protocol.ts";
import { readStart } from "./read-start.ts";
import type { ListenServices } from "./services.ts";

/** One accepted connection in the hands of a protocol. */
export interface Connection {
  /** Takes no further question and closes the connection once the answers under way are out. May be called again. */
  finish(): void;
}

/**
 * Takes over a connection: `socket` has an error handler and is destroyed by whoever gives up on it; null = it was given up.
 * `peer` is the client, by the PROXY header where there is one.
 */
export type Serve = (socket: Socket, peer: Peer) => Promise<Connection | null>;

/** What is behind a listener. Clients in `exempt`, such as reverse proxies, may have any number of connections each. */
export interface StreamService {
  readonly serve: Serve;
  readonly exempt: AddressSet | null;
}

const BACKLOG = 1024;

/**
 * Accepts connections on one endpoint, within the limits, and makes sure that each is gone in the end:
 *
 *     accept -> a place among all -> PROXY header, from those who send one -> a place for this client -> `serve`
 */
export class StreamListener {
  readonly bound: Endpoint;
  readonly #services: ListenServices;
  readonly #server: Server;
  readonly #service: StreamService;
  readonly #open = new Map<Socket, Connection | null>();
  #closing: Promise<void> | null = null;
  #whenEmpty: () => void = () => {};

  /** @throws the system's error when the endpoint cannot be bound. */
  static async open(endpoint: Endpoint, service: StreamService, services: ListenServices): Promise<StreamListener> {
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    server.listen({ host: endpoint.address, port: endpoint.port, ipv6Only: endpoint.address.includes(":"), backlog: BACKLOG });
    await once(server, "listening");
    return new StreamListener(server, endpoint, { service, services });
  }

  private constructor(
    server: Server,
    endpoint: Endpoint,
    behind: { readonly service: StreamService; readonly services: ListenServices },
  ) {
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("a server that listens on a port has a port");
    this.bound = { address: endpoint.address, port: address.port };
    this.#server = server;
    this.#service = behind.service;
    this.#services = behind.services;
    const where = `tcp ${endpointText(this.bound.address, this.bound.port)}`;
    // Such as EMFILE at accept: the system tries again by itself.
    server.on("error", (error) => behind.services.report({ kind: "socketError", where, reason: error.message }));
    server.on("connection", (socket) => void this.#accept(socket));
  }

  /** Accepts nothing more, lets the answers under way go out for at most `graceMs`, then cuts what is left. */
  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    const emptied = new Promise<void>((resolve) => {
      this.#whenEmpty = resolve;
      if (this.#open.size === 0) resolve();
    });
    for (const [socket, connection] of this.#open) {
      if (connection === null || graceMs <= 0) socket.destroy();
      else connection.finish();
    }
    const timer = this.#services.clock.setTimer(() => {
      for (const socket of this.#open.keys()) socket.destroy();
    }, graceMs);
    await emptied;
    timer.cancel();
    await closed;
  }

  async #accept(socket: Socket): Promise<void> {
    const { slots } = this.#services;
    // What breaks a connection is followed by `close`, where all is put in order.
    socket.on("error", () => {});
    if (this.#closing !== null || socket.remoteAddress === undefined || !slots.enter()) {
      socket.destroy();
      return;
    }
    this.#open.set(socket, null);
    socket.on("close", () => {
      slots.leave();
      this.#open.delete(socket);
      if (this.#open.size === 0) this.#whenEmpty();
    });
    const connection = await this.#handOver(socket, {
      address: addressOfSocket(socket.remoteAddress),
      port: socket.remotePort ?? 0,
    });
    if (connection === null) {
      socket.destroy();
      return;
    }
    if (socket.destroyed) return;
    this.#open.set(socket, connection);
    if (this.#closing !== null) connection.finish();
  }

  async #handOver(socket: Socket, direct: Peer): Promise<Connection | null> {
    const { clock, limits, proxyPeers, slots } = this.#services;
    let peer = direct;
    if (proxyPeers.hasText(direct.address)) {
      const header = await readStart(socket, readProxyHeader, { clock, timeoutMs: limits.proxyHeaderMs });
      if (header === null) return null;
      peer = header.source ?? direct;
    }
    if (socket.destroyed) return null;
    if (this.#service.exempt?.hasText(peer.address) !== true) {
      const leave = slots.enterAs(peer.address);
      if (leave === null) return null;
      socket.on("close", leave);
    }
    return this.#service.serve(socket, peer);
  }
}

import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { AddressSet } from "../dns/address.ts";
import { canonicalAddress, endpointText } from "../dns/address.ts";
import type { Clock } from "../lib/clock.ts";
import { addressOfSocket, clientNetwork, type Peer } from "./client-address.ts";
import type { Endpoint } from "./options.ts";
import type { ListenCounters, ListenServices } from "./types.ts";

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

/** Counts open connections, in all and by client network, and says when there are too many. */
export class ConnectionSlots {
  readonly #limits: { readonly connections: number; readonly connectionsPerClient: number };
  readonly #counters: ListenCounters;
  readonly #ofNetwork = new Map<string, number>();

  constructor(limits: { readonly connections: number; readonly connectionsPerClient: number }, counters: ListenCounters) {
    this.#limits = limits;
    this.#counters = counters;
  }

  /** Takes a place among all connections; false = there is none. Every true is followed by one `leave`. */
  enter(): boolean {
    if (this.#counters.connections >= this.#limits.connections) {
      this.#counters.connectionsRefused++;
      return false;
    }
    this.#counters.connections++;
    return true;
  }

  leave(): void {
    this.#counters.connections--;
  }

  /** Takes a place for this client; null = there is none. The function given frees the place, once. */
  enterAs(address: string): (() => void) | null {
    const network = clientNetwork(address);
    const open = this.#ofNetwork.get(network) ?? 0;
    if (open >= this.#limits.connectionsPerClient) {
      this.#counters.connectionsRefused++;
      return null;
    }
    this.#ofNetwork.set(network, open + 1);
    return () => this.#leaveAs(network);
  }

  #leaveAs(network: string): void {
    const open = this.#ofNetwork.get(network) ?? 0;
    if (open <= 1) this.#ofNetwork.delete(network);
    else this.#ofNetwork.set(network, open - 1);
  }
}

/** Where a connection really comes from; `source` null = the header does not say, so the connection's own address holds. */
interface ProxyHeader {
  readonly source: Peer | null;
}

const V2_SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const V2_FIXED_BYTES = 16;

/** Addresses take at most 216 bytes; the rest is room for TLVs such as a client certificate's name, which are skipped. */
const V2_MAX_BYTES = 4096;

const V1_START = Buffer.from("PROXY ", "latin1");

/** The longest line there can be, with its end. PROXY protocol §2.1. */
const V1_MAX_BYTES = 107;

const MORE = { kind: "more" } as const;
const REFUSED = { kind: "refused" } as const;

/** Reads a PROXY header, version 1 or 2, from the first bytes of a stream. Anything else there is refused. */
export function readProxyHeader(start: Uint8Array): StartDecision<ProxyHeader> {
  const bytes = Buffer.from(start.buffer, start.byteOffset, start.byteLength);
  if (beginsLike(bytes, V1_START)) return bytes.length < V1_START.length ? MORE : readV1(bytes);
  if (beginsLike(bytes, V2_SIGNATURE)) return bytes.length < V2_FIXED_BYTES ? MORE : readV2(bytes);
  return REFUSED;
}

/** Whether the two agree as far as both go. */
function beginsLike(bytes: Buffer, expected: Buffer): boolean {
  const length = Math.min(bytes.length, expected.length);
  return bytes.subarray(0, length).equals(expected.subarray(0, length));
}

function decided(takenBytes: number, source: Peer | null): StartDecision<ProxyHeader> {
  return { kind: "decided", takenBytes, value: { source } };
}

function readV1(bytes: Buffer): StartDecision<ProxyHeader> {
  const end = bytes.subarray(0, V1_MAX_BYTES).indexOf("\r\n");
  if (end === -1) return bytes.length < V1_MAX_BYTES ? MORE : REFUSED;
  const takenBytes = end + 2;
  const [family, source, destination, sourcePort, destinationPort, ...rest] = bytes
    .toString("latin1", V1_START.length, end)
    .split(" ");
  // Whatever follows UNKNOWN is to be ignored.
  if (family === "UNKNOWN") return decided(takenBytes, null);
  if (family !== "TCP4" && family !== "TCP6") return REFUSED;
  const isFamily = (text = ""): boolean => canonicalAddress(text) !== null && text.includes(":") === (family === "TCP6");
  const address = canonicalAddress(source ?? "");
  const port = parsePort(sourcePort);
  if (address === null || port === null || !isFamily(source) || !isFamily(destination)) return REFUSED;
  if (parsePort(destinationPort) === null || rest.length > 0) return REFUSED;
  return decided(takenBytes, { address, port });
}

function parsePort(text = ""): number | null {
  if (!/^\d{1,5}$/.test(text)) return null;
  const port = Number(text);
  return port <= 65_535 ? port : null;
}

function readV2(bytes: Buffer): StartDecision<ProxyHeader> {
  const versionAndCommand = bytes.readUInt8(12);
  const family = bytes.readUInt8(13) >> 4;
  const lengthBytes = bytes.readUInt16BE(14);
  const takenBytes = V2_FIXED_BYTES + lengthBytes;
  if (takenBytes > V2_MAX_BYTES) return REFUSED;
  // 0x20 = LOCAL: the proxy speaks for itself, as in its health checks; 0x21 = PROXY.
  if (versionAndCommand !== 0x20 && versionAndCommand !== 0x21) return REFUSED;
  if (bytes.length < takenBytes) return MORE;
  if (versionAndCommand === 0x20) return decided(takenBytes, null);
  if (family === 1) {
    if (lengthBytes < 12) return REFUSED;
    return decided(takenBytes, { address: bytes.subarray(16, 20).join("."), port: bytes.readUInt16BE(24) });
  }
  if (family === 2) {
    if (lengthBytes < 36) return REFUSED;
    const groups = Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(16 + 2 * group).toString(16));
    const address = canonicalAddress(groups.join(":"));
    return address === null ? REFUSED : decided(takenBytes, { address, port: bytes.readUInt16BE(48) });
  }
  // UNSPEC and UNIX carry no address of use here.
  return decided(takenBytes, null);
}

/** What the first bytes of a stream mean. `takenBytes` of them are used up; the rest goes back to the stream. */
export type StartDecision<T> =
  | { readonly kind: "more" }
  | { readonly kind: "refused" }
  | { readonly kind: "decided"; readonly takenBytes: number; readonly value: T };

/**
 * Reads a stream until `decide`, called with all bytes so far, has seen enough. null = refused, ended, broken or silent for
 * too long; the caller then destroys the stream. The number of bytes is bounded by `decide`, which must refuse in the end.
 * Afterwards the stream is paused; whoever reads it next resumes it.
 */
export function readStart<T>(
  stream: Duplex,
  decide: (start: Uint8Array) => StartDecision<T>,
  limit: { readonly clock: Clock; readonly timeoutMs: number },
): Promise<T | null> {
  return new Promise((resolve) => {
    let start = Buffer.alloc(0);
    const finish = (value: T | null): void => {
      timer.cancel();
      stream.off("readable", read).off("end", fail).off("close", fail);
      resolve(value);
    };
    const fail = (): void => finish(null);
    const read = (): void => {
      for (let chunk: Buffer | null = stream.read(); chunk !== null; chunk = stream.read()) {
        start = Buffer.concat([start, chunk]);
      }
      if (start.length === 0) return;
      const decision = decide(start);
      if (decision.kind === "more") return;
      if (decision.kind === "refused") {
        fail();
        return;
      }
      if (decision.takenBytes < start.length) stream.unshift(start.subarray(decision.takenBytes));
      finish(decision.value);
    };
    const timer = limit.clock.setTimer(fail, limit.timeoutMs);
    stream.on("readable", read).on("end", fail).on("close", fail);
    if (stream.destroyed) fail();
  });
}

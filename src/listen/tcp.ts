import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import type { Duplex } from "node:stream";
import { canonicalAddress, endpointText } from "../dns/address.ts";
import type { Clock } from "../lib/clock.ts";
import { readStart, type StartDecision } from "../lib/stream-start.ts";
import { addressOfSocket } from "./client-address.ts";
import { descriptorOf, type Purpose, type SharedSocket } from "./inheritance.ts";
import type { Endpoint } from "./options.ts";
import type { Connection, ListenServices, Peer, ServeConnection } from "./types.ts";

const BACKLOG = 1024;

interface WantedListener {
  readonly purpose: Purpose;
  readonly endpoint: Endpoint;
  readonly serve: ServeConnection;
}

/**
 * Accepts connections on one endpoint, within the limit, and makes sure that each one ends:
 *
 *     accept -> may it connect? -> a place in the table of all connections -> PROXY header, from peers that send one -> `serve`
 */
export class StreamListener {
  readonly bound: Endpoint;
  readonly #purpose: Purpose;
  readonly #services: ListenServices;
  readonly #server: Server;
  readonly #serve: ServeConnection;
  /** The connections of this listener. null = not yet served. */
  readonly #connections = new Map<Socket, Connection | null>();
  #closing: Promise<void> | null = null;
  #onEmpty: () => void = () => {};

  /** @throws the system's error when the endpoint cannot be bound. */
  static async open(wanted: WantedListener, services: ListenServices): Promise<StreamListener> {
    const { purpose, endpoint } = wanted;
    const server = createServer({ allowHalfOpen: true, noDelay: true });
    const fd = services.inherited?.takeDescriptor(purpose, endpoint) ?? null;
    if (fd !== null) server.listen({ fd, backlog: BACKLOG });
    else
      server.listen({ host: endpoint.address, port: endpoint.port, ipv6Only: endpoint.address.includes(":"), backlog: BACKLOG });
    await once(server, "listening");
    const address = server.address();
    if (address === null || typeof address === "string") throw new Error("a server that listens on a port has a port");
    return new StreamListener(server, { address: endpoint.address, port: address.port }, { ...wanted, services });
  }

  private constructor(
    server: Server,
    bound: Endpoint,
    { purpose, serve, services }: WantedListener & { readonly services: ListenServices },
  ) {
    this.bound = bound;
    this.#purpose = purpose;
    this.#server = server;
    this.#serve = serve;
    this.#services = services;
    const where = `tcp ${endpointText(bound.address, bound.port)}`;
    // For example EMFILE at accept. The system tries again by itself.
    server.on("error", (error) => services.report({ kind: "socketError", where, reason: error.message }));
    server.on("connection", (socket) => void this.#accept(socket));
  }

  shareSockets(): readonly SharedSocket[] {
    return [{ purpose: this.#purpose, bound: this.bound, socket: descriptorOf(this.#server) }];
  }

  /** Accepts no more, sends the pending answers for at most `graceMs`, then cuts the rest. */
  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    const closed = once(this.#server, "close");
    this.#server.close();
    for (const connection of this.#connections.values()) connection?.finish();
    if (graceMs <= 0) this.#cut(() => true);
    const { clock, limits } = this.#services;
    const timers = [
      // They have a TLS handshake or the first byte to come.
      clock.setTimer(() => this.#cut((connection) => connection === null), Math.min(limits.drainMs, graceMs)),
      clock.setTimer(() => this.#cut(() => true), graceMs),
    ];
    await closed;
    for (const timer of timers) timer.cancel();
    // The last sockets tell that they are closed after the server has.
    await new Promise<void>((resolve) => {
      this.#onEmpty = resolve;
      if (this.#connections.size === 0) resolve();
    });
  }

  #cut(isMeant: (connection: Connection | null) => boolean): void {
    for (const [socket, connection] of this.#connections) if (isMeant(connection)) socket.destroy();
  }

  async #accept(socket: Socket): Promise<void> {
    // An error is followed by `close`, which cleans up.
    socket.on("error", () => {});
    const { remoteAddress, remotePort = 0 } = socket;
    if (remoteAddress === undefined) {
      socket.destroy();
      return;
    }
    const peer = { address: addressOfSocket(remoteAddress), port: remotePort };
    const { connections, counters } = this.#services;
    if (!this.#isWelcome(peer.address) || !connections.add(socket, peer.address)) {
      counters.connectionsRefused++;
      socket.destroy();
      return;
    }
    this.#connections.set(socket, null);
    socket.on("close", () => {
      connections.delete(socket);
      this.#connections.delete(socket);
      if (this.#connections.size === 0) this.#onEmpty();
    });
    const connection = await this.#handOver(socket, peer);
    if (connection === null) {
      socket.destroy();
      return;
    }
    if (socket.destroyed) return;
    this.#connections.set(socket, connection);
    connections.serve(socket, connection);
    if (this.#closing !== null) connection.finish();
  }

  /** The clients behind a proxy are judged by their queries, and get REFUSED. */
  #isWelcome(address: string): boolean {
    const { handler, proxyPeers, trustedProxies } = this.#services;
    return proxyPeers.hasText(address) || trustedProxies.hasText(address) || handler.mayConnect(address);
  }

  async #handOver(socket: Socket, direct: Peer): Promise<Connection | null> {
    const { clock, limits, proxyPeers } = this.#services;
    let peer = direct;
    if (proxyPeers.hasText(direct.address)) {
      const header = await readStartWithin(socket, readProxyHeader, { clock, timeoutMs: limits.proxyHeaderMs });
      if (header === null) return null;
      peer = header.source ?? direct;
    }
    return socket.destroyed ? null : this.#serve(socket, peer, null);
  }
}

/** Reads the start of a stream, for a limited time; null = refused, ended, broken or silent for too long, and the stream is of no more use. */
export async function readStartWithin<T>(
  stream: Duplex,
  decide: (start: Buffer) => StartDecision<T>,
  { clock, timeoutMs }: { readonly clock: Clock; readonly timeoutMs: number },
): Promise<T | null> {
  const timer = clock.setTimer(() => stream.destroy(), timeoutMs);
  try {
    return await readStart(stream, decide);
  } catch {
    return null;
  } finally {
    timer.cancel();
  }
}

/** The origin of a connection; `source` null = the header does not name one, so the address of the connection holds. */
interface ProxyHeader {
  readonly source: Peer | null;
}

const V2_SIGNATURE = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const V2_FIXED_BYTES = 16;

/** The addresses take at most 216 bytes. The rest is room for TLVs, for example the name in a client certificate, which are skipped. */
const V2_MAX_BYTES = 4096;

const V1_START = Buffer.from("PROXY ", "latin1");

/** The longest line, with its end. PROXY protocol §2.1. */
const V1_MAX_BYTES = 107;

/** Reads a PROXY header, version 1 or 2, from the first bytes of a stream. Anything else is refused. */
export function readProxyHeader(bytes: Buffer): StartDecision<ProxyHeader> {
  if (beginsLike(bytes, V1_START)) return bytes.length < V1_START.length ? "more" : readV1(bytes);
  if (beginsLike(bytes, V2_SIGNATURE)) return bytes.length < V2_FIXED_BYTES ? "more" : readV2(bytes);
  return "refused";
}

/** Whether the two agree up to the end of the shorter one. */
export function beginsLike(bytes: Buffer, expected: Buffer): boolean {
  const length = Math.min(bytes.length, expected.length);
  return bytes.subarray(0, length).equals(expected.subarray(0, length));
}

function decided(takenBytes: number, source: Peer | null): StartDecision<ProxyHeader> {
  return { takenBytes, value: { source } };
}

function readV1(bytes: Buffer): StartDecision<ProxyHeader> {
  const end = bytes.subarray(0, V1_MAX_BYTES).indexOf("\r\n");
  if (end === -1) return bytes.length < V1_MAX_BYTES ? "more" : "refused";
  const takenBytes = end + 2;
  const [family, source, destination, sourcePort, destinationPort, ...rest] = bytes
    .toString("latin1", V1_START.length, end)
    .split(" ");
  // The rest of an UNKNOWN line is ignored.
  if (family === "UNKNOWN") return decided(takenBytes, null);
  if (family !== "TCP4" && family !== "TCP6") return "refused";
  const isFamily = (text = ""): boolean => canonicalAddress(text) !== null && text.includes(":") === (family === "TCP6");
  const address = canonicalAddress(source ?? "");
  const port = parsePort(sourcePort);
  if (address === null || port === null || !isFamily(source) || !isFamily(destination)) return "refused";
  if (parsePort(destinationPort) === null || rest.length > 0) return "refused";
  return decided(takenBytes, { address, port });
}

function parsePort(text = ""): number | null {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.POSITIVE_INFINITY;
  return port <= 65_535 ? port : null;
}

function readV2(bytes: Buffer): StartDecision<ProxyHeader> {
  const versionAndCommand = bytes.readUInt8(12);
  const family = bytes.readUInt8(13) >> 4;
  const lengthBytes = bytes.readUInt16BE(14);
  const takenBytes = V2_FIXED_BYTES + lengthBytes;
  if (takenBytes > V2_MAX_BYTES) return "refused";
  // 0x20 = LOCAL: the proxy's own connection, for example a health check; 0x21 = PROXY.
  if (versionAndCommand !== 0x20 && versionAndCommand !== 0x21) return "refused";
  if (bytes.length < takenBytes) return "more";
  if (versionAndCommand === 0x20) return decided(takenBytes, null);
  if (family === 1) {
    if (lengthBytes < 12) return "refused";
    return decided(takenBytes, { address: bytes.subarray(16, 20).join("."), port: bytes.readUInt16BE(24) });
  }
  if (family === 2) {
    if (lengthBytes < 36) return "refused";
    const groups = Array.from({ length: 8 }, (_, group) => bytes.readUInt16BE(16 + 2 * group).toString(16));
    const address = canonicalAddress(groups.join(":"));
    return address === null ? "refused" : decided(takenBytes, { address, port: bytes.readUInt16BE(48) });
  }
  // UNSPEC and UNIX carry no IP address.
  return decided(takenBytes, null);
}

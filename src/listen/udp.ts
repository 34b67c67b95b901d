import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { networkInterfaces } from "node:os";
import { endpointText } from "../dns/address.ts";
import type { Client } from "../lib/client.ts";
import type { Timer } from "../lib/clock.ts";
import { addressOfSocket } from "./client-address.ts";
import type { SharedSocket } from "./inheritance.ts";
import type { Endpoint } from "./options.ts";
import type { HandlerReply, ListenServices, Peer } from "./types.ts";

/** How often a wildcard listener reads the addresses of this host. */
const REREAD_MS = 5000;

/** On Linux and FreeBSD sockets share a port by SO_REUSEPORT; elsewhere `reuseAddr` of libuv has the same effect. */
const SHARING = process.platform === "linux" || process.platform === "freebsd" ? { reusePort: true } : { reuseAddr: true };

/** Reads the addresses of this host; tests replace it. */
type ReadLocalAddresses = typeof localAddresses;

/**
 * DNS over UDP on one endpoint. A wildcard socket would reply from the address that the route back prefers, and clients drop a reply from
 * another address than they asked (RFC 2181 §4.1, RFC 5452 §9.1). So each local address gets its own socket, which the kernel prefers over
 * the wildcard socket; the wildcard socket serves aliases that the system does not list.
 */
export class UdpListener {
  readonly bound: Endpoint;
  readonly #services: ListenServices;
  readonly #readAddresses: ReadLocalAddresses;
  readonly #main: Socket;
  readonly #local = new Map<string, Socket>();
  readonly #skipped = new Set<string>();
  #inFlight = 0;
  #timer: Timer | null = null;
  #closing: Promise<void> | null = null;
  #onIdle: () => void = () => {};

  /** @throws the system's error when the endpoint cannot be bound. A local address of a wildcard that cannot be bound is reported. */
  static async open(endpoint: Endpoint, services: ListenServices, readAddresses = localAddresses): Promise<UdpListener> {
    const isWildcard = wildcardFamily(endpoint.address) !== null;
    const main =
      (await services.inherited?.takeUdp(endpoint)) ?? (await bind(endpoint, isWildcard, services.limits.udpReceiveBufferBytes));
    const listener = new UdpListener(main, endpoint.address, services, readAddresses);
    if (isWildcard) await listener.#reread();
    return listener;
  }

  private constructor(main: Socket, address: string, services: ListenServices, readAddresses: ReadLocalAddresses) {
    this.#main = main;
    this.#services = services;
    this.#readAddresses = readAddresses;
    this.bound = { address, port: main.address().port };
    this.#listen(main);
  }

  /** The local addresses of a wildcard that have their own socket. */
  get localAddresses(): readonly string[] {
    return [...this.#local.keys()];
  }

  /** Those of the local addresses of a wildcard are opened anew: what waits in them when they are closed here is lost. */
  shareSockets(): readonly SharedSocket[] {
    return [{ purpose: "udp", bound: this.bound, socket: this.#main }];
  }

  /** Takes no more questions, sends the pending answers for at most `graceMs`, then closes all sockets. */
  close(graceMs: number): Promise<void> {
    this.#closing ??= this.#close(graceMs);
    return this.#closing;
  }

  async #close(graceMs: number): Promise<void> {
    this.#timer?.cancel();
    if (this.#inFlight > 0 && graceMs > 0) {
      await new Promise<void>((resolve) => {
        const timer = this.#services.clock.setTimer(resolve, graceMs);
        this.#onIdle = () => {
          timer.cancel();
          resolve();
        };
      });
    }
    await Promise.all([this.#main, ...this.#local.values()].map(closeSocket));
    this.#local.clear();
  }

  async #reread(): Promise<void> {
    const family = wildcardFamily(this.bound.address);
    if (family === null || this.#closing !== null) return;
    const wanted = this.#wantedAddresses(family);
    for (const [address, socket] of this.#local) {
      if (wanted.has(address)) continue;
      this.#local.delete(address);
      await closeSocket(socket);
    }
    for (const address of this.#skipped) if (!wanted.has(address)) this.#skipped.delete(address);
    for (const address of wanted) if (!this.#local.has(address)) await this.#add(address);
    if (this.#closing === null) this.#timer = this.#services.clock.setTimer(() => void this.#reread(), REREAD_MS);
  }

  #wantedAddresses(family: Family): ReadonlySet<string> {
    try {
      return new Set(this.#readAddresses(family));
    } catch (error) {
      // For example EMFILE. The open sockets stay until the addresses can be read again.
      this.#services.report({ kind: "socketError", where: "local addresses", reason: String(error) });
      return new Set(this.#local.keys());
    }
  }

  async #add(address: string): Promise<void> {
    try {
      const socket = await bind({ address, port: this.bound.port }, true, this.#services.limits.udpReceiveBufferBytes);
      if (this.#closing !== null) return await closeSocket(socket);
      this.#local.set(address, socket);
      this.#skipped.delete(address);
      this.#listen(socket);
    } catch (error) {
      // A tentative IPv6 address cannot be bound yet. Each reading tries again.
      if (this.#skipped.has(address)) return;
      this.#skipped.add(address);
      this.#services.report({ kind: "localAddressSkipped", address, reason: String(error) });
    }
  }

  #listen(socket: Socket): void {
    const { address, port } = socket.address();
    socket.on("error", (error) => {
      this.#services.report({ kind: "socketError", where: `udp ${endpointText(address, port)}`, reason: error.message });
    });
    socket.on("message", (message, remote) => this.#receive(socket, message, remote));
  }

  #receive(socket: Socket, message: Buffer, remote: RemoteInfo): void {
    const { clock, counters, handler, turns } = this.#services;
    // No reply can be sent to port 0; such a source is forged.
    if (this.#closing !== null || remote.port === 0) return;
    const arrived: Arrival = {
      message: new Uint8Array(message.buffer, message.byteOffset, message.length),
      client: clientAt({ address: addressOfSocket(remote.address), port: remote.port }),
      remote,
      atMs: clock.now(),
    };
    if (!turns.isOver) {
      this.#answer(socket, arrived);
      return;
    }
    this.#inFlight++;
    counters.udpInFlight++;
    const answer = () => {
      this.#answer(socket, arrived);
      this.#end();
    };
    if (turns.postponeDatagram(arrived.client.address, answer)) return;
    counters.udpShed++;
    this.#send(socket, handler.shed(arrived.message, arrived.client), remote);
    this.#end();
  }

  #answer(socket: Socket, { message, client, remote, atMs }: Arrival): void {
    const { counters, handler } = this.#services;
    const answer = handler.answer(message, client, atMs);
    if (!(answer instanceof Promise)) {
      this.#send(socket, answer, remote);
      return;
    }
    counters.udpInFlight++;
    this.#inFlight++;
    void answer.then((reply) => {
      this.#send(socket, reply, remote);
      this.#end();
    });
  }

  #end(): void {
    this.#services.counters.udpInFlight--;
    this.#inFlight--;
    if (this.#inFlight === 0) this.#onIdle();
  }

  #send(socket: Socket, reply: HandlerReply | null, remote: RemoteInfo): void {
    if (reply === null) return;
    const { counters, limits } = this.#services;
    try {
      if (socket.getSendQueueSize() > limits.udpSendQueueBytes) {
        counters.udpUnsent++;
        return;
      }
      socket.send(reply.wire, remote.port, remote.address, (error) => {
        if (error !== null) counters.udpUnsent++;
      });
    } catch {
      // The local address disappeared, and its socket was closed, while the answer was pending.
      counters.udpUnsent++;
    }
  }
}

interface Arrival {
  readonly message: Uint8Array;
  readonly client: Client;
  readonly remote: RemoteInfo;
  readonly atMs: number;
}

/** Who asks over UDP. */
export function clientAt({ address, port }: Peer): Client {
  return { address, port, transport: "udp", http: null, method: null, clientId: null };
}

async function bind({ address, port }: Endpoint, shared: boolean, receiveBufferBytes: number): Promise<Socket> {
  const socket = createSocket({
    type: address.includes(":") ? "udp6" : "udp4",
    ipv6Only: address.includes(":"),
    ...(shared ? SHARING : {}),
    // Replies go to IP literals only.
    lookup: (host, _options, found) => found(null, host, host.includes(":") ? 6 : 4),
  });
  try {
    // Without a lookup the socket is bound before `bind` returns.
    const listening = once(socket, "listening");
    socket.bind({ address, port, exclusive: true });
    await listening;
  } catch (error) {
    socket.close();
    throw error;
  }
  try {
    socket.setRecvBufferSize(receiveBufferBytes);
  } catch {
    // Some systems refuse a size above their limit instead of granting the limit.
  }
  return socket;
}

function closeSocket(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    socket.close(() => resolve());
  });
}

type Family = "IPv4" | "IPv6";

/** The addresses of this host of one family, link-local ones with their zone. Aliases such as 127.0.0.2 are missing. */
export function localAddresses(family: Family): readonly string[] {
  const addresses = new Set<string>();
  for (const [name, infos] of Object.entries(networkInterfaces())) {
    for (const info of infos ?? []) {
      if (info.family !== family) continue;
      addresses.add(info.family === "IPv6" && info.scopeid !== 0 ? `${info.address}%${name}` : info.address);
    }
  }
  return [...addresses];
}

/** The family of a wildcard address; null = not a wildcard. */
export function wildcardFamily(address: string): Family | null {
  if (address === "0.0.0.0") return "IPv4";
  return /^[0:]+$/.test(address) && address.includes(":") ? "IPv6" : null;
}

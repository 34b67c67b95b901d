import { createSocket, type RemoteInfo, type Socket } from "node:dgram";
import { once } from "node:events";
import { closeSync } from "node:fs";
import type { Server } from "node:net";
import type { Endpoint } from "./options.ts";

/** What a socket is for: a section of `listen`, where `dns` is TCP. */
export type Purpose = "udp" | "dns" | "tls" | "https" | "http" | "admin";

/** A socket that another process goes on with: its file descriptor, or a UDP socket of Node, which tells nobody its descriptor. */
export interface SharedSocket {
  readonly purpose: Purpose;
  /** The address of the configuration, and the actual port. */
  readonly bound: Endpoint;
  readonly socket: number | Socket;
}

/** The descriptor of a server that listens. @throws Error where the runtime does not tell it. */
export function descriptorOf(server: Server): number {
  const fd: unknown = Reflect.get(Object(Reflect.get(server, "_handle")), "fd");
  if (typeof fd !== "number" || fd < 0) throw new Error("the runtime does not tell the descriptors of its servers");
  return fd;
}

/**
 * The sockets of the process whose place this one takes. Both processes have the same sockets, with one queue of what comes: nothing is lost when the first one closes
 * its own descriptors. (Two sockets of one port, by SO_REUSEPORT, would have a queue each, and what waits in the one that is closed is lost.)
 */
export class Inheritance {
  readonly #sockets: SharedSocket[] = [];
  /** What came to sockets that nobody has taken. */
  readonly #early = new Map<Socket, [Buffer, RemoteInfo][]>();

  /** To be called in the turn in which the socket has come: a UDP socket of Node reads at once. */
  add(shared: SharedSocket): void {
    this.#sockets.push(shared);
    const { socket } = shared;
    if (typeof socket === "number") return;
    const early: [Buffer, RemoteInfo][] = [];
    this.#early.set(socket, early);
    socket.on("message", (message, remote) => early.push([message, remote]));
  }

  /** The descriptor for this endpoint; null = there is none. The caller closes it. */
  takeDescriptor(purpose: Purpose, endpoint: Endpoint): number | null {
    const socket = this.#take(purpose, endpoint, (each) => typeof each === "number");
    return typeof socket === "number" ? socket : null;
  }

  /** The bound UDP socket for this endpoint; null = there is none. The caller closes it, and is told of messages from the next turn of the event loop on. */
  async takeUdp(endpoint: Endpoint): Promise<Socket | null> {
    const socket = this.#take("udp", endpoint, () => true);
    if (socket === null) return null;
    if (typeof socket === "number") {
      const adopted = createSocket(endpoint.address.includes(":") ? "udp6" : "udp4");
      adopted.bind({ fd: socket });
      await once(adopted, "listening");
      return adopted;
    }
    socket.removeAllListeners("message");
    const early = this.#early.get(socket) ?? [];
    setImmediate(() => {
      for (const [message, remote] of early) socket.emit("message", message, remote);
    });
    return socket;
  }

  /** Closes what nobody has taken: this process listens elsewhere. */
  close(): void {
    for (const { socket } of this.#sockets.splice(0)) {
      if (typeof socket === "number") closeSync(socket);
      else socket.close();
    }
  }

  #take(purpose: Purpose, { address, port }: Endpoint, isWanted: (socket: number | Socket) => boolean): number | Socket | null {
    const isUdp = purpose === "udp";
    const index = this.#sockets.findIndex(({ purpose: had, bound, socket }) => {
      if ((had === "udp") !== isUdp || bound.address !== address || !isWanted(socket)) return false;
      // Where the configuration leaves the port to the system, the socket of the same purpose is meant.
      return port === 0 ? had === purpose : bound.port === port;
    });
    const [taken] = index < 0 ? [] : this.#sockets.splice(index, 1);
    return taken?.socket ?? null;
  }
}

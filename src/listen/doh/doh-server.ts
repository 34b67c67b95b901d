import type { Socket } from "node:net";
import type { Peer } from "../address.ts";
import { readStart } from "../read-start.ts";
import type { ListenServices } from "../services.ts";
import type { Connection } from "../stream-listener.ts";
import { Http1Server } from "./http1.ts";
import { Http2Connection } from "./http2.ts";
import { DohService } from "./service.ts";
import { sniffHttp } from "./sniff.ts";

/** DoH on connections that others have accepted, in clear or after the TLS handshake, in whichever HTTP version the client speaks. */
export class DohServer {
  readonly #service: DohService;
  readonly #services: ListenServices;
  readonly #http1: Http1Server;

  constructor(path: string, services: ListenServices) {
    this.#services = services;
    this.#service = new DohService(path, services);
    this.#http1 = new Http1Server(this.#service, services);
  }

  /** Waits for the first octets; null = none came, and the caller destroys the socket. */
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

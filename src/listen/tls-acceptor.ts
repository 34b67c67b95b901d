import { constants } from "node:crypto";
import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Clock } from "../lib/clock.ts";
import type { KeyPair } from "./tls-files.ts";

/** Makes TLS connections out of accepted ones. It listens nowhere itself. Sessions are resumed by tickets (RFC 8446 §2.2). */
export class TlsAcceptor {
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #handshakeMs: number;
  /** Handshakes under way, by the four numbers of their connection. */
  readonly #pending = new Map<string, (socket: TLSSocket) => void>();

  constructor(pair: KeyPair, alpn: readonly string[], timing: { readonly clock: Clock; readonly handshakeMs: number }) {
    this.#clock = timing.clock;
    this.#handshakeMs = timing.handshakeMs;
    this.#server = createServer({
      cert: pair.cert,
      key: pair.key,
      ALPNProtocols: [...alpn],
      minVersion: "TLSv1.2",
      // A client could make us repeat the costly part of a handshake at will (CVE-2011-1473).
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    });
    this.#server.on("secureConnection", (socket) => this.#pending.get(connectionKey(socket))?.(socket));
    // A handshake that failed has closed its connection.
    this.#server.on("tlsClientError", (_error, socket) => socket.destroy());
  }

  /** Connections made from now on use this pair. */
  use(pair: KeyPair): void {
    this.#server.setSecureContext({
      cert: pair.cert,
      key: pair.key,
      minVersion: "TLSv1.2",
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
    });
  }

  /** The connection after its handshake, with an error handler; null = the handshake failed or took too long, and `raw` is destroyed. */
  accept(raw: Socket): Promise<TLSSocket | null> {
    return new Promise((resolve) => {
      const key = connectionKey(raw);
      const fail = (): void => {
        settle();
        raw.destroy();
        resolve(null);
      };
      const timer = this.#clock.setTimer(fail, this.#handshakeMs);
      const settle = (): void => {
        timer.cancel();
        this.#pending.delete(key);
        raw.off("close", fail);
      };
      raw.on("close", fail);
      if (raw.destroyed) {
        fail();
        return;
      }
      this.#pending.set(key, (socket) => {
        settle();
        socket.on("error", () => {});
        socket.allowHalfOpen = true;
        resolve(socket);
      });
      // Nobody waits for an answer before the handshake is over.
      raw.allowHalfOpen = false;
      this.#server.emit("connection", raw);
    });
  }
}

function connectionKey(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`;
}

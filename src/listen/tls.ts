import { constants } from "node:crypto";
import { type FSWatcher, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { dirname } from "node:path";
import { createSecureContext, createServer, type Server, type TLSSocket } from "node:tls";
import type { Clock, Timer } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";
import type { TlsOptions } from "./options.ts";

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

/** A certificate chain and its private key, in PEM. */
interface KeyPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** A renewal writes several files, or moves links about; they are read once this is over. */
const SETTLE_MS = 500;

/** Where the file system reports no changes (network mounts, too few inotify watches), they are found by looking. */
const REREAD_MS = 60_000;

/** Told of every change of the files' content, never of one that leaves it equal. */
interface KeyPairChanges {
  readonly changed: (pair: KeyPair) => void;
  /** What the files hold now cannot be used; the old pair serves on. */
  readonly refused: (reason: string) => void;
}

/** The files of section `tls`, read again when they change. */
export class TlsFiles {
  readonly #options: TlsOptions;
  readonly #clock: Clock;
  readonly #changes: KeyPairChanges;
  readonly #watchers: readonly FSWatcher[];
  #current: KeyPair;
  #refusedReason: string | null = null;
  #timer: Timer;
  #settling = false;
  #closed = false;

  /** @throws Error when a file cannot be read or the two do not belong together. */
  static async open(options: TlsOptions, clock: Clock, changes: KeyPairChanges): Promise<TlsFiles> {
    return new TlsFiles(options, await readKeyPair(options), { clock, changes });
  }

  private constructor(options: TlsOptions, pair: KeyPair, outside: { readonly clock: Clock; readonly changes: KeyPairChanges }) {
    this.#options = options;
    this.#current = pair;
    this.#clock = outside.clock;
    this.#changes = outside.changes;
    this.#timer = this.#rereadAfter(REREAD_MS);
    // Directories, not the files: a file replaced by renaming is another one, which a watch on the old never sees.
    const directories = new Set([dirname(options.cert), dirname(options.key)]);
    this.#watchers = [...directories].flatMap((directory) => this.#watchDirectory(directory));
  }

  get current(): KeyPair {
    return this.#current;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer.cancel();
    for (const watcher of this.#watchers) watcher.close();
  }

  #watchDirectory(directory: string): FSWatcher[] {
    try {
      const watcher = watch(directory, { persistent: false }, () => this.#settle());
      watcher.on("error", () => watcher.close());
      return [watcher];
    } catch {
      return [];
    }
  }

  #settle(): void {
    if (this.#settling || this.#closed) return;
    this.#settling = true;
    this.#timer.cancel();
    this.#timer = this.#rereadAfter(SETTLE_MS);
  }

  #rereadAfter(delayMs: number): Timer {
    return this.#clock.setTimer(() => void this.#reread(), delayMs);
  }

  async #reread(): Promise<void> {
    this.#settling = false;
    try {
      const pair = await readKeyPair(this.#options);
      if (this.#closed) return;
      this.#refusedReason = null;
      if (!pair.cert.equals(this.#current.cert) || !pair.key.equals(this.#current.key)) {
        this.#current = pair;
        this.#changes.changed(pair);
      }
    } catch (error) {
      const reason = errorText(error);
      if (!this.#closed && reason !== this.#refusedReason) this.#changes.refused(reason);
      this.#refusedReason = reason;
    }
    if (!this.#closed && !this.#settling) this.#timer = this.#rereadAfter(REREAD_MS);
  }
}

async function readKeyPair(options: TlsOptions): Promise<KeyPair> {
  const pair = { cert: await readFile(options.cert), key: await readFile(options.key) };
  try {
    createSecureContext(pair);
  } catch (error) {
    throw new Error(`${options.cert} and ${options.key} cannot be used: ${errorText(error)}`);
  }
  return pair;
}

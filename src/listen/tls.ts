import { constants } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { createSecureContext, createServer, type Server, type TLSSocket } from "node:tls";
import type { Clock, Timer } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";
import type { TlsOptions } from "./options.ts";
import type { ListenEvent } from "./types.ts";

/** Does the TLS handshake on accepted connections. Sessions are resumed by tickets (RFC 8446 §2.2). */
export class TlsAcceptor {
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #handshakeMs: number;
  /** Pending handshakes, by the addresses and ports of their connection. */
  readonly #pending = new Map<string, (socket: TLSSocket) => void>();

  constructor(files: TlsFiles, alpn: readonly string[], handshakeMs: number) {
    this.#clock = files.clock;
    this.#handshakeMs = handshakeMs;
    this.#server = createServer({ ...contextOptions(files.pair), ALPNProtocols: [...alpn] });
    files.onChange((pair) => this.#server.setSecureContext(contextOptions(pair)));
    this.#server.on("secureConnection", (socket) => this.#pending.get(connectionKey(socket))?.(socket));
    this.#server.on("tlsClientError", (_error, socket) => socket.destroy());
  }

  /** Returns the connection after its handshake, with an error handler; null = the handshake failed or took too long, and `raw` is destroyed. */
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
      // No answer is pending before the end of the handshake.
      raw.allowHalfOpen = false;
      this.#server.emit("connection", raw);
    });
  }
}

function contextOptions(pair: KeyPair) {
  // A client could make us repeat the costly part of a handshake at will (CVE-2011-1473).
  return { ...pair, minVersion: "TLSv1.2", secureOptions: constants.SSL_OP_NO_RENEGOTIATION } as const;
}

function connectionKey(socket: Socket): string {
  return `${socket.remoteAddress} ${socket.remotePort} ${socket.localAddress} ${socket.localPort}`;
}

/** A certificate chain and its private key, in PEM. */
interface KeyPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** How often the files are read. Reading finds every kind of change, also on network mounts, where the file system reports none. */
const REREAD_MS = 5_000;

/** The files of section `tls`, read again and again. A pair that cannot be used is reported, and the old one stays. */
export class TlsFiles {
  readonly clock: Clock;
  readonly #options: TlsOptions;
  readonly #report: (event: ListenEvent) => void;
  readonly #listeners: ((pair: KeyPair) => void)[] = [];
  #pair: KeyPair;
  /** Why the last readings failed, and how many in a row did for this reason. */
  #failure = { reason: "", count: 0 };
  #timer: Timer;
  #closed = false;

  /** @throws Error when a file cannot be read or the two do not belong together. */
  static async open(options: TlsOptions, clock: Clock, report: (event: ListenEvent) => void): Promise<TlsFiles> {
    const pair = await readPair(options);
    checkPair(pair, options);
    return new TlsFiles(pair, options, { clock, report });
  }

  private constructor(
    pair: KeyPair,
    options: TlsOptions,
    { clock, report }: { readonly clock: Clock; readonly report: (event: ListenEvent) => void },
  ) {
    this.#pair = pair;
    this.#options = options;
    this.clock = clock;
    this.#report = report;
    this.#timer = this.#schedule();
  }

  get pair(): KeyPair {
    return this.#pair;
  }

  /** Calls `listener` with each new pair that can be used. */
  onChange(listener: (pair: KeyPair) => void): void {
    this.#listeners.push(listener);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer.cancel();
  }

  #schedule(): Timer {
    return this.clock.setTimer(() => void this.#reread(), REREAD_MS);
  }

  async #reread(): Promise<void> {
    try {
      const pair = await readPair(this.#options);
      if (!this.#closed && !(pair.cert.equals(this.#pair.cert) && pair.key.equals(this.#pair.key))) this.#use(pair);
      this.#failure = { reason: "", count: 0 };
    } catch (error) {
      if (!this.#closed) this.#noteFailure(errorText(error));
    }
    if (!this.#closed) this.#timer = this.#schedule();
  }

  #use(pair: KeyPair): void {
    checkPair(pair, this.#options);
    this.#pair = pair;
    for (const listener of this.#listeners) listener(pair);
    this.#report({ kind: "certificateReloaded" });
  }

  /** Reports a failure at its second reading: a renewal that writes both files in turn fails once. */
  #noteFailure(reason: string): void {
    this.#failure = { reason, count: reason === this.#failure.reason ? this.#failure.count + 1 : 1 };
    if (this.#failure.count === 2) this.#report({ kind: "certificateRefused", reason });
  }
}

async function readPair(options: TlsOptions): Promise<KeyPair> {
  return { cert: await readFile(options.cert), key: await readFile(options.key) };
}

function checkPair(pair: KeyPair, { cert, key }: TlsOptions): void {
  try {
    createSecureContext(pair);
  } catch (error) {
    throw new Error(`${cert} and ${key} cannot be used: ${errorText(error)}`);
  }
}

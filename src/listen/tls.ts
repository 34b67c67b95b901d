import { constants } from "node:crypto";
import { readFile } from "node:fs/promises";
import type { Socket } from "node:net";
import { createServer, type Server, type TLSSocket } from "node:tls";
import type { Clock, Timer } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";
import { type Certificate, clientIdOf, type KeyPair, readCertificate } from "./certificate.ts";
import type { TlsOptions } from "./options.ts";
import type { ListenEvent } from "./types.ts";

/** Does the TLS handshake on accepted connections. Sessions are resumed by tickets (RFC 8446 §2.2). */
export class TlsAcceptor {
  readonly #files: TlsFiles;
  readonly #server: Server;
  readonly #clock: Clock;
  readonly #handshakeMs: number;
  /** Pending handshakes, by the addresses and ports of their connection. */
  readonly #pending = new Map<string, (socket: TLSSocket) => void>();

  constructor(files: TlsFiles, alpn: readonly string[], handshakeMs: number) {
    this.#files = files;
    this.#clock = files.clock;
    this.#handshakeMs = handshakeMs;
    this.#server = createServer({ ...contextOptions(files.pair), ALPNProtocols: [...alpn] });
    files.onChange((pair) => this.#server.setSecureContext(contextOptions(pair)));
    this.#server.on("secureConnection", (socket) => this.#pending.get(connectionKey(socket))?.(socket));
    this.#server.on("tlsClientError", (_error, socket) => socket.destroy());
  }

  /** The client id in the server name that the client has asked for; null = none. */
  clientIdOf({ servername }: TLSSocket): string | null {
    return clientIdOf(servername, this.#files.certificate);
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

/** How often the files are read. Reading finds every kind of change, also on network mounts, where the file system reports none. */
const REREAD_MS = 5_000;

/** How the certificate in use is doing. */
export interface CertificateStatus {
  /** Milliseconds since 1970. */
  readonly expiresWallMs: number;
  /** Whether the end is so near that a renewal should have come. */
  readonly isLate: boolean;
  /** Why the files on the disk cannot be used in its place; null = they are in use. */
  readonly refusal: string | null;
}

/** The files of section `tls`, read again and again. A pair that cannot be used is reported, and the old one stays. */
export class TlsFiles {
  readonly clock: Clock;
  readonly #options: TlsOptions;
  readonly #report: (event: ListenEvent) => void;
  readonly #listeners: ((pair: KeyPair) => void)[] = [];
  #pair: KeyPair;
  #certificate: Certificate;
  /** Why the last readings failed, and how many in a row did for this reason. */
  #failure = { reason: "", count: 0 };
  #timer: Timer;
  #closed = false;

  /** @throws Error when a file cannot be read, the two do not belong together, or the certificate has expired. */
  static async open(options: TlsOptions, clock: Clock, report: (event: ListenEvent) => void): Promise<TlsFiles> {
    const pair = await readPair(options);
    return new TlsFiles(pair, options, { clock, report });
  }

  private constructor(
    pair: KeyPair,
    options: TlsOptions,
    { clock, report }: { readonly clock: Clock; readonly report: (event: ListenEvent) => void },
  ) {
    this.#pair = pair;
    this.#options = options;
    this.#certificate = readCertificate(pair, options, clock.wallMs());
    this.clock = clock;
    this.#report = report;
    this.#reportDoubts();
    this.#timer = this.#schedule();
  }

  get pair(): KeyPair {
    return this.#pair;
  }

  get certificate(): Certificate {
    return this.#certificate;
  }

  /** Whether the certificate in use has a long life before it, and why the files on the disk cannot take its place. */
  status(): CertificateStatus {
    const { expiresWallMs, renewalMs } = this.#certificate;
    const refusal = this.#failure.count >= 2 ? this.#failure.reason : null;
    return { expiresWallMs, isLate: expiresWallMs - this.clock.wallMs() < renewalMs, refusal };
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
    this.#certificate = readCertificate(pair, this.#options, this.clock.wallMs());
    this.#pair = pair;
    for (const listener of this.#listeners) listener(pair);
    this.#reportDoubts();
    this.#report({ kind: "certificateReloaded" });
  }

  #reportDoubts(): void {
    for (const reason of this.#certificate.warnings) this.#report({ kind: "certificateDoubtful", reason });
  }

  /** Reports a failure at its second reading: a renewal that writes both files in turn fails once. */
  #noteFailure(reason: string): void {
    this.#failure = { reason, count: reason === this.#failure.reason ? this.#failure.count + 1 : 1 };
    if (this.#failure.count === 2) this.#report({ kind: "certificateRefused", reason });
  }
}

/** Reads the files and what they hold. @throws Error */
export async function inspectCertificate(options: TlsOptions, nowWallMs: number): Promise<Certificate> {
  return readCertificate(await readPair(options), options, nowWallMs);
}

async function readPair(options: TlsOptions): Promise<KeyPair> {
  return { cert: await readFile(options.cert), key: await readFile(options.key) };
}

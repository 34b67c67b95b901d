import { once } from "node:events";
import { connect, type Socket } from "node:net";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { expect, onTestFinished } from "vitest";
import type { FakeClock } from "../../support/fake-clock.ts";

/** A connection on which a test writes and reads whatever bytes it likes. */
export class RawConnection {
  readonly socket: Socket;
  /** Settles when the other side has ended or cut the connection. */
  readonly ended: Promise<void>;
  #received = Buffer.alloc(0);
  #wake: () => void = () => {};
  #isOver = false;

  constructor(socket: Socket) {
    this.socket = socket;
    const over = Promise.withResolvers<void>();
    this.ended = over.promise;
    const end = (): void => {
      this.#isOver = true;
      over.resolve();
      this.#wake();
    };
    socket.on("error", () => {});
    socket.on("end", end);
    socket.on("close", end);
    socket.on("data", (chunk: Buffer) => {
      this.#received = Buffer.concat([this.#received, chunk]);
      this.#wake();
    });
    onTestFinished(() => {
      socket.destroy();
    });
  }

  get isOver(): boolean {
    return this.#isOver;
  }

  write(bytes: Uint8Array | string): this {
    this.socket.write(bytes);
    return this;
  }

  /** Takes the first `length` bytes once they are there. */
  async take(length: number): Promise<Buffer> {
    await this.#until(() => this.#received.length >= length);
    const taken = this.#received.subarray(0, length);
    this.#received = this.#received.subarray(length);
    return taken;
  }

  /** Takes one HTTP/1 response, which has a Content-Length. */
  async takeResponse(): Promise<RawResponse> {
    await this.#until(() => this.#received.includes("\r\n\r\n"));
    const headBytes = this.#received.indexOf("\r\n\r\n") + 4;
    const [statusLine = "", ...lines] = (await this.take(headBytes)).toString("latin1").trimEnd().split("\r\n");
    const headers = Object.fromEntries(
      lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]),
    );
    const body = await this.take(Number(headers["content-length"]));
    return { status: Number(statusLine.split(" ")[1]), headers, body };
  }

  /** Everything that is there when the other side has ended. */
  async takeRest(): Promise<Buffer> {
    await this.ended;
    return this.#received;
  }

  async #until(isThere: () => boolean): Promise<void> {
    while (!isThere()) {
      if (this.#isOver) throw new Error(`the connection ended after ${JSON.stringify(this.#received.toString("latin1"))}`);
      await new Promise<void>((resolve) => {
        this.#wake = resolve;
      });
    }
  }
}

export interface RawResponse {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Buffer;
}

export async function connectRaw(
  port: number,
  { host = "127.0.0.1", localAddress }: { readonly host?: string; readonly localAddress?: string } = {},
): Promise<RawConnection> {
  const socket = connect({ port, host, localAddress, allowHalfOpen: true });
  const connection = new RawConnection(socket);
  await once(socket, "connect");
  return connection;
}

export async function connectRawTls(
  port: number,
  options: ConnectionOptions = {},
): Promise<RawConnection & { readonly socket: TLSSocket }> {
  const socket = connectTls({ host: "127.0.0.1", port, rejectUnauthorized: false, ...options });
  const connection = new RawConnection(socket);
  await once(socket, "secureConnect");
  return Object.assign(connection, { socket });
}

/** Expects that the server closes the connection this long after the last thing that it received, and not before. */
export async function expectCloseAfter(ms: number, connection: RawConnection, clock: FakeClock): Promise<void> {
  await clock.advance(ms - 1);
  expect(connection.isOver).toBe(false);
  await clock.advance(1);
  await connection.ended;
}

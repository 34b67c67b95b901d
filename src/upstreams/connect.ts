import { connect, type Socket } from "node:net";
import { UpstreamError } from "./upstream.ts";

/** Where a TCP connection goes: an address, never a name. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** Where a proxy is to connect to: a host name, which it looks up, or an IP literal. */
export interface TunnelTarget {
  readonly host: string;
  readonly port: number;
}

/**
 * Opens a TCP connection.
 * @throws UpstreamError `refused` or `network`; the signal's reason when it aborts, and then nothing is left open.
 */
export function connectTcp({ address, port }: Endpoint, label: string, signal: AbortSignal): Promise<Socket> {
  return whenReady(connect({ host: address, port, noDelay: true, keepAlive: true }), "connect", {
    signal,
    failure: (error) => connectError(error, label),
  });
}

interface ReadyOptions {
  readonly signal: AbortSignal;
  /** What an error of the socket, or its end, before it is ready means. */
  readonly failure: (error: Error) => Error;
}

/** Waits for the event that makes a socket usable. The socket is destroyed where it does not come. */
export function whenReady<S extends Socket>(socket: S, event: "connect" | "secureConnect", options: ReadyOptions): Promise<S> {
  return new Promise<S>((resolve, reject) => {
    const { signal, failure } = options;
    const settle = (): void => {
      signal.removeEventListener("abort", abort);
      socket.off(event, ready).off("error", error).off("close", close);
    };
    const ready = (): void => {
      settle();
      // Until its new owner listens for itself, an error must not end the process.
      socket.on("error", ignore);
      resolve(socket);
    };
    const fail = (error: Error): void => {
      settle();
      // An error may follow the first one, and nobody listens any more.
      socket.on("error", ignore).destroy();
      reject(error);
    };
    const error = (cause: Error): void => fail(failure(cause));
    const close = (): void => error(Object.assign(new Error("closed before it was ready"), { code: "ECONNRESET" }));
    const abort = (): void => fail(signal.reason);
    socket.on(event, ready).on("error", error).on("close", close);
    signal.addEventListener("abort", abort);
    if (signal.aborted) abort();
  });
}

export function ignore(): void {}

/** An error of a TCP connection. */
export function connectError(error: Error, label: string): UpstreamError {
  const refused = "code" in error && error.code === "ECONNREFUSED";
  return new UpstreamError(refused ? "refused" : "network", label, error.message);
}

/** Ends a socket at once and waits until it is gone. */
export function destroyed(socket: Socket): Promise<void> {
  return new Promise((resolve) => {
    if (socket.closed) return resolve();
    socket.on("error", ignore).once("close", () => resolve());
    socket.destroy();
  });
}

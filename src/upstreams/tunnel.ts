import type { Socket } from "node:net";
import { errorText } from "../lib/text.ts";
import type { AddressBook } from "./address-book.ts";
import { connectTcp, type TunnelTarget } from "./connect.ts";
import { openHttpTunnel } from "./http-connect.ts";
import type { ProxyOptions } from "./options.ts";
import { openSocks5Tunnel } from "./socks5.ts";
import { orStopped } from "./stop-after.ts";
import { UpstreamError } from "./upstream.ts";

interface TunnelOptions {
  readonly proxy: ProxyOptions;
  /** The addresses of the proxy itself. */
  readonly book: AddressBook;
  readonly label: string;
  readonly signal: AbortSignal;
}

/**
 * A connection to the target through a proxy.
 * @throws UpstreamError `proxy` whatever goes wrong, `bootstrap` where the proxy's own name is not found; the signal's reason when it aborts.
 */
export async function openTunnel(target: TunnelTarget, { proxy, book, label, signal }: TunnelOptions): Promise<Socket> {
  const [address = proxy.host] = book.known() ?? (await orStopped(book.list(), signal));
  try {
    const socket = await connectTcp({ address, port: proxy.port }, label, signal);
    await agree(socket, target, { proxy, signal });
    return socket;
  } catch (error) {
    // Given up because another way was quicker says nothing about the proxy; because the time was over does.
    if (!signal.aborted || isTimeout(signal.reason)) book.noteFailure(address);
    if (signal.aborted) throw signal.reason;
    const detail = errorText(error);
    throw new UpstreamError("proxy", label, `proxy ${proxy.host}:${proxy.port}: ${detail}`);
  }
}

function isTimeout(reason: unknown): boolean {
  return reason instanceof UpstreamError && reason.failure === "timeout";
}

/** Has the proxy connect; destroys the socket where it does not, or when the signal aborts. */
async function agree(
  socket: Socket,
  target: TunnelTarget,
  { proxy, signal }: Pick<TunnelOptions, "proxy" | "signal">,
): Promise<void> {
  const stop = (): void => void socket.destroy();
  signal.addEventListener("abort", stop);
  try {
    if (signal.aborted) stop();
    await (proxy.protocol === "socks5" ? openSocks5Tunnel : openHttpTunnel)(socket, target, proxy);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

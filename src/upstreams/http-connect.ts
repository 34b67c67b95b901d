import { isIPv6, type Socket } from "node:net";
import type { TunnelTarget } from "./connect.ts";
import type { ProxyOptions } from "./options.ts";
import { readThrough } from "./read-octets.ts";

/**
 * Has an HTTP proxy connect `socket` to the target (RFC 9110 §9.3.6); a name goes to it as a name. The socket then carries the target's
 * octets. Throws an Error that says what went wrong; the caller destroys the socket then, and may do so to stop this.
 */
export async function openHttpTunnel(socket: Socket, { host, port }: TunnelTarget, proxy: ProxyOptions): Promise<void> {
  const authority = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
  const lines = [`CONNECT ${authority} HTTP/1.1`, `Host: ${authority}`];
  if (proxy.username !== null) lines.push(`Proxy-Authorization: Basic ${credentials(proxy.username, proxy.password ?? "")}`);
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  const head = (await readThrough(socket, "\r\n\r\n", MAX_HEAD_OCTETS)).toString("latin1");
  const [, status] = /^HTTP\/1\.[01] (\d{3})\b/.exec(head) ?? [];
  if (status === undefined) throw new Error("the proxy does not speak HTTP");
  // RFC 9110 §9.3.6: any 2xx opens the tunnel, and a body there cannot be.
  if (!status.startsWith("2")) throw new Error(`the proxy answers with status ${status}`);
}

const MAX_HEAD_OCTETS = 16_384;

// RFC 7617 §2.
function credentials(username: string, password: string): string {
  return Buffer.from(`${username}:${password}`).toString("base64");
}

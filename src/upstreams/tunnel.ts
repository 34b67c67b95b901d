import { isIPv6, type Socket } from "node:net";
import { addressFromText } from "../dns/address.ts";
import { readStart } from "../lib/stream-start.ts";
import type { ProxyOptions } from "./options.ts";

/** The far end of a tunnel: a host name, which the proxy looks up, or an IP literal. */
interface TunnelTarget {
  readonly host: string;
  readonly port: number;
}

interface TunnelOptions {
  readonly proxy: ProxyOptions;
  readonly signal: AbortSignal;
}

/**
 * Makes the proxy at the other end of `socket` connect to the target. After that the socket carries the target's bytes.
 * @throws Error with the reason; the socket is then destroyed, as it is when the signal aborts.
 */
export async function openTunnel(socket: Socket, target: TunnelTarget, { proxy, signal }: TunnelOptions): Promise<void> {
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

/** HTTP CONNECT (RFC 9110 §9.3.6). */
async function openHttpTunnel(socket: Socket, { host, port }: TunnelTarget, proxy: ProxyOptions): Promise<void> {
  const authority = `${isIPv6(host) ? `[${host}]` : host}:${port}`;
  const lines = [`CONNECT ${authority} HTTP/1.1`, `Host: ${authority}`];
  if (proxy.username !== null) {
    // RFC 7617 §2.
    const credentials = Buffer.from(`${proxy.username}:${proxy.password ?? ""}`).toString("base64");
    lines.push(`Proxy-Authorization: Basic ${credentials}`);
  }
  socket.write(`${lines.join("\r\n")}\r\n\r\n`);
  const head = (await readThrough(socket, "\r\n\r\n", MAX_HEAD_BYTES)).toString("latin1");
  const [, status] = /^HTTP\/1\.[01] (\d{3})\b/.exec(head) ?? [];
  if (status === undefined) throw new Error("the proxy does not speak HTTP");
  // RFC 9110 §9.3.6: any 2xx opens the tunnel and has no body.
  if (!status.startsWith("2")) throw new Error(`the proxy answers with status ${status}`);
}

const MAX_HEAD_BYTES = 16_384;

/** SOCKS5 (RFC 1928). */
async function openSocks5Tunnel(socket: Socket, target: TunnelTarget, proxy: ProxyOptions): Promise<void> {
  const offered = proxy.username === null ? [METHOD.NONE] : [METHOD.NONE, METHOD.PASSWORD];
  socket.write(Uint8Array.of(VERSION, offered.length, ...offered));
  const [version, method] = await readBytes(socket, 2);
  if (version !== VERSION) throw new Error("the proxy does not speak SOCKS5");
  if (method === METHOD.PASSWORD && proxy.username !== null) await authenticate(socket, proxy.username, proxy.password ?? "");
  else if (method !== METHOD.NONE) throw new Error("the proxy accepts none of the ways to authenticate");
  const port = Uint8Array.of(target.port >> 8, target.port & 255);
  socket.write(Buffer.concat([Uint8Array.of(VERSION, CONNECT, 0), targetAddress(target.host), port]));
  const [replyVersion, code = 1, , kind] = await readBytes(socket, 4);
  if (replyVersion !== VERSION) throw new Error("the proxy does not speak SOCKS5");
  if (code !== 0) throw new Error(`the proxy reports: ${REPLIES[code] ?? `code ${code}`}`);
  // The address that the proxy uses is not needed, but precedes the first byte of the tunnel.
  await readBytes(socket, (await boundAddressBytes(socket, kind)) + 2);
}

const VERSION = 5;
const CONNECT = 1;
const METHOD = { NONE: 0, PASSWORD: 2 } as const;
const ADDRESS = { IPV4: 1, NAME: 3, IPV6: 4 } as const;

/** RFC 1928 §6. */
const REPLIES: readonly string[] = [
  "succeeded",
  "general failure",
  "connection not allowed",
  "network unreachable",
  "host unreachable",
  "connection refused",
  "TTL expired",
  "command not supported",
  "address type not supported",
];

// RFC 1929.
async function authenticate(socket: Socket, username: string, password: string): Promise<void> {
  socket.write(Buffer.concat([Uint8Array.of(1), withLength(username), withLength(password)]));
  const [, status] = await readBytes(socket, 2);
  if (status !== 0) throw new Error("the proxy refuses the user name or the password");
}

function targetAddress(host: string): Buffer {
  // A zone such as %eth0 has a meaning on this host only, so the proxy does not get it.
  const address = addressFromText(host.replace(/%.*$/, ""));
  if (address === null) return Buffer.concat([Uint8Array.of(ADDRESS.NAME), withLength(host)]);
  return Buffer.from([address.length === 4 ? ADDRESS.IPV4 : ADDRESS.IPV6, ...address]);
}

/** The text in UTF-8 behind one byte of length. */
function withLength(text: string): Buffer {
  const bytes = Buffer.from(text);
  if (bytes.length > 255) throw new Error(`too long for SOCKS5: ${bytes.length} bytes`);
  return Buffer.concat([Uint8Array.of(bytes.length), bytes]);
}

async function boundAddressBytes(socket: Socket, kind: number | undefined): Promise<number> {
  if (kind === ADDRESS.IPV4) return 4;
  if (kind === ADDRESS.IPV6) return 16;
  if (kind !== ADDRESS.NAME) throw new Error("the proxy's reply is malformed");
  const [length = 0] = await readBytes(socket, 1);
  return length;
}

/** Takes exactly `count` bytes. The bytes after them stay in the socket. */
export function readBytes(socket: Socket, count: number): Promise<Buffer> {
  return readStart(socket, (start) => (start.length < count ? "more" : { takenBytes: count, value: start.subarray(0, count) }));
}

/** Takes the bytes up to the end of `terminator`. Rejects when it does not come within `limit` bytes. */
export function readThrough(socket: Socket, terminator: string, limit: number): Promise<Buffer> {
  return readStart(socket, (start) => {
    const end = start.indexOf(terminator);
    const takenBytes = end + terminator.length;
    if (end < 0 ? start.length > limit : takenBytes > limit) throw new Error(`no end within ${limit} bytes`);
    return end < 0 ? "more" : { takenBytes, value: start.subarray(0, takenBytes) };
  });
}

import type { Socket } from "node:net";
import { addressFromText } from "../dns/address.ts";
import type { TunnelTarget } from "./connect.ts";
import type { ProxyOptions } from "./options.ts";
import { readOctets } from "./read-octets.ts";

/**
 * Has a SOCKS5 proxy connect `socket` to the target (RFC 1928); a name goes to it as a name. The socket then carries the target's octets.
 * Throws an Error that says what went wrong; the caller destroys the socket then, and may do so to stop this.
 */
export async function openSocks5Tunnel(socket: Socket, target: TunnelTarget, proxy: ProxyOptions): Promise<void> {
  const offered = proxy.username === null ? [METHOD.NONE] : [METHOD.NONE, METHOD.PASSWORD];
  socket.write(Uint8Array.of(VERSION, offered.length, ...offered));
  const [version, method] = await readOctets(socket, 2);
  if (version !== VERSION) throw new Error("the proxy does not speak SOCKS5");
  if (method === METHOD.PASSWORD && proxy.username !== null) await authenticate(socket, proxy.username, proxy.password ?? "");
  else if (method !== METHOD.NONE) throw new Error("the proxy accepts none of the ways to authenticate");
  socket.write(Buffer.concat([Uint8Array.of(VERSION, CONNECT, 0), targetAddress(target.host), portOctets(target.port)]));
  const [replyVersion, code = 1, , kind] = await readOctets(socket, 4);
  if (replyVersion !== VERSION) throw new Error("the proxy does not speak SOCKS5");
  if (code !== 0) throw new Error(`the proxy reports: ${REPLIES[code] ?? `code ${code}`}`);
  // The address the proxy uses is of no interest, but it stands before the first octet of the tunnel.
  await readOctets(socket, (await boundAddressOctets(socket, kind)) + 2);
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
  socket.write(Buffer.concat([Uint8Array.of(1), counted(username), counted(password)]));
  const [, status] = await readOctets(socket, 2);
  if (status !== 0) throw new Error("the proxy refuses the user name or the password");
}

function targetAddress(host: string): Buffer {
  // A zone such as %eth0 means something on this host alone, and so nothing to the proxy.
  const octets = addressFromText(host.replace(/%.*$/, ""));
  if (octets === null) return Buffer.concat([Uint8Array.of(ADDRESS.NAME), counted(host)]);
  return Buffer.from([octets.length === 4 ? ADDRESS.IPV4 : ADDRESS.IPV6, ...octets]);
}

function counted(text: string): Buffer {
  const octets = Buffer.from(text);
  if (octets.length > 255) throw new Error(`too long for SOCKS5: ${octets.length} octets`);
  return Buffer.concat([Uint8Array.of(octets.length), octets]);
}

function portOctets(port: number): Uint8Array {
  return Uint8Array.of(port >> 8, port & 255);
}

async function boundAddressOctets(socket: Socket, kind: number | undefined): Promise<number> {
  if (kind === ADDRESS.IPV4) return 4;
  if (kind === ADDRESS.IPV6) return 16;
  if (kind !== ADDRESS.NAME) throw new Error("the proxy's reply is malformed");
  const [length = 0] = await readOctets(socket, 1);
  return length;
}

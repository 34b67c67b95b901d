import { once } from "node:events";
import { type AddressInfo, connect, createServer, isIP, type Socket } from "node:net";
import type { ProxyOptions } from "../../src/upstreams/options.ts";
import { readBytes, readThrough } from "../../src/upstreams/tunnel.ts";

export interface ScriptedProxy {
  /** Every target that was asked for, as `host:port`. */
  readonly targets: readonly string[];
  options(changes?: Partial<ProxyOptions>): ProxyOptions;
  /** From now on nothing comes through the tunnels there are, in either direction, and none of them is closed. */
  freeze(): void;
  /** Nothing comes through the tunnels there are until `release`, and nothing of it is lost. */
  hold(): void;
  release(): void;
  close(): Promise<void>;
}

export interface ScriptedProxyOptions {
  /** What it demands of clients; null = nothing. */
  readonly login?: { readonly username: string; readonly password: string } | null;
  /** Whether it refuses to connect. */
  readonly refuses?: boolean;
  /** Sent in place of all it should say. */
  readonly garbage?: Uint8Array;
}

/** A proxy on a free port. Names other than addresses all lead to 127.0.0.1: whoever asked for one asked the proxy to look it up. */
export async function scriptedProxy(
  protocol: ProxyOptions["protocol"],
  options: ScriptedProxyOptions = {},
): Promise<ScriptedProxy> {
  const targets: string[] = [];
  const sockets = new Set<Socket>();
  const frozen = new WeakSet<Socket>();
  const track = (socket: Socket): void => {
    sockets.add(socket);
    socket.on("error", () => socket.destroy()).on("close", () => sockets.delete(socket));
  };
  const server = createServer((client) => {
    track(client);
    const accept = protocol === "socks5" ? acceptSocks5 : acceptHttp;
    if (options.garbage !== undefined) client.end(options.garbage);
    else accept(client, { targets, options, track, frozen }).catch(() => client.destroy());
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  return {
    targets,
    options: (changes = {}) => ({ protocol, host: "127.0.0.1", port, username: null, password: null, ...changes }),
    freeze: () => {
      for (const socket of sockets) frozen.add(socket);
    },
    hold: () => {
      for (const socket of sockets) socket.pause();
    },
    release: () => {
      for (const socket of sockets) socket.resume();
    },
    close: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

interface Accepting {
  readonly targets: string[];
  readonly options: ScriptedProxyOptions;
  readonly track: (socket: Socket) => void;
  readonly frozen: WeakSet<Socket>;
}

async function acceptSocks5(client: Socket, accepting: Accepting): Promise<void> {
  const { targets, options } = accepting;
  const [, methods = 0] = await readBytes(client, 2);
  const offered = await readBytes(client, methods);
  const login = options.login ?? null;
  const method = login === null ? 0 : 2;
  if (!offered.includes(method)) return void client.end(Uint8Array.of(5, 0xff));
  client.write(Uint8Array.of(5, method));
  if (login !== null) {
    await readBytes(client, 1);
    const username = await counted(client);
    const isRight = username === login.username && (await counted(client)) === login.password;
    if (!isRight) return void client.end(Uint8Array.of(1, 1));
    client.write(Uint8Array.of(1, 0));
  }
  const [, , , kind] = await readBytes(client, 4);
  const host = kind === 3 ? await counted(client) : addressText(await readBytes(client, kind === 1 ? 4 : 16));
  const port = (await readBytes(client, 2)).readUInt16BE(0);
  targets.push(`${host}:${port}`);
  if (options.refuses) return void client.end(Uint8Array.of(5, 2, 0, 1, 0, 0, 0, 0, 0, 0));
  await join(client, { host, port }, accepting);
  // The name of the proxy's own end, so that its length has to be read too.
  client.write(Buffer.from([5, 0, 0, 3, 5, ...Buffer.from("proxy"), 0, 1]));
}

async function acceptHttp(client: Socket, accepting: Accepting): Promise<void> {
  const { targets, options } = accepting;
  const head = (await readThrough(client, "\r\n\r\n", 8192)).toString();
  const [, authority = ""] = /^CONNECT (\S+) HTTP\/1\.1\r\n/.exec(head) ?? [];
  const login = options.login ?? null;
  const expected = login === null ? null : Buffer.from(`${login.username}:${login.password}`).toString("base64");
  if (expected !== null && !head.includes(`Proxy-Authorization: Basic ${expected}\r\n`))
    return void client.end("HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n");
  targets.push(authority);
  if (options.refuses) return void client.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
  const { hostname, port } = new URL(`http://${authority}`);
  await join(client, { host: hostname.replace(/^\[|\]$/g, ""), port: Number(port) }, accepting);
  client.write("HTTP/1.1 200 Connection established\r\nVia: test\r\n\r\n");
}

async function join(
  client: Socket,
  { host, port }: { readonly host: string; readonly port: number },
  { track, frozen }: Accepting,
): Promise<void> {
  const server = connect(port, isIP(host) === 0 ? "127.0.0.1" : host);
  track(server);
  await once(server, "connect");
  client.on("data", (chunk) => frozen.has(client) || server.write(chunk)).on("close", () => server.destroy());
  server.on("data", (chunk) => frozen.has(client) || client.write(chunk)).on("close", () => client.destroy());
}

async function counted(client: Socket): Promise<string> {
  const [length = 0] = await readBytes(client, 1);
  return length === 0 ? "" : (await readBytes(client, length)).toString();
}

function addressText(bytes: Buffer): string {
  if (bytes.length === 4) return bytes.join(".");
  return bytes.toString("hex").replace(/(....)(?!$)/g, "$1:");
}

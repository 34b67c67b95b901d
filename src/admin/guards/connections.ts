import type { Server } from "node:http";
import type { Socket } from "node:net";
import type { Clients } from "../clients.ts";

export interface ConnectionLimits {
  /** Open connections. */
  readonly connections: number;
  /** Open connections of one client; proxies, which many clients share, may have all. */
  readonly connectionsPerClient: number;
}

const NOT_FORWARDED = { forwardedFor: undefined, realIp: undefined };

/** Closes connections at once where there are too many, so that nobody can hold them all. */
export function limitConnections(
  server: Server,
  clients: Clients,
  { connections, connectionsPerClient }: ConnectionLimits,
): void {
  const open = new Map<string, number>();
  server.maxConnections = connections;
  server.on("connection", (socket: Socket) => {
    const { remoteAddress } = socket;
    if (remoteAddress === undefined || clients.isProxy(remoteAddress)) return;
    const client = clients.networkOf(remoteAddress, NOT_FORWARDED);
    const before = open.get(client) ?? 0;
    if (before >= connectionsPerClient) {
      socket.destroy();
      return;
    }
    open.set(client, before + 1);
    socket.once("close", () => {
      const left = (open.get(client) ?? 1) - 1;
      if (left === 0) open.delete(client);
      else open.set(client, left);
    });
  });
}

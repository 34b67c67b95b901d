import type { Server } from "node:http";
import type { Socket } from "node:net";
import { ClientCounts } from "../client-counts.ts";
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
  const open = new ClientCounts();
  server.maxConnections = connections;
  server.on("connection", (socket: Socket) => {
    const { remoteAddress } = socket;
    if (remoteAddress === undefined || clients.isProxy(remoteAddress)) return;
    const client = clients.networkOf(remoteAddress, NOT_FORWARDED);
    if (open.of(client) >= connectionsPerClient) {
      socket.destroy();
      return;
    }
    open.add(client);
    socket.once("close", () => open.remove(client));
  });
}

import { AddressBook } from "./address-book.ts";
import { Dialer } from "./dialer.ts";
import { HttpsServer } from "./https-server.ts";
import type { ServerOptions } from "./options.ts";
import type { ServerContext } from "./server-context.ts";
import { StreamServer } from "./stream-server.ts";
import { SystemServer } from "./system-server.ts";
import { UdpServer } from "./udp-server.ts";
import type { Upstream } from "./upstream.ts";

/**
 * One server of the configuration, over its transport; nothing is connected before the first question. Where there is a proxy, a server of
 * protocol `udp` is asked over TCP: proxies of these kinds carry no datagrams. `system` does not use the proxy: the host's resolvers are near.
 */
export function openServer(server: ServerOptions, context: ServerContext): Upstream {
  const { clock, system } = context;
  if (server.protocol === "system")
    return new SystemServer(server.label, { clock, system, open: (address) => openResolver(address, server, context) });
  const book = new AddressBook(server.host, server.addresses, context.bootstrap);
  const dialer = new Dialer(server, context, book);
  if (server.protocol === "https") return new HttpsServer(server, context, dialer);
  const overStream = new StreamServer(server, context, dialer);
  return server.protocol === "udp" && context.proxy === null
    ? new UdpServer(server, context, { book, overTcp: overStream })
    : overStream;
}

function openResolver(address: string, server: ServerOptions, context: ServerContext): Upstream {
  const resolver: ServerOptions = {
    ...server,
    label: `${server.label} (${address})`,
    protocol: "udp",
    host: address,
    port: 53,
    addresses: [],
  };
  return openServer(resolver, { ...context, proxy: null });
}

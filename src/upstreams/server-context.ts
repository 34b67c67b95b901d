import type { Clock } from "../lib/clock.ts";
import type { AddressLookup } from "./address-book.ts";
import type { ProxyOptions } from "./options.ts";

/** What a server needs from around it. */
export interface ServerContext {
  readonly clock: Clock;
  /** Finds addresses of host names, of servers and of the proxy. */
  readonly bootstrap: AddressLookup;
  readonly proxy: ProxyOptions | null;
  /** Certificates in PEM to trust instead of those the process trusts; null = those (`trustSystemCertificates`). */
  readonly ca: string | null;
  readonly system: SystemContext;
}

/** For the server `system`: the resolvers of the host itself. */
export interface SystemContext {
  /** Path of the file that names them, /etc/resolv.conf where one exists. */
  readonly resolvConf: string;
  /** Whether we listen there ourselves: such a resolver is left out, else a question would come back. */
  readonly isOurs: (address: string, port: number) => boolean;
}

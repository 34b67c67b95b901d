import type { ServerOptions } from "../../src/upstreams/options.ts";

/** A server as a configuration gives it that names no more than these keys. */
export function serverOptions(label: string, changes: Partial<ServerOptions> = {}): ServerOptions {
  return {
    label,
    protocol: "udp",
    host: "192.0.2.1",
    port: 53,
    path: "",
    addresses: [],
    tlsName: null,
    method: "POST",
    maxQps: null,
    weight: 1,
    ...changes,
  };
}

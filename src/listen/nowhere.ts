import type { ListenOptions } from "./options.ts";

/** Listens nowhere: for programs of ours that open one listener or another, whose endpoints stand beside it. */
export const NOWHERE: ListenOptions = {
  dns: [],
  tls: [],
  https: [],
  http: [],
  admin: null,
  dohPath: "/dns-query",
  proxyProtocol: [],
};

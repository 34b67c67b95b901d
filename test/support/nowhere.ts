import type { ListenOptions } from "../../src/listen/options.ts";

/** No listeners at all: a test adds the endpoints that it needs. */
export const NOWHERE: ListenOptions = {
  dns: [],
  tls: [],
  https: [],
  http: [],
  admin: null,
  dohPath: "/dns-query",
  proxyProtocol: [],
  batch: "off",
};

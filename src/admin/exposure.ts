import type { Endpoint } from "../listen/options.ts";
import { isLoopbackAddress } from "./guards/own-names.ts";
import type { AdminOptions } from "./options.ts";

/** What keeps the API from being opened there, one sentence each; asked before the start and by `check`. */
export function adminProblems(endpoint: Endpoint | null, { token }: AdminOptions): readonly string[] {
  if (endpoint === null || token !== null || isLoopbackAddress(endpoint.address)) return [];
  const { address, port } = endpoint;
  const written = address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`;
  return [
    `listen.admin ${written} can be reached from elsewhere, and there is no admin.token: set one (openssl rand -hex 16), or listen on 127.0.0.1:${port}`,
  ];
}

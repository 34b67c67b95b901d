import { endpointText, isLoopback } from "../dns/address.ts";
import type { Endpoint } from "../listen/options.ts";

/** Section `admin`. */
export interface AdminOptions {
  readonly token: string | null;
  /** Host names under which the API may be asked, besides those of its own address. */
  readonly hosts: readonly string[];
}

/** Why the API must not be opened at this endpoint, one sentence for each reason. */
export function adminProblems(endpoint: Endpoint | null, { token }: AdminOptions): readonly string[] {
  if (endpoint === null || token !== null || isLoopback(endpoint.address)) return [];
  const { address, port } = endpoint;
  return [
    `listen.admin ${endpointText(address, port)} can be reached from elsewhere, and there is no admin.token: set one (openssl rand -hex 16), or listen on 127.0.0.1:${port}`,
  ];
}

/** Section `cluster`. */
export interface ClusterOptions {
  readonly redis: string;
}

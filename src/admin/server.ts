/**
 * The admin API: queries, statistics, explanations, hosts, cache, configuration, health and metrics over HTTP. `control/` opens it and answers
 * its calls.
 *
 * Read `control.ts` (what the API may see and do), `create-api.ts` (how a request passes), `guards.ts` (who may call), `problem.ts` (how a call is
 * refused), one of `routes/`, `schemas/` (every field, once), `openapi.ts` (the document), `stream.ts` (live records), `page.ts` (the dashboard's files).
 */

import { endpointText } from "../dns/address.ts";
import { explainBindError } from "../lib/bind-error.ts";
import type { Clock } from "../lib/clock.ts";
import type { Endpoint } from "../listen/options.ts";
import type { Control } from "./control.ts";
import { adminProblems, portOf } from "./guards.ts";
import type { AdminOptions } from "./options.ts";
import { StreamLimiter } from "./stream.ts";
import { ADMIN_LIMITS, type AdminLimits, type Api, type ApiParts, type Clients } from "./types.ts";

export interface AdminSetup {
  /** null = the configuration wants no API. */
  readonly endpoint: Endpoint | null;
  /** Called for every request, because a reload may change the options. The options of the start decide whether the API may be opened. */
  readonly options: () => AdminOptions;
  /** Called for every request, because a reload may replace the server state. */
  readonly control: () => Control;
  readonly clients: Clients;
  readonly clock: Clock;
  /** Tells the operator about a bug: kind and details. */
  readonly report: (kind: string, details: object) => void;
  /** The version of Fenliu, for the document. */
  readonly version: string;
  readonly limits?: AdminLimits;
  /** The folder of the dashboard; where nothing is said, the one that the build makes. */
  readonly pageFolder?: string;
}

export interface AdminServer {
  /** The address, with the port that the system chose; null = there is no API. */
  readonly bound: Endpoint | null;
  /** Stops accepting, ends streams, gives the other responses a moment, and closes. May be called again. */
  close(): Promise<void>;
}

/** @throws AdminError if the API must not or cannot be opened at the endpoint. */
export async function openAdmin(setup: AdminSetup): Promise<AdminServer> {
  const { endpoint, options, control, clients, clock, report, version, limits = ADMIN_LIMITS, pageFolder } = setup;
  if (endpoint === null) return { bound: null, close: () => Promise.resolve() };
  const problems = adminProblems(endpoint, options());
  if (problems.length > 0) throw new AdminError(problems);
  const parts: ApiParts = {
    control,
    clients,
    clock,
    limits,
    readers: new StreamLimiter(limits.streams),
    exports: new StreamLimiter(limits.exports),
    report: (error) => report("a fault in Fenliu itself: please report it", { err: error }),
  };
  // fastify takes a quarter of a second to load; commands that open no API must not wait for that.
  const { createApi } = await import("./create-api.ts");
  const api = await createApi(parts, { options, version, endpoint, pageFolder });
  const bound = await listen(api, endpoint);
  let closed: Promise<void> | null = null;
  return {
    bound,
    close() {
      closed ??= closeApi(api, parts);
      return closed;
    },
  };
}

/** The API was not opened: one sentence for each reason. */
export class AdminError extends Error {
  readonly problems: readonly string[];

  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join("\n"), options);
    this.name = "AdminError";
    this.problems = problems;
  }
}

async function listen(api: Api, { address, port }: Endpoint): Promise<Endpoint> {
  try {
    await api.listen({ host: address, port });
  } catch (error) {
    await api.close();
    const reason = explainBindError(error, { protocol: "tcp", port });
    throw new AdminError([`listen.admin ${endpointText(address, port)}: ${reason}`], { cause: error });
  }
  return { address, port: portOf(api) };
}

async function closeApi(api: Api, { readers, exports, clock, limits }: ApiParts): Promise<void> {
  readers.end();
  exports.end();
  const timer = clock.setTimer(() => api.server.closeAllConnections(), limits.closeMs);
  await api.close();
  timer.cancel();
}

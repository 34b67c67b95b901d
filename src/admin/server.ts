import type { Clock } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";
import type { Endpoint } from "../listen/options.ts";
import { ADMIN_LIMITS, type AdminLimits, type Api, type ApiParts, type Clients } from "./api.ts";
import type { Control } from "./control.ts";
import { adminProblems } from "./guards.ts";
import type { AdminOptions } from "./options.ts";
import { RecentRecords, StreamLimiter } from "./stream.ts";

export interface AdminSetup {
  /** null = the API is not wanted. */
  readonly endpoint: Endpoint | null;
  /** Asked at every request: a reload may have changed them. Whether the API may listen there at all is judged by those of the start. */
  readonly options: () => AdminOptions;
  /** Asked at every request: what serves may have been replaced. */
  readonly control: () => Control;
  readonly clients: Clients;
  readonly clock: Clock;
  /** Tells the operator, kind and details, of a fault of ours. */
  readonly report: (kind: string, details: object) => void;
  /** Of Fenliu, for the document. */
  readonly version: string;
  readonly limits?: AdminLimits;
}

export interface AdminServer {
  /** Where it listens, with the port that it got; null = nowhere. */
  readonly bound: Endpoint | null;
  /** Takes no more requests, ends streams, lets what is under way finish for a moment, and closes. */
  close(): Promise<void>;
}

/**
 * Opens the API, and with it metrics and documentation.
 * @throws AdminError where it must not or cannot be opened there.
 */
export async function openAdmin(setup: AdminSetup): Promise<AdminServer> {
  const { endpoint, options, control, clients, clock, report, version, limits = ADMIN_LIMITS } = setup;
  if (endpoint === null) return { bound: null, close: () => Promise.resolve() };
  const problems = adminProblems(endpoint, options());
  if (problems.length > 0) throw new AdminError(problems);
  const parts: ApiParts = {
    control,
    clients,
    clock,
    limits,
    readers: new StreamLimiter({ atOnce: limits.streams, perClient: limits.streamsPerClient }),
    exports: new StreamLimiter({ atOnce: limits.exports, perClient: limits.exports }),
    recent: new RecentRecords(clock),
    report: (error) => report("a fault in Fenliu itself: please report it", { err: error }),
  };
  // Only here, because what it is made of takes a quarter of a second to load, which commands that open nothing need not wait for.
  const { createApi } = await import("./create-api.ts");
  const api = await createApi(parts, { options, version, endpoint });
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
    const reason = errorText(error);
    throw new AdminError([`listen.admin: ${reason}`], { cause: error });
  }
  const bound = api.server.address();
  if (bound === null || typeof bound === "string") throw new Error("the API listens on no port");
  return { address, port: bound.port };
}

async function closeApi(api: Api, { readers, exports, recent, clock, limits }: ApiParts): Promise<void> {
  readers.end();
  exports.end();
  const timer = clock.setTimer(() => api.server.closeAllConnections(), limits.closeMs);
  await api.close();
  timer.cancel();
  recent.end();
}

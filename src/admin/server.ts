/**
 * The admin API: queries, statistics, explanations, hosts, cache, configuration, health and metrics over HTTP. `control/` opens it and answers
 * its calls.
 *
 * Read `control.ts` (what the API may see and do), `create-api.ts` (how a request passes), `guards.ts` (who may call) with `session.ts` (the cookie of the page), `problem.ts` (how a call is
 * refused), one of `routes/`, `schemas/` (every field, once), `openapi.ts` (the document), `stream.ts` (live records), `page.ts` (the dashboard's files).
 */

import { once } from "node:events";
import { createServer, type Server, type Socket } from "node:net";
import { setImmediate as nextTurn } from "node:timers/promises";
import { endpointText } from "../dns/address.ts";
import { explainBindError } from "../lib/bind-error.ts";
import type { Clock } from "../lib/clock.ts";
import type { Endpoint } from "../listen/options.ts";
import type { Control } from "./control.ts";
import { type AdminOptions, adminProblems } from "./options.ts";
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
  /** The descriptor of a socket that listens at the endpoint already; absent or null = there is none. */
  readonly descriptor?: number | null;
  /** The folder of the dashboard; where nothing is said, the one that the build makes. */
  readonly pageFolder?: string;
}

export interface AdminServer {
  /** The address, with the port that the system chose; null = there is no API. */
  readonly bound: Endpoint | null;
  /** The server behind `bound`; null = there is no API. */
  readonly listener: Server | null;
  /** Stops accepting, ends streams, gives the other responses a moment, and closes. May be called again. */
  close(): Promise<void>;
}

/** @throws AdminError if the API must not or cannot be opened at the endpoint. */
export async function openAdmin(setup: AdminSetup): Promise<AdminServer> {
  const { endpoint, options, control, clients, clock, report, version, limits = ADMIN_LIMITS, pageFolder } = setup;
  if (endpoint === null) return { bound: null, listener: null, close: () => Promise.resolve() };
  const problems = adminProblems(endpoint, options());
  if (problems.length > 0) throw new AdminError(problems);
  const reportFault = (error: unknown) => report("a fault in Fenliu itself: please report it", { err: error });
  const listener = createServer(LISTENER);
  const bound = await listen(listener, endpoint, setup.descriptor ?? null);
  listener.maxConnections = limits.connections;
  let loading: Promise<LoadedApi> | null = null;
  const load = async (): Promise<LoadedApi> => {
    // A fifth of a second and 40 MiB, without which a house does that never opens the dashboard.
    for (const piece of PIECES) {
      await piece();
      await nextTurn();
    }
    const [{ createApi }, { StreamLimiter }] = await Promise.all([import("./create-api.ts"), import("./stream.ts")]);
    await nextTurn();
    const readers = new StreamLimiter(limits.streams);
    const exports = new StreamLimiter(limits.exports);
    const parts = { control, clients, clock, limits, readers, exports, report: reportFault };
    return { api: await createApi(parts, { options, version, endpoint: bound, pageFolder }), parts };
  };
  listener.on("connection", (socket) => {
    socket.on("error", ignore);
    loading ??= load();
    loading.then(
      ({ api }) => handOver(socket, api),
      (error: unknown) => {
        // The next connection tries again.
        loading = null;
        reportFault(error);
        socket.destroy();
      },
    );
  });
  let closed: Promise<void> | null = null;
  return {
    bound,
    listener,
    close() {
      closed ??= closeApi(listener, loading, setup);
      return closed;
    },
  };
}

/** What the API imports, in pieces between which queries are answered: loaded as a whole it would hold the thread for as long as they take together. */
const PIECES: readonly (() => Promise<unknown>)[] = [
  () => import("node:http2"),
  () => import("typebox/guard"),
  () => import("typebox/system"),
  () => import("typebox/format"),
  () => import("typebox/schema"),
  () => import("typebox/type"),
  () => import("typebox/value"),
  () => import("typebox"),
  () => import("typebox/compile"),
  // fastify-parts.d.ts knows of them.
  () => import("fastify/lib/plugin-utils.js"),
  () => import("fastify/lib/route.js"),
  () => import("fastify"),
  () => import("@fastify/swagger"),
  () => import("./schemas/record.ts"),
  () => import("./zone.ts"),
  () => import("./openapi.ts"),
  () => import("./routes/queries.ts"),
  () => import("./routes/configuration.ts"),
  () => import("./create-api.ts"),
];

interface LoadedApi {
  readonly api: Api;
  readonly parts: ApiParts;
}

/** As the HTTP server of Node would listen. Nothing is read before the API is there. */
const LISTENER = { allowHalfOpen: true, noDelay: true, pauseOnConnect: true } as const;

function ignore(): void {}

function handOver(socket: Socket, { server }: Api): void {
  if (socket.destroyed) return;
  server.emit("connection", socket);
  socket.resume();
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

/** @returns the endpoint with the port that the system chose. */
async function listen(listener: Server, { address, port }: Endpoint, fd: number | null): Promise<Endpoint> {
  try {
    if (fd === null) listener.listen({ host: address, port });
    else listener.listen({ fd });
    await once(listener, "listening");
  } catch (error) {
    const reason = explainBindError(error, { protocol: "tcp", port });
    throw new AdminError([`listen.admin ${endpointText(address, port)}: ${reason}`], { cause: error });
  }
  const bound = listener.address();
  if (bound === null || typeof bound === "string") throw new Error("the API listens on no port");
  return { address, port: bound.port };
}

async function closeApi(
  listener: Server,
  loading: Promise<LoadedApi> | null,
  { clock, limits = ADMIN_LIMITS }: AdminSetup,
): Promise<void> {
  const closed = new Promise((resolve) => listener.close(resolve));
  // A load that failed was reported, and its connections are closed.
  const loaded = await loading?.catch(() => null);
  loaded?.parts.readers.end();
  loaded?.parts.exports.end();
  const timer = clock.setTimer(() => loaded?.api.server.closeAllConnections(), limits.closeMs);
  await loaded?.api.close();
  await closed;
  timer.cancel();
}

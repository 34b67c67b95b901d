import { setImmediate as nextTurn } from "node:timers/promises";
import swagger from "@fastify/swagger";
import fastify from "fastify";
import type { Clock } from "../lib/clock.ts";
import type { Endpoint } from "../listen/options.ts";
import { admit, ClientRates, chargeSignIn, type Guards, hostAllowlist, isToken, tokenChecker } from "./guards.ts";
import { documentOptions, NAMED_SCHEMAS } from "./openapi.ts";
import { type AdminOptions, adminProblems } from "./options.ts";
import { PAGE_FOLDER, PAGE_ROUTES, pageRoutes } from "./page.ts";
import { compileValidator, HttpProblem, problemOf, refuse, refuseBytes, SECURITY_HEADERS } from "./problem.ts";
import { clientSetupRoutes, configurationRoutes, DOCS, docsRoutes, healthRoutes, updateRoutes } from "./routes/configuration.ts";
import { decisionRoutes } from "./routes/decisions.ts";
import { historyRoutes } from "./routes/edits.ts";
import { streamRoutes } from "./routes/events.ts";
import { problemRoutes } from "./routes/problems.ts";
import { queryRoutes } from "./routes/queries.ts";
import { stateRoutes } from "./routes/state.ts";
import { newSession, SESSION_PATH, sessionRoutes } from "./session.ts";
import type { AdminLimits, Api, ApiParts } from "./types.ts";

export interface ApiSetup {
  /** Called for every request, because a reload may change the token. */
  readonly options: () => AdminOptions;
  readonly version: string;
  /** Where the listener is, with the port that the system chose. */
  readonly endpoint: Endpoint;
  /** The folder of the dashboard; where nothing is said, the one that the build makes. */
  readonly pageFolder?: string | undefined;
}

/** Builds the whole API, ready for connections: the HTTP server does not listen itself. @param methods receives the routes. */
export async function createApi(parts: ApiParts, setup: ApiSetup, methods = new PathMethods()): Promise<Api> {
  const { limits, report } = parts;
  const api: Api = fastify({
    ...serverOptions(limits),
    frameworkErrors: (error, _, reply) =>
      void refuse(reply.headers(SECURITY_HEADERS), problemOf(error) ?? new HttpProblem(400, "the URL is malformed")),
  });
  await nextTurn();
  api.addHook("onRoute", (route) => methods.add(route));
  api.setValidatorCompiler(compileValidator);
  // A serializer that drops fields that the schema does not name would hide a wrong handler.
  api.setSerializerCompiler(() => JSON.stringify);
  readJsonBodies(api);
  const guards = createGuards(parts, setup);
  api.addHook("onRequest", async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    admit(request, guards);
  });
  api.setErrorHandler((error, _, reply) => {
    const problem = problemOf(error);
    if (problem === null) report(error);
    return refuse(reply, problem ?? new HttpProblem(500, "this is a fault in Fenliu itself; its log says more"));
  });
  api.setNotFoundHandler(({ method, url }, reply) => refuse(reply, methods.missing(method, url)));
  await nextTurn();
  for (const { name, schema } of NAMED_SCHEMAS) api.addSchema({ ...schema, $id: name });
  await nextTurn();
  await api.register(swagger, documentOptions(setup.version));
  await nextTurn();
  pageRoutes(api, setup.pageFolder ?? PAGE_FOLDER);
  await nextTurn();
  await addRoutes(api, parts, guards);
  await nextTurn();
  await api.ready();
  // Connections come from the listener. Without this event the server would heed none of its time limits (Node sets them up when it listens).
  api.server.emit("listening");
  // RFC 9110 §10.1.1: a server may ignore an expectation that it does not know.
  api.server.on("checkExpectation", (request, response) => api.server.emit("request", request, response));
  return api;
}

async function addRoutes(api: Api, parts: ApiParts, guards: Guards): Promise<void> {
  healthRoutes(api, parts);
  updateRoutes(api, parts);
  docsRoutes(api);
  await api.register(
    async (versioned: Api) => {
      for (const add of ROUTES) {
        add(versioned, parts);
        // Meanwhile queries are answered.
        await nextTurn();
      }
      sessionRoutes(versioned, guards);
    },
    { prefix: API_PREFIX },
  );
}

function serverOptions(limits: AdminLimits) {
  return {
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestMs,
    handlerTimeout: limits.responseMs,
    connectionTimeout: limits.idleMs,
    keepAliveTimeout: limits.idleMs,
    // Requests that have arrived before the server closes still get their answers.
    return503OnClosing: false,
    // The schemas refuse parameters that are too long.
    routerOptions: { maxParamLength: limits.urlLength },
    http: {
      headersTimeout: limits.headersMs,
      connectionsCheckingInterval: limits.headersMs / 2,
      maxHeaderSize: limits.headerBytes,
      // The guards refuse a missing Host header with problem details.
      requireHostHeader: false,
    },
    clientErrorHandler: refuseBytes,
    // Without these fastify loads compilers of its own, which takes 40 ms, before `createApi` can set ours.
    schemaController: { compilersFactory: { buildValidator: replacedCompiler, buildSerializer: replacedCompiler } },
  };
}

function replacedCompiler(): never {
  throw new Error("a compiler that createApi did not set");
}

function createGuards({ clients, clock, limits }: ApiParts, { options, endpoint }: ApiSetup): Guards {
  let cached: { readonly of: AdminOptions; readonly checks: Pick<Guards, "isOwnHost" | "isAuthorized"> } | null = null;
  const checks = () => {
    const of = options();
    if (cached?.of !== of)
      cached = { of, checks: { isOwnHost: hostAllowlist(endpoint, of.hosts), isAuthorized: authorization(endpoint, of, clock) } };
    return cached.checks;
  };
  const rates = new ClientRates(limits, clock.now);
  return {
    clients,
    rates,
    signIn(request, sent) {
      const { token } = options();
      if (token !== null && isToken(sent, token)) return newSession(token, clock.wallMs());
      chargeSignIn(request, { clients, rates, limits });
      return null;
    },
    isOwnHost: (host) => checks().isOwnHost(host),
    get isAuthorized() {
      return checks().isAuthorized;
    },
    isOpen: (route) => route !== undefined && (OPEN_ROUTES.has(route) || route === DOCS || route.startsWith(`${DOCS}/`)),
    isForSigningIn: (route) => route === `${API_PREFIX}${SESSION_PATH}`,
    limits,
  };
}

function authorization(endpoint: Endpoint, options: AdminOptions, { wallMs }: Clock): Guards["isAuthorized"] {
  if (options.token !== null) return tokenChecker(options.token, wallMs);
  // If a reload removes the token while other machines can reach the API, nobody is authorized.
  return adminProblems(endpoint, options).length > 0 ? () => false : null;
}

const API_PREFIX = "/api/v1";

const ROUTES = [
  queryRoutes,
  streamRoutes,
  decisionRoutes,
  stateRoutes,
  problemRoutes,
  configurationRoutes,
  historyRoutes,
  clientSetupRoutes,
];

/** Routes for supervisors, for browsers that open a page, and for hosts with tokens of their own. None of these responses holds a secret. */
const OPEN_ROUTES: ReadonlySet<string> = new Set([...PAGE_ROUTES, "/healthz", "/readyz", "/openapi.json", "/nic/update"]);

/** Bodies are JSON. A route that wants no body accepts an empty one. */
function readJsonBodies(api: Api): void {
  const parse = api.getDefaultJsonParser("error", "error");
  api.removeAllContentTypeParsers();
  api.addContentTypeParser("application/json", { parseAs: "string" }, (request, body: string, done) => {
    if (body.length === 0) done(null, undefined);
    else void parse(request, body, done);
  });
  api.addHook("preValidation", async ({ body, routeOptions: { schema } }) => {
    const isEmpty = body === undefined || (typeof body === "object" && body !== null && Object.keys(body).length === 0);
    if (schema?.body === undefined && !isEmpty) throw new HttpProblem(400, "no body is wanted here");
  });
}

/** The methods of each path: they tell a path that does not exist from a path that has other methods. */
export class PathMethods {
  readonly #patterns = new Map<string, { readonly matches: RegExp; readonly methods: Set<string> }>();

  /** @param url the pattern of the route: `/hosts/:name`, `/static/*`. */
  add({ url, method }: { readonly url: string; readonly method: string | readonly string[] }): void {
    const pattern = this.#patterns.get(url) ?? { matches: expressionOf(url), methods: new Set() };
    for (const each of [method].flat()) pattern.methods.add(each);
    this.#patterns.set(url, pattern);
  }

  /** All routes, in the form `GET /hosts/:name`. */
  routes(): readonly string[] {
    return [...this.#patterns].flatMap(([url, { methods }]) => [...methods].map((method) => `${method} ${url}`));
  }

  /** The refusal of a request that has no route: 404, or 405 with the methods of its path. */
  missing(method: string, url: string): HttpProblem {
    const path = url.split("?", 1)[0] ?? "";
    const methods = [...this.#patterns.values()]
      .filter(({ matches }) => matches.test(path))
      .flatMap((pattern) => [...pattern.methods]);
    // If the path has this method, a wildcard route has looked for a file and found none.
    if (methods.length === 0 || methods.includes(method))
      return new HttpProblem(404, "there is no such path; /openapi.json says which there are");
    const allow = [...new Set(methods)].sort().join(", ");
    return new HttpProblem(405, `${method} is not for this path; ${allow} ${methods.length === 1 ? "is" : "are"}`, {
      headers: { allow },
    });
  }
}

function expressionOf(url: string): RegExp {
  const source = url
    .split("/")
    .map((part) =>
      part.startsWith(":")
        ? "[^/]+"
        : part
            .split("*")
            .map((literal) => RegExp.escape(literal))
            .join(".*"),
    )
    .join("/");
  return new RegExp(`^${source}$`);
}

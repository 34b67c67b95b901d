import swagger from "@fastify/swagger";
import fastify from "fastify";
import type { Endpoint } from "../listen/options.ts";
import type { AdminLimits, Api, ApiParts } from "./api.ts";
import {
  adminProblems,
  admit,
  ClientRates,
  type Guards,
  hostAllowlist,
  InFlightLimiter,
  limitConnections,
  tokenChecker,
} from "./guards.ts";
import { documentOptions, NAMED_SCHEMAS } from "./openapi.ts";
import type { AdminOptions } from "./options.ts";
import { HttpProblem, problemOf, refuse, refuseBytes, SECURITY_HEADERS } from "./problem.ts";
import { clientSetupRoutes, configurationRoutes, DOCS, docsRoutes, healthRoutes } from "./routes/configuration.ts";
import { decisionRoutes } from "./routes/decisions.ts";
import { queryRoutes, streamRoutes } from "./routes/queries.ts";
import { stateRoutes } from "./routes/state.ts";
import { validatorOf } from "./validation.ts";

export interface ApiSetup {
  /** Asked at every request: a reload may have changed the token. */
  readonly options: () => AdminOptions;
  readonly version: string;
  readonly endpoint: Endpoint;
}

/** The whole API, ready to listen. Its routes are entered into `methods`. */
export async function createApi(parts: ApiParts, setup: ApiSetup, methods = new PathMethods()): Promise<Api> {
  const { clients, limits, report } = parts;
  const api: Api = fastify({
    ...serverOptions(limits),
    frameworkErrors: (error, _, reply) =>
      void refuse(reply.headers(SECURITY_HEADERS), problemOf(error) ?? new HttpProblem(400, "the URL is malformed")),
  });
  api.addHook("onRoute", (route) => methods.add(route));
  api.setValidatorCompiler(validatorOf);
  // What handlers give is sent as it is: a serializer that leaves out what no schema names would hide that one is wrong.
  api.setSerializerCompiler(() => JSON.stringify);
  readJsonBodies(api);
  const guards = guardsOf(api, parts, setup);
  const pipelines = new InFlightLimiter(limits.requestsAtOnce);
  api.addHook("onRequest", async (request, reply) => {
    reply.headers(SECURITY_HEADERS);
    pipelines.enter(request, reply);
    admit(request, guards);
  });
  api.setErrorHandler((error, _, reply) => {
    const problem = problemOf(error);
    if (problem === null) report(error);
    return refuse(reply, problem ?? new HttpProblem(500, "this is a fault in Fenliu itself; its log says more"));
  });
  api.setNotFoundHandler(({ method, url }, reply) => refuse(reply, methods.missing(method, url)));
  for (const { name, schema } of NAMED_SCHEMAS) api.addSchema({ ...schema, $id: name });
  await api.register(swagger, documentOptions(setup.version));
  await addRoutes(api, parts);
  await api.ready();
  limitConnections(api.server, clients, limits);
  // RFC 9110 §10.1.1 lets a server pass over an expectation that it does not know.
  api.server.on("checkExpectation", (request, response) => api.server.emit("request", request, response));
  return api;
}

async function addRoutes(api: Api, parts: ApiParts): Promise<void> {
  healthRoutes(api, parts);
  await docsRoutes(api);
  await api.register(
    async (versioned: Api) => {
      for (const add of [queryRoutes, streamRoutes, decisionRoutes, stateRoutes, configurationRoutes, clientSetupRoutes])
        add(versioned, parts);
    },
    { prefix: "/api/v1" },
  );
}

function serverOptions(limits: AdminLimits) {
  return {
    bodyLimit: limits.bodyBytes,
    requestTimeout: limits.requestMs,
    handlerTimeout: limits.responseMs,
    connectionTimeout: limits.idleMs,
    keepAliveTimeout: limits.idleMs,
    // What is under way when the server closes is answered as ever.
    return503OnClosing: false,
    // Longer parameters are for the schemas to refuse.
    routerOptions: { maxParamLength: limits.urlLength },
    http: {
      headersTimeout: limits.headersMs,
      connectionsCheckingInterval: limits.headersMs / 2,
      maxHeaderSize: limits.headerBytes,
      // Refused by the guards, in our words.
      requireHostHeader: false,
    },
    clientErrorHandler: refuseBytes,
  };
}

function guardsOf(api: Api, { clients, clock, limits }: ApiParts, { options, endpoint }: ApiSetup): Guards {
  let made: { readonly of: AdminOptions; readonly ofThese: Pick<Guards, "isOurs" | "isAuthorized"> } | null = null;
  let bound = endpoint;
  // The port is known from when we listen, and not any more when we close, while requests under way still come.
  api.server.once("listening", () => {
    bound = { address: endpoint.address, port: portOf(api) };
  });
  const current = () => {
    const of = options();
    if (made?.of !== of)
      made = { of, ofThese: { isOurs: hostAllowlist(bound, of.hosts), isAuthorized: authorization(endpoint, of) } };
    return made.ofThese;
  };
  return {
    clients,
    rates: new ClientRates(limits.requestsPerSecond, limits.requestBurst, clock.now),
    isOurs: (host) => current().isOurs(host),
    get isAuthorized() {
      return current().isAuthorized;
    },
    isOpen: (route) => route !== undefined && (OPEN_ROUTES.has(route) || route === DOCS || route.startsWith(`${DOCS}/`)),
    limits,
  };
}

function authorization(endpoint: Endpoint, options: AdminOptions): Guards["isAuthorized"] {
  if (options.token !== null) return tokenChecker(options.token);
  // A token that is taken away while others can reach us leaves the API to nobody.
  return adminProblems(endpoint, options).length > 0 ? () => false : null;
}

/** For supervisors, and for browsers, which cannot send a token when they open a page. Nothing in them is secret. */
const OPEN_ROUTES: ReadonlySet<string> = new Set(["/healthz", "/readyz", "/openapi.json"]);

function portOf({ server }: Api): number {
  const address = server.address();
  if (address === null || typeof address === "string") throw new Error("the API listens on no port");
  return address.port;
}

/** JSON is the one type of body. None at all is well where none is wanted. */
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

/** Which methods each path has, to tell a path that is not there from one that is there for other methods. */
export class PathMethods {
  readonly #patterns = new Map<string, { readonly matches: RegExp; readonly methods: Set<string> }>();

  /** `url` as routes are written: `/hosts/:name`, `/static/*`. */
  add({ url, method }: { readonly url: string; readonly method: string | readonly string[] }): void {
    const pattern = this.#patterns.get(url) ?? { matches: expressionOf(url), methods: new Set() };
    for (const each of [method].flat()) pattern.methods.add(each);
    this.#patterns.set(url, pattern);
  }

  /** Every route there is: `GET /hosts/:name`. */
  routes(): readonly string[] {
    return [...this.#patterns].flatMap(([url, { methods }]) => [...methods].map((method) => `${method} ${url}`));
  }

  /** What to say of a request that no route is for. */
  missing(method: string, url: string): HttpProblem {
    const path = url.split("?", 1)[0] ?? "";
    const methods = [...this.#patterns.values()]
      .filter(({ matches }) => matches.test(path))
      .flatMap((pattern) => [...pattern.methods]);
    // A pattern that holds the path for this method as well found nothing there.
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

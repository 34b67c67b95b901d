import swagger, { type StaticDocumentSpec } from "@fastify/swagger";
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest } from "fastify";
import { type TSchema, Type } from "typebox";
import { ROUTER_SCRIPT_PARTS } from "../control.ts";
import { jsonContent, operation, textContent } from "../openapi.ts";
import { HttpProblem, problemSchema } from "../problem.ts";
import { closedObject, listOf, oneOf } from "../schemas/named.ts";
import { routerCheckSchema } from "../schemas/router.ts";
import { configCheckSchema, configViewSchema, readinessSchema, versionViewSchema } from "../schemas/views.ts";
import type { Api, ApiParts } from "../types.ts";

const CONFIGURATION_TAGS = ["configuration"] as const;

const getConfig = operation({
  operationId: "getConfig",
  summary: "The configuration in force, without its secrets",
  tags: CONFIGURATION_TAGS,
  response: { 200: jsonContent("The configuration.", configViewSchema.ref) },
});

const checkConfig = operation({
  operationId: "checkConfig",
  summary: "Check a draft of the configuration",
  description:
    "Says what the server would say of this text, were it the file. What it could be started with but not reloaded is a warning. Nothing is changed. Marks such as `•••1` stand for the hidden parts of the file, as in `getConfigFile`.",
  tags: CONFIGURATION_TAGS,
  body: closedObject(
    {
      config: Type.String({
        maxLength: 1_000_000,
        description: "A whole fenliu.yaml, of no more than 256 KiB.",
      }),
    },
    { examples: [{ config: "answers: { https: nodata }\n" }] },
  ),
  response: { 200: jsonContent("Whether it would be taken, and everything that is wrong with it.", configCheckSchema.ref) },
  problems: [409],
});

const reload = operation({
  operationId: "reload",
  summary: "Read the file again",
  description: "A file with any fault changes nothing: the old configuration serves on.",
  tags: CONFIGURATION_TAGS,
  response: { 200: jsonContent("The configuration now in force.", configViewSchema.ref) },
  problems: [409, 415],
});

const listVersions = operation({
  operationId: "listVersions",
  summary: "The versions of configuration and lists that are kept",
  description: "Each record of the log names the version it was decided under; `explain` can be asked under it.",
  tags: CONFIGURATION_TAGS,
  response: { 200: jsonContent("The versions, newest first.", listOf(versionViewSchema)) },
});

export function configurationRoutes(api: Api, { control }: ApiParts): void {
  api.get("/config", { schema: getConfig }, async () => control().config());
  api.post("/config/check", { schema: checkConfig }, ({ body: { config } }) => control().checkConfig(config));
  api.post("/reload", { schema: reload }, () => control().reload());
  api.get("/versions", { schema: listVersions }, () => control().versions());
}

const URL_PARAMETER = Type.Optional(
  Type.String({
    maxLength: 1000,
    description:
      "Where clients reach the DoH service, such as `https://doh.example.com`, with or without its path. Where nothing is said: https and the host that this request was sent to.",
  }),
);

/** Several values of a parameter: `?a=1&a=2`. */
function several<S extends TSchema>(item: S, description: string) {
  return Type.Optional(Type.Array(item, { maxItems: 8, description }));
}

const routerosScript = operation({
  operationId: "routerosScript",
  summary: "A script that makes this server the DoH server of a MikroTik router",
  description:
    "A second import changes nothing. An import that breaks off leaves a router that resolves names: what it has switched goes back by itself.",
  tags: ["clients"],
  querystring: closedObject({
    url: URL_PARAMETER,
    failover: several(
      Type.String({ maxLength: 45 }),
      "Addresses of plain DNS servers, such as `223.5.5.5`, that the router asks while this server does not answer. Without them it asks nobody else: they would see every name.",
    ),
    without: several(
      oneOf(ROUTER_SCRIPT_PARTS),
      "Parts that are left out, and removed where an earlier script has added them: `trust` (the authority of the certificate), `ntp` (time servers by address), `dhcp` and `ra` (which DNS server clients are told), `redirect` (port 53 of the LAN leads to the router).",
    ),
    remove: Type.Optional(
      Type.Boolean({
        description: "Whether the script takes everything away again, and gives the router back its servers from before.",
      }),
    ),
  }),
  response: { 200: textContent("The script, for RouterOS 7.12 and later.", "text/plain") },
});

const checkRouter = operation({
  operationId: "checkRouter",
  summary: "What on the router keeps its clients from this server",
  description: "Reads the router of section `routeros` and changes nothing there. It takes some seconds.",
  tags: ["clients"],
  response: { 200: jsonContent("What was found.", routerCheckSchema.ref) },
  problems: [404, 502],
});

const appleProfile = operation({
  operationId: "appleProfile",
  summary: "A configuration profile for Apple devices",
  tags: ["clients"],
  querystring: closedObject({ url: URL_PARAMETER }),
  response: { 200: textContent("The profile: DNS over HTTPS.", "application/x-apple-aspen-config") },
});

export function clientSetupRoutes(api: Api, { control }: ApiParts): void {
  api.get("/routeros.rsc", { schema: routerosScript }, async (request, reply) => {
    const { url, failover = [], without = [], remove = false } = request.query;
    const script = await control().routerosScript({ baseUrl: urlOf(request, url), failover, without, remove });
    return reply
      .type("text/plain; charset=utf-8")
      .header("content-disposition", 'attachment; filename="fenliu.rsc"')
      .send(script);
  });

  api.get("/routeros/check", { schema: checkRouter }, () => control().checkRouter());

  api.get("/apple.mobileconfig", { schema: appleProfile }, async (request, reply) => {
    const profile = control().appleProfile(urlOf(request, request.query.url));
    return reply
      .type("application/x-apple-aspen-config")
      .header("content-disposition", 'attachment; filename="fenliu.mobileconfig"')
      .send(profile);
  });
}

/** The default URL has only the host of the request, because the port of the API speaks no DoH. */
function urlOf({ headers: { host = "localhost" } }: Pick<FastifyRequest, "headers">, url: string | undefined): string {
  return url ?? `https://${URL.parse(`http://${host}`)?.hostname ?? "localhost"}`;
}

const updateAddress = operation({
  operationId: "updateAddress",
  summary: "Report the addresses of names",
  description:
    "The protocol DynDNS2, for clients such as ddclient and inadyn: Basic authentication, whose password is a token of section `ddns`; the user may be anything. A family of addresses that is not named stays as it was. Further parameters are ignored.",
  tags: ["hosts"],
  querystring: Type.Object({
    hostname: Type.Optional(
      Type.String({ maxLength: 4000, description: "Names with commas between.", examples: ["home.example.com"] }),
    ),
    myip: Type.Optional(
      Type.String({
        maxLength: 1000,
        description:
          "IPv4 and IPv6 addresses with commas between, such as `192.0.2.7,2001:db8::7`; without any, that of the client.",
      }),
    ),
  }),
  response: {
    200: textContent(
      "A line for each name, or one for all: `good`, `nochg`, `nohost`, `notfqdn`, `numhost`, `dnserr`, `abuse` or `911`.",
      "text/plain",
    ),
    401: textContent("`badauth`: the password is no token.", "text/plain"),
  },
  problems: [404],
  open: true,
});

export function updateRoutes(api: Api, { control, clients }: ApiParts): void {
  api.get("/nic/update", { schema: updateAddress }, async ({ raw, socket, headers }, reply) => {
    const [forwardedFor, realIp] = [headers["x-forwarded-for"], headers["x-real-ip"]].map((value) => value?.toString());
    const client = clients.addressOf(socket.remoteAddress ?? "", { forwardedFor, realIp });
    const query = /\?(.*)$/s.exec(raw.url ?? "")?.[1] ?? "";
    const update = await control().updateAddress({ query, authorization: headers.authorization, client });
    if (update === null)
      throw new HttpProblem(404, "nobody may report addresses: section ddns of the configuration has no tokens");
    if (update.status === 401) reply.header("www-authenticate", 'Basic realm="fenliu", charset="UTF-8"');
    return reply.code(update.status).type("text/plain; charset=utf-8").send(update.text);
  });
}

const HEALTH_TAGS = ["health"] as const;

const healthz = operation({
  operationId: "healthz",
  summary: "Whether the process is alive",
  tags: HEALTH_TAGS,
  response: { 200: textContent("It is.", "text/plain", "ok\n") },
  open: true,
});

const readyz = operation({
  operationId: "readyz",
  summary: "Whether questions are answered",
  description: "Trouble that does not keep questions from being answered is told too, and the status is still 200.",
  tags: HEALTH_TAGS,
  response: {
    200: jsonContent("They are.", readinessSchema.ref),
    503: {
      description: "They are not.",
      content: {
        "application/json": { schema: readinessSchema.ref },
        "application/problem+json": { schema: problemSchema.ref },
      },
    },
  },
  open: true,
});

const metrics = operation({
  operationId: "metrics",
  summary: "Metrics for Prometheus",
  description:
    "Text format 0.0.4. Where a token is set it is wanted here too: `authorization: { credentials_file: … }` in the scrape configuration.",
  tags: HEALTH_TAGS,
  response: { 200: textContent("The metrics.", "text/plain") },
});

export function healthRoutes(api: Api, { control }: ApiParts): void {
  api.get("/healthz", { schema: healthz }, async (_, reply) => reply.type("text/plain; charset=utf-8").send("ok\n"));

  api.get("/readyz", { schema: readyz }, async (_, reply) => {
    const state = control().readiness();
    return reply.code(state.ready ? 200 : 503).send(state);
  });

  api.get("/metrics", { schema: metrics }, async (_, reply) =>
    reply.type("text/plain; version=0.0.4; charset=utf-8").send(await control().metrics()),
  );
}

const getDocument = operation({
  operationId: "getDocument",
  summary: "This document",
  tags: ["health"],
  response: { 200: jsonContent("OpenAPI 3.1.", Type.Unsafe<object>(Type.Object({ openapi: Type.String() }))) },
  open: true,
});

/** The OpenAPI document, and a page that shows it and loads nothing from other servers. */
export function docsRoutes(api: Api): void {
  api.get("/openapi.json", { schema: getDocument }, async () => api.swagger());
  let page: Promise<FastifyInstance> | null = null;
  const serve = async ({ method, url, headers }: FastifyRequest, reply: FastifyReply) => {
    page ??= openPage(api.swagger());
    const response = await (await page).inject({ method: method === "HEAD" ? "HEAD" : "GET", url, headers });
    if (response.statusCode === 404) return reply.callNotFound();
    return reply.code(response.statusCode).headers(response.headers).send(response.rawPayload);
  };
  for (const path of [DOCS, `${DOCS}/*`]) api.get(path, { schema: { hide: true } }, serve);
}

/** A server of its own, which is not there before somebody looks at the page: Swagger UI takes as long to load as all else of the API. */
async function openPage(document: ReturnType<Api["swagger"]>): Promise<FastifyInstance> {
  const { default: swaggerUi } = await import("@fastify/swagger-ui");
  const page = fastify();
  await page.register(swagger, { mode: "static", specification: { document: document as StaticDocumentSpec["document"] } });
  await page.register(swaggerUi, {
    routePrefix: DOCS,
    staticCSP: DOCS_POLICY,
    uiConfig: {
      deepLinking: true,
      docExpansion: "list",
      tryItOutEnabled: true,
      persistAuthorization: false,
      validatorUrl: null,
      requestInterceptor: addContentType,
    },
    // The top bar would ask for the address of another document.
    theme: { title: "Fenliu", css: [{ filename: "page.css", content: ".swagger-ui .topbar { display: none }" }] },
  });
  return page;
}

/**
 * Runs in the page: the API refuses a change without a content type, and Swagger UI sends none if there is no body. Its types name the request
 * of `fetch`, but it passes an object of its own.
 */
function addContentType<T>(request: T): T {
  const { method, headers } = request as unknown as { readonly method: string; readonly headers: Record<string, string> };
  if (["POST", "PUT", "DELETE"].includes(method)) headers["Content-Type"] ??= "application/json";
  return request;
}

export const DOCS = "/docs";

// Swagger UI writes styles into its markup, and its images are part of its style sheet.
const DOCS_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self' data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

import { Type } from "typebox";
import { jsonContent, operation } from "../openapi.ts";
import { HttpProblem } from "../problem.ts";
import { healthSchema } from "../schemas/health.ts";
import { closedObject, listOf, oneOf } from "../schemas/named.ts";
import { cachedAnswerSchema } from "../schemas/record.ts";
import {
  cacheViewSchema,
  deviceViewSchema,
  hostViewSchema,
  listLinesSchema,
  listViewSchema,
  routerViewSchema,
  upstreamGroupSchema,
} from "../schemas/views.ts";
import type { Api, ApiParts } from "../types.ts";
import { NAME } from "./parameters.ts";

const getHealth = operation({
  operationId: "getHealth",
  summary: "How everything is doing, and since when",
  description: `\`bad\`: no server of a group answers, the certificate has expired or its files cannot be used, a list has no entries, queries cannot be recorded. \
\`care\`: a server has been silent for a minute, a list is older than three refreshes or held back, the certificate ends soon, an expectation is broken. What was not \
well is called so again when it has been well for half a minute.`,
  tags: ["state"],
  response: { 200: jsonContent("The state, and that of each part.", healthSchema.ref) },
});

const TEXT = Type.String({ minLength: 1, maxLength: 1100 });

const listUpstreams = operation({
  operationId: "listUpstreams",
  summary: "The groups of upstreams: health, latency, failures",
  tags: ["state"],
  response: { 200: jsonContent("The groups, in the order of the file.", listOf(upstreamGroupSchema)) },
});

const listLists = operation({
  operationId: "listLists",
  summary: "The lists: size, age, source, problems",
  tags: ["state"],
  response: { 200: jsonContent("The lists, in the order of the file.", listOf(listViewSchema)) },
});

const LIST_NAME = closedObject({
  name: Type.String({ minLength: 1, maxLength: 200, description: "Of a list of the configuration.", examples: ["cn"] }),
});

const getListLines = operation({
  operationId: "getListLines",
  summary: "Some lines of a source of a list",
  description: "Where the trace of a query names a line, what stands around it: five lines each way.",
  tags: ["state"],
  params: LIST_NAME,
  querystring: closedObject({
    source: Type.String({
      minLength: 1,
      maxLength: 4000,
      description: "`source` of the list, as a trace or `listLists` names it.",
      examples: ["rules/cn-domains.txt"],
    }),
    around: Type.Integer({ minimum: 1, maximum: 100_000_000, description: "The line, from 1.", examples: [4211] }),
  }),
  response: { 200: jsonContent("The lines.", listLinesSchema.ref) },
  problems: [404, 502],
});

const refreshList = operation({
  operationId: "refreshList",
  summary: "Download a list now",
  description:
    "A download that fails or looks wrong changes nothing: the last good list serves on. With `accept` a list that has far more or fewer entries than before is taken as well; one that breaks an expectation never is.",
  tags: ["state"],
  params: LIST_NAME,
  querystring: closedObject({
    accept: Type.Optional(Type.Boolean({ description: "Whether a version is taken that is held for its size." })),
  }),
  response: { 200: jsonContent("The list as it is now.", listViewSchema.ref) },
  problems: [404, 409, 415, 502],
});

const inspectCache = operation({
  operationId: "inspectCache",
  summary: "What the cache holds of a name",
  tags: ["cache"],
  querystring: closedObject({ name: Type.Optional(NAME) }),
  response: {
    200: jsonContent(
      "The answers held for exactly this name, none where no name was given; and the cache as a whole.",
      closedObject({ answers: listOf(cachedAnswerSchema), stats: cacheViewSchema.ref }),
    ),
  },
});

const flushCache = operation({
  operationId: "flushCache",
  summary: "Drop what the cache holds of a name",
  description: "Effective on the next query.",
  tags: ["cache"],
  querystring: closedObject({
    name: NAME,
    subtree: Type.Optional(Type.Boolean({ description: "Whether everything below the name goes too." })),
  }),
  response: { 200: jsonContent("How many answers went.", closedObject({ flushed: Type.Integer({ minimum: 0 }) })) },
  problems: [415],
});

const HOST_NAME = closedObject({
  name: Type.String({
    minLength: 1,
    maxLength: 1100,
    description: "A name, or `*.` and a name: everything below it.",
    examples: ["nas.lan"],
  }),
});

const listHosts = operation({
  operationId: "listHosts",
  summary: "The static table",
  tags: ["hosts"],
  response: { 200: jsonContent("Its names, hidden ones too.", listOf(hostViewSchema)) },
});

const getHost = operation({
  operationId: "getHost",
  summary: "One name of the static table",
  tags: ["hosts"],
  params: HOST_NAME,
  response: { 200: jsonContent("The record.", hostViewSchema.ref) },
  problems: [404],
});

const putHost = operation({
  operationId: "putHost",
  summary: "Put a name into the static table",
  description:
    "Takes effect on the next query, is kept in `data/hosts.yaml`, and wins over the configuration. What is given is all there is of the name.",
  tags: ["hosts"],
  params: HOST_NAME,
  body: closedObject(
    {
      address: Type.Optional(
        Type.Union([TEXT, Type.Array(TEXT, { maxItems: 1000 })], {
          description: "One address or several.",
        }),
      ),
      cname: Type.Optional(Type.String({ minLength: 1, maxLength: 1100, description: "Another name, instead of addresses." })),
      others: Type.Optional(
        oneOf(["nodata", "forward"], {
          description: "What becomes of types that are not said; nodata where nothing is said.",
        }),
      ),
      a: Type.Optional(
        oneOf(["nodata", "forward"], {
          description: "What becomes of A without an IPv4 address; as `others` where nothing is said.",
        }),
      ),
      aaaa: Type.Optional(oneOf(["nodata", "forward"], { description: "The same of AAAA and IPv6." })),
      forward: Type.Optional(
        Type.Boolean({ description: "true, alone: the rules answer for the name, although a wildcard or a file has it." }),
      ),
      https: Type.Optional(
        closedObject(
          {
            alpn: Type.Optional(Type.Array(TEXT, { maxItems: 20 })),
            port: Type.Optional(Type.Integer({ minimum: 1, maximum: 65_535 })),
          },
          { description: "A record of type HTTPS." },
        ),
      ),
    },
    { examples: [{ address: ["10.0.0.5", "fd00::5"] }] },
  ),
  response: { 200: jsonContent("The record as it is now.", hostViewSchema.ref) },
  problems: [409],
});

const deleteHost = operation({
  operationId: "deleteHost",
  summary: "Take back what was set for a name of the static table",
  description: "The name of the configuration is there again, also where it was hidden. 409 where nothing was set.",
  tags: ["hosts"],
  params: HOST_NAME,
  querystring: closedObject({
    hide: Type.Optional(
      Type.Boolean({ description: "Whether the name of the configuration is hidden instead, until a `DELETE` without `hide`." }),
    ),
  }),
  response: { 204: Type.Unsafe<undefined>({ description: "It is gone.", type: "null" }) },
  problems: [404, 409, 415],
});

const getRouter = operation({
  operationId: "getRouter",
  summary: "The address lists of the router that answers feed",
  tags: ["state"],
  response: { 200: jsonContent("How they do.", routerViewSchema.ref) },
  problems: [404],
});

const listDevices = operation({
  operationId: "listDevices",
  summary: "The devices that are known by name or MAC address",
  tags: ["state"],
  response: { 200: jsonContent("From lease files and the router.", listOf(deviceViewSchema)) },
});

export function stateRoutes(api: Api, { control }: ApiParts): void {
  api.get("/health", { schema: getHealth }, async () => control().health());
  api.get("/upstreams", { schema: listUpstreams }, async () => control().upstreams());

  api.get("/lists", { schema: listLists }, () => control().lists());
  api.post("/lists/:name/refresh", { schema: refreshList }, ({ params: { name }, query: { accept = false } }) =>
    control().refreshList(name, accept),
  );
  api.get("/lists/:name/lines", { schema: getListLines }, ({ params: { name }, query: { source, around } }) =>
    control().listLines(name, source, around),
  );

  api.get("/cache", { schema: inspectCache }, async ({ query: { name } }) => ({
    answers: name === undefined ? [] : control().cached(name),
    stats: control().cacheStats(),
  }));
  api.delete("/cache", { schema: flushCache }, async ({ query: { name, subtree = false } }) => ({
    flushed: control().flush(name, subtree),
  }));

  api.get("/router", { schema: getRouter }, async () => {
    const router = control().router();
    if (router === null)
      throw new HttpProblem(404, "no address lists are fed: routeros.addressLists of the configuration names none");
    return router;
  });
  api.get("/devices", { schema: listDevices }, async () => control().devices());

  api.get("/hosts", { schema: listHosts }, async () => control().hosts());
  api.get("/hosts/:name", { schema: getHost }, async ({ params: { name } }) => {
    const host = control().host(name);
    if (host === null) throw noHost(name);
    return host;
  });
  api.put("/hosts/:name", { schema: putHost }, ({ params: { name }, body }) => control().putHost(name, body));
  api.delete("/hosts/:name", { schema: deleteHost }, async ({ params: { name }, query: { hide = false } }, reply) => {
    if (!(await control().deleteHost(name, hide))) throw noHost(name);
    return reply.code(204).send(undefined);
  });
}

function noHost(name: string): HttpProblem {
  return new HttpProblem(404, `the static table has no ${JSON.stringify(name)}`);
}

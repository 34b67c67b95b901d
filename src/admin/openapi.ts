import type { Readable } from "node:stream";
import type { SwaggerOptions } from "@fastify/swagger";
import { type TSchema, Type } from "typebox";
import { problemSchema } from "./problem.ts";
import { EDIT_SCHEMAS } from "./schemas/edits.ts";
import { HEALTH_SCHEMAS } from "./schemas/health.ts";
import { closedObject, type NamedSchema } from "./schemas/named.ts";
import { RECORD_SCHEMAS } from "./schemas/record.ts";
import { ROUTER_SCHEMAS } from "./schemas/router.ts";
import { VIEW_SCHEMAS } from "./schemas/views.ts";

/** Every schema that other schemas or operations refer to. */
export const NAMED_SCHEMAS: readonly NamedSchema[] = [
  ...RECORD_SCHEMAS,
  ...VIEW_SCHEMAS,
  ...ROUTER_SCHEMAS,
  ...HEALTH_SCHEMAS,
  ...EDIT_SCHEMAS,
  problemSchema,
];

/** One route: the document shows this description, and the server checks requests by it. */
interface Operation {
  /** The name of the function in generated clients. */
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly params?: TSchema;
  readonly querystring?: TSchema;
  readonly headers?: TSchema;
  readonly body?: TSchema;
  readonly response: Readonly<Record<number, unknown>>;
  /** Statuses of problem details, besides those that every operation may have. */
  readonly problems?: readonly number[];
  /** Whether everybody may call it, without a token. */
  readonly open?: boolean;
}

/** Completes the description of a route: adds the refusals that every operation may give, and forbids parameters that it does not name. */
export function operation<const S extends Operation>(described: S) {
  const { problems = [], open = false, querystring = closedObject({}), response, ...rest } = described;
  const statuses = [...COMMON, ...(open ? [] : [401, 403]), ...(rest.body === undefined ? [] : [413, 415]), ...problems];
  const refusals = statuses.map((status) => [status, problemContent(status)] as const);
  const completed = {
    ...rest,
    querystring,
    response: { ...Object.fromEntries(refusals), ...response },
    ...(open ? { security: [] } : {}),
  };
  // The added parts change no type that a handler reads or returns.
  return completed as unknown as Omit<S, "problems" | "open" | "tags"> & { readonly tags: string[] };
}

/** A response with a JSON body. */
export function jsonContent<S extends TSchema>(description: string, schema: S) {
  return { description, content: { "application/json": { schema } } };
}

/** A response of other text, sent whole or as a stream. */
export function textContent<const M extends string>(description: string, mediaType: M, example?: string) {
  const schema = Type.Unsafe<string | Readable>(Type.String(example === undefined ? {} : { examples: [example] }));
  return { description, content: { [mediaType]: { schema } } };
}

/** Statuses with which every operation may refuse. */
const COMMON = [400, 414, 421, 429, 500, 503, 504] as const;

const REFUSALS: Readonly<Record<number, string>> = {
  400: "Something in the request is wrong: `problems` names each parameter and what is wrong with it.",
  401: "A token is wanted, and none or a wrong one was sent.",
  403: "A page of another origin asked, by way of somebody's browser.",
  404: "There is no such thing.",
  409: "It was refused, and everything is as before: `problems` says why.",
  413: "The body is too large.",
  414: "The URL is too long.",
  415: "The body, or the lack of one, does not go by the name of JSON: send `Content-Type: application/json`.",
  421: "The Host header names somebody else.",
  429: "This client asks too much: try again after `Retry-After` seconds.",
  500: "A fault in Fenliu itself, which is in its log.",
  502: "Another server that was needed failed.",
  503: "It cannot be had at the moment: try again later.",
  504: "It took too long.",
};

function problemContent(status: number) {
  return { description: REFUSALS[status], content: { "application/problem+json": { schema: problemSchema.ref } } };
}

/** How fastify builds the document from the routes. */
export function documentOptions(version: string): SwaggerOptions {
  return {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Fenliu", version, description: DESCRIPTION, license: { name: "MIT", identifier: "MIT" } },
      servers: [{ url: "/", description: "This server." }],
      tags: TAGS,
      // A reload may set or remove the token, so both are valid.
      security: [{}, { bearer: [] }, { session: [] }],
      components: {
        securitySchemes: {
          bearer: { type: "http", scheme: "bearer", description: "`admin.token` of the configuration." },
          session: { type: "apiKey", in: "cookie", name: "fenliu", description: "What `POST /session` gives." },
        },
      },
    },
    // OpenAPI 3.1 knows `const`.
    convertConstToEnum: false,
    refResolver: {
      buildLocalReference: ({ $id }, _base, _fragment, index) => (typeof $id === "string" ? $id : `schema-${index}`),
    },
  };
}

const TAGS = [
  { name: "queries", description: "The query log: every query, however it ended." },
  { name: "decisions", description: "What becomes of questions, why, and what would." },
  { name: "state", description: "Upstreams and lists." },
  { name: "cache", description: "Answers that are held." },
  { name: "hosts", description: "The static table." },
  { name: "configuration", description: "The file, drafts of it, and its past." },
  { name: "clients", description: "Set-up of clients." },
  { name: "health", description: "For supervisors and Prometheus." },
  { name: "problems", description: "What goes wrong again and again, and what may mend it." },
  { name: "session", description: "A cookie in place of the token, for the page." },
];

const DESCRIPTION = `See and change a running Fenliu.

**Token.** Where \`admin.token\` is set, every call but \`/healthz\`, \`/readyz\` and this document carries it: \`Authorization: Bearer TOKEN\`. \
It is taken from this header alone, never from the URL. A page takes it for a cookie: \`POST /session\`.

**Host.** The Host header must be the address that the server listens on, with its port, or one of \`admin.hosts\`; everything else is refused with 421.

**Changes.** POST, PUT and DELETE want \`Content-Type: application/json\`, also where there is no body.

**Faults** are problem details (RFC 9457): \`detail\` says what is wrong, \`problems\` names each parameter. Parameters that do not exist are refused. \
Besides what stands at each call: 404 where there is no such path, 405 where a path is not for that method, 408 and 431 where a request comes too slowly or its headers are too large.

**Times** in responses are ISO 8601 in UTC.`;

import type { SwaggerOptions } from "@fastify/swagger";
import { problemSchema } from "./problem.ts";
import type { NamedSchema } from "./schemas/named.ts";
import { RECORD_SCHEMAS } from "./schemas/record.ts";
import { VIEW_SCHEMAS } from "./schemas/views.ts";

/** Every schema that others refer to. */
export const NAMED_SCHEMAS: readonly NamedSchema[] = [...RECORD_SCHEMAS, ...VIEW_SCHEMAS, problemSchema];

/** How the document is made of the routes. */
export function documentOptions(version: string): SwaggerOptions {
  return {
    openapi: {
      openapi: "3.1.0",
      info: { title: "Fenliu", version, description: DESCRIPTION, license: { name: "MIT", identifier: "MIT" } },
      servers: [{ url: "/", description: "This server." }],
      tags: TAGS,
      // Without a token, or with it: a reload may change which.
      security: [{}, { bearer: [] }],
      components: {
        securitySchemes: { bearer: { type: "http", scheme: "bearer", description: "`admin.token` of the configuration." } },
      },
    },
    // OpenAPI 3.1 has `const`.
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
];

const DESCRIPTION = `See and change a running Fenliu.

**Token.** Where \`admin.token\` is set, every call but \`/healthz\`, \`/readyz\` and this document carries it: \`Authorization: Bearer TOKEN\`. \
It is taken from this header alone, never from the URL.

**Host.** The Host header must be the address that the server listens on, with its port, or one of \`admin.hosts\`; everything else is refused with 421.

**Changes.** POST, PUT and DELETE want \`Content-Type: application/json\`, also where there is no body.

**Faults** are problem details (RFC 9457): \`detail\` says what is wrong, \`problems\` names each parameter. Parameters that do not exist are refused. \
Besides what stands at each call: 404 where there is no such path, 405 where a path is not for that method, 408 and 431 where a request comes too slowly or its headers are too large.

**Times** in responses are ISO 8601 in UTC.`;

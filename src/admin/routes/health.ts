import { type Api, type ApiParts, json, operation, problemDetails, text } from "../api.ts";
import { readiness } from "../schemas/views.ts";

const HEALTH_TAGS = ["health"] as const;

const healthz = operation({
  operationId: "healthz",
  summary: "Whether the process is alive",
  tags: HEALTH_TAGS,
  response: { 200: text("It is.", "text/plain", "ok\n") },
  open: true,
});

const readyz = operation({
  operationId: "readyz",
  summary: "Whether questions are answered",
  description: "Trouble that does not keep questions from being answered is told too, and the status is still 200.",
  tags: HEALTH_TAGS,
  response: {
    200: json("They are.", readiness.ref),
    503: {
      description: "They are not.",
      content: { "application/json": { schema: readiness.ref }, "application/problem+json": { schema: problemDetails.ref } },
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
  response: { 200: text("The metrics.", "text/plain") },
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

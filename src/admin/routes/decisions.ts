import { Type } from "typebox";
import type { LogStatus } from "../../log/record.ts";
import type { Gap } from "../../log/runs.ts";
import type { Summary } from "../../log/summary.ts";
import { jsonContent, operation } from "../openapi.ts";
import { type ConfigEdit, configEditSchema } from "../schemas/health.ts";
import { closedObject } from "../schemas/named.ts";
import { explainedSchema } from "../schemas/record.ts";
import { type LogState, type Statistics, statisticsSchema, whatIfSchema } from "../schemas/views.ts";
import type { Api, ApiParts } from "../types.ts";
import { momentOf, momentParameter, NAME, PERIOD, periodOf, STEP, stepOf } from "./parameters.ts";

const explain = operation({
  operationId: "explain",
  summary: "What becomes of a question, and why",
  description:
    "Every rule that is tried with the condition that did not hold, the list and line that matched, the route, the state of the cache. Nobody is asked, but with `resolve=true`.",
  tags: ["decisions"],
  querystring: closedObject({
    name: NAME,
    type: Type.Optional(
      Type.String({
        minLength: 1,
        maxLength: 32,
        description: "Mnemonic or number, such as `HTTPS`; A where nothing is said.",
      }),
    ),
    client: Type.Optional(
      Type.String({
        maxLength: 64,
        description: "The address that asks, such as `10.0.7.12`; 127.0.0.1 where nothing is said.",
      }),
    ),
    clientId: Type.Optional(Type.String({ pattern: "^[a-z0-9-]{1,63}$", description: "The id in the DoH path, such as `tv`." })),
    resolve: Type.Optional(Type.Boolean({ description: "Whether the question is really asked, as that client would." })),
    version: Type.Optional(
      Type.String({
        maxLength: 100,
        description:
          "A version of the past, such as `7f3a91c2d0e4`, as a record or `listVersions` has it; it cannot be resolved.",
      }),
    ),
    at: momentParameter("As at this moment, for rules with hours; it cannot be resolved."),
  }),
  response: { 200: jsonContent("What becomes of it.", explainedSchema.ref) },
  problems: [404],
});

const explainUnder = operation({
  operationId: "explainUnder",
  summary: "What would become of a question under another configuration",
  description:
    "Under a version of the past, a draft, or the configuration file with an edit. Nobody is asked, and nothing is changed.",
  tags: ["decisions"],
  body: closedObject(
    {
      name: NAME,
      type: Type.Optional(Type.String({ minLength: 1, maxLength: 32 })),
      client: Type.Optional(Type.String({ maxLength: 64 })),
      clientId: Type.Optional(Type.String({ pattern: "^[a-z0-9-]{1,63}$" })),
      at: momentParameter("As at this moment, for rules with hours."),
      under: Type.Union([
        closedObject({ version: Type.String({ minLength: 1, maxLength: 100 }) }),
        closedObject({ config: Type.String({ maxLength: 1_000_000 }) }),
        // The validator of requests knows no references.
        closedObject({ edit: Type.Unsafe<ConfigEdit>(configEditSchema.schema) }),
      ]),
    },
    { examples: [{ name: "www.example.com", under: { config: "rules: []\n" } }] },
  ),
  response: { 200: jsonContent("What would become of it.", explainedSchema.ref) },
  problems: [404, 409],
});

const whatIfDraft = operation({
  operationId: "whatIf",
  summary: "What a draft of the configuration would change",
  description:
    "Decides the logged queries of a period again, under the draft, and tells those that would go otherwise. Nothing is changed, nobody is asked.",
  tags: ["decisions"],
  body: closedObject(
    {
      config: Type.String({
        maxLength: 1_000_000,
        description: "The draft: a whole fenliu.yaml, of no more than 256 KiB.",
      }),
      from: momentParameter("From when on; the last day where nothing is said."),
      to: momentParameter("Until before when."),
      examples: Type.Optional(
        Type.Integer({
          minimum: 1,
          maximum: 100,
          description: "Names shown for each change; 10 where nothing is said.",
        }),
      ),
    },
    { examples: [{ config: "rules:\n  - { name: ads, domains: ads.example, answer: nodata }\n", from: "1d", examples: 10 }] },
  ),
  response: { 200: jsonContent("The changes.", whatIfSchema.ref) },
  problems: [409],
});

const getStatistics = operation({
  operationId: "getStatistics",
  summary: "Counts, top lists, latencies and a time series",
  description: "Of whole minutes, the last day where nothing is said.",
  tags: ["decisions"],
  querystring: closedObject({
    ...PERIOD,
    step: STEP,
    top: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 100,
        description: "Entries of each top list, such as `5`; 10 where nothing is said.",
      }),
    ),
  }),
  response: { 200: jsonContent("The statistics.", statisticsSchema.ref) },
});

function atMoment(at: string | undefined, nowMs: number): { readonly atMs?: number } {
  return at === undefined ? {} : { atMs: momentOf("at", at, nowMs) };
}

export function decisionRoutes(api: Api, { control, clock }: ApiParts): void {
  api.get("/explain", { schema: explain }, ({ query }) => {
    const { name, type = "A", client = null, clientId = null, resolve = false, version = null, at } = query;
    return control().explain({ name, type, client, clientId, resolve, version, ...atMoment(at, clock.wallMs()) });
  });

  api.post("/explain", { schema: explainUnder }, ({ body }) => {
    const { name, type = "A", client = null, clientId = null, under, at } = body;
    return control().explainUnder({ name, type, client, clientId, ...atMoment(at, clock.wallMs()) }, under);
  });

  api.post("/whatif", { schema: whatIfDraft }, ({ body: { config, examples = 10, ...period } }) =>
    control().whatIf({ config, ...periodOf(period, clock.wallMs()), examples }),
  );

  api.get("/stats", { schema: getStatistics }, async ({ query: { step, top = 10, ...period } }) => {
    const { fromMs, toMs } = periodOf(period, clock.wallMs());
    const { queries } = control();
    return statisticsOf(await queries.summary({ fromMs, toMs, stepMs: stepOf(step, toMs - fromMs), top }), queries.status());
  });
}

function statisticsOf({ fromMs, toMs, stepMs, series, gaps, ...counts }: Summary, status: LogStatus): Statistics {
  return {
    from: instant(fromMs),
    to: instant(toMs),
    stepSeconds: stepMs / 1000,
    ...counts,
    series: series.map(({ atMs, ...sample }) => ({ at: instant(atMs), ...sample })),
    gaps: gapViews(gaps),
    log: logStateOf(status),
  };
}

export function gapViews(gaps: readonly Gap[]): Statistics["gaps"] {
  return gaps.map(({ fromMs, toMs, lost }) => ({ from: instant(fromMs), to: instant(toMs), lost }));
}

function logStateOf({ fault, oldestWallMs, ...counts }: LogStatus): LogState {
  return {
    ...counts,
    fault: fault === null ? null : { reason: fault.reason, since: instant(fault.sinceWallMs) },
    oldest: oldestWallMs === null ? null : instant(oldestWallMs),
  };
}

function instant(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

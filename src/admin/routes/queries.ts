import { Readable } from "node:stream";
import { Type } from "typebox";
import { exportHead } from "../../log/export.ts";
import type { Page } from "../../log/filter.ts";
import type { RecordText } from "../../log/record.ts";
import type { Volume } from "../../log/search.ts";
import { jsonContent, operation, textContent } from "../openapi.ts";
import { HttpProblem } from "../problem.ts";
import { closedObject, oneOf, type ValueOf } from "../schemas/named.ts";
import { queryPageSchema, queryRecordSchema } from "../schemas/record.ts";
import { volumeSchema } from "../schemas/views.ts";
import type { Api, ApiParts } from "../types.ts";
import { gapViews } from "./decisions.ts";
import { STREAM_MS } from "./events.ts";
import { CONDITIONS, filterOf, PAGING, PERIOD, periodOf, STEP, stepOf } from "./parameters.ts";

const TAGS = ["queries"] as const;

const searchQueries = operation({
  operationId: "searchQueries",
  summary: "Search the query log, newest first",
  description:
    "All filters must hold. Pages stay right while records are added: ask with the same filters and the `cursor` of the page before.",
  tags: TAGS,
  querystring: closedObject({ ...CONDITIONS, ...PERIOD, ...PAGING }),
  // The bytes of the page are put together from JSON texts.
  response: { 200: jsonContent("A page of records.", Type.Unsafe<Buffer>(queryPageSchema.ref)) },
});

const getQuery = operation({
  operationId: "getQuery",
  summary: "One query whole",
  description:
    "Its trace, each attempt at an upstream, what was edited, and the answers. The trace is worked out anew under the version of the time; null: that version is not kept any more.",
  tags: TAGS,
  params: closedObject({
    id: Type.Integer({ minimum: 0, description: "`id` of the record.", examples: [1_838_382_071_277_568] }),
  }),
  response: { 200: jsonContent("The record.", queryRecordSchema.ref) },
  problems: [404],
});

const getVolume = operation({
  operationId: "getVolume",
  summary: "How many records fit, step by step",
  description:
    "The same filters as for a search, over the last day where no period is said. Counts newest first for three seconds; what took longer is missing.",
  tags: TAGS,
  querystring: closedObject({ ...CONDITIONS, ...PERIOD, step: STEP }),
  response: { 200: jsonContent("The counts.", volumeSchema.ref) },
});

const exportQueries = operation({
  operationId: "exportQueries",
  summary: "All records that fit, as a file",
  description:
    "Newest first, of any size, sent as fast as it is read. Where the log fails on the way, the connection ends without the end of the response.",
  tags: TAGS,
  querystring: closedObject({
    format: oneOf(["csv", "ndjson"], {
      description: "`csv` as RFC 4180 has it, with a header; `ndjson`: one JSON object a line.",
    }),
    ...CONDITIONS,
    ...PERIOD,
  }),
  response: {
    200: {
      description: "The records.",
      content: { ...textContent("", "text/csv").content, ...textContent("", "application/x-ndjson").content },
    },
  },
});

export function queryRoutes(api: Api, { control, clock, exports }: ApiParts): void {
  api.get("/queries", { schema: searchQueries }, async ({ query, signal }, reply) => {
    const { limit = 100, cursor = null, ...conditions } = query;
    const page = await control().queries.search({ filter: filterOf(conditions, clock.wallMs()), limit, cursor }, signal);
    return reply.type("application/json; charset=utf-8").send(pageBody(page));
  });

  api.get("/queries/:id", { schema: getQuery }, async ({ params: { id } }) => {
    const record = await control().queries.get(id);
    if (record === null) throw new HttpProblem(404, `there is no query ${id}`);
    return record;
  });

  api.get("/queries/volume", { schema: getVolume }, async ({ query: { step, from, to, ...conditions }, signal }) => {
    const nowMs = clock.wallMs();
    const period = periodOf({ ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }, nowMs);
    const filter = { ...filterOf(conditions, nowMs), ...period };
    const request = { filter, stepMs: stepOf(step, period.toMs - period.fromMs) };
    return volumeView(await control().queries.volume(request, signal));
  });

  api.get("/queries/export", { schema: exportQueries, handlerTimeout: STREAM_MS }, async (request, reply) => {
    const { format, ...conditions } = request.query;
    const filter = filterOf(conditions, clock.wallMs());
    reply.type(MEDIA_TYPES[format]).header("content-disposition", `attachment; filename="queries.${format}"`);
    if (request.method === "HEAD") return reply.send(Readable.from([]));
    const place = exports.take();
    const stop = new AbortController();
    try {
      const texts = control().queries.read(filter, format, stop.signal)[Symbol.asyncIterator]();
      // The first text comes before the status, so that the status can still tell why there is none.
      const first = await texts.next();
      const records = Readable.from(exportTexts(exportHead(format), first, texts), { objectMode: false });
      records.once("close", () => {
        stop.abort();
        void texts.return?.();
      });
      // An export that ends early must not look complete.
      place.hold(records, request.socket, () => records.destroy());
      return records.destroyed ? reply.hijack() : reply.send(records);
    } catch (error) {
      place.release();
      throw error;
    }
  });
}

function volumeView({ fromMs, stepMs, samples, gaps, countedFromMs }: Volume): ValueOf<typeof volumeSchema> {
  return {
    stepSeconds: stepMs / 1000,
    samples: samples.map((sample, index) => ({ at: new Date(fromMs + index * stepMs).toISOString(), ...sample })),
    gaps: gapViews(gaps),
    complete: countedFromMs <= fromMs,
    countedFrom: new Date(Math.max(fromMs, countedFromMs)).toISOString(),
  };
}

/** Bytes: fastify would turn a string into JSON once more. */
function pageBody({ records, cursor }: Page<RecordText>): Buffer {
  return Buffer.from(`{"records":[${records.map(({ json }) => json).join(",")}],"cursor":${JSON.stringify(cursor)}}`);
}

/** The head, then all texts, of which the first was taken already. */
async function* exportTexts(head: string, first: IteratorResult<string>, others: AsyncIterator<string>): AsyncGenerator<string> {
  if (head !== "") yield head;
  for (let each = first; each.done !== true; each = await others.next()) if (each.value !== "") yield each.value;
}

const MEDIA_TYPES = { csv: "text/csv; charset=utf-8", ndjson: "application/x-ndjson; charset=utf-8" } as const;

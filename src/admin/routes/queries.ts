import { Readable } from "node:stream";
import { Type } from "typebox";
import { csvOf, ndjsonOf } from "../../log/export.ts";
import { type Api, type ApiParts, jsonContent, operation, STREAM_MS, textContent } from "../api.ts";
import { clientOf } from "../guards.ts";
import { HttpProblem } from "../problem.ts";
import { closedObject, oneOf } from "../schemas/named.ts";
import { queryPageSchema, queryRecordSchema } from "../schemas/record.ts";
import { EventStream, missedRecords } from "../stream.ts";
import { CONDITIONS, filterOf, PAGING, PERIOD } from "./parameters.ts";

const TAGS = ["queries"] as const;

const searchQueries = operation({
  operationId: "searchQueries",
  summary: "Search the query log, newest first",
  description:
    "All filters must hold. Pages stay right while records are added: ask with the same filters and the `cursor` of the page before.",
  tags: TAGS,
  querystring: closedObject({ ...CONDITIONS, ...PERIOD, ...PAGING }),
  response: { 200: jsonContent("A page of records.", queryPageSchema.ref) },
});

const getQuery = operation({
  operationId: "getQuery",
  summary: "One query whole",
  description: "Its trace, each attempt at an upstream, what was edited, and the answers.",
  tags: TAGS,
  params: closedObject({
    id: Type.Integer({ minimum: 0, description: "`id` of the record.", examples: [1_838_382_071_277_568] }),
  }),
  response: { 200: jsonContent("The record.", queryRecordSchema.ref) },
  problems: [404],
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

export function queryRoutes(api: Api, { control, clients, clock, exports }: ApiParts): void {
  api.get("/queries", { schema: searchQueries }, ({ query: { limit = 100, cursor = null, ...conditions } }) =>
    control().queries.search({ filter: filterOf(conditions, clock.wallMs()), limit, cursor }),
  );

  api.get("/queries/:id", { schema: getQuery }, async ({ params: { id } }) => {
    const record = await control().queries.get(id);
    if (record === null) throw new HttpProblem(404, `there is no query ${id}`);
    return record;
  });

  api.get("/queries/export", { schema: exportQueries, handlerTimeout: STREAM_MS }, async (request, reply) => {
    const { format, ...conditions } = request.query;
    const filter = filterOf(conditions, clock.wallMs());
    const { mediaType, textOf } = FORMATS[format];
    reply.type(mediaType).header("content-disposition", `attachment; filename="queries.${format}"`);
    if (request.method === "HEAD") return reply.send(Readable.from([]));
    const slot = exports.take(clientOf(request, clients));
    const stop = new AbortController();
    try {
      const batches = control().queries.read(filter, stop.signal)[Symbol.asyncIterator]();
      // Waited for, so that what keeps it from coming can still be told by the status.
      const first = await batches.next();
      const records = Readable.from(textOf(beginningWith(first, batches)), { objectMode: false });
      records.once("close", () => {
        stop.abort();
        void batches.return?.();
      });
      // An export that ended early must not look like a whole one.
      slot.hold(records, request.socket, () => records.destroy());
      return records.destroyed ? reply.hijack() : reply.send(records);
    } catch (error) {
      slot.release();
      throw error;
    }
  });
}

async function* beginningWith<T>(first: IteratorResult<T>, others: AsyncIterator<T>): AsyncGenerator<T> {
  for (let each = first; each.done !== true; each = await others.next()) yield each.value;
}

const FORMATS = {
  csv: { mediaType: "text/csv; charset=utf-8", textOf: csvOf },
  ndjson: { mediaType: "application/x-ndjson; charset=utf-8", textOf: ndjsonOf },
} as const;

const HEADERS = Type.Object({
  "last-event-id": Type.Optional(
    Type.String({
      pattern: "^[0-9]{1,16}$",
      description:
        "`id` of the last record that was read, such as `1838382071277568`: what came after it is sent first, as far as the log has it and up to 500 records.",
    }),
  ),
});

const streamQueries = operation({
  operationId: "streamQueries",
  summary: "Records as they are made",
  description: `Server-Sent Events. Each record is an event of the default type whose data is a QueryRecord in JSON and whose id is that of the record. \
\`event: dropped\` with \`{"records": 12}\` says that so many were left out, because they were read too slowly; \`{"records": null}\`: nobody knows how many, \
because they came while nobody was connected. A comment comes at least every 15 seconds.

A browser's \`EventSource\` cannot send a token. Where one is set, read the stream with \`fetch\`, and send \`Last-Event-ID\` when connecting again.`,
  tags: ["queries"],
  querystring: closedObject(CONDITIONS),
  headers: HEADERS,
  response: {
    200: textContent(
      "Events, until somebody closes.",
      "text/event-stream",
      'id: 1838382071277568\ndata: {"name":"www.example.com"}\n\n',
    ),
  },
});

export function streamRoutes(api: Api, { control, clients, clock, limits, readers, recent, report }: ApiParts): void {
  api.get("/queries/stream", { schema: streamQueries, handlerTimeout: STREAM_MS }, async (request, reply) => {
    const filter = filterOf(request.query, clock.wallMs());
    // Proxies such as nginx would wait for more before they hand anything on.
    reply.type("text/event-stream").header("x-accel-buffering", "no");
    if (request.method === "HEAD") return reply.send(Readable.from([]));
    const { queries } = control();
    const slot = readers.take(clientOf(request, clients));
    const stream = new EventStream({ clock, heartbeatMs: limits.heartbeatMs, maxWaiting: limits.streamRecords });
    slot.hold(stream, request.socket, () => stream.finish());
    try {
      stream.once("close", recent.join(queries));
      stream.once(
        "close",
        queries.follow(filter, (record) => stream.offer(record)),
      );
    } catch (error) {
      stream.destroy();
      throw error;
    }
    const last = request.headers["last-event-id"];
    if (last === undefined) stream.begin([], false);
    else
      void missedRecords({ last: Number(last), filter, limit: limits.resumedRecords }, { queries, recent }).then(
        ({ records, more }) => stream.begin(records, more),
        (error: unknown) => {
          stream.begin([], true);
          report(error);
        },
      );
    return stream.destroyed ? reply.hijack() : reply.send(stream);
  });
}

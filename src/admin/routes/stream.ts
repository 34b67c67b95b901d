import { Readable } from "node:stream";
import { Type } from "typebox";
import { type Api, type ApiParts, operation, STREAM_MS, text } from "../api.ts";
import { EventStream } from "../event-stream.ts";
import { clientOf } from "../guards/admission.ts";
import { missedRecords } from "../missed-records.ts";
import { CLOSED } from "../schemas/named.ts";
import { CONDITIONS, filterOf } from "./parameters.ts";

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
  querystring: Type.Object(CONDITIONS, CLOSED),
  headers: HEADERS,
  response: {
    200: text(
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

import { Readable } from "node:stream";
import type { FastifyReply, FastifyRequest } from "fastify";
import { Type } from "typebox";
import type { QueryFilter } from "../../log/filter.ts";
import type { StateChange } from "../control.ts";
import { operation, textContent } from "../openapi.ts";
import { invalid } from "../problem.ts";
import { closedObject } from "../schemas/named.ts";
import { EventStream, findMissedRecords, NOTHING_MISSED } from "../stream.ts";
import type { Api, ApiParts } from "../types.ts";
import { CONDITIONS, filterOf } from "./parameters.ts";

/** After this time fastify ends a streamed response. A reader of the live stream reconnects; no export takes so long. */
export const STREAM_MS = 24 * 60 * 60 * 1000;

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

const TOPICS = ["health", "problems", "config", "queries"] as const;
const DEFAULT_TOPICS = "health,problems,config";
const DEFAULT_PER_SECOND = 50;

/** A page that hears nothing for some of these takes the server for gone. */
const PAGE_HEARTBEAT_MS = 5000;

const followState = operation({
  operationId: "followState",
  summary: "What changes, as it changes",
  description: `Server-Sent Events, for pages: one stream a page. First the state of each topic, then every change. \
\`event: health\`: its data is Health. \`event: problems\`, with \`{"revision": 7}\`: problems have changed. \`event: config\`, with \`{"version": "…", "pauses": [Pause]}\`: \
configuration, lists, hosts or pauses have changed. \`event: alive\` comes every five seconds: without it for long, nobody knows how the server is doing. \
With the topic \`queries\`, records that pass the filters are events of the default type, as \`GET /queries/stream\` has them; \
\`event: dropped\` with \`{"records": 12}\` says how many more there were. A slow reader skips states, never the newest.`,
  tags: ["state"],
  querystring: closedObject({
    topics: Type.Optional(
      Type.String({
        maxLength: 100,
        pattern: `^(${TOPICS.join("|")})(,(${TOPICS.join("|")}))*$`,
        description: `Of ${TOPICS.join(", ")}, with commas between; \`${DEFAULT_TOPICS}\` where nothing is said.`,
      }),
    ),
    perSecond: Type.Optional(
      Type.Integer({
        minimum: 1,
        maximum: 1000,
        description: `Records a second at most, the newest ones, such as \`10\`; ${DEFAULT_PER_SECOND} where nothing is said.`,
      }),
    ),
    ...CONDITIONS,
  }),
  headers: HEADERS,
  response: {
    200: textContent("Events, until somebody closes.", "text/event-stream", 'event: problems\ndata: {"revision":7}\n\n'),
  },
});

export function streamRoutes(api: Api, parts: ApiParts): void {
  api.get("/queries/stream", { schema: streamQueries, handlerTimeout: STREAM_MS }, async (request, reply) => {
    const filter = filterOf(request.query, parts.clock.wallMs());
    return sendEvents(parts, { request, reply, filter, topics: new Set(["queries"]) });
  });

  api.get("/events", { schema: followState, handlerTimeout: STREAM_MS }, async (request, reply) => {
    const { topics: wanted = DEFAULT_TOPICS, perSecond = DEFAULT_PER_SECOND, ...conditions } = request.query;
    const topics = new Set<string>(wanted.split(","));
    const [condition] = Object.keys(conditions);
    if (condition !== undefined && !topics.has("queries"))
      throw invalid([{ parameter: condition, reason: "is for the topic `queries`, which is not among `topics`" }]);
    const filter = filterOf(conditions, parts.clock.wallMs());
    return sendEvents(parts, { request, reply, filter, topics, perSecond });
  });
}

interface EventRequest {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly filter: QueryFilter;
  readonly topics: ReadonlySet<string>;
  /** For a page; what reads all records sets no limit, and shows no heartbeat. */
  readonly perSecond?: number;
}

function sendEvents(
  { control, clock, limits, readers, report }: ApiParts,
  { request, reply, filter, topics, perSecond }: EventRequest,
): FastifyReply {
  // Tells proxies such as nginx not to buffer the response.
  reply.type("text/event-stream").header("x-accel-buffering", "no");
  if (request.method === "HEAD") return reply.send(Readable.from([]));
  const server = control();
  const { queries } = server;
  const place = readers.take();
  const isSeen = perSecond !== undefined;
  const heartbeatMs = isSeen ? PAGE_HEARTBEAT_MS : limits.heartbeatMs;
  const stream = new EventStream({ clock, heartbeatMs, isSeen, maxWaiting: limits.streamRecords });
  place.hold(stream, request.socket, () => stream.finish());
  try {
    if (topics.has("queries")) {
      const offer = (...news: Parameters<EventStream["offer"]>) => stream.offer(...news);
      stream.once("close", queries.follow(filter, offer, perSecond));
    }
    if ([...topics].some((topic) => topic !== "queries")) {
      const tell = ({ topic, data }: StateChange) => (topics.has(topic) ? stream.state(topic, data) : undefined);
      stream.once("close", server.follow(tell));
    }
  } catch (error) {
    stream.destroy();
    throw error;
  }
  const last = request.headers["last-event-id"];
  if (last === undefined || !topics.has("queries")) stream.begin(NOTHING_MISSED);
  else {
    const missed = { last: Number(last), filter, limit: limits.resumedRecords, nowWallMs: clock.wallMs() };
    void findMissedRecords(queries, missed).then(
      (found) => stream.begin(found),
      (error: unknown) => {
        stream.begin({ records: [], more: true });
        report(error);
      },
    );
  }
  return stream.destroyed ? reply.hijack() : reply.send(stream);
}

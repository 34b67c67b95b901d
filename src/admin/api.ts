import type { Readable } from "node:stream";
import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from "fastify";
import { type TSchema, Type } from "typebox";
import type { Clock } from "../lib/clock.ts";
import type { Control } from "./control.ts";
import { problemSchema } from "./problem.ts";
import { closedObject } from "./schemas/named.ts";
import type { RecentRecords, StreamLimiter } from "./stream.ts";

/** The server as routes are added to it: what a schema says of a request is the type that its handler gets. */
export type Api = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** What the routes work with. */
export interface ApiParts {
  /** Asked at every request: what serves may have been replaced. */
  readonly control: () => Control;
  readonly clients: Clients;
  readonly clock: Clock;
  readonly limits: AdminLimits;
  /** Readers of the live stream, and of exports. */
  readonly readers: StreamLimiter;
  readonly exports: StreamLimiter;
  /** What readers of the live stream missed a moment ago. */
  readonly recent: RecentRecords;
  /** Tells the operator of a fault of ours. */
  readonly report: (error: unknown) => void;
}

/** After how long a response that is a stream is ended: a reader of the live stream connects again, and no export takes so long. */
export const STREAM_MS = 24 * 60 * 60 * 1000;

/** What one route does, for the document and for checking; `operationId` is what generated clients call it. */
interface Operation {
  readonly operationId: string;
  readonly summary: string;
  readonly description?: string;
  readonly tags: readonly string[];
  readonly params?: TSchema;
  readonly querystring?: TSchema;
  readonly headers?: TSchema;
  readonly body?: TSchema;
  readonly response: Readonly<Record<number, unknown>>;
  /** Statuses of problem details, besides those that every operation may give. */
  readonly problems?: readonly number[];
  /** Whether it is for everybody, without a token. */
  readonly open?: boolean;
}

/** Completes the description of a route: what every operation refuses, and that it takes no parameters but those it names. */
export function operation<const S extends Operation>(described: S) {
  const { problems = [], open = false, querystring = NOTHING, response, ...rest } = described;
  const statuses = [...COMMON, ...(open ? [] : [401, 403]), ...(rest.body === undefined ? [] : [413, 415]), ...problems];
  const refusals = statuses.map((status) => [status, problemContent(status)] as const);
  // The parts that types are inferred from keep theirs; what is added to them is nothing that a handler gives or gets.
  const completed = {
    ...rest,
    querystring,
    response: { ...Object.fromEntries(refusals), ...response },
    ...(open ? { security: [] } : {}),
  };
  return completed as unknown as Omit<S, "problems" | "open" | "tags"> & { readonly tags: string[] };
}

/** A response with a body of JSON. */
export function jsonContent<S extends TSchema>(description: string, schema: S) {
  return { description, content: { "application/json": { schema } } };
}

/** A response of text that is not JSON, sent whole or as a stream. */
export function textContent<const M extends string>(description: string, mediaType: M, example?: string) {
  const schema = Type.Unsafe<string | Readable>(Type.String(example === undefined ? {} : { examples: [example] }));
  return { description, content: { [mediaType]: { schema } } };
}

const NOTHING = closedObject({});

/** Statuses that every operation may refuse with. */
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

/** What the API bears. Tests shrink them. */
export interface AdminLimits {
  /** Of the body of a request: whole configurations are sent. */
  readonly bodyBytes: number;
  /** Of the target of a request, in characters. */
  readonly urlLength: number;
  /** Of all headers of a request. */
  readonly headerBytes: number;
  readonly headersMs: number;
  /** Until the last byte of a request has come. */
  readonly requestMs: number;
  /** Until the first byte of a response is sent. */
  readonly responseMs: number;
  /** How long a connection may stand still, a response half read included. */
  readonly idleMs: number;
  readonly connections: number;
  /** Connections of one client. Trusted proxies are exempt. */
  readonly connectionsPerClient: number;
  /** Requests of one connection that are under way at once. */
  readonly requestsAtOnce: number;
  /** Requests of one client, by IPv4 address or IPv6 /64. */
  readonly requestsPerSecond: number;
  readonly requestBurst: number;
  /** What a wrong token costs, in requests. */
  readonly wrongTokenCost: number;
  readonly streams: number;
  readonly streamsPerClient: number;
  /** Records that wait for one slow reader of the live stream. */
  readonly streamRecords: number;
  /** Missed records that are sent after a reconnection: below the limit of a search. */
  readonly resumedRecords: number;
  readonly heartbeatMs: number;
  readonly exports: number;
  /** How long responses under way may take when the server closes. */
  readonly closeMs: number;
}

export const ADMIN_LIMITS: AdminLimits = {
  bodyBytes: 2 * 1024 * 1024,
  urlLength: 8192,
  headerBytes: 16 * 1024,
  headersMs: 10_000,
  requestMs: 30_000,
  responseMs: 60_000,
  idleMs: 90_000,
  connections: 1000,
  connectionsPerClient: 200,
  requestsAtOnce: 16,
  requestsPerSecond: 50,
  requestBurst: 300,
  wrongTokenCost: 10,
  streams: 64,
  streamsPerClient: 16,
  streamRecords: 256,
  resumedRecords: 500,
  heartbeatMs: 15_000,
  exports: 2,
  closeMs: 2000,
};

/** Tells clients apart: those of a reverse proxy too, where it is one that is trusted. Addresses are as sockets give them. */
export interface Clients {
  /** Whether many clients may share the connections of this peer. */
  isProxy(peer: string): boolean;
  /** What counts as one client: an IPv4 address, or the /64 of an IPv6 address. */
  networkOf(peer: string, forwarded: Forwarded): string;
}

/** Whom a proxy says that it speaks for. */
interface Forwarded {
  /** X-Forwarded-For, several lines joined by commas. */
  readonly forwardedFor: string | undefined;
  /** X-Real-IP */
  readonly realIp: string | undefined;
}

/** How many of something each client has; those that have none are not remembered. */
export class ClientCounts {
  readonly #counts = new Map<string, number>();

  of(client: string): number {
    return this.#counts.get(client) ?? 0;
  }

  add(client: string): void {
    this.#counts.set(client, this.of(client) + 1);
  }

  remove(client: string): void {
    const left = this.of(client) - 1;
    if (left > 0) this.#counts.set(client, left);
    else this.#counts.delete(client);
  }
}

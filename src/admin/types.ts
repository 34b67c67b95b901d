import type { TypeBoxTypeProvider } from "@fastify/type-provider-typebox";
import type {
  FastifyBaseLogger,
  FastifyInstance,
  RawReplyDefaultExpression,
  RawRequestDefaultExpression,
  RawServerDefault,
} from "fastify";
import type { Clock } from "../lib/clock.ts";
import type { Control } from "./control.ts";
import type { StreamLimiter } from "./stream.ts";

/** The HTTP server to which routes are added. A handler gets the types that the schemas of its route describe. */
export type Api = FastifyInstance<
  RawServerDefault,
  RawRequestDefaultExpression,
  RawReplyDefaultExpression,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** What all routes share. */
export interface ApiParts {
  /** Called for every request, because a reload may have replaced the server state. */
  readonly control: () => Control;
  readonly clients: Clients;
  readonly clock: Clock;
  readonly limits: AdminLimits;
  /** Limits the readers of the live stream. */
  readonly readers: StreamLimiter;
  /** Limits the exports. */
  readonly exports: StreamLimiter;
  /** Tells the operator about a bug. */
  readonly report: (error: unknown) => void;
}

/** Tells clients apart, also the clients of a trusted reverse proxy. Addresses have the form that sockets give them. */
export interface Clients {
  /** The address of the peer, or of the client that a trusted proxy names. */
  addressOf(peer: string, forwarded: Forwarded): string;
  /** The network that counts as one client: an IPv4 address, or the /64 of an IPv6 address. */
  networkOf(peer: string, forwarded: Forwarded): string;
}

/** The headers by which a proxy names its client. */
interface Forwarded {
  /** X-Forwarded-For; several lines are joined by commas. */
  readonly forwardedFor: string | undefined;
  /** X-Real-IP */
  readonly realIp: string | undefined;
}

/** The limits that protect the API. Tests set smaller ones. */
export interface AdminLimits {
  /** Size of the body of a request. Users send whole configurations. */
  readonly bodyBytes: number;
  /** Characters in the target of a request. */
  readonly urlLength: number;
  /** Size of all headers of a request together. */
  readonly headerBytes: number;
  /** Time until the last header has arrived. */
  readonly headersMs: number;
  /** Time until the last byte of a request has arrived. */
  readonly requestMs: number;
  /** Time until the first byte of the response is sent. */
  readonly responseMs: number;
  /** Time that a connection may be idle, even in the middle of a response. */
  readonly idleMs: number;
  /** Open connections of all clients together. */
  readonly connections: number;
  /** Requests per second of one client. */
  readonly requestsPerSecond: number;
  readonly requestBurst: number;
  /** Number of requests that one wrong token costs. */
  readonly wrongTokenCost: number;
  /** Open live streams of all clients together. */
  readonly streams: number;
  /** Records that may wait for one slow reader of the live stream. */
  readonly streamRecords: number;
  /** Records that a reader gets from the store when it reconnects. Must be less than the limit of a search. */
  readonly resumedRecords: number;
  readonly heartbeatMs: number;
  /** Exports at the same time. */
  readonly exports: number;
  /** Time that responses may still take when the server closes. */
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
  requestsPerSecond: 50,
  requestBurst: 300,
  wrongTokenCost: 10,
  streams: 64,
  streamRecords: 256,
  resumedRecords: 500,
  heartbeatMs: 15_000,
  exports: 2,
  closeMs: 2000,
};

/** What the API bears. Tests shrink them. */
export interface AdminLimits {
  /** Of the body of a request: whole configurations are sent. */
  readonly bodyBytes: number;
  /** Of the target of a request, in characters. */
  readonly urlLength: number;
  /** Of all headers of a request. */
  readonly headerBytes: number;
  readonly headersMs: number;
  /** Until the last octet of a request has come. */
  readonly requestMs: number;
  /** Until the first octet of a response is sent. */
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

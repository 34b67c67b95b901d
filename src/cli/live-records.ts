import { Type } from "typebox";
import { named, orNull } from "../admin/schemas/named.ts";
import { queryRecord } from "../admin/schemas/record.ts";
import type { QueryRecord } from "../log/record.ts";
import { type ApiClient, ApiGone, ApiRefusal, ApiSilent, type ServerEvent } from "./api-client.ts";
import type { Parameter } from "./log-filter.ts";

export interface LiveRequest {
  readonly query: readonly Parameter[];
  /** Id of the last record that is known: what came after it comes first. null = nothing is known of the past. */
  readonly after: number | null;
  /** As ids are made: what came after this is wanted, should the stream break off before any record. */
  readonly begunId: number;
  readonly signal: AbortSignal;
  /** Resolves after so many milliseconds, or once the signal aborts. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

export type Live =
  | { readonly kind: "record"; readonly record: QueryRecord }
  /** Records that the server left out; null = nobody knows how many, or whether any. */
  | { readonly kind: "left out"; readonly records: number | null }
  /** The stream broke off, and is tried again until it is there. */
  | { readonly kind: "lost"; readonly reason: string }
  | { readonly kind: "back" };

/** Between tries to connect again: doubled each time. */
const RETRY_MS = { first: 500, last: 10_000 } as const;

/**
 * Records as they come, until the signal aborts. A stream that breaks off, because the server is restarted, goes on behind the last record.
 * @throws ApiUnreachable, ApiRefusal where the first connection fails; later only where what answers is no server of this version, or where the fault is
 * of the request.
 */
export async function* liveRecords(api: ApiClient, request: LiveRequest): AsyncGenerator<Live> {
  const { begunId, signal } = request;
  let last = request.after;
  let events: AsyncGenerator<ServerEvent> | null = await connected(api, request, last);
  while (events !== null) {
    try {
      for await (const event of events) {
        const live = liveOf(api, event);
        if (live.kind === "record") last = live.record.id;
        yield live;
      }
      return;
    } catch (error) {
      if (!(error instanceof ApiGone)) throw error;
      yield { kind: "lost", reason: error.message };
    }
    events = await connectedAgain(api, request, last ?? begunId);
    if (!signal.aborted) yield { kind: "back" };
  }
}

/** null where the signal aborts before. */
async function connectedAgain(api: ApiClient, request: LiveRequest, after: number): Promise<AsyncGenerator<ServerEvent> | null> {
  for (let waitMs: number = RETRY_MS.first; ; waitMs = Math.min(2 * waitMs, RETRY_MS.last)) {
    await request.wait(waitMs, request.signal);
    if (request.signal.aborted) return null;
    try {
      return await connected(api, request, after);
    } catch (error) {
      if (!mayPass(error)) throw error;
    }
  }
}

function connected(api: ApiClient, { query, signal }: LiveRequest, after: number | null): Promise<AsyncGenerator<ServerEvent>> {
  return api.stream("queries/stream", { query, signal, ...(after === null ? {} : { lastEventId: String(after) }) });
}

/** A server that is starting, or has no place at the moment, perhaps because it counts the connection that broke off still (429). */
function mayPass(error: unknown): boolean {
  if (error instanceof ApiRefusal) return error.status === 429 || error.status >= 500;
  return error instanceof ApiSilent || error instanceof ApiGone;
}

function liveOf(api: ApiClient, { event, data }: ServerEvent): Live {
  if (event === "dropped") return { kind: "left out", records: api.parse(leftOut, data).records };
  return { kind: "record", record: api.parse(queryRecord, data) };
}

const leftOut = named<{ readonly records: number | null }>("LeftOut").as(Type.Object({ records: orNull(Type.Integer()) }));

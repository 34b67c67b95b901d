/**
 * From a client's bytes to the bytes of the reply: the first file to read, and the door of `server/`.
 *
 * The listeners call `handlerFor` once and its `answer` for every message; `control/` calls `serve` to explain a query; `app/` builds the
 * state that answers. Read on in this order:
 *
 * - `query-event.ts`: what observers are told about every query
 * - `state.ts`: the immutable state that answers, how it is built and how a reload hands it over
 * - `policy.ts`: lists, hosts and rules of a state; `pauses.ts`: rules that are passed over for a while; `preflight.ts`: why a configuration is refused
 * - `host-overrides.ts`: names set through the API; `autosave.ts`: files written now and then
 */

import { emptyAnswer } from "../answers/negative.ts";
import { type Rendered, rejectionReply, render, replyLimit, truncatedReply } from "../answers/render.ts";
import { networkOfAddress } from "../dns/address.ts";
import type { ExtendedError } from "../dns/edns.ts";
import { decodeMessage } from "../dns/message.ts";
import { nameFromText } from "../dns/name.ts";
import { askMessage, isRejection, parseQuery, type Query } from "../dns/query.ts";
import { jsonMessage } from "../dns/text.ts";
import { CLASS, EDE, RCODE, typeNumber } from "../dns/types.ts";
import type { Client } from "../lib/client.ts";
import { FairShare } from "../lib/fair-share.ts";
import type { Handler, HandlerReply, JsonReply } from "../listen/types.ts";
import type { OperationsLog } from "../log/operations.ts";
import { resolve } from "../resolve/resolve.ts";
import type { Resolution } from "../resolve/types.ts";
import type { AnswerFeed, QueryEvent, QueryObserver, ReplyPublisher } from "./query-event.ts";
import type { ServerState } from "./state.ts";

/** The running server, as far as one query needs it. A reload replaces `state`. */
export interface Serving {
  readonly state: ServerState;
  readonly recorder: QueryObserver;
  /** The queries that wait for an upstream. Lives as long as the process. */
  readonly waiting: FairShare;
  /** Tells who a client is; null or absent = nobody knows more than the client says. */
  readonly names?: { identify(client: Client): Client } | null;
  /** null or absent = nobody wants the addresses. */
  readonly feed?: AnswerFeed | null;
  /** Absent or null = each query is answered here. */
  readonly replies?: ReplyPublisher | null;
}

/**
 * Queries that may wait for upstreams at the same time, over all transports. A waiting query costs some 5 KB. With a dead upstream each waits for the
 * whole deadline: this admits 2,500 a second.
 */
export const MAX_WAITING = 10_000;

export function waitingQueries(): FairShare {
  return new FairShare(MAX_WAITING, networkOfAddress);
}

/**
 * Parses a message, checks that the client may ask, resolves the query, renders the reply and tells the observer. null = nothing is sent.
 * @param arrivedMs see `Handler.answer`.
 * Returns a promise only where an answer had to be awaited. Throws or rejects only for a bug.
 */
export function serve(
  { state, recorder, waiting, names, feed = null, replies = null }: Serving,
  message: Uint8Array,
  from: Client,
  arrivedMs?: number,
): Rendered | null | Promise<Rendered | null> {
  const { clock, deadlineMs } = state.resolver;
  const nowMs = clock.now();
  const startedMs = arrivedMs ?? nowMs;
  const parsed = parseQuery(message);
  if (parsed === null) return null;
  // A name that a device chose admits nobody.
  const admission = state.access.admit(from, nowMs);
  const client = names?.identify(from) ?? from;
  // Rules about an id that the client says of itself are not those of its address.
  const publisher = from.clientId === null ? replies : null;
  const arrived = { state, recorder, replies: publisher, feed, client, parsed, admission, startedMs };
  if (isRejection(parsed)) {
    const rejection = admission === "admitted" ? parsed : { ...parsed, rejected: RCODE.REFUSED };
    return finish(arrived, { wire: rejectionReply(rejection), maxAgeSeconds: null }, null);
  }
  if (admission !== "admitted") return finish(arrived, renderDenial(parsed, client, admission), null);
  // What needs no waiting is answered whatever else hangs. A query that has used up half of its time before its turn came is not begun: cut short, it
  // would be held against the name.
  const isLate = nowMs - startedMs >= deadlineMs / 2;
  const mayWait = !isLate && waiting.hasRoom(client.address);
  const resolution = resolve(state.resolver, parsed, { client, mayWait, untilMs: startedMs + deadlineMs });
  if (resolution instanceof Promise) {
    waiting.take(client.address);
    return resolution.then(
      (late) => {
        waiting.release(client.address);
        const rendered = renderResolution(parsed, client, late);
        const feeding = feed === null ? null : feedAnswer(feed, late, rendered, startedMs + deadlineMs);
        const ended = { ...arrived, replies: null };
        if (feed !== null) feedRenewal(feed, { state, parsed, client }, late);
        return feeding === null ? finish(ended, rendered, late) : feeding.then((fed) => finish(ended, rendered, fed));
      },
      (error: unknown) => {
        waiting.release(client.address);
        throw error;
      },
    );
  }
  const rendered = renderResolution(parsed, client, resolution);
  if (feed !== null) {
    void feedAnswer(feed, resolution, rendered, null);
    feedRenewal(feed, { state, parsed, client }, resolution);
  }
  return finish(arrived, rendered, resolution);
}

/** @returns null = the reply goes at once; else the resolution, which tells if addresses came late. */
function feedAnswer(
  feed: AnswerFeed,
  resolution: Resolution,
  rendered: Rendered | null,
  untilMs: number | null,
): Promise<Resolution> | null {
  const { answer, decision, edits = [] } = resolution;
  const { rule } = decision.context;
  if (rule === null || answer === null || rendered === null) return null;
  const arrival = feed.see({ rule, answer, ttlSeconds: rendered.maxAgeSeconds ?? 0, untilMs });
  return arrival?.then((isThere) => (isThere ? resolution : { ...resolution, edits: [...edits, LATE_FOR_ROUTER] })) ?? null;
}

/** An answer that the cache gets ahead of time is noted when it comes: the first client that is given it does not wait, and its packets are on their way at once. */
function feedRenewal(
  feed: AnswerFeed,
  { state, parsed, client }: { readonly state: ServerState; readonly parsed: Query; readonly client: Client },
  { renewal }: Resolution,
): void {
  void renewal?.then(() => {
    const renewed = resolve(state.resolver, parsed, { client, mayWait: false, untilMs: state.resolver.clock.now() });
    if (!(renewed instanceof Promise)) void feedAnswer(feed, renewed, renderResolution(parsed, client, renewed), null);
  });
}

const LATE_FOR_ROUTER = "sent before its addresses were in the router's list";

interface ArrivedQuery extends Pick<QueryEvent, "state" | "client" | "parsed" | "admission" | "startedMs"> {
  readonly recorder: QueryObserver;
  readonly replies: ReplyPublisher | null;
  readonly feed: AnswerFeed | null;
}

/** Tells the observer about the query. @returns the reply. */
function finish(arrived: ArrivedQuery, rendered: Rendered | null, resolution: Resolution | null): Rendered | null {
  const { state, recorder, replies, feed, client, parsed, admission, startedMs } = arrived;
  const event = { state, client, parsed, admission, resolution, rendered, startedMs, endedMs: state.resolver.clock.now() };
  recorder.observe(event);
  replies?.offer(event, feed);
  return rendered;
}

function renderResolution(query: Query, client: Client, resolution: Resolution): Rendered | null {
  const { answer, ttl, authenticated, extendedErrors, subnetScope = 0 } = resolution;
  if (answer === null) return client.transport === "udp" ? null : renderRefusal(query, client, { code: EDE.BLOCKED, text: "" });
  return render({ query, answer, ttl, authenticated, extendedErrors, subnetScope, ...transportLimits(client, query) });
}

// A UDP client over its rate is sent to TCP, where its address cannot be forged. On streams it is refused.
function renderDenial(query: Query, client: Client, admission: "forbidden" | "limited"): Rendered {
  if (admission === "forbidden") return renderRefusal(query, client, { code: EDE.PROHIBITED, text: "" });
  if (client.transport !== "udp") return renderRefusal(query, client, { code: EDE.PROHIBITED, text: "over the rate limit" });
  const wire = truncatedReply({ ...withoutRecords(query, RCODE.NOERROR), ...transportLimits(client, query) });
  return { wire, maxAgeSeconds: null };
}

function renderRefusal(query: Query, client: Client, extendedError: ExtendedError): Rendered {
  const limits = transportLimits(client, query);
  return render({ ...withoutRecords(query, RCODE.REFUSED), ...limits, extendedErrors: [extendedError] });
}

function withoutRecords(query: Query, rcode: number) {
  const ttl = { kind: "failure" } as const;
  return { query, answer: emptyAnswer(query, rcode), ttl, authenticated: false, extendedErrors: [] };
}

function transportLimits({ transport }: Client, query: Query) {
  return {
    limitBytes: replyLimit(query, transport === "udp"),
    encrypted: transport === "dot" || transport === "doh",
  };
}

/** What the listeners call. A bug becomes SERVFAIL for the client and an error in the operator's log. */
export function handlerFor(serving: Serving, log: OperationsLog): Handler {
  const fail = (error: unknown, message: Uint8Array, client: Client): HandlerReply | null => {
    log.error({ err: error, query: Buffer.from(message).toString("base64") }, "a fault in Fenliu itself: please report it");
    return failQuery(serving, message, client);
  };
  const answer: Handler["answer"] = (message, client, arrivedMs) => {
    try {
      // The thread of UDP has looked for a reply to repeat before it passed the query on.
      const repeated = client.transport === "udp" ? null : serving.replies?.repeat(message, client);
      if (repeated) return repeated;
      const reply = serve(serving, message, client, arrivedMs);
      return reply instanceof Promise ? reply.catch((error: unknown) => fail(error, message, client)) : reply;
    } catch (error) {
      return fail(error, message, client);
    }
  };
  const mayConnect = (address: string): boolean => {
    const { access, config } = serving.state;
    return access.mayConnect(address) || (config.ddns.onDoh && config.ddns.tokens.length > 0);
  };
  return {
    answer,
    shed: (message, client) => shed(serving, message, client),
    mayConnect,
    answerJson: (parameters, client) => answerJson(answer, parameters, client),
  };
}

/** Neither asks nor records anything: there are too many such queries. */
function shed({ state }: Serving, message: Uint8Array, { address }: Client): HandlerReply | null {
  const parsed = parseQuery(message);
  if (parsed === null) return null;
  const rcode = state.access.mayConnect(address) ? RCODE.SERVFAIL : RCODE.REFUSED;
  const rejection = isRejection(parsed) ? parsed : { ...parsed, opcode: 0, rejected: rcode };
  return { wire: rejectionReply(rejection), maxAgeSeconds: null };
}

function failQuery({ state, recorder }: Serving, message: Uint8Array, client: Client): HandlerReply | null {
  const parsed = parseQuery(message);
  if (parsed === null) return null;
  const rejection = isRejection(parsed) ? parsed : { ...parsed, opcode: 0 };
  const rendered = { wire: rejectionReply({ ...rejection, rejected: RCODE.SERVFAIL }), maxAgeSeconds: null };
  try {
    const nowMs = state.resolver.clock.now();
    const times = { startedMs: nowMs, endedMs: nowMs };
    recorder.observe({ state, client, parsed, admission: "admitted", resolution: null, rendered, ...times });
  } catch {
    // The clock or the observer may be what is broken. The bug is in the log already, and the client still gets its SERVFAIL.
  }
  return rendered;
}

/**
 * Answers `?name=&type=&cd=&do=` in the JSON format of Google's and Cloudflare's public resolvers. The question is put into a DNS message and
 * goes the same way as every other query.
 */
async function answerJson(answer: Handler["answer"], parameters: URLSearchParams, client: Client): Promise<JsonReply> {
  const name = nameFromText(parameters.get("name") ?? "");
  if (name === null) return badRequest("name: a domain name is wanted");
  const type = typeNumber(parameters.get("type") ?? "A");
  if (type === null) return badRequest("type: a record type such as AAAA, or its number, is wanted");
  const question = {
    name,
    type,
    class: CLASS.IN,
    dnssecOk: isSet(parameters.get("do")),
    checkingDisabled: isSet(parameters.get("cd")),
    clientSubnet: null,
  };
  const reply = await answer(askMessage(question, { id: 0, edns: true, padded: false }), client);
  const decoded = reply === null ? null : decodeMessage(reply.wire);
  if (reply === null || decoded === null) return badRequest("this question has no answer");
  return { kind: "ok", body: JSON.stringify(jsonMessage(decoded)), maxAgeSeconds: reply.maxAgeSeconds };
}

function isSet(value: string | null): boolean {
  return value === "1" || value === "true";
}

function badRequest(text: string): JsonReply {
  return { kind: "bad", text };
}

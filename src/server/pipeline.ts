import { bareAnswer } from "../answers/negative.ts";
import { type Rendered, rejectionReply, render, replyLimit, truncatedReply } from "../answers/render.ts";
import type { ExtendedError } from "../dns/edns.ts";
import { isRejection, parseQuery, type Query } from "../dns/query.ts";
import { EDE, RCODE } from "../dns/types.ts";
import type { Client } from "../lib/client.ts";
import type { Handler, HandlerReply } from "../listen/types.ts";
import type { OperationsLog } from "../log/operations.ts";
import { resolve } from "../resolve/resolve.ts";
import type { Resolution } from "../resolve/types.ts";
import { answerJson } from "./json-api.ts";
import type { AnsweringState, QueryEvent, QueryObserver } from "./query-event.ts";

/** What queries are answered from at the moment, and who is told of them. */
interface Serving {
  readonly site: AnsweringState;
  readonly journal: QueryObserver;
}

/**
 * From a client's bytes to the reply's: parse, admit, resolve, render. null = nothing is to be sent. What no await was needed for is
 * returned as it is. Never throws or rejects but for a bug.
 */
export function serve(
  { site, journal }: Serving,
  message: Uint8Array,
  client: Client,
): Rendered | null | Promise<Rendered | null> {
  const startedMs = site.resolver.clock.now();
  const parsed = parseQuery(message);
  if (parsed === null) return null;
  const admission = site.access.admit(client, startedMs);
  const arrived = { site, journal, client, parsed, admission, startedMs };
  if (isRejection(parsed)) {
    const rejection = admission === "admitted" ? parsed : { ...parsed, rejected: RCODE.REFUSED };
    return replied(arrived, { wire: rejectionReply(rejection), maxAgeSeconds: null }, null);
  }
  if (admission !== "admitted") return replied(arrived, turnedAway(parsed, client, admission), null);
  const resolution = resolve(site.resolver, parsed, client);
  if (resolution instanceof Promise) return resolution.then((late) => replied(arrived, sent(parsed, client, late), late));
  return replied(arrived, sent(parsed, client, resolution), resolution);
}

type Arrived = Pick<QueryEvent, "site" | "client" | "parsed" | "admission" | "startedMs"> & Pick<Serving, "journal">;

/** Notes the query with its reply, which is returned. */
function replied(arrived: Arrived, rendered: Rendered | null, resolution: Resolution | null): Rendered | null {
  const { site, journal, client, parsed, admission, startedMs } = arrived;
  journal.observe({ site, client, parsed, admission, resolution, rendered, startedMs, endedMs: site.resolver.clock.now() });
  return rendered;
}

function sent(query: Query, client: Client, resolution: Resolution): Rendered | null {
  const { answer, ttl, authenticated, extendedErrors, subnetScope = 0 } = resolution;
  if (answer === null) return client.transport === "udp" ? null : refused(query, client, { code: EDE.BLOCKED, text: "" });
  return render({ query, answer, ttl, authenticated, extendedErrors, subnetScope, ...carriedBy(client, query) });
}

// Over its rate a client is sent to TCP, where nobody can ask under a forged address; on streams it is refused.
function turnedAway(query: Query, client: Client, admission: "forbidden" | "limited"): Rendered {
  if (admission === "forbidden") return refused(query, client, { code: EDE.PROHIBITED, text: "" });
  if (client.transport !== "udp") return refused(query, client, { code: EDE.PROHIBITED, text: "over the rate limit" });
  return { wire: truncatedReply({ ...withoutRecords(query, RCODE.NOERROR), ...carriedBy(client, query) }), maxAgeSeconds: null };
}

function refused(query: Query, client: Client, extendedError: ExtendedError): Rendered {
  return render({ ...withoutRecords(query, RCODE.REFUSED), ...carriedBy(client, query), extendedErrors: [extendedError] });
}

function withoutRecords(query: Query, rcode: number) {
  const ttl = { kind: "failure" } as const;
  return { query, answer: bareAnswer(query, rcode), ttl, authenticated: false, extendedErrors: [] };
}

function carriedBy({ transport }: Client, query: Query) {
  return {
    limitBytes: replyLimit(query, transport === "udp"),
    encrypted: transport === "dot" || transport === "doh",
  };
}

/** What the listeners hand messages to: whatever `serving` holds at that moment. A fault of ours becomes SERVFAIL, and is told. */
export function handlerFor(serving: Serving, log: OperationsLog): Handler {
  const broken = (error: unknown, message: Uint8Array, client: Client): HandlerReply | null => {
    log.error({ err: error, query: Buffer.from(message).toString("base64") }, "a fault in Fenliu itself: please report it");
    return serverFailure(serving, message, client);
  };
  const answer = (message: Uint8Array, client: Client): HandlerReply | null | Promise<HandlerReply | null> => {
    try {
      const reply = serve(serving, message, client);
      return reply instanceof Promise ? reply.catch((error: unknown) => broken(error, message, client)) : reply;
    } catch (error) {
      return broken(error, message, client);
    }
  };
  return { answer, answerJson: (parameters, client) => answerJson(answer, parameters, client) };
}

function serverFailure(serving: Serving, message: Uint8Array, client: Client): HandlerReply | null {
  const parsed = parseQuery(message);
  if (parsed === null) return null;
  const rejection = isRejection(parsed) ? parsed : { ...parsed, opcode: 0 };
  const rendered = { wire: rejectionReply({ ...rejection, rejected: RCODE.SERVFAIL }), maxAgeSeconds: null };
  noteFault(serving, { client, parsed, rendered });
  return rendered;
}

function noteFault({ site, journal }: Serving, met: Pick<QueryEvent, "client" | "parsed" | "rendered">): void {
  try {
    const nowMs = site.resolver.clock.now();
    journal.observe({ ...met, site, admission: "admitted", resolution: null, startedMs: nowMs, endedMs: nowMs });
  } catch {
    // What is broken may be what this needs as well, and the client is still owed a reply. The fault itself has been told.
  }
}

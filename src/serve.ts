import { bareAnswer } from "./answers/negative.ts";
import { type Rendered, rejectionReply, render, replyLimit, truncatedReply } from "./answers/render.ts";
import type { ExtendedError } from "./dns/edns.ts";
import { isRejection, parseQuery, type Query } from "./dns/query.ts";
import { EDE, RCODE } from "./dns/types.ts";
import type { Client } from "./lib/client.ts";
import type { AnsweringSite, Noted, Notes } from "./noted.ts";
import { resolve } from "./resolve/resolve.ts";
import type { Resolution } from "./resolve/types.ts";

/** What queries are answered from at the moment, and who is told of them. */
export interface Serving {
  readonly site: AnsweringSite;
  readonly journal: Notes;
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

type Arrived = Pick<Noted, "site" | "client" | "parsed" | "admission" | "startedMs"> & Pick<Serving, "journal">;

/** Notes the query with its reply, which is returned. */
function replied(arrived: Arrived, rendered: Rendered | null, resolution: Resolution | null): Rendered | null {
  const { site, journal, client, parsed, admission, startedMs } = arrived;
  journal.note({ site, client, parsed, admission, resolution, rendered, startedMs, endedMs: site.resolver.clock.now() });
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
    limitOctets: replyLimit(query, transport === "udp"),
    encrypted: transport === "dot" || transport === "doh",
  };
}

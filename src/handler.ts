import { rejectionReply } from "./answers/render.ts";
import { isRejection, parseQuery } from "./dns/query.ts";
import { RCODE } from "./dns/types.ts";
import type { Client } from "./lib/client.ts";
import type { Handler, Reply } from "./listen/types.ts";
import type { OperationsLog } from "./log/operations.ts";
import type { Noted } from "./noted.ts";
import { type Serving, serve } from "./serve.ts";
import { answerJson } from "./serve-json.ts";

/** What the listeners hand messages to: whatever `serving` holds at that moment. A fault of ours becomes SERVFAIL, and is told. */
export function handlerFor(serving: Serving, log: OperationsLog): Handler {
  const broken = (error: unknown, message: Uint8Array, client: Client): Reply | null => {
    log.error({ err: error, query: Buffer.from(message).toString("base64") }, "a fault in Fenliu itself: please report it");
    return serverFailure(serving, message, client);
  };
  const answer = (message: Uint8Array, client: Client): Reply | null | Promise<Reply | null> => {
    try {
      const reply = serve(serving, message, client);
      return reply instanceof Promise ? reply.catch((error: unknown) => broken(error, message, client)) : reply;
    } catch (error) {
      return broken(error, message, client);
    }
  };
  return { answer, answerJson: (parameters, client) => answerJson(answer, parameters, client) };
}

function serverFailure(serving: Serving, message: Uint8Array, client: Client): Reply | null {
  const parsed = parseQuery(message);
  if (parsed === null) return null;
  const rejection = isRejection(parsed) ? parsed : { ...parsed, opcode: 0 };
  const rendered = { wire: rejectionReply({ ...rejection, rejected: RCODE.SERVFAIL }), maxAgeSeconds: null };
  noteFault(serving, { client, parsed, rendered });
  return rendered;
}

function noteFault({ site, journal }: Serving, met: Pick<Noted, "client" | "parsed" | "rendered">): void {
  try {
    const nowMs = site.resolver.clock.now();
    journal.note({ ...met, site, admission: "admitted", resolution: null, startedMs: nowMs, endedMs: nowMs });
  } catch {
    // What is broken may be what this needs as well, and the client is still owed a reply. The fault itself has been told.
  }
}

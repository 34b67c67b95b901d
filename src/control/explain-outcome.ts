import { askMessage } from "../dns/query.ts";
import type { ExplainedOutcome } from "../log/record.ts";
import type { Noted } from "../noted.ts";
import { serve } from "../serve.ts";
import type { Site } from "../site.ts";
import { recordOf } from "./record-of.ts";
import type { Subject } from "./subject.ts";

/**
 * Asks the question as that client would: admission and its rate count, servers are asked, answers are kept. It is no client's query all the
 * same, and neither counted nor logged as one. Settled by the deadline of queries.
 */
export async function outcomeFor(site: Site, { query, client }: Subject): Promise<ExplainedOutcome> {
  const noted = await notedOf(site, askMessage(query, { id: 0, edns: true, padded: false }), client);
  const record = recordOf(noted, { ids: { next: () => 0 }, clients: "full", wallOffsetMs: 0 });
  const { rcode, source, action, answers, negativeTtl, ede, edits, attempts, durationUs } = record;
  return { rcode, source, action, answers, negativeTtl, ede, edits, attempts, durationUs };
}

async function notedOf(site: Site, message: Uint8Array, client: Subject["client"]): Promise<Noted> {
  const seen: Noted[] = [];
  await serve({ site, journal: { note: (noted) => void seen.push(noted) } }, message, client);
  const [noted] = seen;
  if (noted === undefined) throw new Error("a query was not noted");
  return noted;
}

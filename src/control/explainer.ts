import { ControlError, type ExplainRequest, type QuerySource, type WhatIfRequest } from "../admin/control.ts";
import type { Explained, ExplainedOutcome } from "../admin/schemas/record.ts";
import type { ConfigCheck, VersionView, WhatIf } from "../admin/schemas/views.ts";
import { askMessage } from "../dns/query.ts";

import { serve } from "../server/pipeline.ts";
import type { QueryEvent } from "../server/query-event.ts";
import type { ServerState } from "../server/state.ts";
import type { Explaining } from "./control.ts";
import { checkDraft, type Drafts } from "./drafts.ts";
import { explain, explainBy } from "./explain.ts";
import { type HypotheticalQuery, hypotheticalQuery } from "./explain-live.ts";
import type { Versions } from "./history.ts";
import { buildRecord } from "./records.ts";
import { whatIf } from "./what-if.ts";

interface ExplainerParts {
  readonly drafts: Pick<Drafts, "judge">;
  /** The server at work. */
  readonly server: { readonly state: ServerState };
  readonly queries: Pick<QuerySource, "read">;
  /** null = none are kept, because no records are. */
  readonly versions: () => Pick<Versions, "list" | "decisionsOf"> | null;
}

/** Explains decisions, of now, of the past, and of a draft. */
export class Explainer implements Explaining {
  readonly #parts: ExplainerParts;

  constructor(parts: ExplainerParts) {
    this.#parts = parts;
  }

  async explain(request: ExplainRequest): Promise<Explained> {
    const { state: site } = this.#parts.server;
    if (request.version !== null && request.version !== site.version) return await this.#explainThen(request, request.version);
    const explained = explain(site, request);
    return request.resolve ? { ...explained, outcome: await outcomeFor(site, hypotheticalQuery(request)) } : explained;
  }

  whatIf({ config: text, ...request }: WhatIfRequest): Promise<WhatIf> {
    const { server, queries, drafts } = this.#parts;
    const { path } = server.state.config;
    return drafts.judge({ text, path }, (draft) => whatIf(server.state, { draft, request, queries }));
  }

  checkConfig(text: string): Promise<ConfigCheck> {
    const { server, drafts } = this.#parts;
    const { config } = server.state;
    return drafts.judge({ text, path: config.path }, (draft) => checkDraft(draft, config));
  }

  async versions(): Promise<readonly VersionView[]> {
    return (await this.#parts.versions()?.list()) ?? [];
  }

  async #explainThen(request: ExplainRequest, version: string): Promise<Explained> {
    if (request.resolve)
      throw new ControlError("invalid", "under a version of the past nothing can be asked: leave out `resolve` or `version`");
    const subject = hypotheticalQuery(request);
    const versions = this.#parts.versions();
    if (versions === null)
      throw new ControlError("missing", `version ${version} is not kept: versions are kept with the query log alone`);
    const explained = explainBy(await versions.decisionsOf(version), subject, null);
    return { ...explained, notes: [...explained.notes, PAST_NOTE] };
  }
}

const PAST_NOTE = "This is a version of the past: what the cache held then, and how upstreams did, is not known.";

/**
 * Asks the question as that client would: admission and its rate count, servers are asked, answers are kept. It is no client's query all the
 * same, and neither counted nor logged as one. Settled by the deadline of queries.
 */
async function outcomeFor(site: ServerState, { query, client }: HypotheticalQuery): Promise<ExplainedOutcome> {
  const noted = await notedOf(site, askMessage(query, { id: 0, edns: true, padded: false }), client);
  const record = buildRecord(noted, { ids: { next: () => 0 }, clients: "full", wallOffsetMs: 0 });
  const { rcode, source, action, answers, negativeTtl, ede, edits, attempts, durationUs } = record;
  return { rcode, source, action, answers, negativeTtl, ede, edits, attempts, durationUs };
}

async function notedOf(site: ServerState, message: Uint8Array, client: HypotheticalQuery["client"]): Promise<QueryEvent> {
  const seen: QueryEvent[] = [];
  await serve({ state: site, recorder: { observe: (noted) => void seen.push(noted) } }, message, client);
  const [noted] = seen;
  if (noted === undefined) throw new Error("a query was not noted");
  return noted;
}

import { setImmediate } from "node:timers/promises";
import { ParameterError, type QuerySource, type WhatIf, type WhatIfRequest } from "../admin/control.ts";
import type { ConfigResult } from "../config/load.ts";
import type { Config } from "../config/types.ts";
import { type Decisions, openDecisions, TELLS_NOBODY } from "../decisions.ts";
import { shownUrl } from "../lib/text.ts";
import { copiesOf } from "../lists/cache.ts";
import { decisionRefusalsOf } from "../refusals.ts";
import type { Site } from "../site.ts";
import { problemText } from "./problem-text.ts";
import { Comparison } from "./what-if-comparison.ts";

/** How long logged queries are looked at. */
const LIMIT_MS = 20_000;

/** Queries that are looked at. */
const MAX_QUERIES = 2_000_000;

/** How long judging goes on before others have their turn. */
const SLICE_MS = 4;

export interface WhatIfParts {
  readonly draft: ConfigResult;
  readonly request: Omit<WhatIfRequest, "config">;
  readonly queries: Pick<QuerySource, "read">;
}

/**
 * What would become of logged queries under a draft, and under what is in force now: configurations are compared, not times. Lists are read
 * from the disk; nothing is downloaded, and nothing is served. Only decisions are judged: not who may ask, nor what upstreams say.
 * @throws ControlError `invalid` with every problem of the draft, `unavailable` where the log cannot be read.
 */
export async function whatIf(site: Site, { draft, request, queries }: WhatIfParts): Promise<WhatIf> {
  const config = configOf(draft);
  const after = await openDecisions(config, { copies: copiesOf(config), log: TELLS_NOBODY });
  const comparison = new Comparison(site.decisions, after);
  const truncated = await judgeAll(comparison, site, { request, queries });
  return { ...comparison.result(request.examples), truncated, notes: [...comparison.notes(), ...listNotes(after)] };
}

/** @throws ParameterError */
function configOf(draft: ConfigResult): Config {
  if (draft.kind === "invalid") throw faultsOf(draft.problems.map(problemText));
  const refusals = decisionRefusalsOf(draft.config);
  if (refusals.length > 0) throw faultsOf(refusals);
  return draft.config;
}

function faultsOf(reasons: readonly string[]): ParameterError {
  return new ParameterError(...reasons.map((reason) => ({ parameter: "config", reason })));
}

/** @returns whether there were more queries than were looked at. */
async function judgeAll(comparison: Comparison, site: Site, { request, queries }: Omit<WhatIfParts, "draft">): Promise<boolean> {
  const { now } = site.resolver.clock;
  const ending = new AbortController();
  const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(LIMIT_MS)]);
  let sliceMs = now();
  let looked = 0;
  try {
    for await (const records of queries.read({ fromMs: request.fromMs, toMs: request.toMs, conditions: [] }, signal)) {
      for (const record of records) {
        if (looked >= MAX_QUERIES || !comparison.judge(record)) return true;
        looked++;
        if (now() - sliceMs < SLICE_MS) continue;
        await setImmediate();
        if (signal.aborted) return true;
        sliceMs = now();
      }
    }
    return signal.aborted;
  } finally {
    ending.abort();
  }
}

/** Lists of the draft that hold less than they would if it were served. */
function listNotes({ lists }: Decisions): string[] {
  return lists
    .status()
    .flatMap(({ name, sources }) =>
      sources.flatMap(({ source, problem }) =>
        problem === null ? [] : [`List ${name} of the draft: ${shownUrl(source)}: ${problem}.`],
      ),
    );
}

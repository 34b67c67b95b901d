import { setImmediate } from "node:timers/promises";
import { ParameterError, type QuerySource, type WhatIfRequest } from "../admin/control.ts";
import type { WhatIf, WhatIfChange, WhatIfOutcome } from "../admin/schemas/views.ts";
import type { ConfigResult } from "../config/load.ts";
import type { Config } from "../config/types.ts";
import { nameFromText } from "../dns/name.ts";
import type { Question } from "../dns/query.ts";
import { CLASS, typeNumber } from "../dns/types.ts";
import { shownUrl } from "../lib/text.ts";
import type { QueryRecord } from "../log/record.ts";
import { MAX_ALIASES, type Requester } from "../rules/decision.ts";
import { NO_DIAGNOSTICS, openPolicy, type Policy } from "../server/policy.ts";
import { checkDecisions } from "../server/preflight.ts";
import type { ServerState } from "../server/state.ts";
import { problemText } from "./control.ts";
import { predict } from "./explain-live.ts";

/** How long logged queries are looked at. */
const LIMIT_MS = 20_000;

/** Queries that are looked at. */
const MAX_QUERIES = 2_000_000;

/** How long judging goes on before others have their turn. */
const SLICE_MS = 4;

interface WhatIfParts {
  readonly draft: ConfigResult;
  readonly request: Omit<WhatIfRequest, "config">;
  readonly queries: Pick<QuerySource, "read">;
}

/**
 * What would become of logged queries under a draft, and under what is in force now: configurations are compared, not times. Lists are read
 * from the disk; nothing is downloaded, and nothing is served. Only decisions are judged: not who may ask, nor what upstreams say.
 * @throws ControlError `invalid` with every problem of the draft, `unavailable` where the log cannot be read.
 */
export async function whatIf(site: ServerState, { draft, request, queries }: WhatIfParts): Promise<WhatIf> {
  const config = configOf(draft);
  const after = await openPolicy(config, NO_DIAGNOSTICS);
  const comparison = new Comparison(site.policy, after);
  const truncated = await judgeAll(comparison, site, { request, queries });
  return { ...comparison.result(request.examples), truncated, notes: [...comparison.notes(), ...listNotes(after)] };
}

/** @throws ParameterError */
function configOf(draft: ConfigResult): Config {
  if (draft.kind === "invalid") throw faultsOf(draft.problems.map(problemText));
  const refusals = checkDecisions(draft.config);
  if (refusals.length > 0) throw faultsOf(refusals);
  return draft.config;
}

function faultsOf(reasons: readonly string[]): ParameterError {
  return new ParameterError(...reasons.map((reason) => ({ parameter: "config", reason })));
}

/** @returns whether there were more queries than were looked at. */
async function judgeAll(
  comparison: Comparison,
  site: ServerState,
  { request, queries }: Omit<WhatIfParts, "draft">,
): Promise<boolean> {
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
function listNotes({ lists }: Policy): string[] {
  return lists
    .status()
    .flatMap(({ name, sources }) =>
      sources.flatMap(({ source, problem }) =>
        problem === null ? [] : [`List ${name} of the draft: ${shownUrl(source)}: ${problem}.`],
      ),
    );
}

/** Different questions of different clients that are judged: each takes some hundred bytes of memory. */
const MAX_DISTINCT = 250_000;

/** Different changes that are told apart. */
const MAX_CHANGES = 1000;

type Grounds = Pick<Policy, "decider" | "egress">;

/** Judges queries by two configurations, equal ones once. */
class Comparison {
  readonly #before: Grounds;
  readonly #after: Grounds;
  /** By question and client: what changes for it, null = nothing. */
  readonly #known = new Map<string, Tally | null>();
  readonly #changes = new Map<string, Change>();
  #queries = 0;
  #changed = 0;
  #left = 0;
  #approximate = false;

  constructor(before: Grounds, after: Grounds) {
    this.#before = before;
    this.#after = after;
  }

  /** @returns false where it would be one question too many, and is not counted. */
  judge(record: QueryRecord): boolean {
    const { name, type, client, clientId, source } = record;
    // No rule was asked about what was malformed or turned away.
    if (source === "refused") {
      this.#queries++;
      return true;
    }
    const key = `${name} ${type} ${client} ${clientId ?? ""}`;
    let tally = this.#known.get(key);
    if (tally === undefined) {
      if (this.#known.size >= MAX_DISTINCT) return false;
      tally = this.#compare(record);
      this.#known.set(key, tally);
    }
    this.#queries++;
    this.#approximate ||= client === "" || client.includes("/");
    if (tally === null) return true;
    this.#changed++;
    tally.queries++;
    return true;
  }

  result(examples: number): Pick<WhatIf, "queries" | "changed" | "changes"> {
    const changes = [...this.#changes.values()].map((change) => changeOf(change, examples));
    return { queries: this.#queries, changed: this.#changed, changes: changes.sort((one, other) => other.queries - one.queries) };
  }

  notes(): string[] {
    return [
      ...(this.#approximate
        ? [
            "The log keeps no whole client addresses: rules for clients are judged by their networks, or as for nobody in particular.",
          ]
        : []),
      ...(this.#left > 0
        ? [`There are more than ${MAX_CHANGES} different changes: queries of the others are counted, not shown.`]
        : []),
    ];
  }

  /** null = nothing changes. */
  #compare({ name, type, client, clientId }: QueryRecord): Tally | null {
    const question = questionOf(name, type);
    if (question === null) return null;
    const asker = { address: client.split("/")[0] ?? "", clientId };
    const before = outcomeOf(this.#before, question, asker);
    const after = outcomeOf(this.#after, question, asker);
    const key = JSON.stringify([before, after]);
    if (JSON.stringify(before) === JSON.stringify(after)) return null;
    let change = this.#changes.get(key);
    if (change === undefined) {
      change = { before, after, tallies: new Map() };
      if (this.#changes.size < MAX_CHANGES) this.#changes.set(key, change);
      else this.#left++;
    }
    return tallyOf(change, name, type);
  }
}

interface Change {
  readonly before: WhatIfOutcome;
  readonly after: WhatIfOutcome;
  /** By name and type. */
  readonly tallies: Map<string, Tally>;
}

/** Queries for one name and type, of all clients for which the same changes. */
interface Tally {
  readonly name: string;
  readonly type: string;
  queries: number;
}

function tallyOf({ tallies }: Change, name: string, type: string): Tally {
  const key = `${name} ${type}`;
  const known = tallies.get(key);
  if (known !== undefined) return known;
  const tally = { name, type, queries: 0 };
  tallies.set(key, tally);
  return tally;
}

function changeOf({ before, after, tallies }: Change, examples: number): WhatIfChange {
  const names = [...tallies.values()].sort((one, other) => other.queries - one.queries);
  const queries = names.reduce((sum, tally) => sum + tally.queries, 0);
  return { before, after, queries, names: names.slice(0, examples).map((tally) => ({ ...tally })) };
}

function questionOf(name: string, type: string): Question | null {
  const asked = nameFromText(name);
  const number = typeNumber(type);
  if (asked === null || number === null) return null;
  return { name: asked, type: number, class: CLASS.IN, dnssecOk: false, checkingDisabled: false, clientSubnet: null };
}

/** What is decided, in the end: of an alias of the hosts table, for its target. */
function outcomeOf(grounds: Grounds, asked: Question, asker: Requester): WhatIfOutcome {
  let question = asked;
  const aliases: string[] = [];
  for (;;) {
    const decision = grounds.decider.decide(question, asker);
    const outlook = predict(grounds, { question, asker, decision });
    const isAlias = decision.kind === "reply" && decision.answer.kind === "alias";
    if (!isAlias || aliases.length >= MAX_ALIASES) {
      const { rule, near, far, answer, action } = outlook;
      const route = near === null || answer !== null ? outlook.route : `${near} or ${far}`;
      const parts = [...aliases, ...(answer === null ? [] : [answer])];
      return { rule, route, answer: parts.length === 0 ? null : parts.join(", "), action };
    }
    if (outlook.answer !== null) aliases.push(outlook.answer);
    question = { ...question, name: decision.answer.target };
  }
}

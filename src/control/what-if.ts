import { setImmediate } from "node:timers/promises";
import { ParameterError, type QuerySource, type WhatIfRequest } from "../admin/control.ts";
import type { WhatIf, WhatIfChange, WhatIfOutcome } from "../admin/schemas/views.ts";
import type { ConfigResult } from "../config/load.ts";
import type { Config } from "../config/types.ts";
import { nameFromText } from "../dns/name.ts";
import type { Question } from "../dns/query.ts";
import { CLASS, typeNumber } from "../dns/types.ts";
import type { Requester } from "../lib/client.ts";
import { type Said, say } from "../lib/said.ts";
import { shownUrl } from "../lib/text.ts";
import type { LoggedQuestion } from "../log/export.ts";
import { MAX_ALIASES } from "../rules/decision.ts";
import { NO_DIAGNOSTICS, openPolicy, type Policy } from "../server/policy.ts";
import { checkDecisions } from "../server/preflight.ts";
import type { ServerState } from "../server/state.ts";
import { predict } from "./explain-live.ts";
import { problemText } from "./views.ts";

/** Time to compare logged queries. */
const LIMIT_MS = 20_000;

/** Queries that one call compares. */
const MAX_QUERIES = 2_000_000;

/** Time without a pause for other work. */
const SLICE_MS = 4;

interface WhatIfParts {
  readonly draft: ConfigResult;
  readonly request: Omit<WhatIfRequest, "config">;
  readonly queries: Pick<QuerySource, "read">;
  /** Ends it before all queries are compared. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Decides logged queries by the policy in force and by the policy of a draft, and compares the decisions. The lists of the draft come from the
 * disk; nothing is downloaded. Access rules and the answers of upstreams play no part.
 * @throws ControlError `invalid` with every problem of the draft, `unavailable` if the log cannot be read.
 */
export async function whatIf(state: ServerState, { draft, ...parts }: WhatIfParts): Promise<WhatIf> {
  const config = configOf(draft);
  const after = await openPolicy(config, NO_DIAGNOSTICS);
  const comparison = new Comparison(state.policy, after);
  const truncated = await compareAll(comparison, state, parts);
  return { ...comparison.result(parts.request.examples), truncated, notes: [...comparison.notes(), ...listNotes(after)] };
}

/** The configuration of a draft that decides queries. @throws ParameterError with every problem */
export function configOf(draft: ConfigResult): Config {
  if (draft.kind === "invalid") throw parameterError(draft.problems.map(problemText));
  const refusals = checkDecisions(draft.config);
  if (refusals.length > 0) throw parameterError(refusals);
  return draft.config;
}

function parameterError(reasons: readonly string[]): ParameterError {
  return new ParameterError(...reasons.map((reason) => ({ parameter: "config", reason })));
}

/** @returns whether some queries were left out. */
async function compareAll(
  comparison: Comparison,
  state: ServerState,
  { request, queries, signal: given }: Omit<WhatIfParts, "draft">,
): Promise<boolean> {
  const { now } = state.resolver.clock;
  const ending = new AbortController();
  const signal = AbortSignal.any([ending.signal, AbortSignal.timeout(LIMIT_MS), ...(given === undefined ? [] : [given])]);
  let sliceMs = now();
  let looked = 0;
  try {
    const filter = { fromMs: request.fromMs, toMs: request.toMs, conditions: [] };
    for await (const text of queries.read(filter, "questions", signal)) {
      for (const question of questionsIn(text)) {
        if (looked >= MAX_QUERIES || !comparison.add(question)) return true;
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

/** Notes about lists of the draft that would hold more if the draft were in force. */
function listNotes({ lists }: Policy): Said[] {
  return lists
    .status()
    .flatMap(({ name, sources }) =>
      sources.flatMap(({ source, problem }) =>
        problem === null ? [] : [say("whatIf.list", { list: name, source: shownUrl(source), reason: problem })],
      ),
    );
}

/** Distinct pairs of question and client; each takes some hundred bytes of memory. */
const MAX_DISTINCT = 250_000;

/** Distinct changes that one result shows. */
const MAX_CHANGES = 1000;

type ComparedPolicy = Pick<Policy, "decider" | "egress">;

/** Compares the decisions of two policies; equal queries are decided once. */
class Comparison {
  readonly #before: ComparedPolicy;
  readonly #after: ComparedPolicy;
  /** The change for each question and client; null = no change. */
  readonly #known = new Map<string, Tally | null>();
  readonly #changes = new Map<string, Change>();
  #queries = 0;
  #changed = 0;
  #leftOut = 0;
  #approximate = false;

  constructor(before: ComparedPolicy, after: ComparedPolicy) {
    this.#before = before;
    this.#after = after;
  }

  /** @returns false if there are too many distinct questions; then the record is not counted. */
  add(question: LoggedQuestion): boolean {
    const [name, type, client, clientId, source, time] = question;
    // The rules never saw a query that was malformed or refused.
    if (source === "refused") {
      this.#queries++;
      return true;
    }
    const policies = this.#at(Date.parse(time));
    const periods = policies.map(({ decider }) => decider.period()).join(" ");
    const key = `${name} ${type} ${client} ${clientId ?? ""} ${periods}`;
    let tally = this.#known.get(key);
    if (tally === undefined) {
      if (this.#known.size >= MAX_DISTINCT) return false;
      tally = this.#compare(question, policies);
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

  notes(): Said[] {
    return [
      ...(this.#approximate ? [say("whatIf.shortAddresses", {})] : []),
      ...(this.#leftOut > 0 ? [say("whatIf.manyChanges", { changes: MAX_CHANGES })] : []),
    ];
  }

  /** Both policies as they decide at the moment of a record: rules may have hours. */
  #at(atMs: number): readonly [ComparedPolicy, ComparedPolicy] {
    const [before, after] = [this.#before, this.#after];
    return [
      { ...before, decider: before.decider.at(atMs) },
      { ...after, decider: after.decider.at(atMs) },
    ];
  }

  /** null = the decision stays the same. */
  #compare(
    [name, type, client, clientId]: LoggedQuestion,
    [policyBefore, policyAfter]: readonly [ComparedPolicy, ComparedPolicy],
  ): Tally | null {
    const question = questionOf(name, type);
    if (question === null) return null;
    const requester = { address: client.split("/")[0] ?? "", clientId };
    const before = outcomeOf(policyBefore, question, requester);
    const after = outcomeOf(policyAfter, question, requester);
    const key = JSON.stringify([before, after]);
    if (JSON.stringify(before) === JSON.stringify(after)) return null;
    let change = this.#changes.get(key);
    if (change === undefined) {
      change = { before, after, tallies: new Map() };
      if (this.#changes.size < MAX_CHANGES) this.#changes.set(key, change);
      else this.#leftOut++;
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

/** Queries for one name and type, from all clients that have the same change. */
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

function questionsIn(text: string): readonly LoggedQuestion[] {
  return JSON.parse(`[${text.trimEnd().replaceAll("\n", ",")}]`);
}

function questionOf(name: string, type: string): Question | null {
  const asked = nameFromText(name);
  const number = typeNumber(type);
  if (asked === null || number === null) return null;
  return { name: asked, type: number, class: CLASS.IN, dnssecOk: false, checkingDisabled: false, clientSubnet: null };
}

/** The final decision: an alias of the hosts table leads to the decision for its target. */
function outcomeOf(policy: ComparedPolicy, asked: Question, requester: Requester): WhatIfOutcome {
  let question = asked;
  const aliases: string[] = [];
  for (;;) {
    const decision = policy.decider.decide(question, requester);
    const prediction = predict(policy, { question, requester, decision });
    const isAlias = decision.kind === "reply" && decision.answer.kind === "alias";
    if (!isAlias || aliases.length >= MAX_ALIASES) {
      const { rule, near, far, first, answer, action } = prediction;
      const both = first === "far" ? `${far}, then ${near}` : `${near} or ${far}`;
      const route = near === null || answer !== null ? prediction.route : both;
      const parts = [...aliases, ...(answer === null ? [] : [answer])];
      return { rule, route, answer: parts.length === 0 ? null : parts.join(", "), action };
    }
    if (prediction.answer !== null) aliases.push(prediction.answer);
    question = { ...question, name: decision.answer.target };
  }
}

import {
  ControlError,
  type ExplainedQuestion,
  type ExplainRequest,
  type QuerySource,
  type WhatIfRequest,
} from "../admin/control.ts";
import type { Explained, ExplainedOutcome } from "../admin/schemas/record.ts";
import type { ConfigCheck, VersionView, WhatIf } from "../admin/schemas/views.ts";
import type { DeviceNames } from "../devices/device-names.ts";
import { nameText } from "../dns/name.ts";
import { askMessage } from "../dns/query.ts";
import { typeName } from "../dns/types.ts";
import { formatDuration } from "../lib/duration.ts";
import { type Said, say } from "../lib/said.ts";
import type { TraceStep } from "../log/record.ts";
import { queryForTarget } from "../resolve/alias.ts";
import { type Decision, MAX_ALIASES } from "../rules/decision.ts";
import type { RuleOptions } from "../rules/options.ts";
import { serve, waitingQueries } from "../server/pipeline.ts";
import { NO_DIAGNOSTICS, openPolicy, type Policy } from "../server/policy.ts";
import type { QueryEvent } from "../server/query-event.ts";
import type { ServerState } from "../server/state.ts";
import type { Drafts } from "./drafts.ts";
import {
  findLiveState,
  groupsOf,
  type HypotheticalQuery,
  hypotheticalQuery,
  type LiveServer,
  NOTHING_KNOWN,
  predict,
} from "./explain-live.ts";
import { summarizeExplanation } from "./explain-summary.ts";
import type { Versions } from "./history.ts";
import { recordOf, traceOf } from "./records.ts";
import { configOf, whatIf } from "./what-if.ts";

interface ExplainerParts {
  readonly drafts: Pick<Drafts, "use" | "check">;
  readonly server: { readonly state: ServerState; readonly names: DeviceNames | null };
  readonly queries: Pick<QuerySource, "read">;
  /** null = no versions are kept, because no records are kept. */
  readonly versions: () => Pick<Versions, "list" | "policyOf"> | null;
}

/** Explains the decisions of the policy in force, of past versions, and of drafts. */
export class Explainer {
  readonly #parts: ExplainerParts;

  constructor(parts: ExplainerParts) {
    this.#parts = parts;
  }

  async explain(request: ExplainRequest): Promise<Explained> {
    const { state, names } = this.#parts.server;
    const asked = hypotheticalQuery(request);
    const hypothetical = { ...asked, client: names?.identify(asked.client) ?? asked.client };
    if (request.resolve && request.atMs !== undefined)
      throw new ControlError("invalid", "nothing can be asked at another moment: leave out `resolve` or `at`");
    if (request.version !== null && request.version !== state.version) {
      if (request.resolve)
        throw new ControlError("invalid", "under a version of the past nothing can be asked: leave out `resolve` or `version`");
      const explained = explainQuery(atMoment(await this.#pastPolicy(request.version), request), hypothetical, null);
      return { ...explained, notes: [...explained.notes, say("note.pastVersion", {})] };
    }
    const { atMs } = request;
    const plain =
      atMs === undefined
        ? explainQuery({ ...state.policy, decider: state.resolver.decider }, hypothetical, state)
        : explainQuery(atMoment(state.policy, request), hypothetical, null);
    const explained = { ...plain, notes: [...plain.notes, ...momentNotes(request), ...deviceNotes(names, asked.client.address)] };
    return request.resolve ? { ...explained, outcome: await resolveHypothetical(state, hypothetical) } : explained;
  }

  /** Under a draft: nothing is known of what the cache holds, and nobody is asked. @throws ControlError `invalid` with every problem of the draft. */
  explainDraft(text: string, question: ExplainedQuestion): Promise<Explained> {
    const { server, drafts } = this.#parts;
    const hypothetical = hypotheticalQuery(question);
    return drafts.use({ text, path: server.state.config.path }, async (draft) => {
      const policy = await openPolicy(configOf(draft), NO_DIAGNOSTICS);
      const explained = explainQuery(atMoment(policy, question), hypothetical, null);
      return { ...explained, notes: [...explained.notes, say("note.draft", {})] };
    });
  }

  /** @param signal see `Drafts.use`. */
  whatIf({ config: text, ...request }: WhatIfRequest, signal?: AbortSignal): Promise<WhatIf> {
    const { server, queries, drafts } = this.#parts;
    const { path } = server.state.config;
    return drafts.use({ text, path }, (draft) => whatIf(server.state, { draft, request, queries, signal }), signal);
  }

  checkConfig(text: string): Promise<ConfigCheck> {
    const { server, drafts } = this.#parts;
    const { config } = server.state;
    return drafts.check({ text, path: config.path }, config);
  }

  async versions(): Promise<readonly VersionView[]> {
    return (await this.#parts.versions()?.list()) ?? [];
  }

  async #pastPolicy(version: string): Promise<Policy> {
    const versions = this.#parts.versions();
    if (versions === null)
      throw new ControlError("missing", `version ${version} is not kept: versions are kept with the query log alone`);
    return await versions.policyOf(version);
  }
}

/**
 * Resolves the query as for that client: access and rate limits apply, upstreams are queried, and the cache keeps the answers. The counters and
 * the log do not see the query, because no client sent it.
 */
async function resolveHypothetical(state: ServerState, { query, client }: HypotheticalQuery): Promise<ExplainedOutcome> {
  const events: QueryEvent[] = [];
  const message = askMessage(query, { id: 0, edns: true, padded: false });
  const recorder = { observe: (event: QueryEvent) => void events.push(event) };
  await serve({ state, recorder, waiting: waitingQueries() }, message, client);
  const [event] = events;
  if (event === undefined) throw new Error("the pipeline reported no event for a query");
  const record = recordOf(event);
  const { rcode, source, action, answers, negativeTtl, ede, edits, attempts, durationUs } = record;
  return { rcode, source, action, answers, negativeTtl, ede, edits, attempts, durationUs };
}

type ExplainedPolicy = Pick<Policy, "decider" | "egress" | "inputs" | "version">;

/**
 * Explains what would happen to the query, and why. No upstream is queried, and nothing is counted.
 * @param live null = the policy is not in force, so the cache, the verdicts and the upstreams say nothing about it.
 * @param aliases how many aliases of the hosts table led to this query.
 */
export function explainQuery(
  policy: ExplainedPolicy,
  hypothetical: HypotheticalQuery,
  live: LiveServer | null,
  aliases = 0,
): Explained {
  const { query, client } = hypothetical;
  const { decision, steps } = policy.decider.explain(query, client);
  const prediction = predict(policy, { question: query, requester: client, decision });
  const state = live === null ? NOTHING_KNOWN : findLiveState(live, { hypothetical, decision, prediction });
  const trace = traceOf(steps);
  const known = { ...prediction, ...state.known };
  const origin = modifierOrigin(known.action, policy.inputs.rules, trace);
  const target = targetOf(hypothetical, decision);
  const isTooLong = target !== null && aliases >= MAX_ALIASES;
  const explained = {
    question: { name: nameText(query.name), type: typeName(query.type), client: client.address, clientId: client.clientId },
    version: policy.version,
    decision: { ...known, settings: settingsOf(decision) },
    trace,
    cache: state.cache,
    verdict: state.verdict,
    target: target === null || isTooLong ? null : explainQuery(policy, target, live, aliases + 1),
    notes: [
      ...forbiddenNotes(policy, hypothetical, decision),
      ...(origin === null || known.answer !== null ? [] : [originSaid(known.action, origin)]),
      ...(isTooLong ? [say("note.tooManyAliases", { aliases: MAX_ALIASES })] : []),
      ...state.notes,
    ],
    outcome: null,
  };
  const group = groupsOf(decision)[0] ?? null;
  const summary = summarizeExplanation({ ...explained, group, origin }, state.cached);
  if (live === null || live.access.allows(client)) return { ...explained, summary };
  return { ...explained, summary: [say("explain.mayNotAsk", { client: client.address }), ...summary] };
}

function targetOf({ query, client }: HypotheticalQuery, decision: Decision): HypotheticalQuery | null {
  if (decision.kind !== "reply" || decision.answer.kind !== "alias") return null;
  return { query: queryForTarget(query, decision.answer.target), client };
}

/** The policy as it decides at the moment that is asked about. */
export function atMoment(policy: Policy, { atMs }: Pick<ExplainedQuestion, "atMs">): ExplainedPolicy {
  return atMs === undefined ? policy : { ...policy, decider: policy.decider.at(atMs) };
}

export function momentNotes({ atMs }: Pick<ExplainedQuestion, "atMs">): Said[] {
  return atMs === undefined ? [] : [say("note.moment", { at: new Date(atMs).toISOString() })];
}

/** Who a client is, and whether it stands for many. */
function deviceNotes(names: DeviceNames | null, client: string): Said[] {
  const known = names?.of(client) ?? null;
  if (known !== null)
    return [
      say("note.clientName", { client, name: known.name ?? "without a name", mac: known.mac ?? "unknown", source: known.source }),
    ];
  return names?.isRouter(client) === true ? [say("note.routerAsks", { client })] : [];
}

/** Notes about chosen groups to which `never` forbids the query. */
function forbiddenNotes({ egress }: ExplainedPolicy, { query, client }: HypotheticalQuery, decision: Decision): Said[] {
  return groupsOf(decision).flatMap((group) => {
    const pattern = egress.forbids(group, query, client);
    return pattern === null ? [] : [say("note.never", { group, pattern })];
  });
}

/** What set the modifier behind an action; `rule` null = section `answers`. The first matching rule that has the modifier wins. */
interface ModifierOrigin {
  readonly rule: string | null;
}

function originSaid(action: string, { rule }: ModifierOrigin): Said {
  return rule === null ? say("note.actionBySection", { action }) : say("note.actionByRule", { action, rule });
}

/** null = no modifier is behind the action. */
function modifierOrigin(action: string, rules: readonly RuleOptions[], trace: readonly TraceStep[]): ModifierOrigin | null {
  const modifier = modifierOf(action);
  if (modifier === null) return null;
  const matching = trace.flatMap((step) => (step.kind === "rule" && MATCHES.has(step.outcome) ? [step.rule] : []));
  return { rule: matching.find((name) => rules.find((rule) => rule.name === name)?.modifiers[modifier] !== undefined) ?? null };
}

/** The modifier behind an action; null = no modifier. */
function modifierOf(action: string): "ipv4" | "ipv6" | "https" | null {
  const [kind] = action.split(":");
  if (kind === "ipv4" || kind === "ipv6") return kind;
  return kind === "type64" || kind === "type65" ? "https" : null;
}

const MATCHES: ReadonlySet<string> = new Set(["decides", "modifies", "closed"]);

/** The modifiers in force, in the notation of a rule. `ecs` is absent if the group decides about it. */
function settingsOf({ context }: Decision): Readonly<Record<string, unknown>> {
  const { shaping, stale, ecs, rebinding, log, replace } = context.settings;
  const { https, ipv6, ipv4, ttl, negative } = shaping;
  return {
    https,
    ipv6,
    ipv4,
    ttl: { min: durationText(ttl.minSeconds), max: durationText(ttl.maxSeconds) },
    negative: {
      min: durationText(negative.minSeconds),
      max: durationText(negative.maxSeconds),
      block: durationText(negative.blockSeconds),
      bare: durationText(negative.bareSeconds),
      failure: durationText(negative.failureSeconds),
    },
    stale,
    ...(ecs === null ? {} : { ecs }),
    rebinding: rebinding ?? shaping.rebinding,
    log,
    ...(replace === null
      ? {}
      : { replace: Object.fromEntries(replace.map(({ list, addresses }) => [`list:${list}`, addresses])) }),
  };
}

function durationText(seconds: number): string {
  return formatDuration(seconds * 1000);
}

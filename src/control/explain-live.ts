import { type ExplainRequest, ParameterError } from "../admin/control.ts";
import type { CachedAnswer, ExplainedDecision, ExplainedVerdict } from "../admin/schemas/record.ts";
import type { HttpsMode } from "../answers/options.ts";
import type { Held } from "../cache/entry.ts";
import { cacheKey } from "../cache/key.ts";
import { type Freshness, freshness, isStaleAtOnce } from "../cache/lifetime.ts";
import { addressFromText, addressText } from "../dns/address.ts";
import { outcomeOf } from "../dns/answer.ts";
import { type Name, nameFromText, nameText } from "../dns/name.ts";
import { askMessage, isRejection, parseQuery, type Query, type Question } from "../dns/query.ts";
import { CLASS, rcodeName, TYPE, typeName, typeNumber } from "../dns/types.ts";
import type { Client, Requester } from "../lib/client.ts";
import { type Said, say } from "../lib/said.ts";
import { unreachable } from "../lib/unreachable.ts";
import { sentOf } from "../log/sent.ts";
import { subnetToSend } from "../resolve/client-subnet.ts";
import { verdictFromCache } from "../resolve/compare.ts";
import { queryOfType } from "../resolve/families.ts";
import { BINDING_TYPES } from "../resolve/filters.ts";
import { actionOfCached } from "../resolve/forward.ts";
import { localAnswer } from "../resolve/local-answer.ts";
import type { Resolver, UpstreamQuery } from "../resolve/types.ts";
import { knownVerdict, type Verdict } from "../resolve/verdicts.ts";
import { type Preference, preferenceFor, typeFilter } from "../rules/decider.ts";
import type { CompareDecision, Decision, ForwardDecision, LocalAnswer } from "../rules/decision.ts";
import type { Policy } from "../server/policy.ts";
import type { ServerState } from "../server/state.ts";
import type { Group } from "../upstreams/group.ts";
import { cachedAnswer } from "./views.ts";

/** The parts of a running server that know more about a query than its policy does. */
export type LiveServer = Pick<ServerState, "resolver" | "access">;

/** What a running server knows about a query besides the decision. */
interface LiveState {
  /** The parts of the prediction that the server knows better. */
  readonly known: Partial<Pick<ExplainedDecision, "route" | "answer" | "action">>;
  readonly cache: readonly CachedAnswer[];
  readonly verdict: ExplainedVerdict | null;
  readonly notes: readonly Said[];
  /** null = the cache is not consulted, or the group is not known yet. */
  readonly cached: CacheLookup | null;
}

/** @property atOnce: a refresh failed a moment ago, so the server gives the stale answer without waiting. */
export type CacheLookup = { readonly held: Held; readonly freshness: Freshness; readonly atOnce: boolean } | "nothing";

export const NOTHING_KNOWN: LiveState = { known: {}, cache: [], verdict: null, notes: [], cached: null };

interface PredictedQuery<D extends Decision = Decision> {
  readonly hypothetical: HypotheticalQuery;
  readonly decision: D;
  readonly prediction: Prediction;
}

/** Looks up what the server knows, without counting a use of the cache. */
export function findLiveState({ resolver, access }: LiveServer, { decision, ...predicted }: PredictedQuery): LiveState {
  const { client } = predicted.hypothetical;
  const notes = access.allows(client) ? [] : [say("note.mayNotAsk", { client: client.address })];
  if (decision.kind === "reply" || decision.kind === "drop") return { ...NOTHING_KNOWN, notes };
  const state = forwardedState(resolver, { ...predicted, decision });
  return { ...state, notes: [...notes, ...state.notes] };
}

function forwardedState(
  resolver: Resolver,
  { hypothetical, decision, prediction }: PredictedQuery<ForwardDecision | CompareDecision>,
): LiveState {
  const { query, client } = hypothetical;
  const verdict = decision.kind === "compare" ? knownVerdict(resolver, query.name, decision.compare) : null;
  const common = {
    cache: cachedAnswers(resolver, hypothetical, decision),
    verdict: verdict === null ? null : explainedVerdict(resolver, verdict),
  };
  if (prediction.answer !== null) return { ...NOTHING_KNOWN, ...common };
  const preference = preferenceFor(resolver, { query, client, decision });
  const effect = preference === null ? "given" : preferenceEffect(resolver, hypothetical, preference);
  if (preference !== null && effect === "withheld")
    return { ...NOTHING_KNOWN, ...common, known: { route: null, answer: "nodata", action: preference.action } };
  const inProgress = { query, client, mayWait: false, untilMs: 0, decision };
  const group = knownGroup(resolver, inProgress, verdict);
  const cached = group === null ? null : lookUpCache(resolver, inProgress, group);
  const loops = !isFresh(cached) && group?.loops(client.address) === true;
  const predicted = effect === "given" && preference !== null ? "none" : prediction.action;
  return {
    ...common,
    known: { route: group?.label ?? null, action: knownAction(predicted, cached, loops) },
    notes: [
      ...(preference !== null && effect === "unknown" ? [preferenceNote(preference)] : []),
      ...(group !== null && !loops && group.excludes(client.address)
        ? [say("note.memberAsks", { client: client.address, group: group.label })]
        : []),
    ],
    cached,
  };
}

/** The cached answers for the name, of all types, on the routes that the decision may take. */
function cachedAnswers(
  { cache, clock }: Resolver,
  { query }: HypotheticalQuery,
  decision: ForwardDecision | CompareDecision,
): CachedAnswer[] {
  const routes = groupsOf(decision);
  const terms = { limits: decision.context.settings.shaping, nowMs: clock.now() };
  return cache
    .inspect(query.name)
    .filter(({ parts }) => routes.includes(parts.route))
    .map((inspected) => cachedAnswer(inspected, terms));
}

function explainedVerdict({ clock }: Resolver, { side, classification, type, foundAtMs }: Verdict): ExplainedVerdict {
  const ageSeconds = Math.max(0, Math.floor((clock.now() - foundAtMs) / 1000));
  return { side, near: classification, type: typeName(type), ageSeconds };
}

/** The group that answers; null = a comparison must query both groups first (see `resolve/compare.ts`). */
function knownGroup(resolver: Resolver, inProgress: UpstreamQuery, verdict: Verdict | null): Group | null {
  const { query, decision } = inProgress;
  if (decision.kind === "forward") return resolver.groups.get(decision.group);
  const { type } = query;
  if (type === TYPE.A ? verdict?.type !== TYPE.A : verdict === null && (type === TYPE.AAAA || type === TYPE.HTTPS)) return null;
  const known = verdict ?? verdictFromCache(resolver, inProgress, decision.compare);
  return resolver.groups.get(decision.compare[known?.side ?? "far"]);
}

function lookUpCache(resolver: Resolver, inProgress: UpstreamQuery, group: Group): CacheLookup {
  const clientSubnet = subnetToSend(inProgress, group);
  const { shaping, stale: allowsStale } = inProgress.decision.context.settings;
  const held = resolver.cache.peek(cacheKey({ ...inProgress.query, clientSubnet }, group.label));
  if (held === null || resolver.classifier.screen(held.answer, group.label) !== held.answer) return "nothing";
  const stale = allowsStale ? resolver.stale : null;
  const nowMs = resolver.clock.now();
  const atOnce = stale !== null && isStaleAtOnce(held, stale, nowMs);
  return { held, freshness: freshness(held, { limits: shaping, stale, nowMs }), atOnce };
}

function isFresh(cached: CacheLookup | null): cached is Exclude<CacheLookup, "nothing"> {
  return cached !== null && cached !== "nothing" && cached.freshness.kind === "fresh";
}

function knownAction(predicted: string, cached: CacheLookup | null, loops: boolean): string {
  if (!isFresh(cached)) return loops && predicted !== "never" ? "loop" : predicted;
  const action = actionOfCached(cached.held);
  if (action !== "none") return action;
  // `never` let the cached answer through before, or the rules were different then.
  return predicted === "never" ? "none" : predicted;
}

/** Whether a preference for the other family withholds this one, as far as hosts table and cache know. */
function preferenceEffect(
  resolver: Resolver,
  { query, client }: HypotheticalQuery,
  { preferred }: Preference,
): "withheld" | "given" | "unknown" {
  const other = { query: queryOfType(query, preferred), client };
  const decision = resolver.decider.decide(other.query, client);
  if (decision.kind === "drop") return "given";
  if (decision.kind === "reply") {
    if (decision.answer.kind === "alias") return "unknown";
    return decision.answer.kind === "addresses" ? "withheld" : "given";
  }
  const verdict = decision.kind === "compare" ? knownVerdict(resolver, query.name, decision.compare) : null;
  const inProgress = { ...other, mayWait: false, untilMs: 0, decision };
  const group = knownGroup(resolver, inProgress, verdict);
  const cached = group === null ? null : lookUpCache(resolver, inProgress, group);
  if (!isFresh(cached)) return "unknown";
  return outcomeOf(cached.held.answer) === "positive" ? "withheld" : "given";
}

function preferenceNote({ preferred, action }: Preference): Said {
  return say("note.otherFamilyFirst", { type: typeName(preferred), action });
}

/** What the policy alone says about a query. The fields that depend on cache, verdicts and upstreams stay open. */
type Prediction = Omit<ExplainedDecision, "settings">;

interface DecidedQuery<D extends Decision = Decision> {
  readonly question: Question;
  readonly requester: Requester;
  readonly decision: D;
}

/**
 * The predicted action assumes that the answer has something to act on: `ipv6:prefer-ipv4` withholds AAAA only from names that have A,
 * `type65:strip-ech` removes a parameter that a record may not have.
 */
export function predict(policy: Pick<Policy, "decider" | "egress">, { decision, ...query }: DecidedQuery): Prediction {
  switch (decision.kind) {
    case "reply": {
      const answer = localAnswerText(query.question, decision.answer);
      return { ...NO_GROUPS, kind: "reply", rule: decision.context.rule, answer, action: decision.action };
    }
    case "drop":
      return { ...NO_GROUPS, kind: "drop", rule: decision.context.rule, answer: "drop", action: "drop" };
    case "forward":
    case "compare":
      return predictForwarded(policy, { ...query, decision });
    default:
      return unreachable(decision);
  }
}

const NO_GROUPS = { route: null, near: null, far: null, first: null } as const;

function predictForwarded(
  policy: Pick<Policy, "decider" | "egress">,
  { question, requester, decision }: DecidedQuery<ForwardDecision | CompareDecision>,
): Prediction {
  const { rule, settings } = decision.context;
  const { near, far, first } = decision.kind === "compare" ? decision.compare : NO_GROUPS;
  const common = { kind: decision.kind, rule, near, far, first };
  const filter = typeFilter(settings.shaping, question.type);
  if (filter !== null) return { ...common, route: null, answer: "nodata", action: filter };
  const route = decision.kind === "forward" ? decision.group : null;
  const isForbidden = route !== null && policy.egress.forbids(route, question, requester) !== null;
  const preference = preferenceFor(policy, { query: question, client: requester, decision });
  const action = isForbidden ? "never" : (preference?.action ?? strippingAction(settings.shaping.https, question));
  return { ...common, route, answer: null, action };
}

function strippingAction(https: HttpsMode, { type }: Question): string {
  return BINDING_TYPES.has(type) && Array.isArray(https) ? `type${type}:${https.join(",")}` : "none";
}

/** The groups to which the decision sends the query; empty if the query is answered here. */
export function groupsOf(decision: Decision): readonly string[] {
  if (decision.kind === "forward") return [decision.group];
  return decision.kind === "compare" ? [decision.compare.near, decision.compare.far] : [];
}

/** A query that a client could send. */
export interface HypotheticalQuery {
  readonly query: Query;
  readonly client: Client;
}

/** @throws ParameterError that names each invalid part. */
export function hypotheticalQuery({
  name,
  type,
  client,
  clientId,
}: Omit<ExplainRequest, "resolve" | "version" | "atMs">): HypotheticalQuery {
  const parsedName = nameFromText(name);
  const number = typeNumber(type);
  const address = client === null ? "127.0.0.1" : canonicalClient(client);
  const fits = clientId === null || /^[a-z0-9-]{1,63}$/.test(clientId);
  if (parsedName === null || number === null || address === null || !fits) {
    throw new ParameterError(
      ...(parsedName === null ? [{ parameter: "name", reason: `\`${name}\` is no domain name` }] : []),
      ...(number === null
        ? [
            {
              parameter: "type",
              reason: `\`${type}\` is no record type: a mnemonic such as HTTPS, or a number up to 65535 is wanted`,
            },
          ]
        : []),
      ...(address === null
        ? [{ parameter: "client", reason: `\`${client}\` is no address; client ids go by \`clientId\`` }]
        : []),
      ...(fits ? [] : [{ parameter: "clientId", reason: `\`${clientId}\` is no client id` }]),
    );
  }
  return { query: queryFor(parsedName, number), client: { ...TCP_CLIENT, address, clientId } };
}

/** The client uses a stream, where no size limit truncates an answer. */
const TCP_CLIENT = { port: 0, transport: "tcp", http: null, method: null } as const;

/** The address as listeners write it; null = the text is no address. */
function canonicalClient(text: string): string | null {
  const [, address = "", zone] = /^([^%]*)(%[^%]+)?$/.exec(text) ?? [];
  const bytes = addressFromText(address);
  if (bytes === null) return null;
  if (zone === undefined) return addressText(bytes);
  return bytes.length === 4 ? null : `${addressText(bytes)}${zone}`;
}

function queryFor(name: Name, type: number): Query {
  const question = { name, type, class: CLASS.IN, dnssecOk: false, checkingDisabled: false, clientSubnet: null };
  const parsed = parseQuery(askMessage(question, { id: 0, edns: true, padded: false }));
  if (parsed === null) throw new Error("the query parser rejects a query that Fenliu built");
  if (isRejection(parsed)) {
    const rcode = rcodeName(parsed.rejected);
    const reason = `\`${typeName(type)}\` is nothing that a resolver is asked for: it is answered with ${rcode}`;
    throw new ParameterError({ parameter: "type", reason });
  }
  return parsed;
}

/** The text of a local answer for `ExplainedDecision.answer`, without TTLs. */
function localAnswerText(question: Question, answer: LocalAnswer): string {
  switch (answer.kind) {
    case "addresses":
      return isZero(answer.addresses) ? "zero" : answer.addresses.map(addressText).join(", ");
    case "alias":
      return `CNAME ${nameText(answer.target)}`;
    case "pointer":
      return `PTR ${nameText(answer.target)}`;
    case "svcb": {
      const { answers } = sentOf(localAnswer(question, answer).wire);
      return answers.map((text) => text.replace(/^\d+ /, "")).join(", ");
    }
    case "nodata":
    case "nxdomain":
    case "refused":
    case "minimal-any":
      return answer.kind;
    default:
      return unreachable(answer);
  }
}

function isZero(addresses: readonly Uint8Array[]): boolean {
  return addresses.every((address) => address.every((byte) => byte === 0));
}

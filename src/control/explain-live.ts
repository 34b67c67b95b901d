import { type ExplainRequest, ParameterError } from "../admin/control.ts";
import type { CachedAnswer, ExplainedDecision, ExplainedVerdict } from "../admin/schemas/record.ts";
import type { Held } from "../cache/entry.ts";
import { cacheKey } from "../cache/key.ts";
import { type Freshness, freshness, isStaleAtOnce } from "../cache/lifetime.ts";
import { addressFromText, addressText } from "../dns/address.ts";
import { outcomeOf } from "../dns/answer.ts";
import { type Name, nameFromText, nameText } from "../dns/name.ts";
import { askMessage, isRejection, parseQuery, type Query, type Question } from "../dns/query.ts";
import { CLASS, RCODE, rcodeName, TYPE, typeName, typeNumber } from "../dns/types.ts";
import type { Client } from "../lib/client.ts";
import { unreachable } from "../lib/unreachable.ts";

import { isForged } from "../resolve/classify.ts";
import { subnetToSend } from "../resolve/client-subnet.ts";
import { towards, verdictOfHeld } from "../resolve/compare.ts";
import { type Preference, preferenceFor, queryOfType } from "../resolve/families.ts";
import { BINDING_TYPES } from "../resolve/filters.ts";
import { localAnswer } from "../resolve/local-answer.ts";
import type { Resolver } from "../resolve/types.ts";
import { knownVerdict, type Verdict } from "../resolve/verdicts.ts";
import {
  type CompareDecision,
  type Decision,
  type ForwardDecision,
  type LocalAnswer,
  type Requester,
  typeFilter,
} from "../rules/decision.ts";
import type { Policy } from "../server/policy.ts";
import type { ServerState } from "../server/state.ts";
import { sentOf } from "./records.ts";
import { cachedAnswer } from "./views.ts";

/** What only a running server knows. */
export type LiveState = Pick<ServerState, "resolver" | "access">;

/** What a running server knows of a question besides the decision. */
interface State {
  /** Parts of the outlook that are known by now, or otherwise than foreseen. */
  readonly known: Partial<Pick<ExplainedDecision, "route" | "answer" | "action">>;
  readonly cache: readonly CachedAnswer[];
  readonly verdict: ExplainedVerdict | null;
  readonly notes: readonly string[];
  /** The answer that is held, and whether it will do; null where none is looked for, or it is not known where. */
  readonly holding: Holding | null;
}

/** `runSync`: refreshing it failed lately, so that a stale answer is given without waiting. */
export type Holding = { readonly held: Held; readonly state: Freshness; readonly atOnce: boolean } | "nothing";

export const NOTHING_KNOWN: State = { known: {}, cache: [], verdict: null, notes: [], holding: null };

interface Decided<D extends Decision = Decision> {
  readonly subject: HypotheticalQuery;
  readonly decision: D;
  readonly outlook: Prediction;
}

export function stateOf({ resolver, access }: LiveState, { subject, decision, outlook }: Decided): State {
  const { client } = subject;
  const notes = access.allows(client)
    ? []
    : [`${client.address} is not among \`access.clients\`: it is refused before all this.`];
  if (decision.kind === "reply" || decision.kind === "drop") return { ...NOTHING_KNOWN, notes };
  const sent = sentState(resolver, { subject, decision, outlook });
  return { ...sent, notes: [...notes, ...sent.notes] };
}

function sentState(resolver: Resolver, { subject, decision, outlook }: Decided<ForwardDecision | CompareDecision>): State {
  const { query, client } = subject;
  const verdict = decision.kind === "compare" ? knownVerdict(resolver, query.name, decision.compare) : null;
  const common = {
    cache: cachedFor(resolver, subject, decision),
    verdict: verdict === null ? null : explainedVerdict(resolver, verdict),
  };
  if (outlook.answer !== null) return { ...NOTHING_KNOWN, ...common };
  const preference = preferenceFor(resolver, { query, client, decision });
  const choice = preference === null ? "given" : choiceOf(resolver, subject, preference);
  if (preference !== null && choice === "withheld")
    return { ...NOTHING_KNOWN, ...common, known: { route: null, answer: "nodata", action: preference.action } };
  const forward = forwardOf(resolver, subject, { decision, verdict });
  const found = forward === null ? null : holdingOf(resolver, subject, forward);
  const group = forward === null ? null : resolver.groups.get(forward.group);
  const isFresh = found !== null && found !== "nothing" && found.state.kind === "fresh";
  const loops = !isFresh && group?.loops(client.address) === true;
  return {
    ...common,
    known: {
      route: forward?.group ?? null,
      action: actionOf(choice === "given" && preference !== null ? "none" : outlook.action, { found, loops }),
    },
    notes: [
      ...(preference !== null && choice === "unknown" ? [preferenceNote(preference)] : []),
      ...(group !== null && !loops && group.bars(client.address)
        ? [`${client.address} is a member of group ${group.label}, or may be: the question does not go back there.`]
        : []),
    ],
    holding: found,
  };
}

/** What is held of the name on the routes that the decision may take, in all types. */
function cachedFor(
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

function explainedVerdict({ clock }: Resolver, { side, finding, type, foundAtMs }: Verdict): ExplainedVerdict {
  const ageSeconds = Math.max(0, Math.floor((clock.now() - foundAtMs) / 1000));
  return { side, near: finding, type: typeName(type), ageSeconds };
}

/** The group that answers, where it is known before anybody is asked: see `compare`. */
function forwardOf(
  resolver: Resolver,
  subject: HypotheticalQuery,
  { decision, verdict }: { readonly decision: ForwardDecision | CompareDecision; readonly verdict: Verdict | null },
): ForwardDecision | null {
  if (decision.kind === "forward") return decision;
  const { type } = subject.query;
  const asked = { ...subject, decision };
  if (type === TYPE.A ? verdict?.type !== TYPE.A : verdict === null && (type === TYPE.AAAA || type === TYPE.HTTPS)) return null;
  return towards(asked, (verdict ?? verdictOfHeld(resolver, asked))?.side ?? "far").decision;
}

function holdingOf(resolver: Resolver, { query, client }: HypotheticalQuery, decision: ForwardDecision): Holding {
  const clientSubnet = subnetToSend(resolver, { query, client, decision });
  const held = resolver.cache.peek(cacheKey({ ...query, clientSubnet }, decision.group));
  if (held === null || isForged(held.answer, resolver.classifier.forged)) return "nothing";
  const stale = decision.context.settings.stale ? resolver.stale : null;
  const nowMs = resolver.clock.now();
  const atOnce = stale !== null && isStaleAtOnce(held, stale, nowMs);
  return { held, state: freshness(held, { limits: decision.context.settings.shaping, stale, nowMs }), atOnce };
}

function actionOf(foreseen: string, { found, loops }: { readonly found: Holding | null; readonly loops: boolean }): string {
  if (found !== null && found !== "nothing" && found.state.kind === "fresh") {
    const { held } = found;
    // What is held was let through before, or the rules were others then.
    const without = foreseen === "never" ? "none" : foreseen;
    return held.synthesized && held.answer.rcode === RCODE.NOERROR ? "nxdomain:guarded" : without;
  }
  return loops && foreseen !== "never" ? "loop" : foreseen;
}

/** Whether the preferred family is there, as far as the cache knows. */
function choiceOf(
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
  const forward = forwardOf(resolver, other, { decision, verdict });
  const found = forward === null ? "nothing" : holdingOf(resolver, other, forward);
  if (found === "nothing" || found.state.kind !== "fresh") return "unknown";
  return outcomeOf(found.held.answer) === "positive" ? "withheld" : "given";
}

function preferenceNote({ preferred, action }: Preference): string {
  return `${typeName(preferred)} of the name is looked up first: where it has records, the answer is NODATA (${action}).`;
}

/** What the configuration alone says of a question: what is not known without a cache, verdicts and upstreams is left open. */
type Prediction = Omit<ExplainedDecision, "settings">;

interface SentDecision<D extends Decision = Decision> {
  readonly question: Question;
  readonly asker: Requester;
  readonly decision: D;
}

/**
 * `action` is what is done if there is anything to do it to: `ipv6:prefer-ipv4` where AAAA is withheld from names that have A,
 * `type65:strip-ech` where a parameter goes that a record may have.
 */
export function predict(decisions: Pick<Policy, "decider" | "egress">, { decision, ...decided }: SentDecision): Prediction {
  switch (decision.kind) {
    case "reply": {
      const answer = localAnswerText(decided.question, decision.answer);
      return { ...HERE, kind: "reply", rule: decision.context.rule, answer, action: decision.action };
    }
    case "drop":
      return { ...HERE, kind: "drop", rule: decision.context.rule, answer: "drop", action: "drop" };
    case "forward":
    case "compare":
      return sentOutlook(decisions, { ...decided, decision });
    default:
      return unreachable(decision);
  }
}

const HERE = { route: null, near: null, far: null } as const;

function sentOutlook(
  decisions: Pick<Policy, "decider" | "egress">,
  decided: SentDecision<ForwardDecision | CompareDecision>,
): Prediction {
  const { question, asker, decision } = decided;
  const sides = decision.kind === "compare" ? decision.compare : { near: null, far: null };
  const common = { kind: decision.kind, rule: decision.context.rule, near: sides.near, far: sides.far };
  const filter = typeFilter(decision.context.settings.shaping, question.type);
  if (filter !== null) return { ...common, route: null, answer: "nodata", action: filter };
  const route = decision.kind === "forward" ? decision.group : null;
  const forbidden = route !== null && decisions.egress.forbids(route, question, asker) !== null;
  const preference = preferenceFor(decisions, { query: question, client: asker, decision });
  const action = forbidden ? "never" : (preference?.action ?? strippingOf(decision, question));
  return { ...common, route, answer: null, action };
}

function strippingOf({ context }: ForwardDecision | CompareDecision, { type }: Question): string {
  const { shaping } = context.settings;
  return BINDING_TYPES.has(type) && Array.isArray(shaping.https) ? `type${type}:${shaping.https.join(",")}` : "none";
}

/** The groups that a decision sends to; none where it is answered here. */
export function groupsOf(decision: Decision): readonly string[] {
  if (decision.kind === "forward") return [decision.group];
  return decision.kind === "compare" ? [decision.compare.near, decision.compare.far] : [];
}

/** A query that somebody might send. */
export interface HypotheticalQuery {
  readonly query: Query;
  readonly client: Client;
}

/** @throws ParameterError where a part of it is not what it should be. */
export function hypotheticalQuery({
  name,
  type,
  client,
  clientId,
}: Omit<ExplainRequest, "resolve" | "version">): HypotheticalQuery {
  const asked = nameFromText(name);
  const number = typeNumber(type);
  const address = client === null ? "127.0.0.1" : canonical(client);
  const fits = clientId === null || /^[a-z0-9-]{1,63}$/.test(clientId);
  if (asked === null || number === null || address === null || !fits) {
    throw new ParameterError(
      ...(asked === null ? [{ parameter: "name", reason: `\`${name}\` is no domain name` }] : []),
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
  return { query: queryFor(asked, number), client: { ...SOMEBODY, address, clientId } };
}

/** Over a stream, where no size cuts an answer short. */
const SOMEBODY = { port: 0, transport: "tcp", http: null, method: null } as const;

/** As listeners write it; null where it is none. */
function canonical(text: string): string | null {
  const [, address = "", zone] = /^([^%]*)(%[^%]+)?$/.exec(text) ?? [];
  const octets = addressFromText(address);
  if (octets === null) return null;
  if (zone === undefined) return addressText(octets);
  return octets.length === 4 ? null : `${addressText(octets)}${zone}`;
}

function queryFor(name: Name, type: number): Query {
  const question = { name, type, class: CLASS.IN, dnssecOk: false, checkingDisabled: false, clientSubnet: null };
  const parsed = parseQuery(askMessage(question, { id: 0, edns: true, padded: false }));
  if (parsed === null) throw new Error("a question of ours cannot be read");
  if (isRejection(parsed)) {
    const rcode = rcodeName(parsed.rejected);
    const reason = `\`${typeName(type)}\` is nothing that a resolver is asked for: it is answered with ${rcode}`;
    throw new ParameterError({ parameter: "type", reason });
  }
  return parsed;
}

/** What is answered without asking anybody, as `ExplainedDecision.answer` has it: without TTLs. */
function localAnswerText(question: Question, answer: LocalAnswer): string {
  switch (answer.kind) {
    case "addresses":
      return isZero(answer.addresses) ? "zero" : answer.addresses.map(addressText).join(", ");
    case "alias":
      return `CNAME ${nameText(answer.target)}`;
    case "pointer":
      return `PTR ${nameText(answer.target)}`;
    case "https": {
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

import type { Held } from "../cache/entry.ts";
import { cacheKey } from "../cache/key.ts";
import { type Freshness, freshness, isStaleAtOnce } from "../cache/lifetime.ts";
import { outcomeOf } from "../dns/answer.ts";
import { RCODE, TYPE, typeName } from "../dns/types.ts";
import type { CachedAnswer, ExplainedDecision, ExplainedVerdict } from "../log/record.ts";
import { isForged } from "../resolve/classify.ts";
import { subnetToSend } from "../resolve/client-subnet.ts";
import { towards, verdictOfHeld } from "../resolve/compare.ts";
import { type Preference, preferenceFor, queryOfType } from "../resolve/families.ts";
import type { Resolver } from "../resolve/types.ts";
import { knownVerdict, type Verdict } from "../resolve/verdicts.ts";
import type { Compare, Decision, Forward } from "../rules/decision.ts";
import type { Site } from "../site.ts";
import { cachedAnswer } from "./cached-answer.ts";
import { groupsOf, type Outlook } from "./outlook.ts";
import type { Subject } from "./subject.ts";

/** What only a running server knows. */
export type Live = Pick<Site, "resolver" | "access">;

/** What a running server knows of a question besides the decision. */
export interface State {
  /** Parts of the outlook that are known by now, or otherwise than foreseen. */
  readonly known: Partial<Pick<ExplainedDecision, "route" | "answer" | "action">>;
  readonly cache: readonly CachedAnswer[];
  readonly verdict: ExplainedVerdict | null;
  readonly notes: readonly string[];
  /** The answer that is held, and whether it will do; null where none is looked for, or it is not known where. */
  readonly holding: Holding | null;
}

/** `atOnce`: refreshing it failed lately, so that a stale answer is given without waiting. */
export type Holding = { readonly held: Held; readonly state: Freshness; readonly atOnce: boolean } | "nothing";

export const NOTHING_KNOWN: State = { known: {}, cache: [], verdict: null, notes: [], holding: null };

interface Decided<D extends Decision = Decision> {
  readonly subject: Subject;
  readonly decision: D;
  readonly outlook: Outlook;
}

export function stateOf({ resolver, access }: Live, { subject, decision, outlook }: Decided): State {
  const { client } = subject;
  const notes = access.allows(client)
    ? []
    : [`${client.address} is not among \`access.clients\`: it is refused before all this.`];
  if (decision.kind === "reply" || decision.kind === "drop") return { ...NOTHING_KNOWN, notes };
  const sent = sentState(resolver, { subject, decision, outlook });
  return { ...sent, notes: [...notes, ...sent.notes] };
}

function sentState(resolver: Resolver, { subject, decision, outlook }: Decided<Forward | Compare>): State {
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
function cachedFor({ cache, clock }: Resolver, { query }: Subject, decision: Forward | Compare): CachedAnswer[] {
  const routes = groupsOf(decision);
  const terms = { limits: decision.shaping, nowMs: clock.now() };
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
  subject: Subject,
  { decision, verdict }: { readonly decision: Forward | Compare; readonly verdict: Verdict | null },
): Forward | null {
  if (decision.kind === "forward") return decision;
  const { type } = subject.query;
  const asked = { ...subject, decision };
  if (type === TYPE.A ? verdict?.type !== TYPE.A : verdict === null && (type === TYPE.AAAA || type === TYPE.HTTPS)) return null;
  return towards(asked, (verdict ?? verdictOfHeld(resolver, asked))?.side ?? "far").decision;
}

function holdingOf(resolver: Resolver, { query, client }: Subject, decision: Forward): Holding {
  const clientSubnet = subnetToSend(resolver, { query, client, decision });
  const held = resolver.cache.peek(cacheKey({ ...query, clientSubnet }, decision.group));
  if (held === null || isForged(held.answer, resolver.measures.forged)) return "nothing";
  const stale = decision.stale ? resolver.stale : null;
  const nowMs = resolver.clock.now();
  const atOnce = stale !== null && isStaleAtOnce(held, stale, nowMs);
  return { held, state: freshness(held, { limits: decision.shaping, stale, nowMs }), atOnce };
}

function actionOf(foreseen: string, { found, loops }: { readonly found: Holding | null; readonly loops: boolean }): string {
  if (found !== null && found !== "nothing" && found.state.kind === "fresh") {
    const { held } = found;
    // What is held was let through before, or the rules were others then.
    const without = foreseen === "never" ? "none" : foreseen;
    return held.made && held.answer.rcode === RCODE.NOERROR ? "nxdomain:guarded" : without;
  }
  return loops && foreseen !== "never" ? "loop" : foreseen;
}

/** Whether the preferred family is there, as far as the cache knows. */
function choiceOf(resolver: Resolver, { query, client }: Subject, { preferred }: Preference): "withheld" | "given" | "unknown" {
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

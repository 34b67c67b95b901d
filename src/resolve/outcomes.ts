import { bareAnswer, negativeAnswer, withMadeSoa } from "../answers/negative.ts";
import type { TtlEdit } from "../answers/render.ts";
import type { Held } from "../cache/entry.ts";
import { ageSeconds, lifetimeSeconds } from "../cache/lifetime.ts";
import type { StaleOptions } from "../cache/options.ts";
import { type Answer, outcomeOf } from "../dns/answer.ts";
import type { ExtendedError } from "../dns/edns.ts";
import { EDE, RCODE } from "../dns/types.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { Forward } from "../rules/decision.ts";
import type { Attempt } from "../upstreams/upstream.ts";
import { believeHeld } from "./guard.ts";
import type { Fetched } from "./order.ts";
import type { Resolution } from "./resolution.ts";
import type { Asked } from "./resolve.ts";
import type { Resolver } from "./resolver.ts";

/** A fresh answer that is held. */
export function fromCache(
  resolver: Resolver,
  { query, decision }: Asked<Forward>,
  { held, remainingSeconds }: { readonly held: Held; readonly remainingSeconds: number },
): Resolution {
  const age = ageSeconds(held, resolver.clock.now());
  const hit = { question: query, route: decision.group, limits: decision.shaping };
  const { answer, action } = believeHeld(resolver, hit, held.answer);
  // What is made here and held is a guarded NXDOMAIN, or a failure, which speaks for itself.
  const isGuarded = held.made && answer.rcode === RCODE.NOERROR;
  return {
    decision,
    source: "cache",
    route: decision.group,
    action: isGuarded ? "nxdomain:guarded" : action,
    ...prepare(answer, { decision, ageSeconds: age, remainingSeconds }),
    authenticated: resolver.groups.get(decision.group).encrypted,
    extendedErrors: answer.extendedErrors,
    attempts: [],
  };
}

/** What a group has just said, or that it said nothing of use. */
export function fromUpstream(resolver: Resolver, { decision }: Asked<Forward>, fetched: Fetched): Resolution {
  const remainingSeconds = lifetimeSeconds(fetched.answer, decision.shaping);
  return {
    decision,
    source: fetched.kind === "answered" ? "upstream" : "failure",
    route: decision.group,
    action: actionOf(fetched),
    ...prepare(fetched.answer, { decision, ageSeconds: 0, remainingSeconds }),
    authenticated: resolver.groups.get(decision.group).encrypted,
    extendedErrors: fetched.answer.extendedErrors,
    attempts: fetched.attempts,
  };
}

function actionOf(fetched: Fetched): string {
  if (fetched.kind === "answered") return fetched.action;
  return fetched.failure === "forbidden" ? "never" : "none";
}

/** What was good before (RFC 8767 §4). AD does not outlive the TTL it was given for. `attempts` is what was tried first, be it still under way. */
export function fromStale(
  { decision }: Asked<Forward>,
  { held, options }: { readonly held: Held; readonly options: StaleOptions },
  attempts: readonly Attempt[],
): Resolution {
  return {
    decision,
    source: "stale",
    route: decision.group,
    action: "none",
    answer: held.answer,
    ttl: { kind: "stale", ttlSeconds: options.ttlSeconds },
    authenticated: false,
    extendedErrors: [{ code: EDE.STALE, text: "" }],
    attempts,
  };
}

/**
 * The question came from every server it could be sent to: those look here for what they lack, so the name is nowhere, unless it is
 * known to exist in another type or above one of the hosts table.
 */
export function looped({ decider, cache }: Resolver, { query, decision }: Asked<Forward>, fetched: Fetched): Resolution {
  const { shaping, group } = decision;
  const exists = decider.holds(query.name) || cache.provesExistence(query.name, { class: query.class, route: group }, shaping);
  const rcode = exists ? RCODE.NOERROR : RCODE.NXDOMAIN;
  return {
    decision,
    source: "special",
    route: group,
    action: "loop",
    answer: negativeAnswer(query, { rcode, soaOwner: query.name, ttlSeconds: shaping.negative.minSeconds }),
    ttl: { kind: "keep" },
    authenticated: false,
    extendedErrors: [{ code: EDE.OTHER, text: `loop: the question came from the upstream of ${group}` }],
    attempts: fetched.attempts,
  };
}

/** Nothing came for a question that began after its query had waited for something else. */
export function outOfTime(asked: Pick<Asked, "query" | "decision">): Resolution {
  return unanswerable(asked, { code: EDE.NO_REACHABLE_AUTHORITY, text: "no answer in time" });
}

/** SERVFAIL for a query that nobody was asked about. */
export function unanswerable({ query, decision }: Pick<Asked, "query" | "decision">, extendedError: ExtendedError): Resolution {
  return {
    decision,
    source: "failure",
    route: null,
    action: "none",
    answer: bareAnswer(query, RCODE.SERVFAIL),
    ttl: { kind: "failure" },
    authenticated: false,
    extendedErrors: [extendedError],
    attempts: [],
  };
}

interface Preparation {
  readonly decision: Forward;
  readonly ageSeconds: number;
  /** Of a negative answer: how long it still holds. */
  readonly remainingSeconds: number;
}

type Prepared = Pick<Resolution, "answer" | "ttl" | "edits">;

/** Among `Resolution.edits`: upstream gave no SOA, and how long the negative answer holds is our word. */
export const SOA_MADE = "made an SOA";

const WITH_MADE_SOA: readonly string[] = [SOA_MADE];

/** The answer with an SOA where it lacks one, and what is to be done to its TTLs. */
function prepare(answer: Answer, { decision, ageSeconds, remainingSeconds }: Preparation): Prepared {
  const outcome = outcomeOf(answer);
  switch (outcome) {
    case "positive":
      return { answer, ttl: { kind: "age", ageSeconds, limits: decision.shaping.ttl } };
    case "nodata":
    case "nxdomain":
    case "bare": {
      const ttl: TtlEdit = { kind: "negative", remainingSeconds };
      return answer.soa === null ? { answer: withMadeSoa(answer, remainingSeconds), ttl, edits: WITH_MADE_SOA } : { answer, ttl };
    }
    case "failure":
      return { answer, ttl: { kind: "failure" } };
    default:
      return unreachable(outcome);
  }
}

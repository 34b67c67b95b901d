import { asNodata } from "../answers/negative.ts";
import { cacheKey } from "../cache/key.ts";
import { isFresh } from "../cache/lifetime.ts";
import { type Answer, type Outcome, outcomeOf, recordsOf } from "../dns/answer.ts";
import type { Name } from "../dns/name.ts";
import type { Question } from "../dns/query.ts";
import { EDE, TYPE } from "../dns/types.ts";
import { withinMs } from "../lib/deadline.ts";
import { askerOf } from "../upstreams/route-guard.ts";
import type { Fetching, Order } from "./order.ts";
import type { Resolver } from "./resolver.ts";

/** An answer, and whether it was changed before it was believed. */
interface Believed {
  readonly answer: Answer;
  readonly action: "none" | "nxdomain:guarded";
  /** Set where nobody knows whether the name exists: what was good before is better. */
  readonly isGuess?: true;
}

/** What came back for an order, before it is believed. */
interface Suspect {
  readonly order: Order;
  readonly answer: Answer;
}

/** Asks upstream, or joins whoever does. */
type FetchAnswer = (resolver: Resolver, order: Order) => Fetching;

/** Types for which servers and filters are known to invent NXDOMAIN for names that have addresses. */
const DOUBTED_TYPES: ReadonlySet<number> = new Set([TYPE.AAAA, TYPE.SVCB, TYPE.HTTPS]);

/**
 * NXDOMAIN speaks for every type of a name (RFC 8020), so it passes only where the name is not known to
 * exist, and for the types where it is often a lie only after A of the name has been asked. In a chain of aliases all this
 * concerns the last name (RFC 2308 §2.1, RFC 6604 §3).
 */
export async function believe(resolver: Resolver, suspect: Suspect, fetchAnswer: FetchAnswer): Promise<Believed> {
  const { order, answer } = suspect;
  if (outcomeOf(answer) !== "nxdomain" || isVerifiable(resolver, order.question, answer)) return { answer, action: "none" };
  const proof = proofOfExistence(resolver, order, answer.chainEnd);
  if (proof !== null) return guarded(answer, proof);
  if (!DOUBTED_TYPES.has(order.question.type)) return { answer, action: "none" };
  const addresses = await outcomeOfAddresses(resolver, suspect, fetchAnswer);
  switch (addresses) {
    case "nxdomain":
      return { answer, action: "none" };
    case "failure":
      return { ...guarded(answer, "A of the name could not be had", order.limits.negative.minSeconds), isGuess: true };
    default:
      return guarded(answer, "A says that the name exists");
  }
}

/** What an NXDOMAIN was held for, and the limits of the rule at hand. */
type Hit = Pick<Order, "question" | "route" | "limits">;

/**
 * The same for an NXDOMAIN that is held: what the hosts table has may have changed since it came, and of the many aliases that may end at one name
 * the cache remembers a bounded number, so proof for that name does not end all of their denials.
 */
export function believeHeld(resolver: Pick<Resolver, "decider" | "cache">, hit: Hit, answer: Answer): Believed {
  if (outcomeOf(answer) !== "nxdomain" || isVerifiable(resolver, hit.question, answer)) return { answer, action: "none" };
  const proof = proofOfExistence(resolver, hit, answer.chainEnd);
  return proof === null ? { answer, action: "none" } : guarded(answer, proof);
}

/** How the name is known to exist, without asking anybody; null = it is not. */
function proofOfExistence({ decider, cache }: Pick<Resolver, "decider" | "cache">, hit: Hit, name: Name): string | null {
  if (decider.holds(name)) return "the hosts table has the name";
  const place = { class: hit.question.class, route: hit.route };
  return cache.provesExistence(name, place, hit.limits) ? "other types of the name exist" : null;
}

/** Denial that whoever asked can verify is left for them to judge, but of names of the hosts table: it would speak of their addresses too. */
function isVerifiable({ decider }: Pick<Resolver, "decider">, { dnssecOk }: Question, answer: Answer): boolean {
  if (!dnssecOk || !answer.signed || decider.holds(answer.chainEnd)) return false;
  return recordsOf(answer).some(({ type }) => type === TYPE.NSEC || type === TYPE.NSEC3);
}

/** What A of the chain's last name comes to on the same route, held or asked. */
async function outcomeOfAddresses(resolver: Resolver, { order, answer }: Suspect, fetchAnswer: FetchAnswer): Promise<Outcome> {
  const question = { ...order.question, name: nameToAsk(resolver, order, answer), type: TYPE.A };
  const key = cacheKey(question, order.route);
  const nowMs = resolver.clock.now();
  const held = resolver.cache.peek(key);
  if (held !== null && isFresh(held, order.limits, nowMs)) return outcomeOf(held.answer);
  const fetched = await withinMs(
    resolver.clock,
    order.deadlineMs - nowMs,
    fetchAnswer(resolver, { ...order, question, key }).result,
  );
  return fetched === null || fetched.kind === "failed" ? "failure" : outcomeOf(fetched.answer);
}

// Where the chain leads to a name that must not be sent there, its beginning is asked again: A of that leads to the same end.
function nameToAsk({ groups }: Resolver, order: Order, { chainEnd }: Answer): Name {
  const atEnd = { ...order.question, name: chainEnd, type: TYPE.A };
  return groups.get(order.route).leaks.reason(atEnd, askerOf(order)) === null ? chainEnd : order.question.name;
}

function guarded(nxdomain: Answer, reason: string, ttlSeconds: number | null = null): Believed {
  const answer = asNodata(nxdomain, ttlSeconds);
  return {
    answer: { ...answer, extendedErrors: [{ code: EDE.OTHER, text: `NXDOMAIN not believed: ${reason}` }] },
    action: "nxdomain:guarded",
  };
}

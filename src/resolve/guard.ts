import { asNodata } from "../answers/empty.ts";
import { cacheKey } from "../cache/key.ts";
import { isFresh } from "../cache/lifetime.ts";
import { type Answer, type Outcome, outcomeOf, recordsOf } from "../dns/answer.ts";
import type { Question } from "../dns/question.ts";
import { EDE, TYPE } from "../dns/types.ts";
import { withinMs } from "./deadline.ts";
import type { Fetched, Order } from "./order.ts";
import type { Resolver } from "./resolver.ts";

/** An answer, and whether it was changed before it was believed. */
interface Believed {
  readonly answer: Answer;
  readonly action: "none" | "nxdomain:guarded";
}

/** What came back for an order, before it is believed. */
interface Suspect {
  readonly order: Order;
  readonly answer: Answer;
}

/** Asks upstream, or joins whoever does; never rejects. */
type FetchAnswer = (resolver: Resolver, order: Order) => Promise<Fetched>;

/** Types for which servers and filters are known to invent NXDOMAIN for names that have addresses. */
const DOUBTED_TYPES: ReadonlySet<number> = new Set([TYPE.AAAA, TYPE.SVCB, TYPE.HTTPS]);

/**
 * The second law (DESIGN.md §1): NXDOMAIN speaks for every type of a name (RFC 8020), so it passes only where the name is not known to
 * exist, and for the types where it is often a lie only after A of the name has been asked. In a chain of aliases all this
 * concerns the last name (RFC 2308 §2.1, RFC 6604 §3).
 */
export async function believe(resolver: Resolver, suspect: Suspect, fetchAnswer: FetchAnswer): Promise<Believed> {
  const { order, answer } = suspect;
  if (outcomeOf(answer) !== "nxdomain" || isSignedDenial(order.question, answer)) return { answer, action: "none" };
  const { question, route, limits } = order;
  const place = { class: question.class, route };
  if (resolver.decider.holds(answer.chainEnd)) return guarded(answer, HELD_BY_HOSTS);
  if (resolver.cache.provesExistence(answer.chainEnd, place, limits)) return guarded(answer, "other types of the name exist");
  if (!DOUBTED_TYPES.has(question.type)) return { answer, action: "none" };
  const addresses = await outcomeOfAddresses(resolver, suspect, fetchAnswer);
  switch (addresses) {
    case "nxdomain":
      return { answer, action: "none" };
    case "failure":
      return guarded(answer, "A of the name could not be had", limits.negative.minSeconds);
    default:
      return guarded(answer, "A says that the name exists");
  }
}

/** The same for an NXDOMAIN that is held: what the hosts table has may have changed since it came. Other proof ends it in the cache itself. */
export function believeHeld({ decider }: Pick<Resolver, "decider">, question: Question, answer: Answer): Believed {
  if (outcomeOf(answer) !== "nxdomain" || isSignedDenial(question, answer)) return { answer, action: "none" };
  return decider.holds(answer.chainEnd) ? guarded(answer, HELD_BY_HOSTS) : { answer, action: "none" };
}

/** Denial that whoever asked can verify is left for them to judge. */
function isSignedDenial({ dnssecOk }: Question, answer: Answer): boolean {
  return dnssecOk && answer.signed && recordsOf(answer).some(({ type }) => type === TYPE.NSEC || type === TYPE.NSEC3);
}

/** What A of the chain's last name comes to on the same route, held or asked. */
async function outcomeOfAddresses(resolver: Resolver, { order, answer }: Suspect, fetchAnswer: FetchAnswer): Promise<Outcome> {
  const question = { ...order.question, name: answer.chainEnd, type: TYPE.A };
  const key = cacheKey(question, order.route);
  const nowMs = resolver.clock.now();
  const held = resolver.cache.peek(key);
  if (held !== null && isFresh(held, order.limits, nowMs)) return outcomeOf(held.answer);
  const fetched = await withinMs(resolver.clock, order.deadlineMs - nowMs, fetchAnswer(resolver, { ...order, question, key }));
  return fetched === null || fetched.kind === "failed" ? "failure" : outcomeOf(fetched.answer);
}

const HELD_BY_HOSTS = "the hosts table has the name";

function guarded(nxdomain: Answer, reason: string, ttlSeconds: number | null = null): Believed {
  const answer = asNodata(nxdomain, ttlSeconds);
  return {
    answer: { ...answer, extendedErrors: [{ code: EDE.OTHER, text: `NXDOMAIN not believed: ${reason}` }] },
    action: "nxdomain:guarded",
  };
}

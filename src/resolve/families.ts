import { outcomeOf } from "../dns/answer.ts";
import type { Query } from "../dns/query.ts";
import { CLASS, EDE, TYPE } from "../dns/types.ts";
import { setUint16 } from "../dns/wire.ts";
import type { Client } from "../lib/client.ts";
import { awaitWithin } from "../lib/deadline.ts";
import type { CompareDecision, Decision, FilterAction, ForwardDecision } from "../rules/decision.ts";
import { answerServfail } from "./local-answer.ts";
import type { Resolution, Resolver, UpstreamQuery } from "./types.ts";

/** The address family that is preferred to the one in the question. */
export interface Preference {
  /** Its type, A or AAAA. */
  readonly preferred: number;
  /** How the log shows an answer that was withheld. */
  readonly action: Extract<FilterAction, `${string}:prefer-${string}`>;
}

/**
 * Finds the preferred family; null = none is preferred, or the client would not get the preferred one: a preference must never leave a name without
 * addresses. Where the rules prefer both families to each other, IPv4 wins.
 */
export function preferenceFor(
  { decider }: Pick<Resolver, "decider">,
  { query, client, decision }: Preferring,
): Preference | null {
  if (query.class !== CLASS.IN) return null;
  const { ipv4, ipv6 } = decision.context.settings.shaping;
  if (query.type === TYPE.AAAA && ipv6 === "prefer-ipv4") {
    const forA = decider.decide({ ...query, type: TYPE.A }, client);
    return isAnswered(forA, (shaping) => shaping.ipv4 !== "nodata") ? PREFER_IPV4 : null;
  }
  if (query.type === TYPE.A && ipv4 === "prefer-ipv6") {
    const forAaaa = decider.decide({ ...query, type: TYPE.AAAA }, client);
    return isAnswered(forAaaa, (shaping) => shaping.ipv6 === "pass") ? PREFER_IPV6 : null;
  }
  return null;
}

/** The parts of a query that a preference depends on. */
interface Preferring {
  readonly query: Pick<Query, "name" | "type" | "class">;
  readonly client: Pick<Client, "address" | "clientId">;
  readonly decision: ForwardDecision | CompareDecision;
}

const PREFER_IPV4: Preference = { preferred: TYPE.A, action: "ipv6:prefer-ipv4" };
const PREFER_IPV6: Preference = { preferred: TYPE.AAAA, action: "ipv4:prefer-ipv6" };

function isAnswered(decision: Decision, passes: (shaping: Decision["context"]["settings"]["shaping"]) => boolean): boolean {
  if (decision.kind === "forward" || decision.kind === "compare") return passes(decision.context.settings.shaping);
  return decision.kind === "reply" && decision.action === "none";
}

interface Choice {
  /** The result for the preferred family, as if the client had asked for it. */
  readonly preferred: Resolution | Promise<Resolution>;
  /** Asks for the family in the question. */
  readonly ask: () => Resolution | Promise<Resolution>;
  /** Withholds the family in the question. */
  readonly withhold: () => Resolution;
}

/**
 * Withholds the family in the question if the preferred one has addresses; else asks for it. The preferred family gets half of the time, so that
 * there is time for the other one.
 */
export function preferFamily(
  resolver: Resolver,
  inProgress: UpstreamQuery,
  { preferred, ask, withhold }: Choice,
): Resolution | Promise<Resolution> {
  if (!(preferred instanceof Promise)) return hasAddresses(preferred) ? withhold() : ask();
  const untilMs = resolver.clock.now() + resolver.deadlineMs;
  const waitAndChoose = async (): Promise<Resolution> => {
    const found = await awaitWithin(resolver.clock, resolver.deadlineMs / 2, preferred);
    if (found !== null && hasAddresses(found)) return { ...withhold(), attempts: found.attempts };
    const asked = await awaitWithin(resolver.clock, untilMs - resolver.clock.now(), Promise.resolve(ask()));
    return asked ?? answerOutOfTime(inProgress);
  };
  return waitAndChoose();
}

function hasAddresses({ answer }: Resolution): boolean {
  return answer !== null && outcomeOf(answer) === "positive";
}

/** SERVFAIL: a question that had to wait for another one got no answer in time. */
export function answerOutOfTime(inProgress: UpstreamQuery): Resolution {
  return answerServfail(inProgress, { code: EDE.NO_REACHABLE_AUTHORITY, text: "no answer in time" });
}

/** The same query for another type. */
export function queryOfType(query: Query, type: number): Query {
  const questionWire = Buffer.from(query.questionWire);
  setUint16(questionWire, questionWire.length - 4, type);
  return { ...query, type, questionWire };
}

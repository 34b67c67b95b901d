import { outcomeOf } from "../dns/answer.ts";
import type { Query } from "../dns/query.ts";
import { CLASS, TYPE } from "../dns/types.ts";
import { setUint16 } from "../dns/wire.ts";
import type { Client } from "../lib/client.ts";
import { withinMs } from "../lib/deadline.ts";
import type { CompareDecision, Decision, FilterAction, ForwardDecision } from "../rules/decision.ts";
import { outOfTime } from "./forward.ts";
import type { QueryInProgress } from "./resolve.ts";
import type { Resolution, Resolver } from "./types.ts";

/** The family that decides whether the one asked for is given. */
export interface Preference {
  readonly preferred: number;
  /** Under which the log shows an answer that was withheld. */
  readonly action: Extract<FilterAction, `${string}:prefer-${string}`>;
}

/**
 * What is preferred to the type asked for; null where nothing is, or where this client would not get it anyway: a preference must never leave
 * a name without any address. Where the rules set both families against each other IPv4 is preferred.
 */
export function preferenceFor({ decider }: Pick<Resolver, "decider">, { query, client, decision }: Undecided): Preference | null {
  if (query.class !== CLASS.IN) return null;
  const { ipv4, ipv6 } = decision.context.settings.shaping;
  if (query.type === TYPE.AAAA && ipv6 === "prefer-ipv4") {
    const forA = decider.decide({ ...query, type: TYPE.A }, client);
    return isGiven(forA, ({ context }) => context.settings.shaping.ipv4 !== "nodata") ? PREFER_IPV4 : null;
  }
  if (query.type === TYPE.A && ipv4 === "prefer-ipv6") {
    const forAaaa = decider.decide({ ...query, type: TYPE.AAAA }, client);
    return isGiven(forAaaa, ({ context }) => context.settings.shaping.ipv6 === "pass") ? PREFER_IPV6 : null;
  }
  return null;
}

/** What of a query a preference depends on. */
interface Undecided {
  readonly query: Pick<Query, "name" | "type" | "class">;
  readonly client: Pick<Client, "address" | "clientId">;
  readonly decision: ForwardDecision | CompareDecision;
}

const PREFER_IPV4: Preference = { preferred: TYPE.A, action: "ipv6:prefer-ipv4" };
const PREFER_IPV6: Preference = { preferred: TYPE.AAAA, action: "ipv4:prefer-ipv6" };

function isGiven(decision: Decision, passes: (decision: Decision) => boolean): boolean {
  if (decision.kind === "forward" || decision.kind === "compare") return passes(decision);
  return decision.kind === "reply" && decision.action === "none";
}

/** What becomes of a query for which another family is preferred. */
interface Choice {
  readonly asked: QueryInProgress;
  /** Resolves the query for the preferred family, as if the client had sent it. */
  readonly preferred: () => Resolution | Promise<Resolution>;
  /** Asks for the family that the client wants. */
  readonly given: () => Resolution | Promise<Resolution>;
  readonly withheld: () => Resolution;
}

/**
 * Asks for the preferred family first: what is held of it decides at once, what is under way is waited for. Where it has addresses the other is
 * withheld; where it has none, or fails, the other is asked. The preferred one has half of the time, so that the other still gets an answer.
 */
export function choose(resolver: Resolver, { asked, preferred, given, withheld }: Choice): Resolution | Promise<Resolution> {
  const untilMs = resolver.clock.now() + resolver.deadlineMs;
  const first = preferred();
  if (!(first instanceof Promise)) return hasAddresses(first) ? withheld() : given();
  const afterwards = async (): Promise<Resolution> => {
    const found = await withinMs(resolver.clock, resolver.deadlineMs / 2, first);
    if (found !== null && hasAddresses(found)) return { ...withheld(), attempts: found.attempts };
    const second = await withinMs(resolver.clock, untilMs - resolver.clock.now(), Promise.resolve(given()));
    return second ?? outOfTime(asked);
  };
  return afterwards();
}

function hasAddresses({ answer }: Resolution): boolean {
  return answer !== null && outcomeOf(answer) === "positive";
}

/** The same query for another type. */
export function queryOfType(query: Query, type: number): Query {
  const questionWire = Buffer.from(query.questionWire);
  setUint16(questionWire, questionWire.length - 4, type);
  return { ...query, type, questionWire };
}

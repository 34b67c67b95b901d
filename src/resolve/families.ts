import { outcomeOf } from "../dns/answer.ts";
import type { Query } from "../dns/query.ts";
import { EDE } from "../dns/types.ts";
import { setUint16 } from "../dns/wire.ts";
import { awaitWithin } from "../lib/deadline.ts";
import { answerServfail } from "./local-answer.ts";
import type { Resolution, Resolver, UpstreamQuery } from "./types.ts";

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
  const { untilMs } = inProgress;
  const waitAndChoose = async (): Promise<Resolution> => {
    const found = await awaitWithin(resolver.clock, (untilMs - resolver.clock.now()) / 2, preferred);
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

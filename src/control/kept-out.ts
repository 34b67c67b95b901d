import { isRejection } from "../dns/query.ts";
import type { Noted } from "../noted.ts";
import { MAX_ALIASES } from "../resolve/alias.ts";

/**
 * Whether a rule keeps the query out of the log. A rule about the target of an alias of the hosts table keeps out what leads there as well: the
 * record would tell of the target.
 */
export function isKeptOut({ site, client, parsed, admission, resolution }: Noted): boolean {
  if (isRejection(parsed)) return false;
  // With a fault of ours nothing is asked a second time.
  if (resolution === null && admission === "admitted") return false;
  const { decider } = site.resolver;
  // Who is turned away meets no rule before.
  let decision = resolution?.decision ?? decider.decide(parsed, client);
  for (let aliases = 0; decision.log && aliases < MAX_ALIASES; aliases++) {
    if (decision.kind !== "reply" || decision.answer.kind !== "alias") return false;
    decision = decider.decide({ ...parsed, name: decision.answer.target }, client);
  }
  return !decision.log;
}

import type { Name } from "../dns/name.ts";
import type { DomainSet } from "../lists/domain-set.ts";
import { exceptsBelow, reachesBelow } from "./below.ts";
import type { Asker } from "./decision.ts";
import { isHit, type Rule } from "./rule.ts";

/**
 * The rule because of which a name that `denying` denies may exist all the same, in another type or through a name below it; null where there is none.
 * NXDOMAIN would take that along, because it speaks for the whole name and for all below (RFC 2308 §5, RFC 8020 §2). Errs towards a rule.
 */
export function ruleThatKeeps(
  rules: readonly Rule[],
  denying: Rule,
  { name, asker }: { readonly name: Name; readonly asker: Asker },
): Rule | null {
  if (denying.types !== null || !deniesBelow(denying, name)) return denying;
  for (const rule of rules.slice(0, rules.indexOf(denying))) {
    if (rule.action === null || !rule.admits(asker)) continue;
    if (rule.types !== null && isHit(rule.testName(name))) return rule;
    if (givesRecords(rule) && mayHoldBelow(rule, name)) return rule;
  }
  return null;
}

/** Whether questions that the rule decides can get NOERROR. */
export function givesRecords({ action }: Rule): boolean {
  if (action === null) return false;
  return action.kind !== "answer" || action.answer === "nodata" || action.answer === "zero";
}

// What lies below and is not denied along with the name goes on to later rules, and in the end to the first group.
function deniesBelow({ domains }: Rule, name: Name): boolean {
  if (domains === null) return true;
  if (domains.excepted.some((except) => reachesBelow(except, name))) return false;
  return domains.wanted.length === 0 || domains.wanted.some((wanted) => holdsBelow(wanted, name));
}

function mayHoldBelow({ domains, longest }: Rule, name: Name): boolean {
  if (longest !== null) return longest.choices.some(({ set }) => reachesBelow(set, name));
  if (domains === null) return false;
  if (domains.wanted.some((wanted) => reachesBelow(wanted, name))) return true;
  // Where the name is excepted by itself alone, the names below it are not.
  return domains.test(name) === "excepted" && !domains.excepted.some((except) => holdsBelow(except, name));
}

/** Whether the set holds the name and everything below it. A keyword in a name is in all names below it; a regular expression may be tied to the beginning. */
function holdsBelow(set: DomainSet, name: Name): boolean {
  const kind = set.match(name)?.kind;
  return (kind === "suffix" || kind === "keyword") && !exceptsBelow(set, name);
}

import type { DomainEntry, DomainSet } from "../lists/domain-set.ts";
import { type Overlap, type OverlapKind, overlaps } from "../lists/patterns.ts";
import type { RuleOptions } from "./options.ts";
import { DomainFilter, type DomainLists, listNamed, listNameIn } from "./rule.ts";

/** A list that a rule sends to a group. */
interface Claim {
  readonly list: string;
  readonly rule: string;
  readonly group: string;
}

/** Entries of two lists that send the same names to different groups. */
export interface ListConflict {
  readonly kind: OverlapKind;
  /** The list with the longer or exact entries; of a tie, the list that the rules name first. */
  readonly inner: Claim;
  readonly outer: Claim;
  /** The group that gets the names of the inner entries. */
  readonly group: string;
  readonly count: number;
  /** In the order of the inner list, the first `MAX_ENTRIES` of them. */
  readonly entries: readonly ConflictingEntries[];
}

interface ConflictingEntries {
  readonly inner: DomainEntry;
  readonly outer: DomainEntry;
}

/** Entries reported of each conflict. */
const MAX_ENTRIES = 10_000;

/**
 * Finds the lists that disagree. Between the lists of one `longest` the better match decides, and the list named first wins a tie; between lists
 * of different rules the first rule decides. Rules with further conditions, and a `longest` with `domains`, are deliberate
 * exceptions and are left out.
 */
export function listConflicts(rules: readonly RuleOptions[], lists: DomainLists): ListConflict[] {
  const claims = claimsOf(rules, lists);
  return claims.flatMap((first, index) =>
    claims.slice(index + 1).flatMap((second) => (first.group === second.group ? [] : conflictsOf(first, second))),
  );
}

interface PlacedClaim extends Claim {
  readonly set: DomainSet;
  /** null = the rule takes every name of the list. */
  readonly filter: DomainFilter | null;
}

/** The claims in the order of the rules. The first claim on a list leaves nothing to later ones. */
function claimsOf(rules: readonly RuleOptions[], lists: DomainLists): readonly PlacedClaim[] {
  const claims = rules.flatMap((rule) => claimsOfRule(rule, lists));
  return claims.filter(({ list }, index) => claims.findIndex((claim) => claim.list === list) === index);
}

function claimsOfRule(
  { name: rule, domains, alsoDomains, clients, types, exceptTypes, when, action }: RuleOptions,
  lists: DomainLists,
): PlacedClaim[] {
  if (clients.length + types.length + exceptTypes.length + alsoDomains.length > 0 || when !== undefined) return [];
  if (action?.kind === "longest" && domains.length === 0) {
    return action.choices.map(({ list, group }) => ({ list, rule, group, set: listNamed(lists, list), filter: null }));
  }
  if (action?.kind !== "upstream") return [];
  const { group } = action;
  const filter = new DomainFilter(domains, lists);
  const wanted = domains.flatMap((text) => listNameIn(text) ?? []);
  return wanted.map((list) => ({ list, rule, group, set: listNamed(lists, list), filter }));
}

function conflictsOf(first: PlacedClaim, second: PlacedClaim): ListConflict[] {
  const found = [...collect(first, second, first), ...collect(second, first, first)];
  // Both directions find a tie.
  return found.filter(({ kind, inner }) => kind !== "tie" || inner.list === first.list);
}

/** Collects the conflicts of `inner` entries with `outer` ones. `first` is the one of the two that comes first in the rules. */
function collect(inner: PlacedClaim, outer: PlacedClaim, first: PlacedClaim): ListConflict[] {
  const found = new Map<OverlapKind, { count: number; readonly entries: ConflictingEntries[] }>();
  for (const overlap of overlaps(inner.set, outer.set)) {
    if (!takes(inner, overlap) || !takes(outer, overlap)) continue;
    const { kind, own, other } = overlap;
    const collected = found.get(kind) ?? { count: 0, entries: [] };
    found.set(kind, collected);
    collected.count++;
    if (collected.entries.length < MAX_ENTRIES)
      collected.entries.push({ inner: inner.set.describe(own), outer: outer.set.describe(other) });
  }
  // Within one rule the longer entry wins; between rules the first rule.
  const { group } = inner.rule === outer.rule ? inner : first;
  return KINDS.flatMap((kind) => {
    const collected = found.get(kind);
    return collected === undefined ? [] : [{ kind, inner: claimOf(inner), outer: claimOf(outer), group, ...collected }];
  });
}

const KINDS = ["tie", "split", "inside"] as const;

/** Whether the rule does not except the name. */
function takes({ filter }: PlacedClaim, { name }: Overlap): boolean {
  return filter === null || typeof filter.test(name) === "object";
}

function claimOf({ list, rule, group }: PlacedClaim): Claim {
  return { list, rule, group };
}

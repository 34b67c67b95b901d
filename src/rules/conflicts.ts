import type { DomainEntry, DomainSet } from "../lists/domain-set.ts";
import { type Overlap, type OverlapKind, overlaps, parseDomainCondition } from "../lists/patterns.ts";
import type { RuleOptions } from "./options.ts";
import { DomainFilter, type DomainLists, listNamed } from "./rule.ts";

/** A list that a rule sends to a group. */
interface Claim {
  readonly list: string;
  readonly rule: string;
  readonly group: string;
}

/** Entries of two lists that would send the same names to different groups. */
export interface ListConflict {
  readonly kind: OverlapKind;
  /** Whose entries are the longer or exact ones; of a tie, the list that is named first. */
  readonly inner: Claim;
  readonly outer: Claim;
  /** Where the inner entries' names go. */
  readonly group: string;
  readonly count: number;
  /** In the order of the inner list, the first `MAX_ENTRIES` of them. */
  readonly entries: readonly ConflictingEntries[];
}

interface ConflictingEntries {
  readonly inner: DomainEntry;
  readonly outer: DomainEntry;
}

/** Entries that are told of each conflict. */
const MAX_ENTRIES = 10_000;

/**
 * Where lists disagree: of the lists of one `longest` the better match decides and in a tie the list that is named first, of lists in different rules
 * the first rule. Rules for some clients or types are exceptions on purpose, and a `longest` with `domains` as well: they are left out.
 */
export function listConflicts(rules: readonly RuleOptions[], lists: DomainLists): ListConflict[] {
  const claims = claimsOf(rules, lists);
  return claims.flatMap((first, index) =>
    claims.slice(index + 1).flatMap((second) => (first.group === second.group ? [] : conflictsOf(first, second))),
  );
}

interface PlacedClaim extends Claim {
  readonly set: DomainSet;
  /** null = the rule takes whatever the list holds. */
  readonly filter: DomainFilter | null;
}

/** In the order of the rules; of several for one list the first, which leaves nothing to the others. */
function claimsOf(rules: readonly RuleOptions[], lists: DomainLists): readonly PlacedClaim[] {
  const claims = rules.flatMap((rule) => claimsOfRule(rule, lists));
  return claims.filter(({ list }, index) => claims.findIndex((claim) => claim.list === list) === index);
}

function claimsOfRule({ name: rule, domains, clients, types, action }: RuleOptions, lists: DomainLists): PlacedClaim[] {
  if (clients.length > 0 || types.length > 0) return [];
  if (action?.kind === "longest" && domains.length === 0) {
    return action.choices.map(({ list, group }) => ({ list, rule, group, set: listNamed(lists, list), filter: null }));
  }
  if (action?.kind !== "upstream") return [];
  const { group } = action;
  const filter = new DomainFilter(domains, lists);
  return domains.flatMap(wantedList).map((list) => ({ list, rule, group, set: listNamed(lists, list), filter }));
}

function wantedList(text: string): string[] {
  const condition = parseDomainCondition(text);
  return "kind" in condition || condition.excepted || condition.target.kind !== "list" ? [] : [condition.target.list];
}

function conflictsOf(first: PlacedClaim, second: PlacedClaim): ListConflict[] {
  const found = [...gather(first, second, first), ...gather(second, first, first)];
  // A tie is met from both sides.
  return found.filter(({ kind, inner }) => kind !== "tie" || inner.list === first.list);
}

/** What the entries of `inner` meet in `outer`; `first` is the one of the two that comes first. */
function gather(inner: PlacedClaim, outer: PlacedClaim, first: PlacedClaim): ListConflict[] {
  const found = new Map<OverlapKind, { count: number; readonly entries: ConflictingEntries[] }>();
  for (const overlap of overlaps(inner.set, outer.set)) {
    if (!takes(inner, overlap) || !takes(outer, overlap)) continue;
    const { kind, own, other } = overlap;
    const gathered = found.get(kind) ?? { count: 0, entries: [] };
    found.set(kind, gathered);
    gathered.count++;
    if (gathered.entries.length < MAX_ENTRIES)
      gathered.entries.push({ inner: inner.set.describe(own), outer: outer.set.describe(other) });
  }
  // Within a rule the longer entry wins; before another one any.
  const { group } = inner.rule === outer.rule ? inner : first;
  return KINDS.flatMap((kind) => {
    const gathered = found.get(kind);
    return gathered === undefined ? [] : [{ kind, inner: claimOf(inner), outer: claimOf(outer), group, ...gathered }];
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

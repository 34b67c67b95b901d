import { joinNames, listKey, type ModelRule, meaningKey, type Names, NO_NAMES, type RuleCondition } from "./model.ts";

type Decide = Extract<ModelRule, { kind: "decide" }>;

/**
 * Rules without those that change nothing: followed by one that holds for more and does the same, or preceded by one for the same questions.
 * @param keyOf equal for rules that do the same.
 */
export function simplify(
  rules: readonly ModelRule[],
  keyOf: (rule: Decide) => string = ({ outcome }) => meaningKey(outcome),
): readonly ModelRule[] {
  const kept: ModelRule[] = [];
  for (const rule of rules.toReversed()) {
    const next = kept.at(-1);
    if (rule.kind === "decide" && next?.kind === "decide" && keyOf(rule) === keyOf(next)) {
      if (isWithin(rule.condition, next.condition)) continue;
      const union = unionOf(rule.condition, next.condition);
      if (union !== null) {
        kept.splice(-1, 1, { ...next, condition: union, place: rule.place });
        continue;
      }
    }
    kept.push(rule);
  }
  const needed: ModelRule[] = [];
  for (const rule of kept.toReversed()) {
    const isTaken = (before: ModelRule) =>
      rule.kind === "decide" && before.kind === "decide" && isWithin(rule.condition, before.condition);
    if (!needed.some(isTaken)) needed.push(rule);
  }
  return needed;
}

/** Whether each part of the wider condition is one of the narrower too. */
function isWithin(narrow: RuleCondition, wide: RuleCondition): boolean {
  return (
    (wide.types === null || narrow.types?.every((type) => wide.types?.includes(type) === true) === true) &&
    (wide.names === null || (narrow.names !== null && !isJoint(wide.names) && holdsAll(wide.names, narrow.names))) &&
    (wide.clients === null || meaningKey(narrow.clients) === meaningKey(wide.clients)) &&
    holdsAll(narrow.except, wide.except)
  );
}

function holdsAll(outer: Names, inner: Names): boolean {
  const held = partsOf(outer);
  return partsOf(inner).every((each) => held.includes(each));
}

function partsOf({ patterns, lists }: Names): readonly string[] {
  return [...patterns, ...lists.map(listKey)];
}

/** Whether exceptions within its lists take out names of others. */
function isJoint({ lists }: Names): boolean {
  return lists.some(({ joint }) => joint !== undefined);
}

/** One condition for both, where they differ in their names alone. */
function unionOf(one: RuleCondition, other: RuleCondition): RuleCondition | null {
  const rest = (condition: RuleCondition) => meaningKey({ ...condition, names: null });
  if (
    one.names === null ||
    other.names === null ||
    isJoint(one.names) ||
    isJoint(other.names) ||
    rest(one) !== rest(other) ||
    meaningKey(one.except) !== meaningKey(NO_NAMES)
  )
    return null;
  return { ...one, names: joinNames([one.names, other.names]) };
}

import { TYPE } from "../dns/types.ts";
import { checkOrder, type RawAnswers, warnBeyondDeadline } from "./answers.ts";
import type { Located, Place, Reading } from "./reading.ts";
import { type RawRule, ruleOptions } from "./rules.ts";

/** What makes rules wrong among themselves; references are judged elsewhere. */
export function checkRules(rules: readonly Located<RawRule>[], answers: RawAnswers, reading: Reading): void {
  for (const { value: rule, place } of rules) {
    checkActions(rule, reading);
    checkTypedAnswer(rule, reading);
    checkLimits(rule, answers, reading);
    if (actionsOf(rule).length === 0 && Object.keys(ruleOptions(rule).modifiers).length === 0 && reading.isClean(place.key))
      reading.warn(
        place,
        `the rule \`${rule.name.value}\` has neither an action nor a modifier: it changes nothing`,
        "add one, such as `upstream:`",
      );
  }
  checkNames(rules, reading);
  warnOfUnreachable(rules, reading);
}

function checkNames(rules: readonly Located<RawRule>[], reading: Reading): void {
  const seen = new Set<string>();
  for (const { value: rule } of rules) {
    const { value: name, place } = rule.name;
    if (seen.has(name)) reading.fail(place, `there is already a rule \`${name}\``, "give every rule a name of its own");
    // A name that is missing or wrong has been reported.
    if (name !== "") seen.add(name);
  }
}

interface Action {
  readonly word: string;
  readonly place: Place;
}

function actionsOf(rule: RawRule): readonly Action[] {
  const actions = { upstream: rule.upstream, longest: rule.longest, compare: rule.compare, answer: rule.answer };
  return Object.entries(actions).flatMap(([word, action]) => (action === null ? [] : [{ word, place: action.place }]));
}

function checkActions(rule: RawRule, reading: Reading): void {
  const [first, ...more] = actionsOf(rule).toSorted((a, b) => a.place.offset - b.place.offset);
  for (const { word, place } of more)
    reading.fail(
      place,
      `a rule has one action, and this one has \`${first?.word}\` already`,
      `remove \`${word}\`, or make it two rules`,
    );
  if (rule.longest?.value.length === 0 && reading.isClean(rule.longest.place.key))
    reading.fail(
      rule.longest.place,
      "no list is named here: the rule would never match",
      "write lists and groups, as in `list:cn: domestic`",
    );
}

/**
 * NXDOMAIN speaks for every type of a name (RFC 2308 §5, RFC 8020), and caches behind us take a refusal or silence as illness of the server:
 * a rule for some types may empty them, and no more.
 */
function checkTypedAnswer({ answer, types }: RawRule, reading: Reading): void {
  if (answer === null || types === null || types.value.length === 0 || answer.value === "nodata") return;
  const isOfAddresses = types.value.every((type) => type === TYPE.A || type === TYPE.AAAA);
  if (answer.value === "zero" && isOfAddresses) return;
  const reasons = {
    zero: "`zero` is an address, and these types hold none",
    nxdomain: "NXDOMAIN would deny the name in every type (RFC 2308 §5), and caches would drop its addresses too",
    refused: "a refusal of one type would make the whole server look ill to caches",
    drop: "silence on one type would make the whole server look ill to caches",
  };
  const fix =
    isOfAddresses && answer.value !== "zero"
      ? "write `nodata` or `zero`, or remove `types`"
      : "write `nodata`, or remove `types`";
  reading.fail(answer.place, `a rule with \`types\` cannot answer \`${answer.value}\`: ${reasons[answer.value]}`, fix);
}

function checkLimits({ ttl, negative, compare }: RawRule, answers: RawAnswers, reading: Reading): void {
  for (const [own, general] of [
    [ttl, answers.ttl],
    [negative, answers.negative],
  ] as const) {
    if (own !== null && (own.min !== null || own.max !== null)) checkOrderAt(own, general, reading);
  }
  if (compare !== null) warnBeyondDeadline(compare.value.within, answers.deadline, "the far answer would come too late", reading);
}

interface Limits<T> {
  readonly min: T;
  readonly max: T;
}

// What the rule leaves out comes from section `answers`; the complaint belongs to the rule either way.
function checkOrderAt(own: Limits<Located<number> | null>, general: Limits<Located<number>>, reading: Reading): void {
  const place = (own.min ?? own.max)?.place ?? general.min.place;
  checkOrder({ value: (own.min ?? general.min).value, place }, own.max ?? general.max, reading);
}

/** Whether the rule decides every query that reaches it. */
function matchesAll(rule: RawRule): boolean {
  const hasAction = rule.upstream !== null || rule.compare !== null || rule.answer !== null;
  const patterns = rule.domains ?? [];
  const everyName =
    patterns.length === 0 ||
    (patterns.some(({ value }) => value === ".") && !patterns.some(({ value }) => value.startsWith("!")));
  return hasAction && rule.clients === null && rule.types === null && everyName;
}

function warnOfUnreachable(rules: readonly Located<RawRule>[], reading: Reading): void {
  const last = rules.findIndex(({ value }) => matchesAll(value));
  const unreachable = last === -1 ? undefined : rules[last + 1];
  if (unreachable === undefined) return;
  const [before, after] = [rules[last]?.value.name.value, unreachable.value.name.value];
  reading.warn(
    unreachable.place,
    `the rule \`${after}\` is never reached: \`${before}\` before it matches every query`,
    `move \`${before}\` to the end`,
  );
}

/** @param place of section `rules`; @param firstGroup gets what no rule decides. */
export function warnOfUndecided(rules: readonly Located<RawRule>[], place: Place, firstGroup: string, reading: Reading): void {
  if (rules.some(({ value }) => matchesAll(value))) return;
  const last = rules.at(-1);
  reading.warn(
    last?.place ?? place,
    `queries that no rule matches go to the first group, \`${firstGroup}\``,
    `end with a rule without conditions, such as \`{ name: others, upstream: ${firstGroup} }\``,
  );
}

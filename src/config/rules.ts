import { TYPE } from "../dns/types.ts";
import type { Expectation, RuleAction, RuleModifiers, RuleOptions } from "../rules/options.ts";
import {
  checkOrder,
  httpsMode,
  ipv4Mode,
  ipv6Mode,
  NEGATIVE_KEYS,
  type RawAnswers,
  rebindingMode,
  TTL_KEYS,
  warnBeyondDeadline,
} from "./answers.ts";
import { arrayOf, key, mapOf, nameless, object, oneOrMore, optional, required } from "./object.ts";
import type { ConfigReader, Located, SourceLocation } from "./reading.ts";
import { boolean, keyword, located, type Parsed, type Shape, text } from "./shape.ts";
import { duration } from "./units.ts";
import { ecsMode } from "./upstreams.ts";
import {
  client,
  domainName,
  domainPattern,
  listReference,
  parseAddress,
  parseListReference,
  recordType,
  reference,
} from "./values.ts";

const ruleName = text({
  expected: "a name",
  parse: (written): Parsed<string> =>
    /^(?=\S)[^\p{Cc}]{1,63}(?<=\S)$/u.test(written)
      ? { value: written }
      : { wrong: "a rule's name has 1 to 63 characters, the first and last no space", fix: "write a short name, such as `ads`" },
});

const compareShape = object("a map with `near`, `far` and `keepNearIf`", {
  near: required(located(reference), "Group asked first, whose answer is kept if its addresses are near.", nameless),
  far: required(located(reference), "Group whose answer counts otherwise.", nameless),
  keepNearIf: required(located(listReference), "List of addresses that are near, such as list:cn-ip.", nameless),
  within: key(located(duration("10ms", "10s")), "How long the near group may take.", "800ms"),
  verdict: key(duration("1s", "30d"), "How long the outcome is remembered for a name.", "1d"),
});

const ttlShape = object("a map with `min` or `max`", {
  min: optional(TTL_KEYS.min.shape, TTL_KEYS.min.description),
  max: optional(TTL_KEYS.max.shape, TTL_KEYS.max.description),
});

const negativeShape = object("a map with `min`, `max`, `block`, `bare` or `failure`", {
  min: optional(NEGATIVE_KEYS.min.shape, NEGATIVE_KEYS.min.description),
  max: optional(NEGATIVE_KEYS.max.shape, NEGATIVE_KEYS.max.description),
  block: optional(NEGATIVE_KEYS.block.shape, NEGATIVE_KEYS.block.description),
  bare: optional(NEGATIVE_KEYS.bare.shape, NEGATIVE_KEYS.bare.description),
  failure: optional(NEGATIVE_KEYS.failure.shape, NEGATIVE_KEYS.failure.description),
});

const RESERVED = "is reserved for a later version";
const EMPTY_CONDITION = "without this condition the rule would match every query";

const ruleShape = object(
  "a map with `name`",
  {
    name: required(located(ruleName), "Names the rule in logs, explanations and expectations.", nameless),
    domains: optional(
      oneOrMore(located(domainPattern), EMPTY_CONDITION),
      "Condition: x is x and below, `.` every name, full:, keyword:, regexp:, list:NAME; ! excepts.",
    ),
    clients: optional(oneOrMore(client, EMPTY_CONDITION), "Condition: networks, addresses and client ids."),
    types: optional(located(oneOrMore(recordType, EMPTY_CONDITION)), "Condition: record types, by name or number."),
    upstream: optional(located(reference), "Action: ask this group."),
    longest: optional(
      located(mapOf("a map from lists to groups", parseListReference, located(reference))),
      "Action: of these lists, the one with the longest match decides the group. Without a match the rule does not match.",
    ),
    compare: optional(
      located(compareShape),
      "Action: ask a near and a far group, and keep the near answer only if its addresses are near.",
    ),
    answer: optional(located(keyword("nodata", "nxdomain", "zero", "refused", "drop")), "Action: answer at once."),
    https: optional(httpsMode, "As answers.https, where this rule matches."),
    ipv6: optional(ipv6Mode, "As answers.ipv6, where this rule matches."),
    ipv4: optional(ipv4Mode, "As answers.ipv4, where this rule matches."),
    ttl: optional(ttlShape, "As answers.ttl, where this rule matches."),
    negative: optional(negativeShape, "As answers.negative, where this rule matches."),
    stale: optional(boolean(), "false: never a stale answer where this rule matches."),
    ecs: optional(ecsMode, "As ecs of a group, where this rule matches."),
    rebinding: optional(rebindingMode, "As answers.rebinding, where this rule matches."),
    log: optional(boolean(), "false: such queries are not recorded."),
  },
  {
    reserved: {
      export: `\`export\` ${RESERVED}`,
      order: `\`order\` ${RESERVED}`,
      cname: `\`cname\` ${RESERVED}`,
      replace: `\`replace\` ${RESERVED}`,
    },
  },
);

type RawRule = NonNullable<ReturnType<(typeof ruleShape)["read"]>>;

export const rulesShape: Shape<readonly Located<RawRule>[]> = arrayOf(located(ruleShape));

/** @param raw checked: of its actions at most one is there. */
export function ruleOptions(raw: RawRule): RuleOptions {
  return {
    name: raw.name.value,
    domains: raw.domains?.map(({ value }) => value) ?? [],
    clients: raw.clients ?? [],
    types: raw.types?.value ?? [],
    action: actionOf(raw),
    modifiers: modifiersOf(raw),
  };
}

function actionOf({ upstream, longest, compare, answer }: RawRule): RuleAction | null {
  if (upstream !== null) return { kind: "upstream", group: upstream.value };
  if (longest !== null)
    return {
      kind: "longest",
      choices: longest.value.flatMap(({ name, value }) => (value === undefined ? [] : [{ list: name, group: value.value }])),
    };
  if (answer !== null) return { kind: "answer", answer: answer.value };
  if (compare === null) return null;
  const { near, far, keepNearIf, within, verdict } = compare.value;
  return {
    kind: "compare",
    compare: { near: near.value, far: far.value, keepNearIf: keepNearIf.value, withinMs: within.value, verdictMs: verdict },
  };
}

function modifiersOf(raw: RawRule): RuleModifiers {
  const { https, ipv6, ipv4, ttl, negative, stale, ecs, rebinding, log } = raw;
  return {
    ...(https !== null && { https }),
    ...(ipv6 !== null && { ipv6 }),
    ...(ipv4 !== null && { ipv4 }),
    ...(ttl !== null && {
      ttl: { ...(ttl.min !== null && { minSeconds: ttl.min.value }), ...(ttl.max !== null && { maxSeconds: ttl.max.value }) },
    }),
    ...(negative !== null && {
      negative: {
        ...(negative.min !== null && { minSeconds: negative.min.value }),
        ...(negative.max !== null && { maxSeconds: negative.max.value }),
        ...(negative.block !== null && { blockSeconds: negative.block.value }),
        ...(negative.bare !== null && { bareSeconds: negative.bare.value }),
        ...(negative.failure !== null && { failureSeconds: negative.failure.value }),
      },
    }),
    ...(stale !== null && { stale }),
    ...(ecs !== null && { ecs }),
    ...(rebinding !== null && { rebinding }),
    ...(log !== null && { log }),
  };
}

/** What makes rules wrong among themselves; references are judged elsewhere. */
export function checkRules(rules: readonly Located<RawRule>[], answers: RawAnswers, reading: ConfigReader): void {
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

function checkNames(rules: readonly Located<RawRule>[], reading: ConfigReader): void {
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
  readonly place: SourceLocation;
}

function actionsOf(rule: RawRule): readonly Action[] {
  const actions = { upstream: rule.upstream, longest: rule.longest, compare: rule.compare, answer: rule.answer };
  return Object.entries(actions).flatMap(([word, action]) => (action === null ? [] : [{ word, place: action.place }]));
}

function checkActions(rule: RawRule, reading: ConfigReader): void {
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
function checkTypedAnswer({ answer, types }: RawRule, reading: ConfigReader): void {
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

function checkLimits({ ttl, negative, compare }: RawRule, answers: RawAnswers, reading: ConfigReader): void {
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
function checkOrderAt(own: Limits<Located<number> | null>, general: Limits<Located<number>>, reading: ConfigReader): void {
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

function warnOfUnreachable(rules: readonly Located<RawRule>[], reading: ConfigReader): void {
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
export function warnOfUndecided(
  rules: readonly Located<RawRule>[],
  place: SourceLocation,
  firstGroup: string,
  reading: ConfigReader,
): void {
  if (rules.some(({ value }) => matchesAll(value))) return;
  const last = rules.at(-1);
  reading.warn(
    last?.place ?? place,
    `queries that no rule matches go to the first group, \`${firstGroup}\``,
    `end with a rule without conditions, such as \`{ name: others, upstream: ${firstGroup} }\``,
  );
}

const ANSWERS = ["nodata", "nxdomain", "zero", "refused", "drop"];

const answer = text({
  expected: "an answer such as `nodata`, or an address",
  examples: [...ANSWERS, "10.0.0.5"],
  parse: (written): Parsed<string> =>
    ANSWERS.includes(written) || "value" in parseAddress(written)
      ? { value: written }
      : { wrong: `\`${written}\` is no answer`, fix: `write ${ANSWERS.join(", ")} or an address` },
});

const expectationShape = object("a map with `name`", {
  name: required(domainName, "The name that is asked.", () => ""),
  type: key(recordType, "The type that is asked.", "A"),
  client: optional(client, "Address or id of the client that asks."),
  rule: optional(located(reference), "The rule that decides."),
  upstream: optional(located(reference), "The group that is asked."),
  answer: optional(answer, "The answer that is made without asking: nodata, nxdomain, zero, refused, drop, or an address."),
});

type RawExpectation = NonNullable<ReturnType<(typeof expectationShape)["read"]>>;

export const expectShape: Shape<readonly Located<RawExpectation>[]> = arrayOf(located(expectationShape));

export function expectation({ rule, upstream, ...rest }: RawExpectation): Expectation {
  return { ...rest, rule: rule?.value ?? null, upstream: upstream?.value ?? null };
}

export function checkExpectationReferences(expectations: readonly Located<RawExpectation>[], reading: ConfigReader): void {
  for (const { value, place } of expectations)
    if (value.rule === null && value.upstream === null && value.answer === null && reading.isClean(place.key))
      reading.fail(place, "this expects nothing", "add `rule:`, `upstream:` or `answer:`");
}

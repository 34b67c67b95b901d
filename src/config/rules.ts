import { TYPE } from "../dns/types.ts";
import type { Expectation, RuleAction, RuleModifiers, RuleOptions } from "../rules/options.ts";
import {
  checkOrder,
  httpsMode,
  ipv4Mode,
  ipv6Mode,
  type RawAnswers,
  rebindingMode,
  ruleNegativeShape,
  ruleTtlShape,
  toSeconds,
  warnBeyondDeadline,
} from "./answers.ts";
import type { ConfigReader, Located, SourceLocation } from "./reading.ts";
import {
  arrayOf,
  boolean,
  key,
  keyword,
  mapOf,
  mapOr,
  nameless,
  object,
  oneOrMore,
  optional,
  type Parsed,
  type RawOf,
  refine,
  required,
  type Shape,
  text,
  withPlace,
  wordLike,
} from "./shape.ts";
import { duration } from "./units.ts";
import { ecsMode } from "./upstreams.ts";
import {
  address,
  client,
  clientOrNot,
  domainName,
  domainPattern,
  listReference,
  parseAddress,
  parseListReference,
  recordType,
  recordTypeOrNot,
  reference,
} from "./values.ts";
import { moment, whenShape } from "./when.ts";

const ruleName = wordLike(/^(?=\S)[^\p{Cc}]{1,63}(?<=\S)$/u, "a name", {
  wrong: "a rule's name has 1 to 63 characters, the first and last no space",
  fix: "write a short name, such as `ads`",
});

const compareShape = object("a map with `near`, `far` and `keepNearIf`", {
  near: required(withPlace(reference), "Group whose answer is kept if its addresses are near.", nameless),
  far: required(withPlace(reference), "Group whose answer counts otherwise.", nameless),
  keepNearIf: required(withPlace(listReference), "List of addresses that are near, such as list:cn-ip.", nameless),
  first: key(
    keyword("near", "far"),
    "near: both groups are asked together. far: near is asked only about names whose far addresses are in the list.",
    "near",
  ),
  within: key(withPlace(duration("10ms", "10s")), "How long the near group may take.", "800ms"),
  verdict: key(duration("1s", "30d"), "How long the outcome is remembered for a name.", "1d"),
});

const RESERVED = new Map(["export", "order"].map((name) => [name, `\`${name}\` is reserved for a later version`]));
const EMPTY_CONDITION = "without this condition the rule would match every query";

const domainsShape: Shape<readonly Located<string>[]> = oneOrMore(withPlace(domainPattern), EMPTY_CONDITION);

/** Conditions on the name that must all hold. */
type RawDomains = readonly (readonly Located<string>[])[];

const allDomainsShape: Shape<RawDomains> = refine(
  object("a map with `all`", {
    all: required(
      oneOrMore(domainsShape, EMPTY_CONDITION),
      "Conditions that must all hold: each a pattern, or an array of patterns of which one must hold.",
      () => [],
    ),
  }),
  ({ all }) => all,
);

const oneDomainsShape: Shape<RawDomains> = refine(domainsShape, (domains) => [domains]);

const ruleShape = object(
  "a map with `name`",
  {
    name: required(withPlace(ruleName), "Names the rule in logs, explanations and expectations.", nameless),
    domains: optional(
      mapOr(allDomainsShape, oneDomainsShape),
      "Condition: x is x and below, `.` every name, full:, keyword:, regexp:, single:, list:NAME; ! excepts; { all: [...] } wants all.",
    ),
    clients: optional(
      withPlace(oneOrMore(clientOrNot, EMPTY_CONDITION)),
      "Condition: networks, addresses and client ids; ! excepts.",
    ),
    types: optional(
      withPlace(oneOrMore(recordTypeOrNot, EMPTY_CONDITION)),
      "Condition: record types, by name or number; all with ! before them: every other type.",
    ),
    when: optional(whenShape, "Condition: these hours and days, in a time zone. Outside of them the rule is passed over."),
    upstream: optional(withPlace(reference), "Action: ask this group."),
    longest: optional(
      withPlace(mapOf("a map from lists to groups", parseListReference, withPlace(reference))),
      "Action: of these lists, the one with the longest match decides the group. Without a match the rule does not match.",
    ),
    compare: optional(
      withPlace(compareShape),
      "Action: ask a near and a far group, and keep the near answer only if its addresses are near.",
    ),
    answer: optional(withPlace(keyword("nodata", "nxdomain", "zero", "refused", "drop")), "Action: answer at once."),
    cname: optional(withPlace(domainName), "Action: the name is an alias of this one, which goes its own way."),
    https: optional(httpsMode, "As answers.https, where this rule matches."),
    ipv6: optional(ipv6Mode, "As answers.ipv6, where this rule matches."),
    ipv4: optional(ipv4Mode, "As answers.ipv4, where this rule matches."),
    ttl: optional(ruleTtlShape, "As answers.ttl, where this rule matches."),
    negative: optional(ruleNegativeShape, "As answers.negative, where this rule matches."),
    stale: optional(boolean(), "false: never a stale answer where this rule matches."),
    ecs: optional(ecsMode, "As ecs of a group, where this rule matches."),
    rebinding: optional(rebindingMode, "As answers.rebinding, where this rule matches."),
    replace: optional(
      mapOf("a map from lists of addresses to addresses", parseListReference, oneOrMore(address, "there is no address to give")),
      "Addresses of these lists, hints of HTTPS records included, give way to those that are written here.",
    ),
    log: optional(boolean(), "false: such queries are not recorded."),
  },
  RESERVED,
);

type RawRule = RawOf<typeof ruleShape>;

export const rulesShape: Shape<readonly Located<RawRule>[]> = arrayOf(withPlace(ruleShape));

/** @param raw checked: the rule has at most one action. */
export function toRuleOptions(raw: RawRule): RuleOptions {
  const [domains = [], ...alsoDomains] = raw.domains?.map((patterns) => patterns.map(({ value }) => value)) ?? [];
  return {
    name: raw.name.value,
    domains,
    alsoDomains,
    clients: raw.clients?.value ?? [],
    ...typesOf(raw),
    ...(raw.when === null ? {} : { when: raw.when }),
    action: actionOf(raw),
    modifiers: modifiersOf(raw),
  };
}

function typesOf({ types }: RawRule): Pick<RuleOptions, "types" | "exceptTypes"> {
  const [wanted, excepted] = [false, true].map((side) =>
    (types?.value ?? []).flatMap((entry) => (entry.excepted === side ? [entry.type] : [])),
  );
  return { types: wanted ?? [], exceptTypes: excepted ?? [] };
}

function actionOf({ upstream, longest, compare, answer, cname }: RawRule): RuleAction | null {
  if (upstream !== null) return { kind: "upstream", group: upstream.value };
  if (longest !== null)
    return {
      kind: "longest",
      choices: longest.value.flatMap(({ name, value }) => (value === undefined ? [] : [{ list: name, group: value.value }])),
    };
  if (answer !== null) return { kind: "answer", answer: answer.value };
  if (cname !== null) return { kind: "cname", target: cname.value };
  if (compare === null) return null;
  const { near, far, keepNearIf, first, within, verdict } = compare.value;
  return {
    kind: "compare",
    compare: {
      near: near.value,
      far: far.value,
      keepNearIf: keepNearIf.value,
      first,
      withinMs: within.value,
      verdictMs: verdict,
    },
  };
}

function modifiersOf({ https, ipv6, ipv4, ttl, negative, stale, ecs, rebinding, log, replace: raw }: RawRule): RuleModifiers {
  const replace = raw?.flatMap(({ name: list, value }) => (value === undefined ? [] : [{ list, addresses: value }])) ?? null;
  const lifetimes = { ttl: ttl && toSeconds(ttl), negative: negative && toSeconds(negative) };
  return withoutNulls({ https, ipv6, ipv4, ...lifetimes, stale, ecs, rebinding, log, replace });
}

function withoutNulls<T extends object>(values: T): { readonly [N in keyof T]?: NonNullable<T[N]> } {
  const present = Object.entries(values).filter(([, value]) => value !== null);
  return Object.fromEntries(present) as { [N in keyof T]?: NonNullable<T[N]> };
}

/** Checks rules on their own and among each other. `checkReferences` checks the names in them. */
export function checkRules(rules: readonly Located<RawRule>[], answers: RawAnswers, reader: ConfigReader): void {
  for (const { value: rule, place } of rules) {
    checkActions(rule, reader);
    checkConditions(rule, reader);
    checkTypedAnswer(rule, reader);
    checkLimits(rule, answers, reader);
    if (actionsOf(rule).length === 0 && Object.keys(toRuleOptions(rule).modifiers).length === 0 && reader.isClean(place.key))
      reader.warn(
        place,
        `the rule \`${rule.name.value}\` has neither an action nor a modifier: it changes nothing`,
        "add one, such as `upstream:`",
      );
  }
  checkNames(rules, reader);
  warnOfUnreachable(rules, reader);
}

function checkNames(rules: readonly Located<RawRule>[], reader: ConfigReader): void {
  const seen = new Set<string>();
  for (const { value: rule } of rules) {
    const { value: name, place } = rule.name;
    if (seen.has(name)) reader.fail(place, `there is already a rule \`${name}\``, "give every rule a name of its own");
    // An absent or wrong name is empty, and reported already.
    if (name !== "") seen.add(name);
  }
}

interface Action {
  readonly word: string;
  readonly place: SourceLocation;
}

function actionsOf(rule: RawRule): readonly Action[] {
  const { upstream, longest, compare, answer, cname } = rule;
  const actions = { upstream, longest, compare, answer, cname };
  return Object.entries(actions).flatMap(([word, action]) => (action === null ? [] : [{ word, place: action.place }]));
}

function checkActions(rule: RawRule, reader: ConfigReader): void {
  const [first, ...more] = actionsOf(rule).toSorted((a, b) => a.place.offset - b.place.offset);
  for (const { word, place } of more)
    reader.fail(
      place,
      `a rule has one action, and this one has \`${first?.word}\` already`,
      `remove \`${word}\`, or make it two rules`,
    );
  if (rule.longest?.value.length === 0 && reader.isClean(rule.longest.place.key))
    reader.fail(
      rule.longest.place,
      "no list is named here: the rule would never match",
      "write lists and groups, as in `list:cn: domestic`",
    );
}

/** A rule that matches nothing, or whose exceptions change nothing, was meant otherwise. */
function checkConditions({ clients, types }: RawRule, reader: ConfigReader): void {
  const excepted = types?.value.filter((entry) => entry.excepted) ?? [];
  if (types !== null && excepted.length > 0 && excepted.length < types.value.length)
    reader.fail(
      types.place,
      "types with `!` and types without it stand together: the types without it are the only ones that match",
      "write either those that match, or `!` before all that do not",
    );
  const entries = clients?.value ?? [];
  const wanted = entries.filter((entry) => !entry.startsWith("!"));
  if (clients !== null && wanted.length > 0 && wanted.every((entry) => entries.includes(`!${entry}`)))
    reader.fail(clients.place, "every client that is named is excepted too: the rule would never match", "remove one of both");
}

/**
 * NXDOMAIN denies a name in every type (RFC 2308 §5, RFC 8020), and a downstream cache takes a refusal or silence for a broken server. So a
 * rule for some types may only empty their answers.
 */
function checkTypedAnswer({ answer, cname, types }: RawRule, reader: ConfigReader): void {
  if (cname !== null && types !== null)
    reader.fail(
      cname.place,
      "a rule with `types` cannot make an alias: caches follow an alias for every type (RFC 1034 §3.6.2)",
      "remove `types`",
    );
  if (answer === null || types === null || types.value.length === 0 || answer.value === "nodata") return;
  const isOfAddresses = types.value.every(({ type, excepted }) => !excepted && (type === TYPE.A || type === TYPE.AAAA));
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
  reader.fail(answer.place, `a rule with \`types\` cannot answer \`${answer.value}\`: ${reasons[answer.value]}`, fix);
}

function checkLimits({ ttl, negative, compare }: RawRule, answers: RawAnswers, reader: ConfigReader): void {
  if (ttl !== null) checkOrderOfRule(ttl, answers.ttl, reader);
  if (negative !== null) checkOrderOfRule(negative, answers.negative, reader);
  if (compare !== null) warnBeyondDeadline(compare.value.within, answers.deadline, "the far answer would come too late", reader);
}

interface Limits<T> {
  readonly min: T;
  readonly max: T;
}

// Section `answers` has the limit that the rule leaves out. The problem is reported at the rule in either case.
function checkOrderOfRule(own: Limits<Located<number> | null>, general: Limits<Located<number>>, reader: ConfigReader): void {
  const limit = own.min ?? own.max;
  if (limit !== null) checkOrder({ value: (own.min ?? general.min).value, place: limit.place }, own.max ?? general.max, reader);
}

/** Whether the rule decides every query that reaches it. */
function matchesAll(rule: RawRule): boolean {
  const hasAction = rule.upstream !== null || rule.compare !== null || rule.answer !== null;
  const everyName = (rule.domains ?? []).every(
    (patterns) =>
      patterns.length === 0 ||
      (patterns.some(({ value }) => value === ".") && !patterns.some(({ value }) => value.startsWith("!"))),
  );
  return hasAction && rule.clients === null && rule.types === null && rule.when === null && everyName;
}

function warnOfUnreachable(rules: readonly Located<RawRule>[], reader: ConfigReader): void {
  const last = rules.findIndex(({ value }) => matchesAll(value));
  const unreachable = last === -1 ? undefined : rules[last + 1];
  if (unreachable === undefined) return;
  const [before, after] = [rules[last]?.value.name.value, unreachable.value.name.value];
  reader.warn(
    unreachable.place,
    `the rule \`${after}\` is never reached: \`${before}\` before it matches every query`,
    `move \`${before}\` to the end`,
  );
}

/** @param place of section `rules`. @param firstGroup takes the queries that no rule decides. */
export function warnOfUndecided(
  rules: readonly Located<RawRule>[],
  place: SourceLocation,
  firstGroup: string,
  reader: ConfigReader,
): void {
  if (rules.some(({ value }) => matchesAll(value))) return;
  const last = rules.at(-1);
  reader.warn(
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
  at: optional(moment, "When it is asked, such as 2026-11-29T21:30; without it when this is checked."),
  rule: optional(withPlace(reference), "The rule that decides."),
  upstream: optional(withPlace(reference), "The group that is asked."),
  answer: optional(answer, "The answer that is made without asking: nodata, nxdomain, zero, refused, drop, or an address."),
});

type RawExpectation = RawOf<typeof expectationShape>;

export const expectShape: Shape<readonly Located<RawExpectation>[]> = arrayOf(withPlace(expectationShape));

export function toExpectation({ rule, upstream, at, ...rest }: RawExpectation, line: number): Expectation {
  return { ...rest, ...(at === null ? {} : { atMs: at }), rule: rule?.value ?? null, upstream: upstream?.value ?? null, line };
}

export function checkEmptyExpectations(expectations: readonly Located<RawExpectation>[], reader: ConfigReader): void {
  for (const { value, place } of expectations)
    if (value.rule === null && value.upstream === null && value.answer === null && reader.isClean(place.key))
      reader.fail(place, "this expects nothing", "add `rule:`, `upstream:` or `answer:`");
}

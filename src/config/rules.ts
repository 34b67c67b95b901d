import type { RuleAction, RuleModifiers, RuleOptions } from "../rules/options.ts";
import { httpsMode, ipv4Mode, ipv6Mode, NEGATIVE_KEYS, rebindingMode, TTL_KEYS } from "./answers.ts";
import { arrayOf, oneOrMore } from "./arrays.ts";
import { client, domainPattern, listReference, parseListReference, recordType, reference } from "./names.ts";
import { key, mapOf, nameless, object, optional, required } from "./object.ts";
import type { Located } from "./reading.ts";
import { boolean, located, type Parsed, type Shape, text, words } from "./shape.ts";
import { duration } from "./units.ts";
import { ecsMode } from "./upstreams.ts";

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
    answer: optional(located(words("nodata", "nxdomain", "zero", "refused", "drop")), "Action: answer at once."),
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

export type RawRule = NonNullable<ReturnType<(typeof ruleShape)["read"]>>;

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

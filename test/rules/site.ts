import { expect } from "vitest";
import type { Shaping } from "../../src/answers/options.ts";
import { type Name, nameFromText } from "../../src/dns/name.ts";
import { CLASS, typeNumber } from "../../src/dns/types.ts";
import type { HostRecord } from "../../src/hosts/options.ts";
import { readRecords } from "../../src/hosts/parse.ts";
import { HostsTable } from "../../src/hosts/table.ts";
import type { Requester } from "../../src/lib/client.ts";
import type { DomainSet } from "../../src/lists/domain-set.ts";
import { DomainSetBuilder } from "../../src/lists/domain-set-builder.ts";
import { parsePattern } from "../../src/lists/patterns.ts";
import { Decider } from "../../src/rules/decider.ts";
import type { Decision, RuleQuestion } from "../../src/rules/decision.ts";
import type { RuleAction, RuleAnswer, RuleOptions, SpecialOptions } from "../../src/rules/options.ts";

export const answers: Shaping = {
  https: "pass",
  ipv6: "pass",
  ipv4: "pass",
  ttl: { minSeconds: 0, maxSeconds: 86_400 },
  negative: { minSeconds: 1, maxSeconds: 60, blockSeconds: 60, bareSeconds: 10, failureSeconds: 5 },
  rebinding: "allow",
};

export const specialOff: SpecialOptions = { firefoxCanary: false, privateRelay: false, ddr: null };

export const laptop: Requester = { address: "10.0.0.50", clientId: null };

/** What a test says of its configuration; everything else is as without a file. */
export interface SiteText {
  readonly rules?: readonly RuleOptions[];
  readonly lists?: Readonly<Record<string, readonly string[]>>;
  readonly hosts?: readonly (Partial<HostRecord> & { readonly name: string })[];
  readonly special?: Partial<SpecialOptions>;
  readonly answers?: Partial<Shaping>;
}

export interface Site {
  readonly decider: Decider;
  /** `text` is a name and perhaps a type: `www.example.com AAAA`. */
  readonly decide: (text: string, requester?: Requester) => Decision;
}

export function site(text: SiteText): Site {
  const sets = new Map(Object.entries(text.lists ?? {}).map(([name, patterns]) => [name, listOf(name, patterns)]));
  const { entries, problems } = readRecords((text.hosts ?? []).map(hostRecord));
  expect(problems).toEqual([]);
  const decider = new Decider({
    rules: text.rules ?? [],
    answers: { ...answers, ...text.answers },
    special: { ...specialOff, ...text.special },
    hosts: new HostsTable([entries]),
    hostsTtlSeconds: 300,
    lists: { domains: (list) => sets.get(list) ?? null },
    firstGroup: "first",
  });
  return {
    decider,
    decide: (question, requester = laptop) => decider.decide(ask(question), requester),
  };
}

export function ask(text: string): RuleQuestion {
  const [written = "", type = "A"] = text.split(" ");
  return { name: name(written), type: typeNumber(type) ?? expect.fail(`${type} is no type`), class: CLASS.IN };
}

export function name(text: string): Name {
  return nameFromText(text) ?? expect.fail(`${text} is no name`);
}

/** A rule by its name and what it does: a group, `{ answer }`, `{ longest }`, or nothing but modifiers. */
export function rule(
  ruleName: string,
  action: string | { readonly answer: RuleAnswer } | { readonly longest: Readonly<Record<string, string>> } | null,
  rest: Partial<RuleOptions> = {},
): RuleOptions {
  return {
    name: ruleName,
    domains: [],
    alsoDomains: [],
    clients: [],
    types: [],
    exceptTypes: [],
    modifiers: {},
    action: actionOf(action),
    ...rest,
  };
}

function actionOf(action: Parameters<typeof rule>[1]): RuleAction | null {
  if (action === null) return null;
  if (typeof action === "string") return { kind: "upstream", group: action };
  if ("answer" in action) return { kind: "answer", answer: action.answer };
  return { kind: "longest", choices: Object.entries(action.longest).map(([list, group]) => ({ list, group })) };
}

export function listOf(list: string, patterns: readonly string[]): DomainSet {
  const builder = new DomainSetBuilder(list);
  builder.source(`${list}.txt`);
  for (const [index, text] of patterns.entries()) {
    const pattern = parsePattern(text);
    if (pattern.kind === "bad") expect.fail(pattern.reason);
    expect(builder.pattern(pattern, index + 1)).toBeNull();
  }
  return builder.build();
}

function hostRecord(record: Partial<HostRecord> & { readonly name: string }): HostRecord {
  return { addresses: [], cname: null, others: "nodata", https: null, ...record };
}

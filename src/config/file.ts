import type { TSchema } from "typebox";
import Type from "typebox";
import { accessShape, specialShape, trustedProxiesShape } from "./access.ts";
import { adminShape, clusterShape, ddnsShape, routerosShape } from "./admin.ts";
import { answersOptions, answersShape, checkAnswers, warnBeyondDeadline } from "./answers.ts";
import { cacheOptions, cacheShape, checkCache } from "./cache.ts";
import { checkHosts, hostsOptions, hostsShape } from "./hosts.ts";
import { checkListen, listenOptions, listenShape, tlsShape } from "./listen.ts";
import { checkLists, listOptions, listsShape } from "./lists.ts";
import { logOptions, logShape } from "./log.ts";
import { key, object, oneOrMany, optional } from "./object.ts";
import type { ConfigReader } from "./reading.ts";
import { References } from "./references.ts";
import {
  checkExpectationReferences,
  checkRules,
  expectation,
  expectShape,
  ruleOptions,
  rulesShape,
  warnOfUndecided,
} from "./rules.ts";
import { located } from "./shape.ts";
import type { Config } from "./types.ts";
import { bootstrapShape, checkBootstrap, checkGroups, DEFAULT_SERVERS, groupOptions, upstreamsShape } from "./upstreams.ts";
import { networkOrList } from "./values.ts";

/** The whole file, section by section. */
export const fileShape = object("a map of sections", {
  listen: key(listenShape, "Where Fenliu listens.", {}),
  tls: optional(tlsShape, "Certificate of the tls and https listeners."),
  trustedProxies: key(trustedProxiesShape, "Reverse proxies whose X-Forwarded-For and X-Real-IP are believed.", [
    "127.0.0.0/8",
    "::1",
  ]),
  upstreams: key(located(upstreamsShape), "Groups of upstream servers; the first gets what no rule decides.", {
    domestic: { servers: DEFAULT_SERVERS, strategy: "fastest" },
  }),
  bootstrap: key(bootstrapShape, "Servers that look up the host names of upstream servers.", DEFAULT_SERVERS),
  lists: key(listsShape, "Lists of domains and addresses.", {}),
  poison: key(oneOrMany(located(networkOrList)), "Addresses of forged answers.", []),
  bogus: key(oneOrMany(located(networkOrList)), "Addresses that some resolvers give instead of NXDOMAIN.", []),
  rules: key(located(rulesShape), "The first matching rule with an action decides.", []),
  answers: key(answersShape, "What answers look like.", {}),
  special: key(specialShape, "Names by which programs ask about the network.", {}),
  hosts: key(hostsShape, "Names with addresses of your own.", {}),
  cache: key(cacheShape, "Answers that are kept.", {}),
  log: key(logShape, "What is written down.", {}),
  admin: key(adminShape, "The API and dashboard.", {}),
  access: key(accessShape, "Who may ask, and how fast.", {}),
  ddns: key(ddnsShape, "Hosts that report their own address.", {}),
  routeros: optional(routerosShape, "A MikroTik router that is kept informed."),
  cluster: optional(clusterShape, "Several servers that work as one."),
  expect: key(expectShape, "What this file must decide; checked by `fenliu check` and before every reload.", []),
});

type RawFile = NonNullable<ReturnType<(typeof fileShape)["read"]>>;

/** Judges what concerns several sections, and reports to `reading`. */
export function checkFile(raw: RawFile, reading: ConfigReader): void {
  checkListen(raw.listen, raw.tls, raw.admin.token, reading);
  checkGroups(raw.upstreams.value, reading);
  for (const { value } of raw.upstreams.value)
    if (value !== undefined)
      warnBeyondDeadline(value.attempt, raw.answers.deadline, "a second server would be asked too late", reading);
  checkBootstrap(raw.bootstrap, reading);
  checkLists(raw.lists, reading);
  checkAnswers(raw.answers, reading);
  checkRules(raw.rules.value, raw.answers, reading);
  checkHosts(raw.hosts, reading);
  checkCache(raw.cache, raw.answers, reading);
  checkExpectationReferences(raw.expect, reading);
  checkReferences(raw, reading);
  const [first, second] = raw.upstreams.value;
  if (first !== undefined && second !== undefined) warnOfUndecided(raw.rules.value, raw.rules.place, first.name, reading);
}

function checkReferences(raw: RawFile, reading: ConfigReader): void {
  const groups = raw.upstreams.value.map(({ name }) => name);
  const rules = raw.rules.value.map(({ value }) => value.name.value);
  const references = new References({ groups, lists: raw.lists, rules }, reading);
  for (const { value: group } of raw.upstreams.value) {
    references.group(group?.fallback ?? null);
    references.listsAmong(group?.never?.domains ?? [], "domains");
  }
  for (const { value: list } of raw.lists) references.group(list?.via ?? null);
  references.listsAmong([...raw.poison, ...raw.bogus], "addresses");
  for (const { value: rule } of raw.rules.value) {
    references.listsAmong(rule.domains ?? [], "domains");
    references.group(rule.upstream);
    for (const { name, keyPlace, value } of rule.longest?.value ?? []) {
      references.list({ value: name, place: keyPlace }, "domains");
      references.group(value ?? null);
    }
    references.group(rule.compare?.value.near ?? null);
    references.group(rule.compare?.value.far ?? null);
    references.list(rule.compare?.value.keepNearIf ?? null, "addresses");
  }
  for (const { rule } of raw.routeros?.addressLists ?? []) references.rule(rule);
  for (const { value } of raw.expect) {
    references.rule(value.rule);
    references.group(value.upstream);
  }
}

/** @param raw without any problem. */
export function completeConfig(raw: RawFile, { path, text }: Pick<Config, "path" | "text">): Config {
  const plain = <T>(items: readonly { readonly value: T }[]) => items.map(({ value }) => value);
  const { routeros } = raw;
  return {
    path,
    text,
    listen: listenOptions(raw.listen),
    tls: raw.tls,
    trustedProxies: raw.trustedProxies,
    upstreams: { groups: groupOptions(raw.upstreams.value), bootstrap: plain(raw.bootstrap) },
    lists: listOptions(raw.lists),
    poison: plain(raw.poison),
    bogus: plain(raw.bogus),
    rules: plain(raw.rules.value).map(ruleOptions),
    answers: answersOptions(raw.answers),
    special: raw.special,
    hosts: hostsOptions(raw.hosts),
    cache: cacheOptions(raw.cache),
    log: logOptions(raw.log),
    admin: raw.admin,
    access: raw.access,
    ddns: raw.ddns,
    routeros: routeros && {
      ...routeros,
      addressLists: routeros.addressLists.map(({ rule, list }) => ({ rule: rule.value, list })),
    },
    cluster: raw.cluster,
    expect: plain(raw.expect).map(expectation),
  };
}

/** What editors are told of `fenliu.yaml`. They complain of unknown keys and wrong types while one types; the rest is told by `fenliu check`. */
export function jsonSchema(): TSchema {
  return Type.With(fileShape.schema, {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "fenliu.yaml",
    description: "Configuration of Fenliu; every key is optional. The chapters of docs/config.md say more.",
  });
}

/**
 * What the configuration asks for by name and this version cannot do, one sentence each. Better a server that says so at its start than
 * one that quietly leaves it out.
 */
export function unsupportedKeys(config: Config): string[] {
  const sections = [
    { name: "ddns", used: config.ddns.tokens.length > 0 },
    { name: "routeros", used: config.routeros !== null },
    { name: "cluster", used: config.cluster !== null },
    { name: "log.sinks", used: config.log.sinks.length > 0 },
    { name: "special.ddr", used: config.special.ddr },
  ];
  return sections.filter(({ used }) => used).map(({ name }) => `${name} is not there yet`);
}

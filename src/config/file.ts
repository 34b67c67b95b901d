import type { Endpoint } from "../listen/options.ts";
import type { DdrOptions } from "../rules/options.ts";
import { answersShape, checkAnswers, toAnswersOptions } from "./answers.ts";
import { checkHosts, hostsShape, toHostsOptions } from "./hosts.ts";
import { checkListen, listenShape, tlsShape, toListenOptions } from "./listen.ts";
import { checkLists, kindOf, listsShape, toListOptions } from "./lists.ts";
import { type ConfigReader, keyBelow, type Located } from "./reading.ts";
import {
  checkEmptyExpectations,
  checkRules,
  expectShape,
  rulesShape,
  toExpectation,
  toRuleOptions,
  warnOfUndecided,
} from "./rules.ts";
import {
  accessShape,
  adminShape,
  cacheShape,
  checkCache,
  checkDdns,
  checkDevices,
  clusterShape,
  ddnsShape,
  devicesShape,
  logShape,
  routerosShape,
  specialShape,
  toCacheOptions,
  toDdnsOptions,
  toLogOptions,
  trustedProxiesShape,
} from "./sections.ts";
import { failAsUnknown, type JsonSchema, key, object, oneOrMany, optional, type RawOf, withPlace } from "./shape.ts";
import type { Config } from "./types.ts";
import { bootstrapShape, checkBootstrap, checkGroups, DEFAULT_SERVERS, toGroupOptions, upstreamsShape } from "./upstreams.ts";
import { networkOrList } from "./values.ts";

/** The whole file, section by section. */
export const fileShape = object("a map of sections", {
  listen: key(listenShape, "Where Fenliu listens.", {}),
  tls: optional(tlsShape, "Certificate of the tls and https listeners."),
  trustedProxies: key(trustedProxiesShape, "Reverse proxies whose X-Forwarded-For and X-Real-IP are believed.", [
    "127.0.0.0/8",
    "::1",
  ]),
  upstreams: key(withPlace(upstreamsShape), "Groups of upstream servers; the first gets what no rule decides.", {
    domestic: { servers: DEFAULT_SERVERS, strategy: "fastest" },
  }),
  bootstrap: key(bootstrapShape, "Servers that look up the host names of upstream servers.", DEFAULT_SERVERS),
  lists: key(listsShape, "Lists of domains and addresses.", {}),
  poison: key(oneOrMany(withPlace(networkOrList)), "Addresses of forged answers.", []),
  bogus: key(oneOrMany(withPlace(networkOrList)), "Addresses that some resolvers give instead of NXDOMAIN.", []),
  rules: key(withPlace(rulesShape), "The first matching rule with an action decides.", []),
  answers: key(answersShape, "What answers look like.", {}),
  special: key(specialShape, "Names by which programs ask about the network.", {}),
  hosts: key(hostsShape, "Names with addresses of your own.", {}),
  cache: key(cacheShape, "Answers that are kept.", {}),
  log: key(logShape, "What is written down.", {}),
  admin: key(adminShape, "The API and dashboard.", {}),
  access: key(accessShape, "Who may ask, and how fast.", {}),
  ddns: key(ddnsShape, "Hosts that report their own address.", {}),
  devices: key(devicesShape, "Which device an address belongs to.", {}),
  routeros: optional(routerosShape, "A MikroTik router that is kept informed."),
  cluster: optional(clusterShape, "Several servers that work as one."),
  expect: key(expectShape, "What this file must decide; checked by `fenliu check` and before every reload.", []),
});

type RawFile = RawOf<typeof fileShape>;

/** Checks what a single value cannot tell: relations within a section and between sections. */
export function checkFile(raw: RawFile, reader: ConfigReader): void {
  checkDdr(raw, reader);
  checkListen(raw.listen, raw.tls, raw.admin.token, reader);
  checkGroups(raw.upstreams.value, raw.answers.deadline, reader);
  checkBootstrap(raw.bootstrap, reader);
  checkLists(raw.lists, reader);
  checkAnswers(raw.answers, reader);
  checkRules(raw.rules.value, raw.answers, reader);
  checkHosts(raw.hosts, reader);
  checkCache(raw.cache, raw.answers, reader);
  checkDevices(raw.devices, raw.routeros !== null, reader);
  checkDdns(raw.ddns, reader);
  checkEmptyExpectations(raw.expect, reader);
  checkReferences(raw, reader);
  const [first, second] = raw.upstreams.value;
  if (first !== undefined && second !== undefined) warnOfUndecided(raw.rules.value, raw.rules.place, first.name, reader);
}

/** Reports names of groups, rules and lists that the file does not declare. */
function checkReferences({ upstreams, lists, poison, bogus, rules, routeros, expect }: RawFile, reader: ConfigReader): void {
  const groups = upstreams.value.flatMap(({ value }) => value ?? []);
  const actions = rules.value.map(({ value }) => value);
  const choices = actions.flatMap(({ longest }) => longest?.value ?? []);
  const compares = actions.flatMap(({ compare }) => compare?.value ?? []);
  const groupReferences = [
    ...groups.map(({ fallback }) => fallback?.group),
    ...lists.map(({ value }) => value?.via),
    ...actions.map(({ upstream }) => upstream),
    ...choices.map(({ value }) => value),
    ...compares.flatMap(({ near, far }) => [near, far]),
    ...expect.map(({ value }) => value.upstream),
  ];
  const groupNames = upstreams.value.map(({ name }) => name);
  checkNames(groupReferences, { what: "group", section: "upstreams", names: groupNames }, reader);

  const ruleReferences = [...(routeros?.addressLists ?? []), ...expect.map(({ value }) => value)].map(({ rule }) => rule);
  checkNames(ruleReferences, { what: "rule", section: "rules", names: actions.map(({ name }) => name.value) }, reader);

  const patterns = [
    ...groups.flatMap(({ never }) => never?.domains ?? []),
    ...actions.flatMap(({ domains }) => domains?.flat() ?? []),
  ];
  const choiceLists = choices.map(({ name, keyPlace }) => ({ value: name, place: keyPlace }));
  checkListNames([...listsAmong(patterns), ...choiceLists], "domains", lists, reader);
  const replaced = actions
    .flatMap(({ replace }) => replace ?? [])
    .map(({ name, keyPlace }) => ({ value: name, place: keyPlace }));
  const nearLists = [...compares.map(({ keepNearIf }) => keepNearIf), ...replaced];
  const filters = groups.flatMap(({ accept, drop }) => [...accept, ...drop]);
  checkListNames([...listsAmong([...poison, ...bogus, ...filters]), ...nearLists], "addresses", lists, reader);
}

/** The references among patterns or networks: `list:NAME`, perhaps after `!`. */
function listsAmong(entries: readonly Located<string>[]): readonly Located<string>[] {
  return entries.flatMap(({ value, place }) => {
    const name = /^!?list:(.*)$/s.exec(value)?.[1];
    return name === undefined ? [] : [{ value: name, place }];
  });
}

function checkListNames(
  references: readonly Located<string>[],
  kind: ReturnType<typeof kindOf>,
  lists: RawFile["lists"],
  reader: ConfigReader,
): void {
  checkNames(references, { what: "list", section: "lists", names: lists.map(({ name }) => name) }, reader);
  for (const { value, place } of references) {
    const list = lists.find(({ name }) => name === value);
    if (list?.value === undefined || kindOf(list.value) === kind || !reader.isClean(list.keyPlace.key)) continue;
    const message = `\`${value}\` is a list of ${kindOf(list.value)}; here ${kind} are needed`;
    reader.fail(place, message, `name a list with \`${kind}:\``);
  }
}

/** What a section declares. */
interface Declared {
  readonly what: string;
  readonly section: string;
  readonly names: readonly string[];
}

function checkNames(
  references: readonly (Located<string> | null | undefined)[],
  { what, section, names }: Declared,
  reader: ConfigReader,
): void {
  for (const reference of references) {
    const name = reference?.value ?? "";
    if (reference == null || name === "" || names.includes(name)) continue;
    // If the section or the entry itself is wrong, that is reported already, and the reference may be right.
    if (reader.isWrong(section) || reader.isWrong(keyBelow(section, name))) continue;
    const fix = names.length === 0 ? `there are none: add one to section \`${section}\`` : `write one of ${names.join(", ")}`;
    failAsUnknown(reference.place, { name, known: names, what: `there is no ${what}`, fix }, reader);
  }
}

/** Clients are told the name of the server, which they check against its certificate. */
function checkDdr({ special: { ddr }, tls, listen }: RawFile, reader: ConfigReader): void {
  if (!ddr.value || !reader.isClean("tls") || !reader.isClean("listen")) return;
  if (listen.https.length + listen.tls.length === 0)
    reader.fail(ddr.place, "there is no encrypted listener to tell of", "add `listen.https` or `listen.tls`");
  else if (tls !== null && tls.name === null)
    reader.fail(ddr.place, "clients are told the name of this server, and `tls.name` does not say it", "add `tls.name`");
}

function ddrOptions({ tls, listen: { https, tls: dot, dohPath } }: RawFile): DdrOptions {
  const ports = (listed: readonly Located<Endpoint>[]) => [...new Set(listed.map(({ value }) => value.port))];
  return { name: tls?.name ?? "", httpsPorts: ports(https), tlsPorts: ports(dot), dohPath };
}

/** @param raw without any problem. */
export function completeConfig(
  raw: RawFile,
  { path, text, reader }: Pick<Config, "path" | "text"> & { readonly reader: ConfigReader },
): Config {
  const plain = <T>(items: readonly { readonly value: T }[]) => items.map(({ value }) => value);
  const { routeros } = raw;
  return {
    path,
    text,
    listen: toListenOptions(raw.listen),
    tls: raw.tls,
    trustedProxies: raw.trustedProxies,
    upstreams: { groups: toGroupOptions(raw.upstreams.value), bootstrap: plain(raw.bootstrap) },
    lists: toListOptions(raw.lists),
    poison: plain(raw.poison),
    bogus: plain(raw.bogus),
    rules: plain(raw.rules.value).map(toRuleOptions),
    answers: toAnswersOptions(raw.answers),
    special: { ...raw.special, ddr: raw.special.ddr.value ? ddrOptions(raw) : null },
    hosts: toHostsOptions(raw.hosts),
    cache: toCacheOptions(raw.cache),
    log: toLogOptions(raw.log),
    admin: raw.admin,
    access: raw.access,
    devices: { leases: raw.devices.leases, router: raw.devices.router.value },
    ddns: toDdnsOptions(raw.ddns),
    routeros: routeros && {
      url: routeros.url,
      user: routeros.user,
      passwordFile: routeros.passwordFile,
      ca: routeros.ca,
      holdMs: routeros.hold,
      dryRun: routeros.dryRun,
      flush: routeros.flush,
      fingerprint: routeros.fingerprint,
      doh: routeros.doh,
      reader: routeros.reader,
      checkMs: routeros.check,
      addressLists: routeros.addressLists.map(({ rule, list }) => ({ rule: rule.value, list })),
    },
    cluster: raw.cluster,
    expect: raw.expect.map(({ value, place }) => toExpectation(value, reader.lineOf(place))),
  };
}

/**
 * The schema for editors, which mark unknown keys and wrong types while a person types. `fenliu check` reports the rest.
 * @public `tools/write-schema.ts` writes it to docs/.
 */
export function jsonSchema(): JsonSchema {
  return {
    ...fileShape.schema,
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "fenliu.yaml",
    description: "Configuration of Fenliu; every key is optional. The chapters of docs/config.md say more.",
  };
}

/** What the configuration asks for and this version cannot do, one sentence each: a server refuses to start rather than leave it out silently. */
export function unsupportedKeys(config: Config): string[] {
  const uses = {
    cluster: config.cluster !== null,
    "log.sinks": config.log.sinks.length > 0,
  };
  return Object.entries(uses).flatMap(([name, isUsed]) => (isUsed ? [`${name} is not there yet`] : []));
}

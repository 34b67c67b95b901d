// The small sections: access, trustedProxies, special, cache, log, admin, devices, ddns, routeros, cluster. Most are read straight into their options.

import { isMap } from "yaml";
import type { CacheOptions } from "../cache/options.ts";
import type { DdnsOptions } from "../ddns/options.ts";
import type { LogOptions } from "../log/options.ts";
import { type RawAnswers, warnBeyondDeadline } from "./answers.ts";
import type { ConfigReader } from "./reading.ts";
import { url } from "./server.ts";
import {
  arrayOf,
  boolean,
  integer,
  key,
  keyword,
  nameless,
  object,
  oneOrMany,
  oneOrMore,
  optional,
  orFalse,
  orNull,
  type Parsed,
  type RawOf,
  required,
  text,
  withPlace,
  wordLike,
} from "./shape.ts";
import { duration, seconds, size } from "./units.ts";
import { clientOrPrivate, domainName, network, parseAddress, parseDomainName, path, readableFile, reference } from "./values.ts";

const rateLimitShape = object("a map with `perSecond`, `burst` and `exempt`", {
  perSecond: key(integer(1, 1_000_000), "Questions per second from one IPv4 address or IPv6 /64.", 200),
  burst: key(integer(1, 10_000_000), "Questions that may come at once after a pause.", 1000),
  exempt: key(oneOrMany(clientOrPrivate), "Who has no limit: private, networks, addresses, client ids.", ["private"]),
});

export const accessShape = object("a map with `clients` and `rateLimit`", {
  clients: key(oneOrMore(clientOrPrivate, "nobody could ask"), "Who may ask: private, networks, addresses, client ids.", [
    "private",
  ]),
  rateLimit: key(orFalse(rateLimitShape), "How fast one client may ask; false: no limit.", {}),
});

export const trustedProxiesShape = oneOrMany(network);

export const specialShape = object("a map of switches", {
  firefoxCanary: key(boolean(), "Answer Firefox's canary name so that it does not switch to a DoH service of its own.", false),
  privateRelay: key(boolean(), "Answer the names of iCloud Private Relay so that it stays off.", false),
  ddr: key(withPlace(boolean()), "Tell clients of the encrypted listeners (DDR, RFC 9462).", false),
});

const staleShape = object("a map with `keep`, `after`, `ttl` and `recheck`", {
  keep: key(duration("1s", "365d"), "How long an expired answer may still be given.", "1d"),
  after: key(
    withPlace(duration("0s", "30s")),
    "How long a client waits for a fresh answer before it gets the stale one.",
    "1800ms",
  ),
  ttl: key(seconds("1s", "1h"), "TTL of a stale answer.", "30s"),
  recheck: key(duration("1s", "1h"), "For so long after a failed refresh the stale answer is given at once.", "30s"),
});

export const cacheShape = object("a map of settings of the cache", {
  size: key(size("1MiB", "64GiB"), "Memory for answers.", "64MiB"),
  stale: key(orFalse(staleShape), "Expired answers while upstreams fail (RFC 8767); false: never.", {}),
  prefetch: key(boolean(), "Renew popular answers before they expire.", true),
  file: key(orNull(path), "Where answers are kept across restarts; null: nowhere.", "data/cache.db"),
  volatile: key(
    oneOrMany(network),
    "Answers with an address in these networks are never stale, prefetched or kept across restarts.",
    [],
  ),
});

type RawCache = RawOf<typeof cacheShape>;

export function toCacheOptions({ size: sizeBytes, stale, ...rest }: RawCache): CacheOptions {
  return {
    ...rest,
    sizeBytes,
    stale: stale && { keepMs: stale.keep, afterMs: stale.after.value, ttlSeconds: stale.ttl, recheckMs: stale.recheck },
  };
}

export function checkCache({ stale }: RawCache, { deadline }: RawAnswers, reader: ConfigReader): void {
  if (stale !== null) warnBeyondDeadline(stale.after, deadline, "no client would live to see the stale answer", reader);
}

const logSink = text({
  expected: "a URL",
  parse: (written): Parsed<string> =>
    URL.canParse(written) && /^[a-z][a-z0-9+.-]*:\/\/./i.test(written)
      ? { value: written }
      : { wrong: `\`${written}\` is no URL`, fix: "write it as in `https://logs.example/in`" },
});

const queriesShape = object("a map of settings of the query log", {
  enabled: key(boolean(), "Whether queries are recorded.", true),
  store: key(path, "The database of the query log.", "data/queries.db"),
  keep: key(duration("1h", "3650d"), "How long a query is kept.", "7d"),
  max: key(integer(1000, 1_000_000_000), "How many queries are kept; beyond, the oldest go.", 5_000_000),
  clients: key(keyword("full", "prefix", "none"), "What is kept of clients: the address, its /24 or /48, or nothing.", "full"),
});

export const logShape = object("a map with `level`, `queries` and `sinks`", {
  level: key(
    keyword("trace", "debug", "info", "warn", "error", "silent"),
    "What the program says of its own doings, from most to nothing.",
    "info",
  ),
  queries: key(queriesShape, "The query log.", {}),
  sinks: key(oneOrMany(logSink), "URLs that records of queries are sent to.", []),
});

export function toLogOptions({ queries, ...rest }: RawOf<typeof logShape>): LogOptions {
  const { keep, max, ...others } = queries;
  return { ...rest, queries: { ...others, keepMs: keep, maxRows: max } };
}

const token = wordLike(/^[\x21-\x7e]{8,}$/, "a secret text", {
  wrong: "a token has 8 or more characters, printable ASCII without spaces",
  fix: "make one with `openssl rand -hex 16`",
  isSecret: true,
});

const hostName = text({
  expected: "a host name",
  parse: (written): Parsed<string> => ("value" in parseAddress(written) ? { value: written } : parseDomainName(written)),
});

export const adminShape = object("a map with `token` and `hosts`", {
  token: key(orNull(token), "Secret that calls of the API carry; null: none is wanted, and the API stays on this host.", null),
  hosts: key(oneOrMany(hostName), "Host names under which the API may be asked, besides its own address.", []),
});

export const devicesShape = object("a map with `leases` and `router`", {
  leases: key(oneOrMany(readableFile), "Lease files, as dnsmasq writes them, that name the clients.", []),
  router: key(withPlace(boolean()), "Read leases, ARP and neighbours of the router of section `routeros`.", false),
});

type RawDevices = RawOf<typeof devicesShape>;

export function checkDevices({ router }: RawDevices, hasRouter: boolean, reader: ConfigReader): void {
  if (router.value && !hasRouter && reader.isClean("routeros"))
    reader.fail(router.place, "there is no section `routeros` that names the router", "add `routeros:`, or write `false`");
}

const tokenAndNames = object("a map with `token` and `names`", {
  token: required(withPlace(token), "The secret, which updates carry as the password."),
  names: required(oneOrMore(domainName, "the token could report nothing"), "Names whose addresses its bearer may report."),
});

/** No message quotes a token that stands alone. */
const ddnsToken: typeof tokenAndNames = {
  ...tokenAndNames,
  read: (place, reader) =>
    isMap(place.node)
      ? tokenAndNames.read(place, reader)
      : reader.fail(place, "a token stands with its names in a map", "write `{ token: …, names: home.example.com }`"),
};

export const ddnsShape = object("a map with `tokens` and `onDoh`", {
  tokens: key(oneOrMany(ddnsToken), "Who may report the addresses of which names.", []),
  onDoh: key(boolean(), "Take updates on the DoH listeners too, besides the address of the API.", false),
});

type RawDdns = RawOf<typeof ddnsShape>;

export function checkDdns({ tokens }: RawDdns, reader: ConfigReader): void {
  for (const [index, { token: later }] of tokens.entries()) {
    if (tokens.slice(0, index).some(({ token: earlier }) => earlier.value === later.value))
      reader.fail(later.place, "this token is listed already", "write all its names into one entry");
  }
}

export function toDdnsOptions({ tokens, onDoh }: RawDdns): DdnsOptions {
  return { tokens: tokens.map(({ token: { value }, names }) => ({ token: value, names })), onDoh };
}

const word = wordLike(/./s, "a text", { wrong: "an empty text", fix: "write a name" });

const fingerprint = text({
  expected: "a SHA-256 fingerprint",
  parse: (written): Parsed<string> => {
    const hex = written.replaceAll(":", "").toLowerCase();
    if (/^[0-9a-f]{64}$/.test(hex)) return { value: hex };
    return {
      wrong: `\`${written}\` is no SHA-256 fingerprint`,
      fix: "write its 64 digits, as `/certificate print detail` shows them",
    };
  },
});

export const routerosShape = object("a map with `url`, `user` and `passwordFile`", {
  url: required(url("https", "http"), "Where the router's REST API is."),
  user: required(word, "The router's user."),
  passwordFile: required(readableFile, "File whose first line is the password."),
  ca: optional(readableFile, "PEM file of the authority that the router's certificate comes from, or of the certificate itself."),
  fingerprint: key(orNull(fingerprint), "SHA-256 of the router's own certificate, in place of an authority.", null),
  doh: key(orNull(url("https")), "Where the router reaches Fenliu: what it is checked for.", null),
  reader: optional(
    object("a map with `user` and `passwordFile`", {
      user: required(word, "The router's user."),
      passwordFile: required(readableFile, "File whose first line is the password."),
    }),
    "Account that checks the router and may only read; without it the account above does.",
  ),
  check: key(
    orFalse(duration("1m", "7d")),
    "How often the router is checked for the metrics; false: only when somebody asks.",
    "1h",
  ),
  addressLists: key(
    arrayOf(
      object("a map with `rule` and `list`", {
        rule: required(withPlace(reference), "Rule whose answers are entered.", nameless),
        list: required(word, "Name of the address list on the router."),
      }),
    ),
    "Addresses of answers that are entered into address lists of the router.",
    [],
  ),
  hold: key(duration("0ms", "1s"), "How long a reply may wait until its new addresses are in the list; 0ms: never.", "150ms"),
  dryRun: key(boolean(), "Work everything out and tell the router nothing.", false),
  flush: key(boolean(), "Drop the router's DNS cache after a change of hosts, lists or rules.", false),
});

export const clusterShape = object("a map with `redis`", {
  redis: required(url("redis", "rediss"), "The Redis server that the members share."),
});

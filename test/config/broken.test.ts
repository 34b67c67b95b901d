import { describe, expect, test } from "vitest";
import { GROUP, problemsIn, reports } from "./reports.ts";

describe("keys", () => {
  reports([
    [
      "an unknown section is named with the likely one",
      "upstrems: {}",
      "1:1 upstrems: unknown key `upstrems`; did you mean `upstreams`?",
    ],
    [
      "an unknown key of an inner map is named with the likely one",
      "cache:\n  stale:\n    kepe: 1d",
      "3:5 cache.stale.kepe: unknown key `kepe`; did you mean `keep`?",
    ],
    ["an unknown key without a similar one is named alone", "cache: { colour: blue }", "1:10 cache.colour: unknown key `colour`"],
    [
      "a key that is there twice is reported at the second",
      "cache: {}\nlog: {}\ncache: {}",
      "3:1 cache: the key `cache` is here twice",
    ],
    [
      "a key that is missing is reported where its map begins",
      "rules: [{ domains: a, answer: nodata }]",
      "1:9 rules[0]: the key `name` is missing",
    ],
    [
      "a key of a later version says so",
      `${GROUP}rules: [{ name: x, order: ipv4, upstream: a }]`,
      "2:20 rules[0].order: `order` is reserved for a later version",
    ],
    ["a key that is a map is no key", "? { a: b }\n: c", "1:3 : expected a key, found a map"],
  ]);
});

describe("types", () => {
  reports([
    ["an array is no map", "- listen", "1:1 : expected a map of sections, found an array"],
    ["a word is no map", "answers: pass", "1:10 answers: expected a map of what answers look like, found `pass`"],
    ["a map is no array", "rules: { name: x }", "1:8 rules: expected an array, each item a map with `name`, found a map"],
    [
      "a map is no duration",
      "answers: { deadline: { s: 4 } }",
      "1:22 answers.deadline: expected a duration such as `30s`, found a map",
    ],
    [
      "nothing is no duration",
      "answers:\n  deadline:",
      "2:12 answers.deadline: expected a duration such as `30s`, found nothing",
    ],
    ["a number is no text", "admin: { token: 12345678 }", "1:17 admin.token: expected a secret text, found the number 12345678"],
    ["`yes` is no truth value", "cache: { prefetch: yes }", "1:20 cache.prefetch: expected `true` or `false`, found `yes`"],
    [
      "a word outside a choice is told the choice",
      "upstreams: { a: { servers: 10.0.0.1, strategy: fastst } }",
      "1:48 upstreams.a.strategy: expected `fastest`, `race`, `failover` or `spread`, found `fastst`",
    ],
    [
      "a fraction is no count",
      "log: { queries: { max: 1000.5 } }",
      "1:24 log.queries.max: expected a whole number from 1000 to 1000000000, found the number 1000.5",
    ],
    [
      "an address with brackets and no quotes is a map to YAML",
      "listen:\n  dns: [[::]:53]",
      "2:9 listen.dns[0]: expected an address with a port, such as `127.0.0.1:5053`, found a map",
    ],
  ]);
});

describe("durations and sizes", () => {
  reports([
    [
      "a number without unit is no duration",
      "answers:\n  deadline: 4",
      "2:13 answers.deadline: expected a duration such as `30s`, found the number 4",
    ],
    [
      "a duration in other words is no duration",
      "cache: { stale: { keep: 2 weeks } }",
      "1:25 cache.stale.keep: `2 weeks` is no duration: a whole number and one of ms, s, m, h, d are needed",
    ],
    [
      "a duration keeps within its bounds",
      "answers: { deadline: 1h }",
      "1:22 answers.deadline: 1h is out of range: 100ms to 30s are allowed",
    ],
    [
      "a failure is held from 1 s to 5 min (RFC 9520 §3.2)",
      "answers: { negative: { failure: 6m } }",
      "1:33 answers.negative.failure: 6m is out of range: 1s to 5m are allowed",
    ],
    ["a TTL has no fractions of a second", "hosts: { ttl: 1500ms }", "1:15 hosts.ttl: a TTL counts whole seconds"],
    [
      "a decimal unit is no size",
      "cache: { size: 64MB }",
      "1:16 cache.size: `64MB` is no size: a whole number and one of KiB, MiB, GiB are needed",
    ],
    [
      "a size keeps within its bounds",
      "cache: { size: 1KiB }",
      "1:16 cache.size: 1KiB is out of range: 1MiB to 64GiB are allowed",
    ],
    [
      "a minimum is not above its maximum",
      "answers: { negative: { min: 2m } }",
      "1:29 answers.negative.min: the minimum 2m is above the maximum 1m",
    ],
    [
      "a minimum of a rule is not above the maximum of `answers`",
      `${GROUP}rules: [{ name: x, ttl: { min: 2d } }]`,
      "2:32 rules[0].ttl.min: the minimum 2d is above the maximum 1d",
    ],
  ]);
});

describe("addresses", () => {
  reports([
    [
      "a port is at most 65535",
      "listen: { dns: '127.0.0.1:70000' }",
      "1:16 listen.dns: `127.0.0.1:70000` is no address to listen on",
    ],
    ["a listener needs a port", "listen: { dns: ['::1'] }", "1:17 listen.dns[0]: `::1` has no port"],
    [
      "a listener has no name",
      "listen: { dns: ['localhost:53'] }",
      "1:17 listen.dns[0]: `localhost:53` is no address to listen on",
    ],
    [
      "a link-local listener names its interface",
      "listen: { dns: '[fe80::1]:53' }",
      "1:16 listen.dns: `[fe80::1]:53` is link-local: the same address stands on every interface",
    ],
    [
      "a prefix fits its address",
      "access: { clients: [10.0.0.0/33] }",
      "1:21 access.clients[0]: `10.0.0.0/33` has a prefix above 32",
    ],
    [
      "a client id is in lower case",
      "access: { clients: TV }",
      "1:20 access.clients: `TV` is neither a network, an address nor a client id",
    ],
    [
      "`private` is no client id",
      `${GROUP}rules: [{ name: x, clients: private, upstream: a }]`,
      "2:29 rules[0].clients: `private` is known in section `access` alone",
    ],
    [
      "a byte of an address is at most 255",
      "hosts: { records: { nas.lan: 10.0.0.256 } }",
      '1:30 hosts.records["nas.lan"]: `10.0.0.256` is no IP address',
    ],
    [
      "a DoH path begins with a slash",
      "listen: { dohPath: dns-query }",
      "1:20 listen.dohPath: `dns-query` is no path: one begins with `/`, ends without and has letters, digits, `-`, `_`, `.`, `~`",
    ],
  ]);
});

describe("servers", () => {
  reports([
    [
      "every wrong server of a group is reported",
      "upstreams: { a: { servers: [dns.google, quic://9.9.9.9, 'udp://10.0.0.1:0'] } }",
      "1:29 upstreams.a.servers[0]: `dns.google` is no address of a server",
      "1:41 upstreams.a.servers[1]: `quic://` is no protocol for a server",
      "1:57 upstreams.a.servers[2]: `udp://10.0.0.1:0` is no server",
    ],
    ["a group has a server", "upstreams: { a: {} }", "1:17 upstreams.a: the key `servers` is missing"],
    ["there is a group", "upstreams: {}", "1:12 upstreams: there is no group"],
    [
      "a group has a server once",
      "upstreams: { a: { servers: [10.0.0.1, 'udp://10.0.0.1:53'] } }",
      "1:39 upstreams.a.servers[1]: `udp://10.0.0.1:53` is in this group twice",
    ],
    [
      "a DoH server has no password",
      "upstreams: { a: { servers: 'https://u:p@dns.example/q' } }",
      "1:28 upstreams.a.servers: a server's URL has neither user, password nor `#`",
    ],
    [
      "a bootstrap server needs no bootstrap",
      "bootstrap: [tls://dns.google]",
      "1:13 bootstrap[0]: `tls://dns.google` would itself have to be looked up",
    ],
    [
      "a proxy has a port",
      "upstreams: { a: { servers: 10.0.0.1, proxy: 'socks5://127.0.0.1' } }",
      "1:45 upstreams.a.proxy: `socks5://127.0.0.1` has no port",
    ],
    [
      "a TLS name is for TLS",
      "upstreams: { a: { servers: { url: 10.0.0.1, tlsName: x.example } } }",
      "1:54 upstreams.a.servers.tlsName: `tlsName` means nothing to a server without TLS",
    ],
    [
      "fallbacks make no circle",
      "upstreams:\n  a: { servers: 10.0.0.1, fallback: b }\n  b: { servers: 10.0.0.2, fallback: a }",
      "3:37 upstreams.b.fallback: the fallbacks go round in a circle: from `a` to `b` to `a`",
    ],
  ]);
});

describe("YAML", () => {
  reports([
    ["a tab is no indentation", "listen:\n\tdns: []", "2:1 : a tab stands where spaces are needed"],
    [
      "a `!` before a pattern is a tag without quotes",
      "rules: [{ name: x, domains: [!ads.example], answer: nodata }]",
      "1:30 : YAML takes `!ads.example` for a tag, because it begins with `!`",
    ],
    [
      "a `*` before a name is an alias without quotes",
      "rules: [{ name: x, domains: [*.ads.example], answer: nodata }]",
      "1:30 : `*.ads.example` refers to an anchor that is not there",
    ],
    [
      "a `*` before a key is an alias without quotes",
      "hosts:\n  records:\n    *.apps.lan: 10.0.0.6",
      "3:15 : a text cannot begin with `*` without quotes",
    ],
    ["there is one document", "log: {}\n---\ncache: {}", "2:1 : a second document begins here"],
    [
      "several mistakes are reported at once",
      "log: a: b\ncache: @x\nanswers: { deadline: 4s",
      "1:6 : a second `:` in one line",
      "2:8 : a text cannot begin with `@` without quotes",
      "3:24 : a `[` or `{` before this is not closed, or this line is not indented",
    ],
    [
      "a place below a text of several lines is counted right",
      'admin: { token: "a\n b" }\nlogg: {}',
      "1:17 admin.token: a token has 8 or more characters, printable ASCII without spaces",
      "3:1 logg: unknown key `logg`; did you mean `log`?",
    ],
    [
      "an end that comes too early is one problem",
      "log: {}}\ncache: {}\naccess: {}",
      "1:8 : the file has ended before this",
    ],
    ["a quote is closed", 'log: { level: "info }', "1:22 : a quote before this is not closed"],
  ]);
});

test("mistakes in many sections are reported together, in the order of the file", () => {
  const text = `${GROUP}listen: { dns: 53 }\nanswers: { ttl: { max: 0 } }\nrules: [{ name: x, upstream: b, types: HTTPZ }]\nexpect: [{ name: "*", rule: y }]\n`;
  expect(problemsIn(text).map((problem) => problem.split(": ", 1)[0])).toEqual([
    "2:16 listen.dns",
    "3:24 answers.ttl.max",
    "4:30 rules[0].upstream",
    "4:40 rules[0].types",
    "5:18 expect[0].name",
    "5:29 expect[0].rule",
  ]);
});

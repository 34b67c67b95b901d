import { describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
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
    [
      "a number is no text",
      "admin: { token: 12345678 }",
      "1:17 admin.token: expected a secret text, found what YAML takes for no text",
    ],
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
      "a MAC address is not supported yet",
      "access: { clients: 'AA:bb:cc:00:11:22' }",
      "1:20 access.clients: `AA:bb:cc:00:11:22` is a MAC address, by which `clients` of rules alone can name a client",
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
      "a fallback with a time names its group",
      "upstreams: { a: { servers: 10.0.0.1, fallback: { after: 500ms } } }",
      "1:48 upstreams.a.fallback: the key `group` is missing",
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
    ["an end that comes too early is one problem", "log: {}}\ncache: {}\naccess: {}", "1:8 : the file has ended before this"],
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

describe("rules", () => {
  reports([
    [
      "every wrong pattern is reported",
      `${GROUP}rules: [{ name: x, domains: ['*.example.com', 'https://example.com/x', 'domain:a.com', 'full:', 'geosite:cn'], upstream: a }]`,
      "2:30 rules[0].domains[0]: `*.example.com` is no domain name",
      "2:47 rules[0].domains[1]: `https://example.com/x` is no domain name",
      "2:72 rules[0].domains[2]: `domain:` is no kind of pattern",
      "2:88 rules[0].domains[3]: an empty name",
      "2:97 rules[0].domains[4]: `geosite:` is no kind of pattern",
    ],
    [
      "a regular expression compiles",
      `${GROUP}rules: [{ name: x, domains: 'regexp:(', upstream: a }]`,
      "2:29 rules[0].domains: Invalid regular expression: /(/: Unterminated group",
    ],
    [
      "a condition that lists nothing does not become a rule for everything",
      `${GROUP}rules:\n  - name: x\n    domains:\n      # - ads.example\n    answer: nodata`,
      "4:13 rules[0].domains: nothing is listed here: without this condition the rule would match every query",
    ],
    [
      "a record type is known by name or number",
      `${GROUP}rules: [{ name: x, types: [AAAAA], answer: nodata }]`,
      "2:28 rules[0].types[0]: expected a record type such as `AAAA` or `TYPE65`, found `AAAAA`",
    ],
    [
      "a rule's name is its own",
      `${GROUP}rules: [{ name: x, domains: a, upstream: a }, { name: x, upstream: a }]`,
      "2:55 rules[1].name: there is already a rule `x`",
    ],
    [
      "a rule has one action",
      `${GROUP}rules: [{ name: x, upstream: a, answer: nodata }]`,
      "2:41 rules[0].answer: a rule has one action, and this one has `upstream` already",
    ],
    [
      "a rule with types cannot deny the name",
      `${GROUP}rules: [{ name: x, types: HTTPS, answer: nxdomain }]`,
      "2:42 rules[0].answer: a rule with `types` cannot answer `nxdomain`: NXDOMAIN would deny the name in every type (RFC 2308 §5), and caches would drop its addresses too",
    ],
    [
      "nor refuse it",
      `${GROUP}rules: [{ name: x, types: [A, AAAA], answer: refused }]`,
      "2:46 rules[0].answer: a rule with `types` cannot answer `refused`: a refusal of one type would make the whole server look ill to caches",
    ],
    [
      "nor give an address where there is none",
      `${GROUP}rules: [{ name: x, types: [A, TXT], answer: zero }]`,
      "2:45 rules[0].answer: a rule with `types` cannot answer `zero`: `zero` is an address, and these types hold none",
    ],
    [
      "an alias holds for every type",
      `${GROUP}rules: [{ name: x, domains: a.example, types: A, cname: b.example }]`,
      "2:57 rules[0].cname: a rule with `types` cannot make an alias: caches follow an alias for every type (RFC 1034 §3.6.2)",
    ],
    [
      "conditions that must all hold are listed",
      `${GROUP}rules: [{ name: x, domains: { all: [] }, upstream: a }]`,
      "2:36 rules[0].domains.all: nothing is listed here: without this condition the rule would match every query",
    ],
    [
      "a list among them exists",
      `${GROUP}rules: [{ name: x, domains: { all: [a.example, ['list:b', c]] }, upstream: a }]`,
      "2:49 rules[0].domains.all[1][0]: there is no list `b`",
    ],
    [
      "the pattern of single labels stands alone",
      `${GROUP}rules: [{ name: x, domains: 'single:nas', upstream: a }]`,
      "2:29 rules[0].domains: `single:` stands alone: it means every name of one label",
    ],
    [
      "types that a rule excepts do not stand beside those it wants",
      `${GROUP}rules: [{ name: x, types: [A, '!AAAA'], upstream: a }]`,
      "2:27 rules[0].types: types with `!` and types without it stand together: the types without it are the only ones that match",
    ],
    [
      "an excepted type is known by name or number too",
      `${GROUP}rules: [{ name: x, types: '!AAAAA', upstream: a }]`,
      "2:27 rules[0].types: expected a record type such as `AAAA` or `TYPE65`, found `AAAAA`",
    ],
    [
      "nor may a rule for all other types refuse",
      `${GROUP}rules: [{ name: x, types: '!TXT', answer: zero }]`,
      "2:43 rules[0].answer: a rule with `types` cannot answer `zero`: `zero` is an address, and these types hold none",
    ],
    [
      "clients that are all excepted leave a rule without any",
      `${GROUP}rules: [{ name: x, clients: [tv, '!tv'], upstream: a }]`,
      "2:29 rules[0].clients: every client that is named is excepted too: the rule would never match",
    ],
    [
      "mirrors stand for one URL",
      "lists: { l: { domains: ['https://a.example/x', 'https://b.example/y'], mirrors: ['https://c.example/x'] } }",
      "1:81 lists.l.mirrors: mirrors stand for the one URL of a list",
    ],
    ["`pass` mixes with no strip", "answers: { https: [strip-ech, pass] }", "1:31 answers.https[1]: `pass` stands alone"],
  ]);
});

describe("references", () => {
  reports([
    [
      "a group that is not there",
      `${GROUP}rules: [{ name: x, upstream: b }]`,
      "2:30 rules[0].upstream: there is no group `b`; did you mean `a`?",
    ],
    [
      "a list that is not there",
      `${GROUP}lists: { cn: { domains: 'https://x.example/cn.txt' } }\nrules: [{ name: x, longest: { list:nc: a } }]`,
      '3:31 rules[0].longest["list:nc"]: there is no list `nc`; did you mean `cn`?',
    ],
    [
      "a list of the wrong kind",
      "lists: { cn: { domains: 'https://x.example/cn.txt' } }\npoison: list:cn",
      "2:9 poison: `cn` is a list of domains; here addresses are needed",
    ],
    ["a rule that is not there", "expect: [{ name: x.example, rule: split }]", "1:35 expect[0].rule: there is no rule `split`"],
    [
      "a reference to what is there and wrong is no further problem",
      "upstreams: { a: { servers: nonsense } }\nrules: [{ name: x, upstream: a }]",
      "1:28 upstreams.a.servers: `nonsense` is no address of a server",
    ],
    ["an expectation expects something", "expect: [{ name: x.example }]", "1:10 expect[0]: this expects nothing"],
  ]);
});

describe("files and lists", () => {
  reports([
    [
      "a hosts file that is not there",
      "hosts: { files: /nowhere/hosts }",
      "1:17 hosts.files: cannot read /nowhere/hosts: no such file",
    ],
    [
      "a list's file that is not there",
      "lists: { a: { domains: /nowhere/a } }",
      "1:24 lists.a.domains: cannot read /nowhere/a: no such file",
    ],
    [
      "a seed that is not there",
      "lists: { a: { domains: 'https://x.example/a', seed: /nowhere } }",
      "1:53 lists.a.seed: cannot read /nowhere: no such file",
    ],
    [
      "a password file that is not there",
      "routeros: { url: 'https://10.0.0.1', user: a, passwordFile: /nowhere }",
      "1:61 routeros.passwordFile: cannot read /nowhere: no such file",
    ],
    [
      "a fingerprint has 64 digits",
      "routeros: { url: 'https://10.0.0.1', user: a, passwordFile: /dev/null, fingerprint: 'AB:CD' }",
      "1:85 routeros.fingerprint: `AB:CD` is no SHA-256 fingerprint",
    ],
    [
      "a directory is no certificate",
      "tls: { cert: /, key: / }",
      "1:14 tls.cert: cannot read /: it is a directory",
      "1:22 tls.key: cannot read /: it is a directory",
    ],
    [
      "a .dat holds many lists",
      "lists: { a: { domains: 'https://x.example/geosite.dat' } }",
      "1:24 lists.a.domains: `https://x.example/geosite.dat` holds many lists: which one is meant?",
    ],
    [
      "a MaxMind database is not read",
      "lists: { a: { addresses: 'https://x.example/GeoLite2-Country.mmdb#cn' } }",
      "1:26 lists.a.addresses: `https://x.example/GeoLite2-Country.mmdb#cn` is a MaxMind database, which is not read",
    ],
    [
      "a list is of one kind",
      "lists: { a: { domains: 'https://x.example/a', addresses: 'https://x.example/b' } }",
      "1:58 lists.a.addresses: a list is of domains or of addresses, not of both",
    ],
    ["a list has a source", "lists: { a: { refresh: 1d } }", "1:10 lists.a: the list `a` has no source"],
  ]);
});

describe("listeners and hosts", () => {
  reports([
    [
      "the API beyond loopback needs a token",
      "listen: { admin: '0.0.0.0:9080' }",
      "1:18 listen.admin: the API listens beyond this host, and no token guards it",
    ],
    [
      "a token that is wrong is no second problem",
      "listen: { admin: '0.0.0.0:9080' }\nadmin: { token: short }",
      "2:17 admin.token: a token has 8 or more characters, printable ASCII without spaces",
    ],
    [
      "TLS needs a certificate",
      "listen: { tls: '0.0.0.0:853' }",
      "1:16 listen.tls: `listen.tls` needs a certificate, and there is no section `tls`",
    ],
    [
      "two listeners have two ports",
      "listen: { dns: '127.0.0.1:5053', http: '127.0.0.1:5053' }",
      "1:40 listen.http: two listeners on 127.0.0.1:5053: `listen.dns` has 127.0.0.1:5053 already",
    ],
    [
      "a wildcard takes the port of every address",
      "listen: { http: '0.0.0.0:9080' }",
      "1:9 listen.admin: two listeners on 127.0.0.1:9080: `listen.http` has 0.0.0.0:9080 already",
    ],
    [
      "an alias has no address (RFC 1034 §3.6.2)",
      "hosts: { records: { a.lan: { cname: b.lan, address: 10.0.0.1 } } }",
      '1:37 hosts.records["a.lan"].cname: a name has a `cname` or addresses, not both (RFC 1034 §3.6.2)',
    ],
    [
      "letter case does not tell hosts apart",
      "hosts: { records: { a.lan: 10.0.0.1, A.lan: 10.0.0.2 } }",
      '1:38 hosts.records["A.lan"]: `A.lan` is here already: letter case does not tell names apart',
    ],
  ]);
});

test("a bare name in `bootstrap` is not sent from one refused form to the next", () => {
  const result = parseConfig("bootstrap: [dns.alidns.com]", "fenliu.yaml");
  expect(result).toMatchObject({ problems: [{ fix: expect.stringContaining("in `bootstrap` write its address") }] });
});

describe("the hours of a rule", () => {
  const rule = (when: string) => `${GROUP}rules: [{ name: x, when: ${when}, upstream: a }]`;
  reports([
    ["that begin and never end", rule('{ from: "21:00" }'), "2:26 rules[0].when: `from` stands here without `to`"],
    ["that end and never begin", rule('{ to: "21:00" }'), "2:26 rules[0].when: `to` stands here without `from`"],
    ["that are none", rule("{ zone: UTC }"), "2:26 rules[0].when: no time is named here: the rule would always hold"],
    ["that end as they begin", rule('{ from: "7:00", to: "07:00" }'), "2:26 rules[0].when: `from` and `to` are the same time"],
    [
      "that begin when the day is over",
      rule('{ from: "24:00", to: "07:00" }'),
      "2:26 rules[0].when: hours cannot begin at 24:00",
    ],
    [
      "at a time that no clock shows",
      rule('{ from: "21:60", to: "07:00" }'),
      "2:34 rules[0].when.from: `21:60` is no time of day",
    ],
    ["on a day that no week has", rule("{ days: [mon, funday] }"), "2:40 rules[0].when.days[1]: `funday` is no day"],
    [
      "in a zone that nobody knows",
      rule("{ days: sun, zone: Asia/Atlantis }"),
      "2:45 rules[0].when.zone: there is no time zone `Asia/Atlantis`",
    ],
    [
      "in an offset, which follows no place's clock",
      rule('{ days: sun, zone: "+08:00" }'),
      "2:45 rules[0].when.zone: there is no time zone `+08:00`",
    ],
    [
      "and the moment of an expectation that no calendar has",
      `${GROUP}expect: [{ name: a.example, at: 2026-02-30T10:00, upstream: a }]`,
      "2:33 expect[0].at: `2026-02-30T10:00` is no moment",
    ],
  ]);

  test("are told with what to write instead", () => {
    const result = parseConfig(rule('{ from: "21:00" }'), "fenliu.yaml");
    expect(result.kind === "invalid" && result.problems[0]).toMatchObject({
      fix: 'add when the hours end, such as `to: "24:00"`',
    });
  });
});

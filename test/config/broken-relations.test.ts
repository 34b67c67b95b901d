import { describe } from "vitest";
import { GROUP, reports } from "./reports.ts";

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

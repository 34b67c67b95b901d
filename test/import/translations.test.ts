import { expect, test } from "vitest";
import type { Finding } from "../../src/import/model.ts";
import { CHINA_ADDRESSES, expectDecisions, runImport, sequence } from "./sources.ts";

/**
 * The translations that look right and are wrong, each with the smallest source that shows it: where its questions go, or that nothing is written, and what
 * the report says of it.
 */
interface Translation {
  readonly number: number;
  readonly what: string;
  readonly file: string;
  readonly source: string;
  readonly files?: Readonly<Record<string, string>>;
  readonly options?: readonly string[];
  /** Decisions as `decide` words them; null = nothing is written. */
  readonly decisions: Readonly<Record<string, string>> | null;
  readonly told?: readonly [Finding["kind"] | "error", string];
  readonly text?: string;
}

const LISTS = {
  "cn.txt": "shop.example\n",
  "gfw.txt": "search.example\n",
  "cn-ip.txt": CHINA_ADDRESSES,
  "banned.txt": "203.0.113.7\n",
};
const FIVE = `plugins:
  - { tag: cn, type: domain_set, args: { files: [cn.txt] } }
  - { tag: gfw, type: domain_set, args: { files: [gfw.txt] } }
  - { tag: home, type: ip_set, args: { files: [cn-ip.txt] } }
  - { tag: banned, type: ip_set, args: { files: [banned.txt] } }
  - { tag: near, type: forward, args: { upstreams: [{ addr: 223.5.5.5 }] } }
  - { tag: far, type: forward, args: { upstreams: [{ addr: "tls://8.8.8.8" }] } }
`;
const five = (steps: readonly string[], plugins = "") => ({
  file: "config.yaml",
  source: `${FIVE}${plugins}${sequence("main", steps.join("\n"))}  - { tag: udp, type: udp_server, args: { entry: main, listen: ":53" } }\n`,
  files: LISTS,
});
const four = (steps: readonly string[], plugins = "") => ({
  file: "config.yaml",
  source: `plugins:
  - { tag: near, type: fast_forward, args: { upstream: [{ addr: 223.5.5.5 }] } }
  - { tag: far, type: fast_forward, args: { upstream: [{ addr: "tls://8.8.8.8" }] } }
  - { tag: gfw, type: query_matcher, args: { domain: ["search.example"] } }
${plugins}${sequence("main", steps.join("\n"), true)}servers:\n  - { exec: main, listeners: [{ protocol: udp, addr: ":53" }] }\n`,
  files: LISTS,
});
const adguard = (dns: string, rest = "") => ({
  file: "AdGuardHome.yaml",
  source: `dns:\n  upstream_dns: [9.9.9.9${dns}\n  use_private_ptr_resolvers: true\n${rest}`,
});
const smartdns = (source: string, files: Readonly<Record<string, string>> = {}) => ({ file: "smartdns.conf", source, files });
const dnsmasq = (source: string) => ({ file: "dnsmasq.conf", source: `no-resolv\nserver=223.5.5.5\n${source}` });
const mihomo = (dns: string, rest = "") => ({
  file: "config.yaml",
  source: `dns:\n  ipv6: true\n  nameserver: [223.5.5.5]\n${dns}${rest}`,
});

const fallback = (first: string, second: string) =>
  `  - { tag: both, type: fallback, args: { primary: ${first}, secondary: ${second} } }\n`;

const TRANSLATIONS: readonly Translation[] = [
  {
    number: 1,
    what: "a return under a condition, in a called sequence",
    ...five(
      ["exec: $local", "{ matches: has_resp, exec: accept }", "exec: $far"],
      sequence("local", '{ matches: "!qname $cn", exec: return }\nexec: $near'),
    ),
    decisions: { "shop.example": "near", "x.example": "far" },
  },
  {
    number: 2,
    what: "what comes after an answer that is accepted",
    ...five(["exec: $near", "{ matches: resp_ip $home, exec: accept }", "exec: drop_resp", "exec: $far"]),
    decisions: { "x.example": "near|far" },
  },
  {
    number: 3,
    what: "the far side first",
    ...five(["exec: $far", "{ matches: resp_ip $home, exec: $near }"]),
    decisions: { "x.example": "near|far" },
    text: "first: far",
  },
  {
    number: 4,
    what: "a branch whose servers cannot be read",
    ...five(
      ["{ matches: qname $gfw, exec: $odd }", "{ matches: has_resp, exec: accept }", "exec: $near"],
      '  - { tag: odd, type: forward, args: { upstreams: [{ addr: "quic://8.8.8.8" }] } }\n',
    ),
    decisions: { "search.example": "refused", "x.example": "near" },
    told: ["blank", "none of the servers of `odd` can be asked"],
  },
  {
    number: 5,
    what: "a condition that is not known",
    ...five(["{ matches: [qname $gfw, random 0.5], exec: $far }", "{ matches: has_resp, exec: accept }", "exec: $near"]),
    decisions: { "search.example": "refused", "x.example": "near" },
    told: ["blank", "the condition `random 0.5`"],
  },
  {
    number: 6,
    what: "far, then near",
    ...five(["exec: $both"], fallback("far", "near")),
    decisions: { "x.example": "far-then-near" },
    told: ["risk", "foreign names are shown to domestic resolvers"],
  },
  {
    number: 7,
    what: "near, then far, unjudged",
    ...five(["exec: $both"], fallback("near", "far")),
    decisions: { "x.example": "near-then-far" },
    told: ["risk", "a quick answer of `near` wins whatever it holds"],
  },
  {
    number: 8,
    what: "a secondary that never ran",
    ...four(["{ primary: [far], secondary: [near] }"]),
    decisions: { "x.example": "far" },
    told: ["changed", "the secondary never runs in mosdns 4"],
  },
  {
    number: 9,
    what: "an accept in a called sequence",
    ...five(["exec: $inner", "exec: $far"], sequence("inner", "exec: $near\nexec: accept")),
    decisions: { "x.example": "far" },
    told: ["changed", "`near` was asked as well"],
  },
  {
    number: 10,
    what: "a return of version 4 in a called sequence",
    ...four(["inner", "far"], "  - { tag: inner, type: sequence, args: { exec: [{ if: gfw, exec: [near, _return] }] } }\n"),
    decisions: { "search.example": "far" },
  },
  {
    number: 11,
    what: "a server of a group that is also of the default group",
    ...smartdns("server 223.5.5.5 -group cn\nserver 8.8.8.8 -group far -exclude-default-group\nnameserver /search.example/far\n"),
    decisions: { "search.example": "far", "x.example": "default" },
    text: "default: { servers: [ 223.5.5.5 ] }",
  },
  {
    number: 12,
    what: "a group that is not there",
    ...smartdns("server 223.5.5.5\nnameserver /search.example/abroad\n"),
    decisions: null,
    told: ["leak", "there is no group `abroad`"],
  },
  {
    number: 13,
    what: "upstreams of a client",
    ...adguard(
      ', "[/search.example/]8.8.8.8"]',
      "clients: { persistent: [{ name: child, ids: [10.0.0.7], upstreams: [1.1.1.3] }] }\n",
    ),
    decisions: { "search.example": "search.example", "search.example @10.0.0.7": "child" },
  },
  {
    number: 14,
    what: "a bare name in a list of AdGuard",
    ...adguard("]", "user_rules: [ads.example]\n"),
    decisions: { "ads.example": "addresses", "www.ads.example": "upstream" },
  },
  {
    number: 15,
    what: "a bare name of hosts, and one of a set",
    ...five(
      [
        "exec: $names",
        "{ matches: has_resp, exec: accept }",
        "{ matches: qname shop.example, exec: $near }",
        "{ matches: has_resp, exec: accept }",
        "exec: $far",
      ],
      '  - { tag: names, type: hosts, args: { entries: ["nas.example 10.0.0.5"] } }\n',
    ),
    decisions: { "nas.example": "addresses", "x.nas.example": "far", "x.shop.example": "near" },
  },
  {
    number: 16,
    what: "what is below a name, and the name",
    ...adguard(', "[/*.apps.example/]192.168.1.1"]'),
    decisions: { "x.apps.example": "apps.example", "apps.example": "upstream" },
  },
  {
    number: 17,
    what: "other types of a host",
    ...dnsmasq("host-record=nas.example,10.0.0.5\n"),
    decisions: { "nas.example": "addresses", "nas.example MX": "domestic", "nas.example AAAA": "domestic" },
  },
  {
    number: 18,
    what: "addresses hold below the name too",
    ...dnsmasq("address=/box.example/10.0.0.5\n"),
    decisions: { "box.example": "addresses", "x.box.example": "addresses" },
  },
  {
    number: 19,
    what: "zeros block, and are no hosts",
    ...dnsmasq("address=/ads.example/0.0.0.0\n"),
    decisions: { "ads.example": "addresses", "ads.example MX": "nodata" },
    text: "answer: zero",
    told: ["changed", "a blocked name is closed for every type"],
  },
  {
    number: 20,
    what: "NXDOMAIN for a type",
    ...five(["{ matches: qtype 65, exec: reject 3 }", "exec: $near"]),
    decisions: { "x.example": "near", "x.example HTTPS": "nodata" },
    told: ["changed", "HTTPS: NODATA, not nxdomain"],
  },
  {
    number: 21,
    what: "an exception, and a line with a modifier",
    ...adguard("]", "user_rules: ['||ads.example^', '@@||good.ads.example^', '||tv.example^$ctag=tv']\n"),
    decisions: { "good.ads.example": "upstream", "ads.example": "addresses", "tv.example": "upstream" },
    told: ["changed", "`||tv.example^$ctag=tv`"],
  },
  {
    number: 22,
    what: "a rewritten name that is blocked",
    ...adguard("]", "filtering: { rewrites: [{ domain: nas.example, answer: 10.0.0.5 }] }\nuser_rules: ['||nas.example^']\n"),
    decisions: { "nas.example": "addresses", "x.nas.example": "addresses" },
    text: "nas.example: 10.0.0.5",
  },
  {
    number: 23,
    what: "lists that hold in their order",
    ...five([
      "{ matches: qname google.example, exec: $far }",
      "{ matches: has_resp, exec: accept }",
      "{ matches: qname mail.google.example, exec: $near }",
      "{ matches: has_resp, exec: accept }",
      "exec: $near",
    ]),
    decisions: { "mail.google.example": "far" },
  },
  {
    number: 24,
    what: "the longest name, whatever the order",
    ...dnsmasq("server=/google.example/8.8.8.8\nserver=/fonts.google.example/223.5.5.5\n"),
    decisions: { "google.example": "overseas", "fonts.google.example": "domestic" },
  },
  {
    number: 25,
    what: "attributes that are inherited one by one",
    ...smartdns(
      "server 223.5.5.5\nserver 8.8.8.8 -group far -e\ndomain-rules /google.example/ -n far -a #6\nnameserver /mail.google.example/-\n",
    ),
    decisions: { "mail.google.example": "default", "mail.google.example AAAA": "nodata", "google.example": "far" },
  },
  {
    number: 26,
    what: "fake addresses",
    ...mihomo("  listen: :1053\n  enhanced-mode: fake-ip\n  fake-ip-filter: ['+.lan.example']\n"),
    decisions: { "x.example": "mihomo", "a.lan.example": "nameserver" },
  },
  {
    number: 27,
    what: "a server behind a proxy",
    ...mihomo("  nameserver-policy: { '+.google.example': 'https://8.8.8.8/dns-query#node' }\n"),
    decisions: null,
    told: ["leak", "is asked through `node`"],
  },
  {
    number: 28,
    what: "the servers for the names of the proxies",
    ...mihomo("  proxy-server-nameserver: [119.29.29.29]\n", "proxies: [{ name: n, type: ss, server: node.example, port: 1 }]\n"),
    decisions: { "node.example": "proxy-server-nameserver", "x.example": "nameserver" },
    told: ["changed", "mihomo asked these servers for its own connections alone"],
  },
  {
    number: 29,
    what: "domestic and foreign servers side by side",
    file: "config.yaml",
    source: "dns:\n  ipv6: true\n  nameserver: [223.5.5.5, 8.8.8.8]\n",
    decisions: { "x.example": "nameserver" },
    told: ["risk", "holds domestic and foreign servers"],
  },
  {
    number: 30,
    what: "a fallback without a filter, which is that of the country",
    ...mihomo("  fallback: ['https://8.8.8.8/dns-query']\n"),
    decisions: null,
    told: ["leak", "the list `geoip-CN`"],
  },
  {
    number: 31,
    what: "addresses that are taken out of answers of some servers",
    ...smartdns(
      "server 223.5.5.5\nserver 8.8.8.8 -group far -e -blacklist-ip\nblacklist-ip 203.0.113.0/24\nnameserver /search.example/far\n",
    ),
    decisions: { "search.example": "far" },
    text: "far: { servers: [ 8.8.8.8 ], drop: [ 203.0.113.0/24 ] }",
  },
  {
    number: 32,
    what: "addresses in place of NXDOMAIN",
    ...dnsmasq("bogus-nxdomain=203.0.113.9\n"),
    decisions: { "x.example": "domestic" },
    text: "203.0.113.9",
    told: ["changed", "dnsmasq said that there is no such name"],
  },
  {
    number: 33,
    what: "names that only the router knows",
    ...five(["{ matches: qtype 12, exec: forward 192.168.1.1 }", "{ matches: has_resp, exec: accept }", "exec: $near"]),
    decisions: { "1.1.168.192.in-addr.arpa PTR": "192.168.1.1" },
    told: ["changed", "names of lan, local, home.arpa and internal"],
  },
  {
    number: 34,
    what: "an ECS handler that does nothing",
    ...five(["exec: $ecs", "exec: $far"], "  - { tag: ecs, type: ecs_handler, args: { forward: false, send: false } }\n"),
    decisions: { "x.example": "far" },
    text: "far: { servers: [ tls://8.8.8.8 ] }",
  },
  {
    number: 35,
    what: "a TTL before a question",
    ...five(["exec: ttl 5-180", "exec: $near"]),
    decisions: { "x.example": "near" },
    text: "- { name: others, upstream: near }",
  },
  {
    number: 36,
    what: "this very server",
    ...dnsmasq("server=/loop.example/127.0.0.1\n"),
    decisions: { "loop.example": "refused", "x.example": "domestic" },
    told: ["left", "the server `127.0.0.1` is dnsmasq itself"],
  },
  {
    number: 37,
    what: "a list that is missing",
    ...five(["{ matches: qname &absent.txt, exec: $far }", "{ matches: has_resp, exec: accept }", "exec: $near"]),
    decisions: null,
    told: ["leak", "no such file"],
  },
  {
    number: 38,
    what: "a list that is read by another format",
    ...five(["{ matches: qname &wild.txt, exec: $far }", "{ matches: has_resp, exec: accept }", "exec: $near"]),
    files: { ...LISTS, "wild.txt": "*.search.example\n" },
    decisions: null,
    told: ["leak", "`*.search.example` of the list `wild` means less there than here"],
  },
];

test("every wrong translation has a case", () => {
  expect(TRANSLATIONS.map(({ number }) => number)).toEqual(Array.from({ length: 38 }, (_, index) => index + 1));
});

test.each(TRANSLATIONS.map((each) => [each.number, each.what, each] as const))("%i: %s", async (_number, _what, each) => {
  const outcome = await runImport(each.file, { ...each.files, [each.file]: each.source }, ...(each.options ?? []));
  if (each.decisions === null) expect(outcome).toMatchObject({ code: 1, text: "" });
  else await expectDecisions(outcome, each.decisions);
  if (each.text !== undefined) expect(outcome.text).toContain(each.text);
  if (each.told !== undefined) {
    const [kind, what] = each.told;
    expect(kind === "error" ? outcome.error?.message : outcome.told(kind)).toContain(what);
  }
});

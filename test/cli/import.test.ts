import { describe, expect, test } from "vitest";
import { readBundle } from "../../src/import/easymosdns/bundle.ts";
import { Findings } from "../../src/import/easymosdns/findings.ts";
import { translate } from "../../src/import/easymosdns/translate.ts";
import { bundle, COMMON, decided, imported, LISTS } from "./easymosdns.ts";

describe("import easymosdns", () => {
  test("names are decided as the bundle decides them", async () => {
    const outcome = await imported({ ...LISTS, "config.yaml": COMMON });
    expect(outcome.code).toBe(0);
    const questions = {
      "www.shop.example": "domestic",
      "one.example": "domestic",
      "a-mainland-name.example": "domestic",
      "x.cdn.example AAAA": "domestic",
      "www.search.example": "overseas",
      "near.search.example": "domestic",
      "far.shop.example": "overseas",
      "www.ads.example": "nodata",
      "www.ads.example TXT": "nodata",
      "nas.lan": "addresses",
      "nas.lan HTTPS": "nodata",
      "deep.apps.lan": "addresses",
      "4.3.2.1.in-addr.arpa PTR": "domestic",
    };
    expect(await decided(outcome, Object.keys(questions))).toEqual(Object.values(questions));
    expect(["overseas", "domestic|overseas"]).toContain((await decided(outcome, ["unknown.example"]))[0]);
  });

  test("servers, listeners, cache and TTLs are carried over", async () => {
    const { config, text } = await imported({ ...LISTS, "config.yaml": COMMON });
    const groups = new Map(config.upstreams.groups.map((group) => [group.name, group]));
    expect(groups.get("domestic")?.servers.map(({ label }) => label)).toEqual([
      "192.0.2.1",
      "udp://192.0.2.2",
      "tls://192.0.2.3:853",
    ]);
    expect(groups.get("overseas")).toMatchObject({
      fallback: "remote",
      servers: [{ host: "doh.example", port: 8443, addresses: ["198.51.100.2"] }],
    });
    expect(groups.get("remote")).toMatchObject({ proxy: { host: "127.0.0.1", port: 1080 } });
    expect(config.upstreams.bootstrap.map(({ label }) => label)).toEqual(["192.0.2.53"]);
    expect(config.listen.dns).toEqual([
      { address: "0.0.0.0", port: 53 },
      { address: "::", port: 53 },
    ]);
    expect(config.listen).toMatchObject({ dohPath: "/ask", http: [{ address: "127.0.0.1", port: 9053 }], tls: [] });
    expect(config.cache.stale).toMatchObject({ keepMs: 7_200_000, ttlSeconds: 5 });
    expect(config.rules.find(({ name }) => name === "ecscn")?.modifiers.ttl).toEqual({ minSeconds: 300, maxSeconds: 7200 });
    expect(text).toContain("rules/china_domain_list.txt");
    expect(text).not.toContain("../");
  });

  test("the report says what is different and why, and what is missing, with its line", async () => {
    const { changed, left } = await imported({ ...LISTS, "config.yaml": COMMON });
    expect(changed).toContain("HTTPS is empty by `https`, and the name goes on existing: NXDOMAIN denies the whole name");
    expect(changed).toContain("`adlist` answers NODATA, not NXDOMAIN");
    expect(changed).toContain("`remote` is asked when every server of `overseas` has failed");
    expect(left).toMatch(/\d+: the server `quic:\/\/dot\.example`: `quic:\/\/` is no protocol for a server/);
    expect(left).toMatch(/\d+: `sets`: nothing here corresponds to a plugin of type `ipset`/);
    expect(left).toMatch(/\d+: the listener 0\.0\.0\.0:853: .*missing\.pem and .*missing\.key cannot be read/);
    expect(left).toContain("4: `keyword:printer`: the hosts table has names");
    expect(left).toContain("5: `10.0.0.8` is no domain name: here the name comes first");
    expect(left).toContain("6: `empty.lan` has no address");
  });

  test("a list that is missing takes its rule along, and never widens one", async () => {
    const { "rules/ad_domain_list.txt": _ads, "rules/china_domain_list.txt": _china, ...rest } = LISTS;
    const outcome = await imported({ ...rest, "config.yaml": COMMON });
    expect(outcome.left).toMatch(/2: the list `chinalist`: .* cannot be read/);
    expect(outcome.left).toMatch(/7: the list `adlist`: .* cannot be read/);
    expect(outcome.config.rules.map(({ name }) => name)).not.toContain("adlist");
    expect(await decided(outcome, ["x.cdn.example", "www.search.example"])).toEqual(["domestic", "overseas"]);
    expect(await decided(outcome, ["www.ads.example"])).not.toEqual(["nodata"]);
  });

  test("an NXDOMAIN for AAAA, a blackhole of zeros and one with an address", async () => {
    const { config, changed } = await imported({
      "config.yaml": `plugins:
  - { tag: six, type: query_matcher, args: { qtype: [28] } }
  - { tag: a, type: query_matcher, args: { domain: ["a.example"] } }
  - { tag: b, type: query_matcher, args: { domain: ["full:b.example"] } }
  - { tag: zero, type: blackhole, args: { ipv4: 0.0.0.0 } }
  - { tag: here, type: blackhole, args: { ipv4: 127.0.0.1 } }
  - { tag: up, type: forward, args: { upstream: [{ addr: 192.0.2.1 }] } }
  - tag: main
    type: sequence
    args: { exec: [{ if: six, exec: [_new_nxdomain_response, _return] }, { if: a, exec: [zero, _return] }, { if: b, exec: [here, _return] }, up] }
servers: [{ exec: main, listeners: [{ protocol: udp, addr: "127.0.0.1:5353" }] }]
`,
    });
    expect(
      config.rules.map(({ action, modifiers }) => [action?.kind === "answer" ? action.answer : action?.kind, modifiers.ipv6]),
    ).toEqual([
      [undefined, "nodata"],
      ["zero", undefined],
      ["nodata", undefined],
      ["upstream", undefined],
    ]);
    expect(changed).toContain("NODATA, not a made-up address");
  });

  test("version 5: sets, quick actions and servers as plugins", async () => {
    const outcome = await imported({
      ...LISTS,
      "config.yaml": `plugins:
  - { tag: china, type: domain_set, args: { files: [rules/china_domain_list.txt], exps: ["full:extra.example"] } }
  - { tag: gfw, type: domain_set, args: { files: [rules/gfw_domain_list.txt] } }
  - { tag: home, type: ip_set, args: { files: [rules/china_ip_list.txt] } }
  - { tag: names, type: hosts, args: { files: [hosts.txt], entries: ["inline.lan 10.0.0.9"] } }
  - { tag: near, type: forward, args: { concurrent: 2, upstreams: [{ addr: 192.0.2.1 }, { addr: 192.0.2.2 }] } }
  - { tag: away, type: forward, args: { upstreams: [{ addr: "tls://198.51.100.1" }, { addr: "tls://198.51.100.2" }] } }
  - tag: main
    type: sequence
    args:
      - exec: $names
      - { matches: has_resp, exec: accept }
      - { matches: qtype 65, exec: reject 3 }
      - { matches: [qname $china, "!qname keyword:special"], exec: $near }
      - { matches: qname $gfw, exec: $away }
      - { matches: random 0.5, exec: accept }
      - exec: $near
      - { matches: resp_ip $home, exec: accept }
      - exec: $away
  - { tag: udp, type: udp_server, args: { entry: main, listen: ":5353" } }
`,
    });
    expect(await decided(outcome, ["www.shop.example", "extra.example", "www.search.example", "inline.lan", "nas.lan"])).toEqual([
      "domestic",
      "domestic",
      "overseas",
      "addresses",
      "addresses",
    ]);
    expect(await decided(outcome, ["special.shop.example"])).not.toEqual(["domestic"]);
    expect(outcome.left).toContain("a condition that no rule can have: the condition `random 0.5`");
    const { groups } = outcome.config.upstreams;
    expect(groups.map(({ name, strategy }) => [name, strategy])).toEqual([
      ["domestic", "race"],
      ["overseas", "spread"],
    ]);
    expect(outcome.config.listen.dns).toHaveLength(2);
  });

  test.each([
    { compare: true, rule: { compare: { near: "domestic", far: "overseas", keepNearIf: "list:china_ip" } } },
    { compare: false, rule: { upstream: "overseas" } },
  ])("names that no list knows, where comparing is $compare", ({ compare, rule }) => {
    const where = bundle({
      ...LISTS,
      "config.yaml": `plugins:
  - { tag: local_ip, type: response_matcher, args: { ip: ["ext:rules/china_ip_list.txt"] } }
  - { tag: ali, type: fast_forward, args: { upstream: [{ addr: 192.0.2.1 }] } }
  - { tag: google, type: fast_forward, args: { upstream: [{ addr: 198.51.100.1 }] } }
  - { tag: auto, type: ecs, args: { auto: true } }
  - tag: main
    type: sequence
    args:
      exec:
        - primary: [auto, ali, { if: "(! local_ip) && [_response_valid_answer]", exec: [_drop_response] }]
          secondary: [_prefer_ipv4, google]
          fast_fallback: 150
servers: [{ exec: main }]
`,
    });
    const able = { compare, ecs: compare, preferFamily: compare };
    const surroundings = { capabilities: able, relative: (path: string) => path };
    const { draft, findings } = translate(readBundle(where, new Findings()), () => new Findings(), surroundings);
    const prefers = compare ? { ipv6: "prefer-ipv4" } : {};
    expect(draft.rules).toEqual([{ name: "others", ...prefers, ...rule }]);
    const left = findings.all.filter(({ kind }) => kind === "left").map(({ what }) => what);
    expect(left.includes("preferring one family of addresses: not there yet")).toBe(!compare);
    expect(left).toContain("ecs for answers of `ali` alone");
  });

  test("sequences that call each other end", async () => {
    const { left } = await imported({
      "config.yaml": `plugins:
  - { tag: a, type: sequence, args: { exec: [b] } }
  - { tag: b, type: sequence, args: { exec: [a, up] } }
  - { tag: up, type: forward, args: { upstream: [{ addr: 192.0.2.1 }] } }
servers: [{ exec: a }]
`,
    });
    expect(left).toContain("too deeply nested");
  });
});

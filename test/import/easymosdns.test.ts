import { writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { run } from "../../src/cli/run.ts";
import { testTerminal } from "../cli/terminal.ts";
import { runs } from "../support/properties.ts";
import { CHINA_ADDRESSES, expectDecisions, folder, runImport, sequence } from "./sources.ts";

const LISTS = {
  "rules/china_domain_list.txt": "shop.example\nfull:one.example\nkeyword:mainland\n",
  "rules/gfw_domain_list.txt": "search.example\n",
  "rules/cdn_domain_list.txt": "cdn.example\n",
  "rules/ad_domain_list.txt": "ads.example\n",
  "rules/china_ip_list.txt": CHINA_ADDRESSES,
  "rules/gfw_ip_list.txt": "203.0.113.7\n",
  "ecs_cn_domain.txt": "full:near.search.example\n",
  "ecs_noncn_domain.txt": "full:far.shop.example\n",
  "hosts.txt":
    "# names of the house\nnas.lan 10.0.0.5 fd00::5\ndomain:apps.lan 10.0.0.6\nkeyword:printer 10.0.0.7\n10.0.0.8 tv.lan\nempty.lan\n",
};

const COMMON = `data_providers:
  - { tag: chinalist, file: ./rules/china_domain_list.txt, auto_reload: true }
  - { tag: gfwlist, file: ./rules/gfw_domain_list.txt }
  - { tag: cdncn, file: ./rules/cdn_domain_list.txt }
  - { tag: chinaip, file: ./rules/china_ip_list.txt }
  - { tag: gfwip, file: ./rules/gfw_ip_list.txt }
  - { tag: adlist, file: ./rules/ad_domain_list.txt }
  - { tag: ecscn, file: ./ecs_cn_domain.txt }
  - { tag: ecsnoncn, file: ./ecs_noncn_domain.txt }
  - { tag: hosts, file: ./hosts.txt }
plugins:
  - { tag: cache, type: cache, args: { size: 1024, lazy_cache_ttl: 7200, lazy_cache_reply_ttl: 5 } }
  - { tag: hosts, type: hosts, args: { hosts: ["provider:hosts"] } }
  - { tag: ttl_5m, type: ttl, args: { minimal_ttl: 300, maximum_ttl: 7200 } }
  - { tag: is_https, type: query_matcher, args: { qtype: [65] } }
  - { tag: is_ptr, type: query_matcher, args: { qtype: [12] } }
  - { tag: in_china, type: query_matcher, args: { domain: ["provider:chinalist"] } }
  - { tag: in_cdn, type: query_matcher, args: { domain: ["provider:cdncn"] } }
  - { tag: in_gfw, type: query_matcher, args: { domain: ["provider:gfwlist"] } }
  - { tag: in_ads, type: query_matcher, args: { domain: ["provider:adlist"] } }
  - { tag: near, type: query_matcher, args: { domain: ["provider:ecscn"] } }
  - { tag: far, type: query_matcher, args: { domain: ["provider:ecsnoncn"] } }
  - { tag: local_ip, type: response_matcher, args: { ip: ["provider:chinaip"] } }
  - { tag: gfw_ip, type: response_matcher, args: { ip: ["provider:gfwip"] } }
  - { tag: forward_local, type: fast_forward, args: { upstream: [{ addr: "223.5.5.5" }, { addr: "udpme://192.0.2.2" }, { addr: "tls://192.0.2.3:853", enable_pipeline: true }] } }
  - { tag: forward_remote, type: fast_forward, args: { upstream: [{ addr: "tcp://198.51.100.1:5353", socks5: "127.0.0.1:1080" }] } }
  - { tag: forward_public, type: forward, args: { upstream: [{ addr: "https://doh.example/dns-query", dial_addr: "198.51.100.2:8443" }, { addr: "quic://dot.example" }], bootstrap: ["192.0.2.53"] } }
  - { tag: sets, type: ipset, args: { set_name4: world } }
  - tag: main
    type: sequence
    args:
      exec:
        - hosts
        - if: "[is_https]"
          exec: [_new_nxdomain_response, _return]
        - if: is_ptr
          exec: [forward_local, ttl_5m, _return]
        - cache
        - if: near
          exec: [forward_local, ttl_5m, _return]
        - if: far
          exec: [{ primary: [forward_public], secondary: [forward_remote], fast_fallback: 2500 }, ttl_5m, _return]
        - if: in_ads
          exec: [_new_nxdomain_response, _return]
        - if: "(in_china) || (in_cdn)"
          exec: [forward_local, _return]
        - if: in_gfw
          exec: [{ primary: [forward_public], secondary: [forward_remote] }, _return]
        - primary: [forward_public]
          secondary:
            - forward_local
            - if: "(! local_ip) && [_response_valid_answer] || (gfw_ip)"
              exec: [forward_remote]
        - ttl_5m
        - sets
servers:
  - exec: main
    listeners:
      - { protocol: udp, addr: ":53" }
      - { protocol: tcp, addr: ":53" }
      - { protocol: http, addr: "127.0.0.1:9053", url_path: "/ask" }
      - { protocol: tls, addr: "0.0.0.0:853", cert: missing.pem, key: missing.key }
`;

const bundle = { ...LISTS, "config.yaml": COMMON };

/** Version 4: a main sequence of these steps, with the plugins of the bundle. */
function four(steps: string, plugins = "") {
  const [head = ""] = COMMON.split("  - tag: main\n");
  const text = `${head}${plugins}${sequence("main", steps, true)}servers: [{ exec: main, listeners: [{ protocol: udp, addr: "127.0.0.1:5353" }] }]\n`;
  return runImport(".", { ...LISTS, "config.yaml": text });
}

describe("a bundle of easymosdns", () => {
  test("names are decided as the bundle decides them", async () => {
    const outcome = await runImport(".", bundle);
    expect(outcome.code).toBe(0);
    await expectDecisions(outcome, {
      "www.shop.example": "local",
      "one.example": "local",
      "a-mainland-name.example": "local",
      "x.cdn.example AAAA": "local",
      "www.search.example": "public",
      "near.search.example": "local",
      "far.shop.example": "public-then-remote",
      "www.ads.example": "nodata",
      "nas.lan": "addresses",
      "deep.apps.lan": "addresses",
      "x.example HTTPS": "nodata",
      "4.3.2.1.in-addr.arpa PTR": "local",
      "unknown.example": "public",
    });
  });

  test("servers, listeners, cache and TTLs are carried over", async () => {
    const { config, text } = await runImport(".", bundle);
    const groups = new Map(config?.upstreams.groups.map((group) => [group.name, group]));
    expect(groups.get("local")?.servers.map(({ label }) => label)).toEqual([
      "223.5.5.5",
      "udp://192.0.2.2",
      "tls://192.0.2.3:853",
    ]);
    expect(groups.get("public-then-remote")).toMatchObject({
      fallback: "remote",
      servers: [{ host: "doh.example", port: 8443, addresses: ["198.51.100.2"] }],
    });
    expect(groups.get("remote")).toMatchObject({ proxy: { host: "127.0.0.1", port: 1080 } });
    expect(config?.upstreams.bootstrap.map(({ label }) => label)).toEqual(["192.0.2.53"]);
    expect(config?.listen.dns).toEqual([
      { address: "0.0.0.0", port: 53 },
      { address: "::", port: 53 },
    ]);
    expect(config?.listen).toMatchObject({ dohPath: "/ask", http: [{ address: "127.0.0.1", port: 9053 }], tls: [] });
    expect(config?.cache.stale).toMatchObject({ keepMs: 7_200_000, ttlSeconds: 5 });
    expect(config?.rules.find(({ name }) => name === "ecscn")?.modifiers.ttl).toEqual({ minSeconds: 300, maxSeconds: 7200 });
    expect(text).toContain("rules/china_domain_list.txt#plain");
  });

  test("the report says what is different and why, and what is missing, with its line", async () => {
    const { told } = await runImport(".", bundle);
    expect(told("changed")).toContain("NODATA, not nxdomain, which would speak for the whole name");
    expect(told("carried")).toContain("`forward_remote` is asked when every server of `forward_public` has failed");
    expect(told("changed")).toContain("without `fast_fallback` the secondary never runs in mosdns 4");
    expect(told("left")).toMatch(/\d+: the server `quic:\/\/dot\.example`: `quic:\/\/` is no protocol for a server/);
    expect(told("left")).toMatch(/\d+: `sets` \(ipset\): nothing here corresponds to it/);
    expect(told("left")).toMatch(/\d+: the listener 0\.0\.0\.0:853: .*missing\.pem and .*missing\.key cannot be read/);
    expect(told("blank")).toContain("4: `keyword:printer`: the hosts table has names");
    expect(told("blank")).toContain("5: `10.0.0.8`");
    expect(told("blank")).toContain("6: `empty.lan` has no address");
  });

  test("only the primary is asked if the secondary never runs (8)", async () => {
    const outcome = await four("{ primary: [forward_public], secondary: [forward_local] }");
    expect(outcome.config?.upstreams.groups).toMatchObject([{ name: "public", fallback: null }]);
  });

  test("a return ends only the called sequence (10)", async () => {
    const inner =
      "  - { tag: inner, type: sequence, args: { exec: [{ if: in_gfw, exec: [forward_public, _return] }, forward_local] } }\n";
    const outcome = await four("inner\n{ if: in_gfw, exec: [forward_remote] }", inner);
    await expectDecisions(outcome, { "search.example": "remote", "x.example": "local" });
  });

  test("the steps after an `if` without a return run for its names too", async () => {
    const outcome = await four("{ if: in_gfw, exec: [forward_public] }\nforward_local");
    await expectDecisions(outcome, { "search.example": "local" });
    expect(outcome.told("changed")).toContain("`forward_public` was asked as well");
  });

  test("the answer of the near group is sent if its address is near, with ECS set before it (I1)", async () => {
    const auto = "  - { tag: auto, type: ecs, args: { auto: true } }\n";
    const outcome = await four(
      '{ primary: [auto, forward_local, { if: "(! local_ip) && [_response_valid_answer] || (gfw_ip)", exec: [_drop_response] }], secondary: [_prefer_ipv4, forward_public], fast_fallback: 150 }',
      auto,
    );
    expect(outcome.config?.rules.at(-1)?.action).toMatchObject({
      compare: { near: "local", far: "public", keepNearIf: "chinaip", withinMs: 150 },
    });
    expect(outcome.config?.poison).toEqual(["list:gfwip"]);
    expect(outcome.config?.upstreams.groups.map(({ name, ecs }) => [name, ecs])).toContainEqual(["local", "client"]);
  });

  test("the far group is asked first, and the near group if the address says so (3)", async () => {
    const outcome = await four(
      "{ primary: [forward_public, { if: local_ip, exec: [forward_local] }], secondary: [forward_remote], fast_fallback: 150 }",
    );
    await expectDecisions(outcome, { "x.example": "local|public-then-remote" });
    expect(outcome.config?.rules.at(-1)?.action).toMatchObject({ compare: { near: "local", first: "far" } });
    expect(outcome.config?.upstreams.groups).toContainEqual(
      expect.objectContaining({ name: "public-then-remote", fallback: "remote", fallbackAfterMs: 150 }),
    );
  });

  test("an NXDOMAIN for AAAA, a blackhole of zeros and one with an address", async () => {
    const plugins = `  - { tag: six, type: query_matcher, args: { qtype: [28] } }
  - { tag: a, type: query_matcher, args: { domain: ["a.example"] } }
  - { tag: b, type: query_matcher, args: { domain: ["full:b.example"] } }
  - { tag: zero, type: blackhole, args: { ipv4: 0.0.0.0 } }
  - { tag: here, type: blackhole, args: { ipv4: 127.0.0.1 } }
`;
    const outcome = await four(
      "{ if: six, exec: [_new_nxdomain_response, _return] }\n{ if: a, exec: [zero, _return] }\n{ if: b, exec: [here, _return] }\nforward_local",
      plugins,
    );
    await expectDecisions(outcome, {
      "x.example AAAA": "nodata",
      "www.a.example": "addresses",
      "b.example": "nodata",
      "www.b.example": "local",
    });
    expect(outcome.told("changed")).toContain("the made-up address 127.0.0.1 becomes NODATA");
  });

  test("sequences that call each other end", async () => {
    const outcome = await four(
      "a",
      "  - { tag: a, type: sequence, args: { exec: [b] } }\n  - { tag: b, type: sequence, args: { exec: [a, forward_local] } }\n",
    );
    expect(outcome.error?.message).toContain("in a circle");
  });
});

test("no bundle makes the import throw, and every written configuration is valid", async () => {
  const words = COMMON.match(/[\w./:-]+/g) ?? [];
  const where = folder(LISTS);
  const value = fc.letrec((tie) => ({
    any: fc.oneof({ maxDepth: 4 }, fc.constantFrom(...words), fc.string(), fc.integer(), tie("list"), tie("map")),
    list: fc.array(tie("any"), { maxLength: 5 }),
    map: fc.dictionary(fc.constantFrom(...words), tie("any"), { maxKeys: 5 }),
  })).any;
  const plugin = fc.record({
    tag: fc.constantFrom("main", "a", "b"),
    type: fc.constantFrom("sequence", "forward", "query_matcher", "cache", "ttl", "ecs", "hosts"),
    args: value,
  });
  const file = fc.record({
    plugins: fc.array(plugin, { maxLength: 6 }),
    servers: fc.constant([{ exec: "main" }]),
    data_providers: value,
    include: fc.constant([]),
  });
  const cut = fc.tuple(fc.nat(COMMON.length), fc.nat(40)).map(([at, length]) => COMMON.slice(0, at) + COMMON.slice(at + length));
  await fc.assert(
    fc.asyncProperty(
      fc.oneof(
        file.map((each) => JSON.stringify(each)),
        cut,
      ),
      async (text) => {
        writeFileSync(join(where, "config.yaml"), text);
        const terminal = testTerminal(where);
        const code = await run(["import", "easymosdns", "."], terminal);
        expect([0, 1]).toContain(code);
        expect(terminal.written.err).not.toMatch(/is no valid configuration|does not decide as it should/);
      },
    ),
    { numRuns: runs(150) },
  );
});

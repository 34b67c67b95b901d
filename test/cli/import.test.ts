import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { readBundle } from "../../src/cli/import/bundle.ts";
import { Findings } from "../../src/cli/import/findings.ts";
import { translate } from "../../src/cli/import/translate.ts";
import { run } from "../../src/cli/run.ts";
import { parseConfig } from "../../src/config/load.ts";
import { openDecisions } from "../../src/decisions.ts";
import { nameFromText } from "../../src/dns/name.ts";
import { CLASS, typeNumber } from "../../src/dns/types.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { directory } from "../files.ts";
import { testTerminal } from "./terminal.ts";

/** A folder with these files. */
function bundle(files: Readonly<Record<string, string>>): string {
  const where = directory();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(where, name)), { recursive: true });
    writeFileSync(join(where, name), text);
  }
  return where;
}

interface Told {
  readonly kind: string;
  readonly file: string;
  readonly line: number;
  readonly what: string;
}

/** Imports `files`; the new file lies beside them. */
async function imported(files: Readonly<Record<string, string>>) {
  const where = bundle(files);
  const terminal = testTerminal(where);
  const code = await run(["import", "easymosdns", ".", "-o", "fenliu.yaml", "--json"], terminal);
  const said: unknown = JSON.parse(terminal.written.out);
  const findings: readonly Told[] = isResult(said) ? said.findings : [];
  const path = join(where, "fenliu.yaml");
  const text = existsSync(path) ? readFileSync(path, "utf8") : "";
  const result = parseConfig(text, path);
  if (result.kind === "invalid") throw new Error(JSON.stringify(result.problems));
  const told = (kind: string) => findings.filter((finding) => finding.kind === kind).map(({ line, what }) => `${line}: ${what}`);
  return {
    code,
    where,
    text,
    config: result.config,
    changed: told("changed").join("\n"),
    left: told("left").join("\n"),
    out: terminal.written.out,
  };
}

function isResult(said: unknown): said is { readonly findings: readonly Told[] } {
  return typeof said === "object" && said !== null && "findings" in said;
}

type Outcome = Awaited<ReturnType<typeof imported>>;

/** What the new file decides, in one word each. */
async function decided({ config }: Outcome, questions: readonly string[]): Promise<string[]> {
  const log = operationsLog("silent", () => undefined, false);
  const { decider } = await openDecisions(config, { copies: { read: async () => null }, log });
  return questions.map((question) => {
    const [text = "", type = "A"] = question.split(" ");
    const name = nameFromText(text);
    if (name === null) throw new Error(text);
    const decision = decider.decide(
      { name, type: typeNumber(type) ?? 0, class: CLASS.IN },
      { address: "10.0.0.9", clientId: null },
    );
    if (decision.kind === "forward") return decision.group;
    if (decision.kind === "reply") return decision.answer.kind;
    return decision.kind === "compare" ? `${decision.compare.near}|${decision.compare.far}` : decision.kind;
  });
}

const LISTS = {
  "rules/china_domain_list.txt": "shop.example\nfull:one.example\nkeyword:mainland\n",
  "rules/gfw_domain_list.txt": "search.example\n",
  "rules/cdn_domain_list.txt": "cdn.example\n",
  "rules/ad_domain_list.txt": "ads.example\n",
  "rules/china_ip_list.txt": "192.0.2.0/24\n",
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
  - { tag: forward_local, type: fast_forward, args: { upstream: [{ addr: "192.0.2.1" }, { addr: "udpme://192.0.2.2" }, { addr: "tls://192.0.2.3:853", enable_pipeline: true }] } }
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

describe("what keeps an import from being made", () => {
  async function ran(argv: readonly string[], files: Readonly<Record<string, string>> = {}) {
    const where = bundle(files);
    const terminal = testTerminal(where);
    return { code: await run(["import", ...argv], terminal), where, ...terminal.written };
  }

  test.each([[[]], [["easymosdns"]], [["pihole", "."]], [["easymosdns", ".", "more"]]])("%j is a usage error", async (argv) => {
    expect(await ran(argv)).toMatchObject({ code: 2, out: "", err: expect.stringContaining("import takes easymosdns DIR") });
  });

  test("a folder that is missing, or has no configuration", async () => {
    expect(await ran(["easymosdns", "nowhere"])).toMatchObject({
      code: 1,
      err: expect.stringMatching(/nowhere:1: cannot read the directory: no such file/),
    });
    expect(await ran(["easymosdns", "."])).toMatchObject({ code: 1, err: expect.stringContaining("there is no config.yaml") });
    const file = await ran(["easymosdns", "config.yaml"], { "config.yaml": "" });
    expect(file).toMatchObject({ code: 1, err: expect.stringContaining("it is not a directory") });
  });

  test("broken YAML: file and line", async () => {
    const { code, out, err, where } = await ran(["easymosdns", "."], { "config.yaml": "plugins:\n  - tag: [a\nservers: {\n" });
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/config\.yaml:[234]: this is no YAML/);
    expect(err).toContain(join(where, "config.yaml"));
  });

  test("a bundle that asks nobody", async () => {
    const files = { "config.yaml": "plugins: [{ tag: main, type: sequence, args: { exec: [_return] } }]\n" };
    expect(await ran(["easymosdns", "."], files)).toMatchObject({
      code: 1,
      err: expect.stringContaining("`main` asks no server"),
    });
  });

  test("a file that is there is overwritten with --force alone", async () => {
    const where = bundle({ ...LISTS, "config.yaml": COMMON, "fenliu.yaml": "mine" });
    const argv = ["import", "easymosdns", ".", "-o", "fenliu.yaml"];
    const terminal = testTerminal(where);
    expect(await run(argv, terminal)).toBe(1);
    expect(terminal.written.err).toContain("is there already; --force overwrites it");
    expect(readFileSync(join(where, "fenliu.yaml"), "utf8")).toBe("mine");
    expect(await run([...argv, "--force"], terminal)).toBe(0);
    expect(readFileSync(join(where, "fenliu.yaml"), "utf8")).toContain("upstreams:");
  });

  test("without -o the file goes to stdout and the report to stderr", async () => {
    const { code, out, err } = await ran(["easymosdns", "."], { ...LISTS, "config.yaml": COMMON });
    expect(code).toBe(0);
    expect(parseConfig(out, null).kind).toBe("invalid");
    expect(out).toContain("name: others");
    expect(err).toContain("Not carried over: \n");
  });

  test("no bundle, however odd, makes it throw, and what it makes is valid", async () => {
    const words = COMMON.match(/[\w./:-]+/g) ?? [];
    const where = bundle(LISTS);
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
    const cut = fc
      .tuple(fc.nat(COMMON.length), fc.nat(40))
      .map(([at, length]) => COMMON.slice(0, at) + COMMON.slice(at + length));
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
          expect(terminal.written.err).not.toContain("is no valid configuration");
        },
      ),
      { numRuns: 150 },
    );
  });
});

import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { run } from "../../src/cli/run.ts";
import { parseConfig } from "../../src/config/load.ts";
import { nameFromText } from "../../src/dns/name.ts";
import { CLASS, typeNumber } from "../../src/dns/types.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { openPolicy } from "../../src/server/policy.ts";
import { directory } from "../support/files.ts";
import { testTerminal } from "./terminal.ts";

/** A folder with these files. */
export function bundle(files: Readonly<Record<string, string>>): string {
  const where = directory();
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(where, name)), { recursive: true });
    writeFileSync(join(where, name), text);
  }
  return where;
}

export interface Told {
  readonly kind: string;
  readonly file: string;
  readonly line: number;
  readonly what: string;
}

/** Imports `files`; the new file lies beside them. */
export async function imported(files: Readonly<Record<string, string>>) {
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

export function isResult(said: unknown): said is { readonly findings: readonly Told[] } {
  return typeof said === "object" && said !== null && "findings" in said;
}

export type Outcome = Awaited<ReturnType<typeof imported>>;

/** What the new file decides, in one word each. */
export async function decided({ config }: Outcome, questions: readonly string[]): Promise<string[]> {
  const log = operationsLog("silent", () => undefined, false);
  const { decider } = await openPolicy(config, log, { read: async () => null });
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

export const LISTS = {
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

export const COMMON = `data_providers:
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

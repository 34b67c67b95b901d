import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { parse, stringify } from "yaml";
import { parseConfig } from "../../src/config/load.ts";
import { AddressSet, addressFromText } from "../../src/dns/address.ts";
import { nameFromText } from "../../src/dns/name.ts";
import { importConfig } from "../../src/import/import.ts";
import { addresses } from "../upstreams/messages.ts";
import { type Asked, scriptedServer } from "../upstreams/scripted-server.ts";
import { dig, soleData } from "./clients.ts";
import { type FenliuProcess, QUIET, startFenliu } from "./fenliu.ts";
import { type Block, readDae } from "./foreign-syntax.ts";
import { projectRoot, run } from "./processes.ts";
import { adapted, blockAfter, blocksAfter, typeOnOpenWrt } from "./recipes.ts";
import { Scene } from "./scene.ts";

const scene = new Scene();

afterAll(() => scene.close());

/** What Fenliu would be in place of a mihomo with this configuration, as `fenliu import` has it. */
function imported(name: string, yaml: string) {
  const file = join(scene.subfolder(name), "config.yaml");
  writeFileSync(file, yaml);
  const { yaml: written, findings } = importConfig(file, "mihomo", { proxy: null, relative: (path) => path, dataFolder: null });
  return { groups: groupsOf(written), findings };
}

function groupsOf(yaml: string) {
  const parsed = parseConfig(yaml, null);
  if (parsed.kind === "invalid") throw new Error(JSON.stringify(parsed.problems));
  return parsed.config.upstreams.groups.map(({ name, servers, volatile, asksFrom }) => ({
    ...{ name, volatile, asksFrom: asksFrom.map((network) => network.replace(/\/32$/, "")) },
    servers: servers.map(({ label }) => label.replace(/^udp:\/\//, "")),
  }));
}

/** Keys of sections `dns` and `sniffer` that mihomo's manual has, as far as recipes may use them. */
const MIHOMO = {
  dns: [
    "enable",
    "listen",
    "ipv6",
    "enhanced-mode",
    "nameserver",
    "proxy-server-nameserver",
    "fake-ip-range",
    "fake-ip-filter-mode",
    "fake-ip-filter",
  ],
  sniffer: ["enable", "sniff"],
};

describe("mihomo", () => {
  test.each(["**mihomo** with real", "**mihomo** with fake"])("%s addresses: only keys and modes that it has", (beginning) => {
    const { dns, sniffer, ...rest } = parse(blockAfter(beginning));
    expect(rest).toEqual({});
    expect(Object.keys(dns).filter((key) => !MIHOMO.dns.includes(key))).toEqual([]);
    expect(Object.keys(sniffer ?? {}).filter((key) => !MIHOMO.sniffer.includes(key))).toEqual([]);
    expect(["redir-host", "fake-ip"]).toContain(dns["enhanced-mode"]);
    expect(Object.keys(sniffer?.sniff ?? {}).filter((key) => !["TLS", "HTTP", "QUIC"].includes(key))).toEqual([]);
  });

  test("with real addresses asks Fenliu alone and leaves nothing out, as our own reader of its files understands it", () => {
    const { groups, findings } = imported("real", blockAfter("**mihomo** with real"));
    expect(groups).toMatchObject([{ servers: ["192.168.88.2:53"] }]);
    expect(findings.filter(({ kind }) => kind !== "carried").map(({ what }) => what)).toEqual([
      expect.stringContaining("names of /etc/hosts on its machine"),
      expect.stringContaining("names of one label (nas) are answered here"),
    ]);
  });

  test("with fake addresses is asked as Fenliu's part of the recipe has it: what our reader makes of mihomo's part", () => {
    const [theirs = "", ours = ""] = blocksAfter("**mihomo** with fake addresses");
    const own = groupsOf(ours.replace(/^lists:[\s\S]*/m, "rules: [{ name: all, upstream: domestic }]\n"));
    const { groups, findings } = imported("fake", theirs);
    const fake = (all: ReturnType<typeof groupsOf>) => all.find(({ name }) => name === "mihomo");
    // Whether mihomo asks this very machine, its owner alone knows.
    expect({ ...fake(groups), asksFrom: ["127.0.0.1"] }).toEqual(fake(own));
    expect(fake(own)).toMatchObject({ volatile: true });
    expect(parse(theirs).dns["fake-ip-filter-mode"]).toBe("whitelist");
    // The list itself is not there.
    expect(findings.filter(({ kind }) => kind === "leak").map(({ what }) => what)).toEqual([
      expect.stringContaining("geolocation-!cn"),
    ]);
  });

  test("is given the names of the whitelist", async () => {
    const fakes: string[] = [];
    const mihomo = await scriptedServer("dns", (question: Asked) => {
      fakes.push(question.name);
      return addresses(question, "198.18.0.5");
    });
    scene.defer(() => mihomo.close());
    const [, yaml = ""] = blocksAfter("**mihomo** with fake addresses");
    const own = adapted(yaml, {
      "127.0.0.1:1053": `127.0.0.1:${mihomo.port}`,
      "asksFrom: [127.0.0.1]": "asksFrom: [127.0.0.9]",
      "rules/": `${projectRoot}/rules/`,
    });
    const folder = scene.subfolder("house");
    const house = await scene.add(startFenliu(folder, `listen: { dns: ["127.0.0.1:0"], http: [], admin: null }\n${own}${QUIET}`));
    expect(soleData(await dig(house.ports.dns, "www.google.com"))).toBe("198.18.0.5");
    expect(fakes).toEqual(["www.google.com"]);
    expect(await dig(house.ports.dns, "www.google.com HTTPS")).toMatchObject({ status: "NOERROR", answers: [] });
  });
});

/** Options that OpenClash reads of `config` and of each section `dns_servers`. */
const OPENCLASH = { config: ["enable_custom_dns", "append_wan_dns"], server: ["enabled", "group", "type", "ip", "port"] };

test("OpenClash has mihomo ask Fenliu alone, by options that it reads", async () => {
  const { lines, said } = await typeOnOpenWrt(blockAfter("**OpenClash**"));
  expect(said).toEqual(["service openclash restart"]);
  const optionsOf = (wanted: string) =>
    Object.fromEntries(
      lines.filter(([verb, section]) => verb === "set" && section === wanted).map(([, , option, value]) => [option, value]),
    );
  const [config, server] = [optionsOf("openclash.config"), optionsOf("openclash.@dns_servers[-1]")];
  expect(Object.keys(config)).toEqual(OPENCLASH.config);
  expect(Object.keys(server)).toEqual(OPENCLASH.server);
  expect(lines.filter(([verb]) => verb === "add")).toEqual([["add", "openclash dns_servers", "", ""]]);
  expect(config).toEqual({ enable_custom_dns: "1", append_wan_dns: "0" });
  expect(server).toMatchObject({ enabled: "1", group: "nameserver" });
  const scheme = server["type"] === "udp" ? "" : `${server["type"]}://`;
  const yaml = stringify({ dns: { enable: true, nameserver: [`${scheme}${server["ip"]}:${server["port"]}`] } });
  expect(imported("openclash", yaml).groups).toMatchObject([{ servers: ["192.168.88.2:53"] }]);
});

describe("dae", () => {
  const sections = new Map(readDae(blockAfter("**dae**")).map((section) => [section.name, section]));
  const below = (block: Block | undefined, ...path: readonly string[]): Block | undefined =>
    path.reduce((at: Block | undefined, name) => at?.blocks.find((each) => each.name === name), block);

  test("sends every question to an upstream that its file has, with a scheme that it knows", () => {
    const dns = sections.get("dns");
    const upstreams = below(dns, "upstream")?.values ?? {};
    expect(Object.values(upstreams)).toEqual([
      expect.stringMatching(/^(udp|tcp|tcp\+udp|tls|https|h3|http3|quic):\/\/[\d.]+:\d+$/),
    ]);
    expect(Object.keys(upstreams)).toContain(below(dns, "routing", "request")?.values["fallback"]);
    expect(["accept", "reject"]).toContain(below(dns, "routing", "response")?.values["fallback"]);
  });

  test("keeps the questions of that upstream's host out, by functions and an outbound that it has", () => {
    const { rules = [] } = sections.get("routing") ?? {};
    expect([...sections.keys()]).toEqual(["dns", "routing"]);
    expect(rules.map(({ outbound }) => outbound)).toEqual(["must_direct"]);
    expect(rules[0]?.conditions).toEqual([
      { name: "sip", isNot: false, values: ["192.168.88.2"] },
      { name: "dport", isNot: false, values: ["53"] },
    ]);
    expect(below(sections.get("dns"), "upstream")?.values["fenliu"]).toContain("192.168.88.2");
  });

  test.each([
    "dns { upstream { a: 'udp://1.1.1.1:53' }",
    "routing { sip(1.1.1.1) must_direct }",
    "dns { a: }",
    "routing { sip(1.1.1.1 -> direct }",
  ])("its reader refuses %s", (text) => {
    expect(() => readDae(text)).toThrow(SyntaxError);
  });
});

describe("Tailscale", () => {
  let fenliu: FenliuProcess;

  beforeAll(async () => {
    const yaml = `listen: { dns: ["127.0.0.1:0"], http: [], admin: "127.0.0.1:0" }\nhosts: { records: { home.example.com: 100.64.0.3 } }\nupstreams: { none: { servers: ["127.0.0.1:9"] } }${QUIET}`;
    fenliu = await scene.add(startFenliu(scene.subfolder("tailscale"), yaml));
  });

  test("is told by one call which names go to Fenliu: a map of names to addresses of its network", async () => {
    const calls: {
      readonly method: string;
      readonly path: string;
      readonly type: string;
      readonly key: string;
      readonly body: string;
    }[] = [];
    const note = async (request: IncomingMessage) => {
      const { method = "", url = "", headers } = request;
      const key = Buffer.from((headers.authorization ?? "").replace("Basic ", ""), "base64").toString();
      calls.push({ method, path: url, type: headers["content-type"] ?? "", key, body: await text(request) });
    };
    const api = createServer((request, response) => void note(request).then(() => response.end("{}")));
    api.listen(0, "127.0.0.1");
    await once(api, "listening");
    onTestFinished(() => void api.close());
    const { port } = api.address() as AddressInfo;
    const command = adapted(blockAfter("**Tailscale**"), { "https://api.tailscale.com": `http://127.0.0.1:${port}` });
    expect(await run("sh", ["-c", command], { env: { TAILSCALE_API_KEY: "tskey-api-1" } })).toMatchObject({ status: 0 });
    const [call] = calls;
    expect(call).toMatchObject({
      method: "PATCH",
      path: "/api/v2/tailnet/-/dns/split-dns",
      type: "application/json",
      key: "tskey-api-1:",
    });
    const entries: [string, string[]][] = Object.entries(JSON.parse(call?.body ?? ""));
    expect(entries).toHaveLength(1);
    for (const [name, servers] of entries) {
      expect(nameFromText(name)).not.toBeNull();
      const own = AddressSet.of("100.64.0.0/10");
      for (const server of servers) expect(own.has(addressFromText(server) ?? new Uint8Array(4))).toBe(true);
    }
  });

  test("brings questions from 100.64.0.0/10, which may ask by default", async () => {
    const asked = `http://127.0.0.1:${fenliu.ports.admin}/api/v1/explain?name=home.example.com&client=100.64.0.7`;
    const explained = JSON.stringify(await (await fetch(asked)).json());
    expect(explained).toContain("100.64.0.3");
    expect(explained).not.toMatch(/REFUSED|may not ask/);
  });
});

import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { addresses } from "../upstreams/messages.ts";
import { type Asked, scriptedServer } from "../upstreams/scripted-server.ts";
import { dig, kdig, soleData } from "./clients.ts";
import { type FenliuProcess, makeCertificate, QUIET, startFenliu } from "./fenliu.ts";
import { freePort, projectRoot, run, start } from "./processes.ts";
import { answersDns } from "./readiness.ts";
import { Scene } from "./scene.ts";

const recipes = readFileSync(join(projectRoot, "docs/recipes.md"), "utf8");

/** The blocks of code after a sentence of the page that begins so, as they stand there. */
function blocksAfter(beginning: string): readonly string[] {
  const place = recipes.indexOf(beginning);
  if (place < 0) throw new Error(`docs/recipes.md has no ${beginning}`);
  return [...recipes.slice(place).matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(([, block = ""]) => block);
}

function blockAfter(beginning: string): string {
  return blocksAfter(beginning)[0] ?? "";
}

const scene = new Scene();
let fenliu: FenliuProcess;
const asked: string[] = [];

beforeAll(async () => {
  const upstream = await scriptedServer("dns", (question: Asked) => {
    asked.push(question.name);
    return addresses(question, "192.0.2.7");
  });
  scene.defer(() => upstream.close());
  fenliu = await scene.add(
    startFenliu(
      scene.folder,
      `listen: { dns: ["127.0.0.1:0"], http: [], admin: "127.0.0.1:0" }\nupstreams: { main: { servers: ["127.0.0.1:${upstream.port}"] } }${QUIET}`,
    ),
  );
});

afterAll(() => scene.close());

describe("a resolver before Fenliu, as the page has it", () => {
  test("dnsmasq", async () => {
    const port = await freePort();
    const file = join(scene.folder, "dnsmasq.conf");
    writeFileSync(file, blockAfter("**dnsmasq**").replace("127.0.0.1#5053", `127.0.0.1#${fenliu.ports.dns}`));
    const alone = [
      "--keep-in-foreground",
      "--no-hosts",
      "--pid-file=",
      "--user=root",
      "--listen-address=127.0.0.1",
      "--bind-interfaces",
    ];
    await scene.add(start("dnsmasq", [`--conf-file=${file}`, ...alone, `--port=${port}`], () => answersDns(port)));
    expect(soleData(await dig(port, "dnsmasq.example"))).toBe("192.0.2.7");
    expect(asked).toContain("dnsmasq.example");
  });

  test("unbound", async () => {
    const port = await freePort();
    const file = join(scene.folder, "unbound.conf");
    const alone = `server:\n  interface: 127.0.0.1@${port}\n  use-syslog: no\n  chroot: ""\n  username: ""\n  pidfile: ""\n  module-config: "iterator"\n`;
    writeFileSync(file, alone + blockAfter("**unbound**").replace("127.0.0.1@5053", `127.0.0.1@${fenliu.ports.dns}`));
    expect((await run("unbound-checkconf", [file])).status).toBe(0);
    await scene.add(start("unbound", ["-d", "-c", file], () => answersDns(port)));
    expect(soleData(await dig(port, "unbound.example"))).toBe("192.0.2.7");
    expect(asked).toContain("unbound.example");
  });
});

test("names of the whitelist go to the program that makes their addresses", async () => {
  const fakes: string[] = [];
  const mihomo = await scriptedServer("dns", (question: Asked) => {
    fakes.push(question.name);
    return addresses(question, "198.18.0.5");
  });
  scene.defer(() => mihomo.close());
  const [, yaml = ""] = blocksAfter("**mihomo** with fake addresses");
  const folder = scene.subfolder("fake");
  const own = yaml
    .replace("127.0.0.1:1053", `127.0.0.1:${mihomo.port}`)
    .replace("asksFrom: [127.0.0.1]", "asksFrom: [127.0.0.9]")
    .replaceAll("rules/", `${projectRoot}/rules/`);
  const house = await scene.add(startFenliu(folder, `listen: { dns: ["127.0.0.1:0"], http: [], admin: null }\n${own}${QUIET}`));
  expect(soleData(await dig(house.ports.dns, "www.google.com"))).toBe("198.18.0.5");
  expect(fakes).toEqual(["www.google.com"]);
  expect(await dig(house.ports.dns, "www.google.com HTTPS")).toMatchObject({ status: "NOERROR", answers: [] });
});

describe("files of other programs", () => {
  test("Prometheus takes the section, with the alert rules", async () => {
    const file = join(scene.folder, "prometheus.yml");
    writeFileSync(file, blockAfter("**Prometheus**").replace("alerts.yaml", join(projectRoot, "docs/alerts.yaml")));
    expect(await run("promtool", ["check", "config", file])).toMatchObject({ status: 0, stderr: "" });
  });

  test.each(["**mihomo** with real", "**mihomo** with fake", "**Home Assistant**"])("%s is YAML", (beginning) => {
    // Tags of Home Assistant are no concern of ours.
    expect(parse(blockAfter(beginning), { logLevel: "silent" })).toBeTypeOf("object");
  });
});

test("clients of plain DNS are told of the encrypted listeners, where they are answered", async () => {
  const folder = scene.subfolder("ddr");
  const { cert } = await makeCertificate(folder, "DNS:doh.example.com,IP:127.0.0.1");
  const ports = { dns: await freePort(), https: await freePort(), tls: await freePort() };
  const yaml = blockAfter("**Windows 11")
    .replace("0.0.0.0:53", `127.0.0.1:${ports.dns}`)
    .replace("0.0.0.0:443", `127.0.0.1:${ports.https}`)
    .replace("0.0.0.0:853", `127.0.0.1:${ports.tls}`);
  await scene.add(
    startFenliu(
      folder,
      `${yaml}\nrules: [{ name: all, answer: zero }]\nupstreams: { none: { servers: ["127.0.0.1:9"] } }${QUIET}`,
    ),
  );
  const { answers } = await dig(ports.dns, "_dns.resolver.arpa SVCB");
  const record = "_dns.resolver.arpa. 60 IN SVCB";
  expect([...answers].sort((one, other) => (one < other ? -1 : 1))).toEqual([
    `${record} 1 doh.example.com. alpn="h2,http/1.1" port=${ports.https} key7="/dns-query{?dns}"`,
    `${record} 2 doh.example.com. alpn="dot" port=${ports.tls}`,
  ]);
  const [heard] = await kdig(ports.tls, `+tls-ca=${cert} +tls-hostname=doh.example.com page.example`);
  expect(heard === undefined ? null : soleData(heard)).toBe("0.0.0.0");
});

test("a profile for Apple devices is signed as the page says", async () => {
  await makeCertificate(scene.folder);
  const command = blockAfter("**Apple**").replace("127.0.0.1:9080", `127.0.0.1:${fenliu.ports.admin}`);
  expect(await run(command, [], { shell: true, cwd: scene.folder })).toMatchObject({ status: 0 });
  const check = [
    "smime",
    "-verify",
    "-inform",
    "der",
    "-in",
    "fenliu.mobileconfig",
    "-CAfile",
    "fullchain.pem",
    "-purpose",
    "any",
  ];
  const { status, stdout } = await run("openssl", check, { cwd: scene.folder });
  expect({ status, isProfile: stdout.includes("com.apple.dnsSettings.managed") }).toEqual({ status: 0, isProfile: true });
});

test("the Chinese page has the same blocks, comments aside", () => {
  const chinese = readFileSync(join(projectRoot, "docs/zh/recipes.md"), "utf8");
  const blocksOf = (page: string) => [...page.matchAll(/^```\w*\n([\s\S]*?)^```$/gm)].map(([, block = ""]) => block);
  expect(blocksOf(chinese)).toEqual(blocksOf(recipes));
});

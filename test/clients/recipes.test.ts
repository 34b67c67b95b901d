import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parseConfig } from "../../src/config/load.ts";
import { addresses } from "../upstreams/messages.ts";
import { type Asked, scriptedServer } from "../upstreams/scripted-server.ts";
import { dig, kdig, soleData } from "./clients.ts";
import { type FenliuProcess, makeCertificate, QUIET, startFenliu } from "./fenliu.ts";
import { freePort, projectRoot, run, start } from "./processes.ts";
import { answersDns } from "./readiness.ts";
import { adapted, blockAfter, typeOnOpenWrt } from "./recipes.ts";
import { Scene } from "./scene.ts";

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

async function startDnsmasq(file: string, port: number): Promise<void> {
  const alone = ["--keep-in-foreground", "--no-hosts", "--pid-file=", "--user=root"];
  const where = ["--listen-address=127.0.0.1", "--bind-interfaces", `--port=${port}`];
  await scene.add(start("dnsmasq", [`--conf-file=${file}`, ...alone, ...where], () => answersDns(port)));
}

async function expectAnswered(port: number, name: string): Promise<void> {
  expect(soleData(await dig(port, name))).toBe("192.0.2.7");
  expect(asked).toContain(name);
}

/** What the service of OpenWrt writes for dnsmasq of these options, by section and name. */
const OPENWRT_DNSMASQ: Readonly<Record<string, (value: string) => string>> = {
  "dhcp.@dnsmasq[0] noresolv": (value) => (value === "1" ? "no-resolv" : "# resolv"),
  "dhcp.@dnsmasq[0] server": (value) => `server=${value}`,
  "dhcp.lan dhcp_option": (value) => `dhcp-option=lan,${value}`,
};

describe("a resolver before Fenliu, as the page has it", () => {
  test("dnsmasq", async () => {
    const port = await freePort();
    const file = join(scene.folder, "dnsmasq.conf");
    writeFileSync(file, adapted(blockAfter("**dnsmasq**"), { "127.0.0.1#5053": `127.0.0.1#${fenliu.ports.dns}` }));
    await startDnsmasq(file, port);
    await expectAnswered(port, "dnsmasq.example");
  });

  test("unbound", async () => {
    const port = await freePort();
    const file = join(scene.folder, "unbound.conf");
    const alone = `server:\n  interface: 127.0.0.1@${port}\n  use-syslog: no\n  chroot: ""\n  username: ""\n  pidfile: ""\n  module-config: "iterator"\n`;
    writeFileSync(file, alone + adapted(blockAfter("**unbound**"), { "127.0.0.1@5053": `127.0.0.1@${fenliu.ports.dns}` }));
    expect((await run("unbound-checkconf", [file])).status).toBe(0);
    await scene.add(start("unbound", ["-d", "-c", file], () => answersDns(port)));
    await expectAnswered(port, "unbound.example");
  });

  // .ci/run says where the package cannot be installed.
  test.runIf(existsSync("/lib/systemd/systemd-resolved"))("systemd-resolved, among files of its own", async () => {
    const port = await freePort();
    const folder = scene.subfolder("resolved.conf.d");
    const recipe = adapted(blockAfter("**systemd-resolved**"), { "192.168.88.2": `127.0.0.1:${fenliu.ports.dns}` });
    writeFileSync(join(folder, "fenliu.conf"), recipe);
    // The recipe takes its listener away, and nobody is there to ask it over D-Bus.
    writeFileSync(join(folder, "listener.conf"), `[Resolve]\nDNSStubListenerExtra=127.0.0.1:${port}\n`);
    const alone = `mount -t tmpfs none /run/systemd && mount -t tmpfs none /etc/systemd && mkdir /etc/systemd/resolved.conf.d &&
cp ${folder}/*.conf /etc/systemd/resolved.conf.d/ && SYSTEMD_LOG_TARGET=console exec /lib/systemd/systemd-resolved`;
    const resolved = await scene.add(start("unshare", ["--mount", "sh", "-c", alone], () => answersDns(port)));
    await expectAnswered(port, "resolved.example");
    expect(resolved.output()).not.toMatch(/fenliu\.conf:\d+/);
  });

  test("dnsmasq of OpenWrt, from what the commands set", async () => {
    const port = await freePort();
    const { lines, said } = await typeOnOpenWrt(blockAfter("**OpenWrt**"));
    expect(said).toEqual(["service dnsmasq restart"]);
    const options = lines.map(([, section, option, value]) => {
      const made = OPENWRT_DNSMASQ[`${section} ${option}`];
      if (made === undefined) throw new Error(`OpenWrt has no ${section} ${option}`);
      return made(value);
    });
    const file = join(scene.folder, "openwrt.conf");
    const handedOut = options.find((line) => line.startsWith("dhcp-option"));
    expect(handedOut).toBe("dhcp-option=lan,6,192.168.88.2");
    writeFileSync(file, adapted(`${options.join("\n")}\n`, { "server=192.168.88.2": `server=127.0.0.1#${fenliu.ports.dns}` }));
    expect(await run("dnsmasq", ["--test", `--conf-file=${file}`])).toMatchObject({ status: 0 });
    await startDnsmasq(file, port);
    await expectAnswered(port, "openwrt.example");
  });
});

test("clients of plain DNS are told of the encrypted listeners, where they are answered", async () => {
  const folder = scene.subfolder("ddr");
  const { cert } = await makeCertificate(folder, "DNS:doh.example.com,IP:127.0.0.1");
  const ports = { dns: await freePort(), https: await freePort(), tls: await freePort() };
  const yaml = adapted(blockAfter("**Windows 11"), {
    '"0.0.0.0:53"': `"127.0.0.1:${ports.dns}"`,
    "0.0.0.0:443": `127.0.0.1:${ports.https}`,
    "0.0.0.0:853": `127.0.0.1:${ports.tls}`,
  });
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
  const command = adapted(blockAfter("**Apple**"), { "127.0.0.1:9080": `127.0.0.1:${fenliu.ports.admin}` });
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

test("settings within the text are those of a configuration, in both languages", () => {
  for (const file of ["docs/recipes.md", "docs/zh/recipes.md"]) {
    const page = readFileSync(join(projectRoot, file), "utf8");
    const settings = [...page.matchAll(/`((?:special|hosts|access): \{[^`]*\})`/g)].map(([, setting = ""]) => setting);
    expect(settings).toHaveLength(2);
    for (const setting of settings)
      expect(parseConfig(`${setting}\nupstreams: { main: { servers: [192.0.2.1] } }`, null), setting).toMatchObject({
        kind: "ok",
      });
  }
});

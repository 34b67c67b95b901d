import { rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, describe, expect, onTestFinished, test } from "vitest";
import { addresses } from "../upstreams/messages.ts";
import { type Asked, type ScriptedServer, scriptedServer } from "../upstreams/scripted-server.ts";
import { dig, kdig, soleData } from "./clients.ts";
import { type FenliuProcess, fenliuCommand, makeCertificate, QUIET, startFenliu } from "./fenliu.ts";
import { eventually, run, start } from "./processes.ts";
import { Scene } from "./scene.ts";

const scene = new Scene();
afterAll(() => scene.close());

/** A scene of a test's own. */
function ownScene(): Scene {
  const own = new Scene();
  onTestFinished(() => own.close());
  return own;
}

describe("SIGTERM", () => {
  /** An upstream that answers nothing before `release` is called. */
  async function holdingUpstream(own: Scene): Promise<{ readonly server: ScriptedServer; readonly release: () => void }> {
    const gate = Promise.withResolvers<void>();
    const server = await scriptedServer("dns", async (asked: Asked) => {
      await gate.promise;
      return addresses(asked, "192.0.2.7");
    });
    own.defer(() => server.close());
    return { server, release: gate.resolve };
  }

  async function fenliuBefore(own: Scene, server: ScriptedServer): Promise<FenliuProcess> {
    await makeCertificate(own.folder);
    const listen = `listen: { dns: ["127.0.0.1:0"], tls: ["127.0.0.1:0"], https: ["127.0.0.1:0"], http: ["127.0.0.1:0"], admin: null }`;
    const yaml = `${listen}\ntls: { cert: fullchain.pem, key: privkey.pem }\nupstreams: { held: { servers: ["127.0.0.1:${server.port}"] } }${QUIET}`;
    return own.add(startFenliu(own.folder, yaml));
  }

  test("lets pending answers be sent on every transport, accepts no further query, and ends with 0", async () => {
    const own = ownScene();
    const { server, release } = await holdingUpstream(own);
    const fenliu = await fenliuBefore(own, server);
    const { dns, tls, http, https } = fenliu.ports;
    const asking = [
      dig(dns, "+time=8 udp.example"),
      dig(dns, "+tcp +time=8 tcp.example"),
      dig(http, "+http-plain +time=8 h2c.example"),
      dig(https, "+https +time=8 https.example"),
      kdig(tls, "+tls +time=8 tls.example").then(([heard]) => heard),
    ];
    await eventually(async () => (server.asked.length === asking.length ? true : null));
    fenliu.signal("SIGTERM");
    await eventually(async () => (fenliu.output().includes("stopping") ? true : null));
    // One that is sent to the whole process group comes again from npm.
    fenliu.signal("SIGTERM");
    await expect(dig(dns, "+tcp +time=1 late.example")).rejects.toThrow(/refused|closed|reset|timed out/);
    release();
    for (const heard of await Promise.all(asking))
      expect(heard === undefined ? null : soleData(heard), heard?.question).toBe("192.0.2.7");
    expect(await fenliu.ended).toBe(0);
  });

  test("ends within seconds even if an upstream never answers and clients keep connections open", async () => {
    const own = ownScene();
    const { server } = await holdingUpstream(own);
    const fenliu = await fenliuBefore(own, server);
    const asking = dig(fenliu.ports.dns, "+tcp +time=8 silent.example");
    await eventually(async () => (server.asked.length > 0 ? true : null));
    fenliu.signal("SIGTERM");
    expect((await asking).status).toBe("SERVFAIL");
    expect(await fenliu.ended).toBe(0);
  });

  test.each(["SIGTERM", "SIGINT"] as const)("%s ends an idle server at once, with 0", async (signal) => {
    const fenliu = await startFenliu(scene.folder, `listen: { dns: ["127.0.0.1:0"], http: [], admin: null }${QUIET}`);
    fenliu.signal(signal);
    expect(await fenliu.ended).toBe(0);
    expect(fenliu.output()).toMatch(/"msg":"stopping"/);
  });
});

describe("SIGHUP", () => {
  const config = (address: string, more = "") => `
listen: { dns: ["127.0.0.1:0"], http: [], admin: null }
hosts: { files: [hosts.txt], records: { nas.lan: ${address} } }
lists: { ads: { domains: [ads.txt] } }
rules: [{ name: ads, domains: "list:ads", answer: nxdomain }]
${more}${QUIET}`;

  async function running(own: Scene) {
    writeFileSync(join(own.folder, "hosts.txt"), "10.0.0.9 printer.lan\n");
    writeFileSync(join(own.folder, "ads.txt"), "ads.example\n");
    const fenliu = await own.add(startFenliu(own.folder, config("10.0.0.5")));
    const write = (file: string, text: string) => writeFileSync(join(own.folder, file), text);
    const reload = async (says: RegExp) => {
      const before = fenliu.output().length;
      fenliu.signal("SIGHUP");
      await eventually(async () => (says.test(fenliu.output().slice(before)) ? true : null));
      return fenliu.output().slice(before);
    };
    const hears = async (words: string) => {
      const heard = await dig(fenliu.ports.dns, `+time=2 ${words}`);
      return soleData(heard) ?? heard.status;
    };
    return { fenliu, write, reload, hears };
  }

  test("a changed file, a changed hosts file and a changed list take effect", async () => {
    const { write, reload, hears } = await running(ownScene());
    expect([await hears("nas.lan"), await hears("printer.lan"), await hears("ads.example")]).toEqual([
      "10.0.0.5",
      "10.0.0.9",
      "NXDOMAIN",
    ]);
    write("fenliu.yaml", config("10.0.0.6"));
    write("hosts.txt", "10.0.0.10 printer.lan\n");
    write("ads.txt", "more.example\n");
    await reload(/"msg":"reloaded"/);
    expect([await hears("nas.lan"), await hears("printer.lan"), await hears("more.example")]).toEqual([
      "10.0.0.6",
      "10.0.0.10",
      "NXDOMAIN",
    ]);
  });

  test.each([
    ["that is no YAML", "listen: [", /fenliu\.yaml","line":\d+,"column":\d+/],
    ["with an unknown key", "upstrems: {}", /"fix":"write `upstreams`","msg":"unknown key `upstrems`/],
    ["with a broken expectation", config("10.0.0.7", "expect: [{ name: ads.example, answer: nodata }]"), /ads\.example/],
    ["that asks for what is not there yet", config("10.0.0.7", 'cluster: { redis: "redis://127.0.0.1:6379" }'), /cluster/],
    ["with other listeners", config("10.0.0.7").replace("127.0.0.1:0", "127.0.0.2:0"), /restart/],
  ])("a file %s is reported, and changes nothing", async (_kind, text, says) => {
    const { write, reload, hears } = await running(ownScene());
    write("fenliu.yaml", text);
    expect(await reload(/not reloaded/)).toMatch(says);
    expect(await hears("nas.lan")).toBe("10.0.0.5");
    write("fenliu.yaml", config("10.0.0.8"));
    await reload(/"msg":"reloaded"/);
    expect(await hears("nas.lan")).toBe("10.0.0.8");
  });

  test("no query is lost during repeated reloads", async () => {
    const own = ownScene();
    const { fenliu, write, reload } = await running(own);
    const names = join(own.folder, "names");
    write("names", "nas.lan A\nprinter.lan A\nads.example A\n".repeat(3000));
    const port = String(fenliu.ports.dns);
    const load = run("dnsperf", ["-s", "127.0.0.1", "-p", port, "-n", "1", "-Q", "3000", "-d", names]);
    let isOver = false;
    void load.finally(() => {
      isOver = true;
    });
    let reloads = 0;
    for (; !isOver; reloads++) await reload(/"msg":"reloaded"/);
    expect(reloads).toBeGreaterThan(3);
    expect((await load).stdout).toMatch(/Queries completed: +9000 \(100\.00%\)/);
  });
});

test.each([
  ["SIGHUP", "reloaded"],
  ["SIGUSR2", "no other process takes over"],
] as const)("%s during the start is heeded after the start", async (signal, says) => {
  const own = ownScene();
  const file = join(own.folder, "fenliu.yaml");
  expect((await run("mkfifo", [file])).status).toBe(0);
  const [node, ...args] = fenliuCommand(file);
  // Opens when the start has come to the file, and waits for what is in it.
  const opening = open(file, "w");
  const fenliu = await own.add(start(node, args, () => opening));
  fenliu.signal(signal);
  const text = `listen: { dns: ["127.0.0.1:0"], http: [], admin: null }${QUIET}`;
  // A reload reads the file again.
  rmSync(file);
  writeFileSync(file, text);
  const pipe = await opening;
  await pipe.write(text);
  await pipe.close();
  await eventually(async () => (fenliu.output().includes(says) ? true : null));
  expect(fenliu.output()).toContain("Fenliu is answering");
});

describe("a second server on the same port", () => {
  test("names the port and the file that sets it, and ends with 1; the first server keeps serving", async () => {
    const fenliu = await scene.add(
      startFenliu(scene.folder, `listen: { dns: ["127.0.0.1:0"], http: ["127.0.0.1:0"], admin: null }${QUIET}`),
    );
    const { dns, http } = fenliu.ports;
    const file = join(scene.folder, "second.yaml");
    writeFileSync(file, `listen: { dns: ["127.0.0.1:${dns}"], http: ["127.0.0.1:${http}"], admin: null }${QUIET}`);
    const [node, ...args] = fenliuCommand(file);
    const { status, stderr, stdout } = await run(node, args);
    expect(status).toBe(1);
    expect(stdout + stderr).toContain(`dns 127.0.0.1:${dns} (tcp): the port is taken`);
    expect(stdout + stderr).toContain(`http 127.0.0.1:${http} (tcp): the port is taken`);
    expect(stderr.match(/EADDRINUSE/g)?.length).toBeGreaterThanOrEqual(2);
    expect(stderr).not.toMatch(/^ +at /m);
    expect((await dig(dns, "localhost")).status).toBe("NOERROR");
  });
});

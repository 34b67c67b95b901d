import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Router } from "../support/routeros/router.ts";
import { runUserScript } from "../support/routeros/script.ts";
import { dig, soleData } from "./clients.ts";
import { type FenliuProcess, makeCertificate, startFenliu } from "./fenliu.ts";
import { eventually, freePort, run } from "./processes.ts";
import { adapted, blockAfter, spanAfter } from "./recipes.ts";
import { Scene } from "./scene.ts";

const scene = new Scene();
/** The token of the page. */
const DDCLIENT_TOKEN = "5d0be1c47a9f2368";
const INADYN_TOKEN = "91c0de77aa3b5e14";
let fenliu: FenliuProcess;
/** A fixed one: `fenliu hosts` reads it in the file. */
let adminPort: number;

function configuration(...tokens: readonly string[]): string {
  return `
listen: { dns: ["127.0.0.1:0"], https: ["127.0.0.1:0"], http: [], admin: "127.0.0.1:${adminPort}" }
tls: { cert: fullchain.pem, key: privkey.pem }
upstreams: { none: { servers: ["127.0.0.1:9"] } }
rules: [{ name: others, answer: nxdomain }]
ddns: { onDoh: true, tokens: [${tokens.join(", ")}] }
cache: { file: data/cache.db }
log: { queries: { enabled: false } }
`;
}

const DDCLIENT = `{ token: ${DDCLIENT_TOKEN}, names: [home.example.com, cam.example.com] }`;
const INADYN = `{ token: ${INADYN_TOKEN}, names: office.example.com }`;

beforeAll(async () => {
  await makeCertificate(scene.folder);
  adminPort = await freePort();
  fenliu = await scene.add(startFenliu(scene.folder, configuration(DDCLIENT, INADYN)));
});

afterAll(() => scene.close());

/** What ddclient says when it reports this address. */
async function ddclient(address: string, token = DDCLIENT_TOKEN, names = "home.example.com,cam.example.com"): Promise<string> {
  const file = join(scene.folder, "ddclient.conf");
  const recipe = adapted(blockAfter("**ddclient**"), {
    "server=doh.example.com": `server=127.0.0.1:${adminPort}`,
    "ssl=yes": "ssl=no",
    [DDCLIENT_TOKEN]: token,
    "use=web, web=https://api.ipify.org": `use=cmd, cmd='echo ${address}'`,
    "\nhome.example.com": `\n${names}`,
  });
  writeFileSync(file, recipe, { mode: 0o600 });
  const cache = join(scene.folder, "ddclient.cache");
  writeFileSync(cache, "");
  const { stdout, stderr } = await run("ddclient", ["-daemon=0", "-noquiet", "-verbose", "-file", file, "-cache", cache]);
  return stdout + stderr;
}

/** What inadyn says when it reports this address over HTTPS, to the listener for DoH. */
async function inadyn(address: string): Promise<string> {
  const file = join(scene.folder, "inadyn.conf");
  const recipe = adapted(blockAfter("**inadyn**"), {
    [DDCLIENT_TOKEN]: INADYN_TOKEN,
    "home.example.com": "office.example.com",
    "ddns-server = doh.example.com": `ddns-server = localhost:${fenliu.ports.https}\n  checkip-command = "echo ${address}"`,
  });
  writeFileSync(file, `ca-trust-file = ${scene.folder}/fullchain.pem\n${recipe}`);
  const { stdout, stderr } = await run("inadyn", [
    ...["--once", "--force", "--foreground", "--no-pidfile", "--loglevel=debug"],
    ...["--config", file, "--cache-dir", scene.subfolder(`inadyn-${address.replaceAll(":", "-")}`)],
  ]);
  return stdout + stderr;
}

async function held(name: string, type = "A"): Promise<string | null> {
  return soleData(await dig(fenliu.ports.dns, `${name} ${type}`));
}

describe("ddclient", () => {
  test("reports the address of two names at once, and a new one later", async () => {
    const said = await ddclient("203.0.113.7");
    expect(said).toContain("SUCCESS:  updating home.example.com: good: IP address set to 203.0.113.7");
    expect(said).toContain("SUCCESS:  updating cam.example.com: good: IP address set to 203.0.113.7");
    expect([await held("home.example.com"), await held("cam.example.com")]).toEqual(["203.0.113.7", "203.0.113.7"]);
    expect(await ddclient("203.0.113.8")).toContain("good");
    expect(await held("home.example.com")).toBe("203.0.113.8");
    expect(await ddclient("203.0.113.8")).toContain("nochg");
  });

  test("with a wrong token, or for a name of another token, changes nothing", async () => {
    expect(await ddclient("192.0.2.66", "0000000000000000")).toMatch(/FAILED:.*authorization failed/);
    expect(await ddclient("192.0.2.66", DDCLIENT_TOKEN, "office.example.com")).toMatch(/FAILED:.*nohost/);
    expect(await held("home.example.com")).toBe("203.0.113.8");
    expect((await dig(fenliu.ports.dns, "office.example.com")).status).toBe("NXDOMAIN");
  });
});

describe("inadyn", () => {
  test("reports IPv4 and IPv6 over the listener for DoH", async () => {
    for (const address of ["203.0.113.40", "2001:db8::40"]) {
      const said = await inadyn(address);
      expect(said).toContain("Successful alias table update for office.example.com");
    }
    expect([await held("office.example.com"), await held("office.example.com", "AAAA")]).toEqual([
      "203.0.113.40",
      "2001:db8::40",
    ]);
  });
});

describe("RouterOS", () => {
  test("reports the address of the interface to the provider by its script", async () => {
    const router = new Router();
    router.plant("ip/address", { address: "203.0.113.55/32", interface: "pppoe-out1" });
    const fetched: string[] = [];
    const script = adapted(blockAfter("**RouterOS**, as a scheduled"), {
      "https://doh.example.com": `http://127.0.0.1:${adminPort}`,
    });
    await runUserScript(router, script, async ({ url, user, password }) => {
      const authorization = `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
      const response = await fetch(url, { headers: { authorization } });
      fetched.push(`${response.status} ${(await response.text()).trim()}`);
    });
    expect(fetched).toEqual(["200 good 203.0.113.55"]);
    expect(await held("home.example.com")).toBe("203.0.113.55");
  });
});

describe("curl", () => {
  test("reports the address that it comes from", async () => {
    const command = adapted(spanAfter("**curl**, from cron"), { "https://doh.example.com": `http://127.0.0.1:${adminPort}` });
    expect(await run("sh", ["-c", command])).toMatchObject({ status: 0, stdout: "good 127.0.0.1\n" });
    expect(await held("home.example.com")).toBe("127.0.0.1");
    await ddclient("203.0.113.8");
  });
});

describe("what was reported", () => {
  test("is listed, and lies in a file that a kill does not harm", async () => {
    const { stdout } = await run("node_modules/.bin/node", ["start.mjs", "hosts", "-c", join(scene.folder, "fenliu.yaml")]);
    expect(stdout).toMatch(/office\.example\.com +203\.0\.113\.40 2001:db8::40 +ddns/);
    await fenliu.stop("SIGKILL");
    expect(readFileSync(join(scene.folder, "data/hosts.yaml"), "utf8")).toContain("office.example.com");
    fenliu = await scene.add(startFenliu(scene.folder, configuration(DDCLIENT, INADYN)));
    expect(await held("office.example.com")).toBe("203.0.113.40");
  });

  test("goes when its token goes, and the client is told no more than that", async () => {
    writeFileSync(
      join(scene.folder, "fenliu.yaml"),
      readFileSync(join(scene.folder, "fenliu.yaml"), "utf8").replace(`, ${INADYN}`, ""),
    );
    fenliu.signal("SIGHUP");
    await eventually(async () => ((await held("office.example.com")) === null ? true : null));
    expect(await held("home.example.com")).toBe("203.0.113.8");
    expect(await inadyn("203.0.113.41")).toMatch(/401|badauth/);
    expect(fenliu.output()).toContain("a client sent a wrong token");
  });
});

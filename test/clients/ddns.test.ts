import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { dig, soleData } from "./clients.ts";
import { type FenliuProcess, makeCertificate, startFenliu } from "./fenliu.ts";
import { eventually, freePort, run } from "./processes.ts";
import { Scene } from "./scene.ts";

const scene = new Scene();
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
  writeFileSync(
    file,
    `
protocol=dyndns2
server=127.0.0.1:${adminPort}
ssl=no
login=fenliu
password='${token}'
use=cmd, cmd='echo ${address}'
${names}
`,
    { mode: 0o600 },
  );
  const cache = join(scene.folder, "ddclient.cache");
  writeFileSync(cache, "");
  const { stdout, stderr } = await run("ddclient", ["-daemon=0", "-noquiet", "-verbose", "-file", file, "-cache", cache]);
  return stdout + stderr;
}

/** What inadyn says when it reports this address over HTTPS, to the listener for DoH. */
async function inadyn(address: string): Promise<string> {
  const file = join(scene.folder, "inadyn.conf");
  writeFileSync(
    file,
    `
allow-ipv6 = true
ca-trust-file = ${scene.folder}/fullchain.pem
custom fenliu {
  username = fenliu
  password = ${INADYN_TOKEN}
  hostname = office.example.com
  ddns-server = localhost:${fenliu.ports.https}
  ddns-path = "/nic/update?hostname=%h&myip=%i"
  checkip-command = "echo ${address}"
}
`,
  );
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

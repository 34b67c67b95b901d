import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type FenliuProcess, makeCertificate, QUIET, startFenliu } from "./fenliu.ts";
import { startNginx } from "./nginx.ts";
import { freePort, projectRoot, run, start } from "./processes.ts";
import { questionBytes } from "./question.ts";
import { acceptsTcp } from "./readiness.ts";
import { Scene } from "./scene.ts";

/** What is tried in one run of h2load. */
const REQUESTS = 20_000;

/** Debian has the first two; the others are tried where somebody has put them on the path (.ci/run does so with Envoy). */
const PROXIES = ["nginx", "caddy", "envoy", "traefik"] as const;
type Proxy = (typeof PROXIES)[number];
const isThere: Readonly<Record<Proxy, boolean>> = {
  nginx: true,
  caddy: true,
  envoy: spawnSync("envoy", ["--version"]).status === 0,
  traefik: spawnSync("traefik", ["version"]).status === 0,
};

const scene = new Scene();
let fenliu: FenliuProcess;
const ports: Record<Proxy, number> = { nginx: 0, caddy: 0, envoy: 0, traefik: 0 };

beforeAll(async () => {
  const { cert, key } = await makeCertificate(scene.folder);
  const yaml = `listen: { dns: ["127.0.0.1:0"], http: ["127.0.0.1:0"], admin: null }
access: { clients: [127.0.0.1, 127.0.0.5] }
hosts: { records: { nas.lan: 10.0.0.5 } }
${QUIET}`;
  fenliu = await scene.add(startFenliu(scene.folder, yaml));
  for (const name of PROXIES) ports[name] = await freePort();
  await scene.add(startNginx(join(scene.folder, "nginx"), { http: nginxSite(cert, key), stream: "" }, ports.nginx));
  const caddyfile = join(scene.folder, "Caddyfile");
  writeFileSync(caddyfile, caddySite(cert, key));
  const env = { FENLIU: `127.0.0.1:${fenliu.ports.http}`, HOME: scene.folder };
  await scene.add(
    start("caddy", ["run", "--adapter", "caddyfile", "--config", caddyfile], () => acceptsTcp(ports.caddy), { env }),
  );
  if (isThere.envoy) {
    const file = join(scene.folder, "envoy.yaml");
    writeFileSync(file, envoySite(cert, key));
    const alone = ["--base-id", String(ports.envoy), "--concurrency", "1"];
    await scene.add(start("envoy", ["-c", file, ...alone], () => acceptsTcp(ports.envoy)));
  }
  if (isThere.traefik) {
    const file = join(scene.folder, "traefik.yaml");
    writeFileSync(file, traefikSite(cert, key));
    const entry = `--entryPoints.websecure.address=127.0.0.1:${ports.traefik}`;
    // It listens before it knows a route.
    const isRouted = async () => ((await fetchStatus("traefik", "127.0.0.5")).startsWith("200 ") ? true : null);
    await scene.add(start("traefik", [entry, `--providers.file.filename=${file}`], isRouted));
  }
});

afterAll(() => scene.close());

/** A shipped file, with each text replaced. Every text must be there: else the test would try something else than what is shipped. */
function shipped(path: string, replacements: readonly (readonly [text: string, replacement: string])[]): string {
  let file = readFileSync(join(projectRoot, "deploy/proxies", path), "utf8");
  for (const [text, replacement] of replacements) {
    if (!file.includes(text)) throw new Error(`${path} has no ${text}`);
    file = file.replaceAll(text, replacement);
  }
  return file;
}

function nginxSite(cert: string, key: string): string {
  return shipped("nginx.conf", [
    ["127.0.0.1:9053", `127.0.0.1:${fenliu.ports.http}`],
    ["listen 443 ssl http2", `listen 127.0.0.1:${ports.nginx} ssl http2`],
    ["    listen [::]:443 ssl http2;\n", ""],
    ["/etc/letsencrypt/live/doh.example.com/fullchain.pem", cert],
    ["/etc/letsencrypt/live/doh.example.com/privkey.pem", key],
  ]);
}

function caddySite(cert: string, key: string): string {
  const site = shipped("Caddyfile", [
    ["doh.example.com {", `https://localhost:${ports.caddy} {\n\ttls ${cert} ${key}\n\tbind 127.0.0.1`],
  ]);
  return `{\n\tadmin off\n\tauto_https off\n}\n${site}`;
}

function envoySite(cert: string, key: string): string {
  return shipped("envoy.yaml", [
    ["address: 127.0.0.1, port_value: 9053", `address: 127.0.0.1, port_value: ${fenliu.ports.http}`],
    ['address: "::", port_value: 443, ipv4_compat: true', `address: 127.0.0.1, port_value: ${ports.envoy}`],
    ["/etc/envoy/fullchain.pem", cert],
    ["/etc/envoy/privkey.pem", key],
  ]);
}

/** The certificate that a resolver of the static configuration would get is given. */
function traefikSite(cert: string, key: string): string {
  const site = shipped("traefik.yaml", [
    ["doh.example.com", "localhost"],
    ["tls: { certResolver: letsencrypt }", "tls: {}"],
    ["h2c://127.0.0.1:9053", `h2c://127.0.0.1:${fenliu.ports.http}`],
  ]);
  return `${site}\ntls:\n  certificates: [{ certFile: ${cert}, keyFile: ${key} }]\n`;
}

function urlOf(proxy: Proxy, path = ""): string {
  return `https://localhost:${ports[proxy]}/dns-query${path}?dns=${questionBytes("nas.lan").toString("base64url")}`;
}

/** Asks as the client of that address. @returns the status and the size of the body. */
async function fetchStatus(proxy: Proxy, from: string, path = ""): Promise<string> {
  const shown = ["-o", "/dev/null", "-w", "%{http_code} %{size_download}"];
  return (await run("curl", ["-sk", ...shown, "--interface", from, urlOf(proxy, path)])).stdout;
}

describe.each(PROXIES.filter((name) => isThere[name]))("the shipped configuration of %s", (proxy) => {
  const url = () => urlOf(proxy);
  const status = (from: string, path = "") => fetchStatus(proxy, from, path);

  test("hands on the client's address: one client is served, another refused", async () => {
    const [served, refused] = [await status("127.0.0.5"), await status("127.0.0.6")];
    expect(served).toMatch(/^200 /);
    expect(refused).toMatch(/^200 /);
    expect(Number(refused.slice(4))).toBeLessThan(Number(served.slice(4)));
  });

  test("serves a path with a client id too", async () => {
    expect(await status("127.0.0.5", "/tv")).toMatch(/^200 /);
  });

  test.each([
    ["HTTP/2", "-m10"],
    ["HTTP/1.1", "--h1"],
  ])("answers %s with keep-alive under load, and nothing fails", async (_, option) => {
    const { stdout } = await run("h2load", [`-n${REQUESTS}`, "-c8", option, url()]);
    expect(stdout).toContain(`${REQUESTS} succeeded, 0 failed, 0 errored, 0 timeout`);
    expect(stdout).toContain(`status codes: ${REQUESTS} 2xx, 0 3xx, 0 4xx, 0 5xx`);
  });
});

import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { TYPE } from "../../src/dns/types.ts";
import { authorityOf, fetchChain, fingerprintOf } from "../../src/routeros/chain.ts";
import { renderSetupScript } from "../../src/routeros/script.ts";
import { zone } from "../dns/zone.ts";
import type { Reply } from "../support/message.ts";
import { isThorough } from "../support/properties.ts";
import { REAL_DATA } from "../support/real-data.ts";
import { RouterDohClient } from "../support/routeros/doh-client.ts";
import { Router } from "../support/routeros/router.ts";
import { importScript } from "../support/routeros/script.ts";
import { respond } from "../support/zone-script.ts";
import { type Asked, type ScriptedServer, scriptedServer } from "../upstreams/scripted-server.ts";
import { type FenliuProcess, makeCertificate, QUIET, startFenliu } from "./fenliu.ts";
import { startNginx } from "./nginx.ts";
import { freePort } from "./processes.ts";
import { Scene } from "./scene.ts";

const REAL_NAMES = join(REAL_DATA, "accelerated-domains.china.conf");

/** How many real names are asked for, each for all types. */
const NAMES = isThorough ? 50_000 : 3_000;

/** The router asks 50 questions at a time; a name has three. */
const AT_A_TIME = 16;

const LIMIT_MS = 4000;

const TYPES = ["A", "AAAA", "HTTPS"] as const;

/** Every order of the types, and all at once, as browsers ask. */
const ORDERS: readonly (readonly (typeof TYPES)[number][])[] = [
  ["A", "AAAA", "HTTPS"],
  ["A", "HTTPS", "AAAA"],
  ["AAAA", "A", "HTTPS"],
  ["AAAA", "HTTPS", "A"],
  ["HTTPS", "A", "AAAA"],
  ["HTTPS", "AAAA", "A"],
];

const scene = new Scene();
const router = new Router();
let fenliu: FenliuProcess;
let dying: ScriptedServer;
let client: RouterDohClient;

beforeAll(async () => {
  const lying = await scriptedServer("dns", (asked) => respond(asked, truth(asked) ?? lie(asked)));
  dying = await scriptedServer("dns", (asked) => respond(asked, truth(asked) ?? { authority: soa("example.net") }));
  scene.defer(() => lying.close());
  scene.defer(() => dying.close());
  fenliu = await scene.add(
    startFenliu(
      scene.folder,
      `listen: { dns: [], http: ["127.0.0.1:0"], admin: null }
upstreams: { main: { servers: ["127.0.0.1:${lying.port}", "127.0.0.1:${dying.port}"], strategy: spread } }
access: { rateLimit: false }
${QUIET}`,
    ),
  );
  const certificate = await makeCertificate(scene.folder);
  const port = await freePort();
  const http = `
upstream fenliu { server 127.0.0.1:${fenliu.ports.http}; keepalive 16; }
server {
  listen 127.0.0.1:${port} ssl;
  keepalive_timeout 120s;
  keepalive_requests 100000;
  ssl_certificate ${certificate.cert}; ssl_certificate_key ${certificate.key};
  location / { proxy_pass http://fenliu; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; }
}`;
  await scene.add(startNginx(join(scene.folder, "nginx"), { http, stream: "" }, port));
  client = new RouterDohClient(router);
  scene.defer(async () => client.close());
  const url = new URL(`https://localhost:${port}/dns-query`);
  const chain = await fetchChain(url, "127.0.0.1");
  const pem = authorityOf(chain);
  const authority = pem && { pem: pem.toString(), fingerprint: fingerprintOf(pem) };
  router.plant("ip/dns", { servers: "192.0.2.53" });
  const parts = { authority, failover: [], fallback: [], without: [] };
  await importScript(router, renderSetupScript({ url, addresses: ["127.0.0.1"], ...parts }));
});

afterAll(() => scene.close());

function soa(owner: string) {
  return zone(`${owner} 60 SOA ns.${owner} nobody.${owner} 1 1800 900 604800 60`);
}

/** Every second name has no AAAA. null = it is about TYPE65. */
function truth({ name, type }: Asked) {
  if (type === TYPE.A) return { answers: zone(`${name} 60 A 192.0.2.7`) };
  if (type !== TYPE.AAAA) return null;
  return hasIpv6(name) ? { answers: zone(`${name} 60 AAAA 2001:db8::7`) } : { authority: soa("example.net") };
}

function hasIpv6(name: string): boolean {
  return name.length % 2 === 0;
}

/** NXDOMAIN with a made-up SOA, as easymosdns sends it; an address in place of the record; nothing; a failure; a refusal. */
function lie({ name }: Asked) {
  const lies = [{ rcode: 3, authority: soa(name) }, { answers: zone(`${name} 60 A 192.0.2.66`) }, {}, { rcode: 2 }, { rcode: 5 }];
  return lies[name.charCodeAt(0) % lies.length] ?? {};
}

/** What is wrong with a reply to the client of the router; null = nothing. */
function faultOf(name: string, type: (typeof TYPES)[number], reply: Reply): string | null {
  if (type === "HTTPS") return reply.answers.some((answer) => answer.includes("192.0.2.66")) ? "the lie" : null;
  const expected = type === "A" ? ["192.0.2.7"] : hasIpv6(name) ? ["2001:db8::7"] : [];
  const isRight = reply.rcode === "NOERROR" && reply.answers.join() === expected.join();
  return isRight ? null : `${reply.rcode} ${reply.answers.join()}`;
}

test.runIf(existsSync(REAL_NAMES))(
  "behind nginx the router gets every answer that upstream gave, within its time, whatever is asked first and while an upstream lies and one dies",
  {
    timeout: 900_000,
  },
  async () => {
    const text = readFileSync(REAL_NAMES, "utf8");
    // Addresses of a name of one label are answered by Fenliu itself.
    const lines = text.matchAll(/^server=\/([a-z0-9-]+\.[a-z0-9.-]+)\//gm);
    const names = [...lines].slice(0, NAMES).map(([, name = ""]) => name);
    const wrong: string[] = [];
    let slowestMs = 0;
    let asked = 0;
    const ask = async (name: string, type: (typeof TYPES)[number]) => {
      const startMs = performance.now();
      const fault = await client.ask(name, type).then((reply) => faultOf(name, type, reply), String);
      const tookMs = performance.now() - startMs;
      slowestMs = Math.max(slowestMs, tookMs);
      asked++;
      if (fault !== null || tookMs > LIMIT_MS) wrong.push(`${name} ${type}: ${fault ?? `${Math.round(tookMs)} ms`}`);
    };
    let next = 0;
    const work = async () => {
      while (next < names.length) {
        const index = next++;
        const name = names[index] ?? "";
        if (index === Math.floor(names.length / 2)) await dying.close();
        const order = ORDERS[index % (ORDERS.length + 1)];
        if (order === undefined) await Promise.all(TYPES.map((type) => ask(name, type)));
        else for (const type of order) await ask(name, type);
      }
    };
    await Promise.all(Array.from({ length: AT_A_TIME }, work));
    console.info(`${asked} questions about ${names.length} names, the slowest ${Math.round(slowestMs)} ms`);
    expect(names.length).toBe(NAMES);
    expect(wrong.slice(0, 20)).toEqual([]);
    expect(router.rows("log").filter(({ topics }) => topics?.includes("error"))).toEqual([]);
  },
);

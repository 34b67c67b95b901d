import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RCODE, TYPE } from "../../src/dns/types.ts";
import { addresses, negativeMessage } from "../upstreams/messages.ts";
import { type ScriptedServer, scriptedServer } from "../upstreams/scripted-server.ts";
import { dig, soleData } from "./clients.ts";
import { QUIET, startFenliu } from "./fenliu.ts";
import { freePort, type Running, start } from "./processes.ts";
import { answersDns } from "./readiness.ts";
import { Scene } from "./scene.ts";
import { startUnbound } from "./unbound.ts";

const IPV4 = "192.0.2.7";
const IPV6 = "2001:db8::7";

const scene = new Scene();
let upstream: ScriptedServer;

/** A caching forwarder, on a port of 127.0.0.1, that asks another one. */
type StartForwarder = (folder: string, target: number) => Promise<Running & { readonly port: number }>;

const forwarders: readonly { readonly name: string; readonly start: StartForwarder; readonly losesAddresses: boolean }[] = [
  { name: "dnsmasq", start: startDnsmasq, losesAddresses: true },
  { name: "pdns-recursor", start: startRecursor, losesAddresses: true },
  // It holds negative answers by type unless they are signed, and so was never struck.
  { name: "unbound", start: (folder, target) => startUnbound({ folder, forwardTo: target }), losesAddresses: false },
];

async function startDnsmasq(_folder: string, target: number) {
  const port = await freePort();
  const alone = ["--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file=", "--user=root"];
  const where = ["--listen-address=127.0.0.1", "--bind-interfaces", `--port=${port}`, `--server=127.0.0.1#${target}`];
  const running = await start("dnsmasq", [...alone, ...where, "--cache-size=1000", "--log-facility=-"], () => answersDns(port));
  return { ...running, port };
}

async function startRecursor(folder: string, target: number) {
  const port = await freePort();
  const settings = {
    "config-dir": folder,
    "socket-dir": folder,
    "local-address": "127.0.0.1",
    "local-port": port,
    "forward-zones-recurse": `.=127.0.0.1:${target}`,
    "dont-query": "",
    dnssec: "off",
    // Both ask the internet by themselves.
    "security-poll-suffix": "",
    "hint-file": "no",
    daemon: "no",
    "disable-syslog": "yes",
    "max-negative-ttl": 60,
  };
  const args = Object.entries(settings).map(([key, value]) => `--${key}=${value}`);
  const running = await start("pdns_recursor", args, () => answersDns(port));
  return { ...running, port };
}

beforeAll(async () => {
  // As easymosdns does: the name has addresses, and TYPE65 is NXDOMAIN with an SOA made for the occasion.
  upstream = await scriptedServer("dns", (asked) => {
    if (asked.type === TYPE.A) return addresses(asked, IPV4);
    if (asked.type === TYPE.AAAA) return addresses(asked, IPV6);
    return { kind: "reply", message: negativeMessage(asked.query, RCODE.NXDOMAIN) };
  });
  scene.defer(() => upstream.close());
});

afterAll(() => scene.close());

const orders = [
  ["HTTPS", "A", "AAAA"],
  ["HTTPS", "AAAA", "A"],
  ["A", "HTTPS", "AAAA"],
  ["AAAA", "HTTPS", "A"],
  ["A", "AAAA", "HTTPS"],
  ["AAAA", "A", "HTTPS"],
] as const;

const expected = { A: IPV4, AAAA: IPV6, HTTPS: "NOERROR" } as const;

let serial = 0;

/** What each type of a name that nobody has asked for before comes to, asked in this order, and then all again. */
async function askInOrder(port: number, order: readonly (keyof typeof expected)[]): Promise<readonly string[]> {
  serial += 1;
  const heard: string[] = [];
  for (const type of [...order, ...order]) {
    const reply = await dig(port, `+time=5 n${serial}.example.net ${type}`);
    heard.push(`${type} ${soleData(reply) ?? reply.status}`);
  }
  return heard;
}

describe.each([
  { modes: "https: pass", options: "" },
  { modes: "https: nodata", options: "answers: { https: nodata }" },
])("behind a Fenliu with $modes", ({ options }) => {
  let fenliuPort: number;

  beforeAll(async () => {
    const yaml = `
listen: { dns: ["127.0.0.1:0"], http: [], admin: null }
upstreams: { liar: { servers: ["127.0.0.1:${upstream.port}"] } }
${options}${QUIET}`;
    const folder = scene.subfolder(options === "" ? "pass" : "nodata");
    fenliuPort = (await scene.add(startFenliu(folder, yaml))).ports.dns;
  });

  test.each(forwarders)(
    "$name never loses an address, whichever type is asked first",
    async ({ name, start: startForwarder }) => {
      const forwarder = await scene.add(startForwarder(scene.subfolder(`${name}${fenliuPort}`), fenliuPort));
      for (const order of orders) {
        const wanted = order.map((type) => `${type} ${expected[type]}`);
        expect(await askInOrder(forwarder.port, order), order.join(" ")).toEqual([...wanted, ...wanted]);
      }
    },
  );
});

describe("directly on that upstream", () => {
  test.each(forwarders.filter(({ losesAddresses }) => losesAddresses))(
    "$name loses A in some orders, and AAAA in some",
    async ({ name, start: startForwarder }) => {
      const forwarder = await scene.add(startForwarder(scene.subfolder(`${name}-direct`), upstream.port));
      const heard: string[] = [];
      for (const order of orders) heard.push(...(await askInOrder(forwarder.port, order)));
      expect(heard).toEqual(expect.arrayContaining(["A NXDOMAIN", "AAAA NXDOMAIN"]));
    },
  );
});

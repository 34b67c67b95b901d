import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { honest } from "../support/zone-script.ts";
import { type ScriptedServer, scriptedServer } from "../upstreams/scripted-server.ts";
import { dig, soleData } from "./clients.ts";
import { QUIET, startFenliu } from "./fenliu.ts";
import { freePort, type Running, run, start } from "./processes.ts";
import { Scene } from "./scene.ts";

/** Where the router is, which asks Fenliu from there. */
const ROUTER = "127.0.0.2";

const scene = new Scene();
let world: ScriptedServer;
let fenliuPort: number;
let routerPort: number;
let router: Running;

/** A dnsmasq that knows the names of the house, and asks Fenliu for every other one, those of its own zone too. */
async function startRouter(): Promise<Running> {
  const alone = ["--keep-in-foreground", "--no-resolv", "--no-hosts", "--conf-file=/dev/null", "--pid-file=", "--user=root"];
  const where = [`--listen-address=${ROUTER}`, "--bind-interfaces", `--port=${routerPort}`];
  const knows = ["--address=/nas.lan/10.0.0.5", `--server=127.0.0.1#${fenliuPort}@${ROUTER}`, "--cache-size=0"];
  return start("dnsmasq", [...alone, ...where, ...knows, "--log-queries", "--log-facility=-"], async () => {
    const { stdout } = await run("dig", [`@${ROUTER}`, "-p", String(routerPort), "+time=1", "+tries=1", "nas.lan"]);
    return stdout.includes("10.0.0.5") ? true : null;
  });
}

beforeAll(async () => {
  world = await scriptedServer("dns", honest("page.example A 192.0.2.7"));
  scene.defer(() => world.close());
  routerPort = await freePort();
  const yaml = `
listen: { dns: ["127.0.0.1:0"], http: [], admin: null }
upstreams:
  world: { servers: ["127.0.0.1:${world.port}"] }
  router: { servers: ["udp://${ROUTER}:${routerPort}"], volatile: true }
rules:
  - { name: home, domains: [lan], upstream: router }
  - { name: others, upstream: world }
${QUIET}`;
  fenliuPort = (await scene.add(startFenliu(scene.folder, yaml))).ports.dns;
  router = await scene.add(startRouter());
});

afterAll(() => scene.close());

/** How often the router was asked for a name, and asked for it itself. */
function seen(name: string): readonly [asked: number, forwarded: number] {
  const lines = router.output().split("\n");
  const count = (sign: RegExp) => lines.filter((line) => sign.test(line)).length;
  return [count(new RegExp(`query\\[\\w+\\] ${name} from`)), count(new RegExp(`forwarded ${name} to`))];
}

describe("a router that asks Fenliu for the names that Fenliu asks it for", () => {
  test("answers its own names, and gets other names through Fenliu", async () => {
    expect(soleData(await dig(fenliuPort, "nas.lan"))).toBe("10.0.0.5");
    expect(soleData(await dig(routerPort, `@${ROUTER} page.example`))).toBe("192.0.2.7");
  });

  test.each(["A", "AAAA", "HTTPS", "TXT"])(
    "a query of type %s for an unknown local name goes round once, and is answered",
    async (type) => {
      const name = `missing-${type.toLowerCase()}.lan`;
      const { status, authority } = await dig(fenliuPort, `+time=2 ${name} ${type}`);
      expect([status, authority.length]).toEqual(["NXDOMAIN", 1]);
      const [asked, forwarded] = seen(name);
      // A is asked beside the others before NXDOMAIN is believed of them.
      expect([asked, forwarded]).toEqual(["A", "TXT"].includes(type) ? [1, 1] : [2, 2]);
    },
  );

  test("gets NXDOMAIN at once, with the reason, for an unknown local name", async () => {
    const { status, authority } = await dig(routerPort, `@${ROUTER} +time=2 nobody.lan`);
    expect([status, authority.length]).toEqual(["NXDOMAIN", 1]);
    expect(seen("nobody.lan")).toEqual([1, 1]);
    const asRouter = await dig(fenliuPort, `-b ${ROUTER} +time=2 nobody-else.lan`);
    expect([asRouter.status, asRouter.edns.some((line) => /EDE: 0/.test(line))]).toEqual(["NXDOMAIN", true]);
    expect(seen("nobody-else.lan")).toEqual([0, 0]);
  });

  test("many unknown local names at once are each answered", async () => {
    const names = Array.from({ length: 50 }, (_, index) => `many${index}.lan`);
    const heard = await Promise.all(names.map((name) => dig(fenliuPort, `+time=3 ${name}`)));
    expect(heard.filter(({ status }) => status !== "NXDOMAIN")).toEqual([]);
    expect(names.map(seen)).toEqual(names.map(() => [1, 1]));
    expect(world.asked.filter(({ name }) => name.endsWith("lan"))).toEqual([]);
  });
});

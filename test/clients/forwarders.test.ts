import { setTimeout as pause } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { zone } from "../dns/zone.ts";
import { respond, silent } from "../support/zone-script.ts";
import { scriptedServer } from "../upstreams/scripted-server.ts";
import { QUIET, startFenliu } from "./fenliu.ts";
import { FORWARDERS } from "./forwarders.ts";
import { Scene } from "./scene.ts";
import { Stub } from "./stub.ts";
import { ADDRESSES, type Fault, FaultyUpstreams, faults, modes, zoneOf } from "./type65-faults.ts";
import { askAll, type Findings, losses, ORDERS, PAST_TTLS, questionsOf, textOf, WITHIN_TTLS } from "./type65-orders.ts";

const scene = new Scene();
let upstreams: FaultyUpstreams;

beforeAll(async () => {
  upstreams = await FaultyUpstreams.open();
  scene.defer(() => upstreams.close());
});

afterAll(() => scene.close());

describe("behind Fenliu, for every upstream behaviour on TYPE65 and every setting", () => {
  const paths = ["direct", ...FORWARDERS.map(({ name }) => name)] as const;
  type Path = (typeof paths)[number];
  const asking = { modes, orders: ORDERS, rounds: PAST_TTLS };
  const ports = new Map<Path, number>();
  const found = new Map<Path, ReadonlyMap<Fault, Findings>>();

  beforeAll(async () => {
    const yaml = `${upstreams.config()}${QUIET}`;
    const fenliu = (await scene.add(startFenliu(scene.subfolder("fenliu"), yaml))).ports.dns;
    ports.set("direct", fenliu);
    for (const { name, start } of FORWARDERS)
      ports.set(name, (await scene.add(start(scene.subfolder(name), { ".": fenliu }))).port);
    const asked = paths.map(async (path) => {
      found.set(path, await askAll({ port: portOf(path), label: path, ...asking }));
    });
    await Promise.all(asked);
  });

  function portOf(path: Path): number {
    const port = ports.get(path);
    if (port === undefined) throw new Error(`${path} has not been started`);
    return port;
  }

  describe.each(paths)("%s", (path) => {
    test.each(faults)("TYPE65 goes to %s: no A or AAAA is lost, in any order of queries, before and after expiry", (fault) => {
      const findings = found.get(path)?.get(fault);
      expect(findings?.questions).toBe(questionsOf(asking));
      expect(findings?.wrong.slice(0, 10)).toEqual([]);
    });

    test("a name that does not exist is NXDOMAIN for every type, whichever is asked first", async () => {
      const stub = await Stub.open(portOf(path));
      for (const fault of ["none", "nxdomain"] as const) {
        for (const types of [
          ["HTTPS", "A", "AAAA"],
          ["AAAA", "HTTPS", "A"],
          ["A", "AAAA", "HTTPS"],
        ]) {
          for (const type of types) {
            const name = `gone.${path}-${types.join("-").toLowerCase()}.pass.${zoneOf(fault)}`;
            expect(`${type} ${textOf(await stub.ask(name, type))}`).toBe(`${type} NXDOMAIN`);
          }
        }
      }
      await stub.close();
    });
  });

  test("the caches did expire: A of every name went upstream again", () => {
    const counts = upstreams.askedForA();
    // Every name, and below every other one `sub`.
    expect(counts.size).toBe(paths.length * faults.length * modes.length * ORDERS.length * 1.5);
    expect([...counts].filter(([, count]) => count < 2)).toEqual([]);
  });
});

describe("on a line that loses every first datagram to an upstream", () => {
  const names = Array.from({ length: 10 }, (_, index) => `lost${index}.example.net`);

  test.each(FORWARDERS)("$name loses no A", async ({ name, start }) => {
    const seen = new Set<string>();
    const server = await scriptedServer("dns", (asked) => {
      const isLost = asked.name.startsWith("lost") && !seen.has(asked.name);
      seen.add(asked.name);
      return isLost ? silent : respond(asked, { answers: zone(`${asked.name} 60 A ${ADDRESSES.A}`) });
    });
    scene.defer(() => server.close());
    const yaml = `listen: { dns: ["127.0.0.1:0"], http: [], admin: null }\nupstreams: { one: { servers: ["127.0.0.1:${server.port}"] } }\n`;
    const fenliu = await scene.add(startFenliu(scene.subfolder(`fenliu-lossy-${name}`), `${yaml}${QUIET}`));
    const { port } = await scene.add(start(scene.subfolder(`${name}-lossy`), { ".": fenliu.ports.dns }));
    const stub = await Stub.open(port);
    // By these answers, before and beside the lost ones, the forwarder and Fenliu know how fast answers come.
    const ended = new AbortController();
    const quick = (async () => {
      for (let index = 0; !ended.signal.aborted; index++) {
        await stub.ask(`quick${index}.example.net`, "A");
        await pause(2);
      }
    })();
    await pause(300);
    for (const lost of names) expect(`${lost} ${textOf(await stub.ask(lost, "A"))}`).toBe(`${lost} ${ADDRESSES.A}`);
    ended.abort();
    await quick;
    await stub.close();
  });
});

describe("without Fenliu, on the same upstreams", () => {
  // A name per mode would be the same name again: nobody is there to tell them apart.
  const asking = { modes: ["pass"], orders: ORDERS, rounds: WITHIN_TTLS, patience: { tries: 3, tryMs: 600 } } as const;
  const found = new Map<string, ReadonlyMap<Fault, Findings>>();

  beforeAll(async () => {
    const asked = FORWARDERS.map(async ({ name, start }) => {
      const { port } = await scene.add(start(scene.subfolder(`${name}-alone`), upstreams.zones));
      found.set(name, await askAll({ port, label: `${name}-alone`, ...asking }));
    });
    await Promise.all(asked);
  });

  test.each(FORWARDERS)(
    "$name loses addresses after NXDOMAIN ($spreadsNxdomain), and after no other answer",
    ({ name, spreadsNxdomain }) => {
      const findings = found.get(name) ?? new Map();
      expect(losses(findings)).toEqual(spreadsNxdomain ? ["pass nxdomain"] : []);
    },
  );

  test.each(FORWARDERS.filter(({ spreadsNxdomain }) => spreadsNxdomain))(
    "$name loses A in some orders, and AAAA in some",
    ({ name }) => {
      const lost = found
        .get(name)
        ?.get("nxdomain")
        ?.wrong.map(({ type, heard }) => `${type} ${heard}`);
      expect(lost).toEqual(expect.arrayContaining(["A NXDOMAIN", "AAAA NXDOMAIN"]));
    },
  );
});

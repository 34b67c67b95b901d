import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { REAL_DATA } from "../support/real-data.ts";
import { type FenliuProcess, QUIET, startFenliu } from "./fenliu.ts";
import { matchWeight, prefersFirst, REAL_LISTS, readGeosite } from "./longest-match.ts";
import { type Nsd, startNsd } from "./nsd.ts";
import { run } from "./processes.ts";
import { Scene } from "./scene.ts";

const NAMES = 1000;
const DOMESTIC = "192.0.2.1";
const OVERSEAS = "198.51.100.1";

const scene = new Scene();
let domestic: Nsd;
let overseas: Nsd;

afterAll(() => scene.close());

if (!REAL_LISTS.exist)
  test("the split of real lists", ({ skip }) => skip(`${REAL_DATA} does not hold them; FENLIU_TEST_DATA may name the folder`));

describe.runIf(REAL_LISTS.exist)("a thousand names of real lists", () => {
  let fenliu: FenliuProcess;
  let wanted: ReadonlyMap<string, string>;

  beforeAll(async () => {
    // Each knows every name there is, and gives it an address by which it can be told from the other.
    domestic = await scene.add(startNsd({ folder: join(scene.folder, "domestic"), zones: { ".": `*. IN A ${DOMESTIC}` } }));
    overseas = await scene.add(startNsd({ folder: join(scene.folder, "overseas"), zones: { ".": `*. IN A ${OVERSEAS}` } }));
    const yaml = `
listen: { dns: ["127.0.0.1:0"], http: [], admin: null }
upstreams:
  domestic: { servers: ["127.0.0.1:${domestic.port}"] }
  overseas: { servers: ["tcp://127.0.0.1:${overseas.port}"] }
lists:
  cn: { domains: ["${REAL_LISTS.chinaFile}"] }
  world: { domains: ["${REAL_LISTS.geositeFile}#${REAL_LISTS.category}"] }
rules:
  - { name: split, longest: { "list:cn": domestic, "list:world": overseas } }
  - { name: others, upstream: overseas }
${QUIET}`;
    fenliu = await scene.add(startFenliu(scene.folder, yaml));
    wanted = expectedAddresses();
  });

  test("go to the upstream of the longest match in both lists, and each upstream counts only its own names", async () => {
    const before = { domestic: await questions(domestic), overseas: await questions(overseas) };
    expect(await askAll(fenliu, wanted.keys())).toEqual(Object.fromEntries(wanted));
    const ofDomestic = [...wanted.values()].filter((address) => address === DOMESTIC).length;
    expect(ofDomestic).toBeGreaterThan(NAMES / 4);
    expect(ofDomestic).toBeLessThan((NAMES * 3) / 4);
    expect(await questions(domestic)).toBe(before.domestic + ofDomestic);
    expect(await questions(overseas)).toBe(before.overseas + NAMES - ofDomestic);
  });

  test("come from the cache the second time, and no upstream is asked", async () => {
    const before = [await questions(domestic), await questions(overseas)];
    expect(await askAll(fenliu, wanted.keys())).toEqual(Object.fromEntries(wanted));
    expect([await questions(domestic), await questions(overseas)]).toEqual(before);
  });
});

async function questions(server: Nsd): Promise<number> {
  return (await server.statistics()).get("num.queries") ?? Number.NaN;
}

/** Asks for A of each name with one dig, and gives the addresses by name. */
async function askAll({ ports }: FenliuProcess, names: Iterable<string>): Promise<Readonly<Record<string, string>>> {
  const file = join(scene.folder, "names");
  writeFileSync(file, [...names].map((name) => `${name} A\n`).join(""));
  const { stdout } = await run("dig", ["@127.0.0.1", "-p", String(ports.dns), "+noall", "+answer", "+tries=1", "-f", file]);
  const lines = stdout.split("\n").map((line) => line.split(/\s+/));
  return Object.fromEntries(
    lines.filter(({ length }) => length === 5).map(([owner = "", , , , address = ""]) => [owner.slice(0, -1), address]),
  );
}

/** Names drawn from both lists, as they are and with labels before them, those that both know, and some that none does, with their addresses. */
function expectedAddresses(): ReadonlyMap<string, string> {
  const china = { suffixes: new Set(chinaNames()), full: new Set<string>(), others: [] };
  const world = readGeosite(readFileSync(REAL_LISTS.geositeFile), REAL_LISTS.category);
  const [ofChina, ofWorld] = [[...china.suffixes], [...world.suffixes]];
  const names = new Set([
    ...drawn(ofChina, 350).flatMap((name, index) => (index % 3 === 0 ? `a.b.${name}` : name)),
    ...drawn(ofWorld, 350).flatMap((name, index) => (index % 3 === 0 ? `www.${name}` : name)),
    ...drawn([...world.full], 50),
    ...drawn(
      ofChina.filter((name) => matchWeight(name, world) > 0),
      75,
    ),
    ...drawn(
      ofWorld.filter((name) => matchWeight(name, china) > 0),
      75,
    ),
  ]);
  const unknown = Array.from({ length: NAMES - names.size }, (_, index) => `unknown${index}.fenliu-nobody.example`);
  return new Map([...names, ...unknown].map((name) => [name, prefersFirst(name, china, world) ? DOMESTIC : OVERSEAS]));
}

function chinaNames(): readonly string[] {
  return [...readFileSync(REAL_LISTS.chinaFile, "utf8").matchAll(/^server=\/([^/]+)\//gm)].map(([, name = ""]) =>
    name.toLowerCase(),
  );
}

/** So many of them, evenly; all where there are fewer. */
function drawn(names: readonly string[], count: number): readonly string[] {
  const wanted = Math.min(count, names.length);
  return Array.from({ length: wanted }, (_, index) => names[Math.floor((index * names.length) / wanted)] ?? "");
}

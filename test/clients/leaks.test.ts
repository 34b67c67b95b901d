import { readFileSync } from "node:fs";
import { beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { queryWire, type Reply, readReply } from "../support/message.ts";
import { REAL_DATA } from "../support/real-data.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import type { Script } from "../upstreams/scripted-server.ts";
import { type ListRules, prefersFirst, REAL_LISTS, readGeosite } from "./longest-match.ts";
import { openStream } from "./stream-asker.ts";

const NAMES = 100_000;
/** Questions under way at once, over each transport. */
const WINDOW = 64;

if (!REAL_LISTS.exist)
  test("the names of real lists", ({ skip }) => skip(`${REAL_DATA} does not hold them; FENLIU_TEST_DATA may name the folder`));

describe.runIf(REAL_LISTS.exist)("100,000 names of real lists over sockets", () => {
  let mainland: ReadonlySet<string>;
  let foreign: ReadonlySet<string>;

  beforeAll(() => {
    const china: ListRules = { suffixes: new Set(chinaNames()), full: new Set(), others: [] };
    const world = readGeosite(readFileSync(REAL_LISTS.geositeFile), REAL_LISTS.category);
    const listed = new Set([...world.suffixes, ...world.full, ...china.suffixes]);
    const names = [...listed].slice(0, NAMES);
    mainland = new Set(names.filter((name) => prefersFirst(name, china, world)));
    foreign = new Set(names).difference(mainland);
  });

  test("rules that split by the lists violate no `never`, and each upstream gets only its own names", async () => {
    const names = [...foreign, ...mainland];
    expect(names).toHaveLength(NAMES);
    const site = await splitting();
    const replies = await askAll(site, names);
    const wrong = names.filter((name, index) => replies[index]?.answers.join() !== (mainland.has(name) ? DOMESTIC : OVERSEAS));
    expect(wrong).toEqual([]);
    expect(site.app.upstreams().map(({ violations }) => violations)).toEqual([0, 0]);
    expect(site.asked("overseas").toSorted()).toEqual(questions(foreign));
    expect(site.asked("domestic").toSorted()).toEqual(questions(mainland));
    expect(site.log.filter((line) => line.includes("must never go"))).toEqual([]);
  });

  test("a wrong rule before them is caught for every name, and no packet is sent", async () => {
    const site = await splitting();
    await site.reload(yamlWith("  - { name: wrong, domains: [com], upstream: overseas }\n"));
    const isCom = (name: string) => name.endsWith(".com");
    const leaking = [...mainland].filter(isCom).slice(0, 10_000);
    const rightful = [...foreign].filter(isCom).slice(0, 1000);
    const replies = await askAll(site, leaking);
    expect(replies.filter((reply) => !isRefusal(reply))).toEqual([]);
    expect((await askAll(site, rightful)).filter(({ answers }) => answers.join() !== OVERSEAS)).toEqual([]);
    expect(site.asked("overseas").toSorted()).toEqual(questions(rightful));
    expect(site.asked("domestic")).toEqual([]);
    expect(site.app.upstreams().map(({ violations }) => violations)).toEqual([0, leaking.length]);
    expect(site.log.filter((line) => line.includes("must never go"))).toHaveLength(leaking.length);
  });
});

const DOMESTIC = "192.0.2.1";
const OVERSEAS = "198.51.100.1";

function yamlWith(rule: string): string {
  return `
lists:
  cn: { domains: ${JSON.stringify(REAL_LISTS.chinaFile)} }
  world: { domains: ${JSON.stringify(`${REAL_LISTS.geositeFile}#${REAL_LISTS.category}`)} }
rules:
${rule}  - { name: split, longest: { "list:cn": domestic, "list:world": overseas } }
  - { name: others, upstream: overseas }`;
}

function splitting(): Promise<TestSite> {
  return siteWith({
    upstreams: {
      domestic: { servers: [always(DOMESTIC)], keys: 'never: { domains: "list:world" }' },
      overseas: { servers: [always(OVERSEAS)], keys: 'never: { domains: "list:cn", types: [PTR] }' },
    },
    yaml: yamlWith(""),
  });
}

/** SERVFAIL with the reason, which only those who sent EDNS are told. */
function isRefusal({ rcode, answers, edns, edeTexts }: Reply): boolean {
  const isTold = edns === null || /^overseas: never gets \S+ of list cn$/.test(edeTexts.join());
  return rcode === "SERVFAIL" && answers.length === 0 && isTold;
}

/** Answers every name with this address, with as little work as possible. */
function always(address: string): Script {
  const record = Buffer.from([0xc0, 12, 0, 1, 0, 1, 0, 0, 1, 44, 0, 4, ...address.split(".").map(Number)]);
  return ({ query, message }) => {
    const reply = Buffer.concat([message.subarray(0, 12 + query.name.length + 4), record]);
    reply.set([0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0], 2);
    return { kind: "reply", message: reply };
  };
}

/** Sends every other query over TCP, the rest over UDP. */
async function askAll(site: TestSite, names: readonly string[]): Promise<readonly Reply[]> {
  const stream = await openStream(site.app.bound.dns[0]?.port ?? 0);
  onTestFinished(() => stream.close());
  const replies: Reply[] = [];
  const asker = async (first: number, ask: (name: string) => Promise<Uint8Array>): Promise<void> => {
    for (let index = first; index < names.length; index += 2 * WINDOW) replies[index] = readReply(await ask(names[index] ?? ""));
  };
  const overTcp = (name: string) => stream.ask(name);
  const overUdp = (name: string) => site.send(queryWire(name, "A"), "udp");
  await Promise.all(Array.from({ length: 2 * WINDOW }, (_, first) => asker(first, first % 2 === 0 ? overTcp : overUdp)));
  stream.close();
  return replies;
}

function questions(names: Iterable<string>): readonly string[] {
  return [...names].map((name) => `${name} A`).toSorted();
}

function chinaNames(): readonly string[] {
  return [...readFileSync(REAL_LISTS.chinaFile, "utf8").matchAll(/^server=\/([^/]+)\//gm)].map(([, name = ""]) =>
    name.toLowerCase(),
  );
}

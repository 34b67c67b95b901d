import { expect, onTestFinished, test } from "vitest";
import { CHANNELS } from "../../src/replies/layout.ts";
import { queryWire } from "../support/message.ts";
import { deny, empty, honest } from "../support/zone-script.ts";
import type { Script } from "../upstreams/scripted-server.ts";
import { type Way, World } from "./world.ts";

const page = honest(
  "page.example 60 A 192.0.2.1",
  "six.example 60 AAAA 2001:db8::1",
  "home.example 60 A 10.0.0.1",
  "alias.example 60 CNAME page.example",
  'text.example 60 TXT "text"',
  "page.example 60 HTTPS 1 . alpn=h2",
);

/** Any file that is there. */
const FILE = import.meta.filename;
const ROUTER = `{ url: 'https://192.168.1.1', user: fenliu, passwordFile: '${FILE}', addressLists: [{ rule: fed, list: FED }] }`;

interface Case {
  readonly name: string;
  readonly type?: string;
  readonly yaml?: string;
  readonly script?: Script;
  readonly client?: string;
  readonly way?: Way;
  readonly options?: Parameters<typeof queryWire>[2];
}

/** How often of five times the reply is repeated. */
async function timesRepeated({
  name,
  type = "A",
  yaml = "rules: []",
  script = page,
  client = "192.168.1.2",
  way,
  options,
}: Case): Promise<number> {
  const world = await World.open({ repeats: true, yaml, script, cacheBytes: 1 << 20 });
  onTestFinished(() => world.close());
  for (let time = 0; time < 5; time++) await world.ask(queryWire(name, type, options), client, way);
  return world.repeated;
}

test.each<Case>([
  { name: "page.example" },
  { name: "PAGE.example", options: { edns: null } },
  { name: "alias.example" },
  { name: "six.example", type: "AAAA" },
  { name: "text.example", type: "TXT" },
  { name: "page.example", client: "fd00::7", options: { do: true, ad: true } },
  { name: "page.example", type: "MX", script: empty },
  { name: "page.example", type: "HTTPS", script: empty },
  { name: "page.example", yaml: "access: { rateLimit: { perSecond: 9, burst: 9, exempt: 192.168.1.0/24 } }" },
  {
    name: "page.example",
    yaml: `devices: { leases: ['${FILE}'] }\nrules: [{ name: fed, domains: text.example, upstream: main }]\nrouteros: ${ROUTER}`,
  },
])("what follows from one entry of the cache is repeated: $name $type $yaml", async (question) => {
  // The first comes from upstream, the second from the cache, and is published.
  expect(await timesRepeated(question)).toBe(3);
});

test.each<Case>([
  { name: "page.example", script: deny },
  { name: "page.example", type: "HTTPS" },
  { name: "six.example", type: "AAAA", yaml: "answers: { ipv6: prefer-ipv4 }" },
  { name: "page.example", yaml: "hosts: { records: { page.example: 192.0.2.9 } }" },
  { name: "page.example", yaml: "hosts: { records: { page.example: { cname: text.example } } }" },
  { name: "page.example", yaml: "rules: [{ name: no, domains: page.example, answer: nodata }]" },
  { name: "home.example", yaml: "answers: { rebinding: nodata }" },
  { name: "page.example", options: { subnet: "203.0.113.0/24" } },
  { name: "page.example", options: { class: 3 } },
  { name: "page.example", client: "fe80::1%eth0" },
  { name: "page.example", client: "192.168.1.9", yaml: "access: { rateLimit: { perSecond: 9, burst: 9, exempt: 192.168.1.2 } }" },
  { name: "page.example", client: "203.0.113.9" },
  {
    name: "page.example",
    client: "203.0.113.9",
    yaml: "access: { clients: 203.0.113.0/24 }\nrules: [{ name: all, upstream: main, ecs: client }]",
  },
  // Nobody says for how long the router has the addresses.
  { name: "page.example", yaml: `rules: [{ name: fed, domains: page.example, upstream: main }]\nrouteros: ${ROUTER}` },
])("everything else is answered each time: $name $type $yaml $client", async (question) => {
  expect(await timesRepeated(question)).toBe(0);
});

test("the name of a device counts from when it is known, for rules and for the log", async () => {
  const yaml = "rules: [{ name: tv, clients: tv, domains: text.example, answer: nodata }]";
  const world = await World.open({ repeats: true, yaml, script: page, cacheBytes: 1 << 20 });
  onTestFinished(() => world.close());
  const ask = async (name: string, type: string) => {
    for (let time = 0; time < 3; time++) await world.ask(queryWire(name, type), "192.168.1.2");
    return world.records().map(({ clientId, action }) => `${clientId} ${action}`);
  };
  expect(await ask("text.example", "TXT")).toEqual(Array(3).fill("null none"));
  expect(world.repeated).toBe(1);
  await world.know([{ address: "192.168.1.2", mac: "AA:BB:CC:DD:EE:01", name: "TV" }]);
  expect(await ask("text.example", "TXT")).toEqual(Array(3).fill("tv block"));
  expect(world.repeated).toBe(1);
  expect(await ask("page.example", "A")).toEqual(Array(3).fill("tv none"));
  expect(world.repeated).toBe(2);
});

test.each<[Way, number]>([
  [{ transport: "tcp", http: null, method: null, clientId: null }, 3],
  [{ transport: "dot", http: null, method: null, clientId: null }, 3],
  [{ transport: "doh", http: "2", method: "GET", clientId: null }, 3],
  [{ transport: "doh", http: "2", method: "POST", clientId: null }, 3],
  [{ transport: "doh", http: "1.1", method: "GET", clientId: null }, 3],
  [{ transport: "doh", http: "1.1", method: "POST", clientId: null }, 3],
  [{ transport: "doh", http: "1.0", method: "GET", clientId: null }, 0],
  // Its rules may be others than those of its address.
  [{ transport: "doh", http: "2", method: "GET", clientId: "tv" }, 0],
  [{ transport: "dot", http: null, method: null, clientId: "tv" }, 0],
])("over %j a reply is repeated %d times of five", async (way, times) => {
  expect(await timesRepeated({ name: "page.example", way })).toBe(times);
});

test("a reply that was published for one way is repeated over all others, and each query is logged and counted with its own", async () => {
  const world = await World.open({ repeats: true, yaml: "rules: []", script: page, cacheBytes: 1 << 20 });
  onTestFinished(() => world.close());
  const message = queryWire("page.example", "A");
  for (let time = 0; time < 2; time++) await world.ask(message, "192.168.1.2");
  const ways = CHANNELS.map((channel) => ({ ...channel, clientId: null }));
  for (const way of [...ways, ...ways]) await world.ask(message, "192.168.1.2", way);
  expect(world.repeated).toBe(14);
  const shown = ({ transport, http, method }: Omit<Way, "clientId">) => `${transport} ${http} ${method}`;
  const expected = [...ways.slice(0, 1), ...ways.slice(0, 1), ...ways, ...ways].map(shown);
  expect(world.records().map(shown).sort()).toEqual(expected.sort());
  const counted = new Map<string, number>();
  for (const { transport, count } of world.counts().queries) counted.set(transport, (counted.get(transport) ?? 0) + count);
  expect(Object.fromEntries(counted)).toEqual({ udp: 4, tcp: 2, dot: 2, doh: 8 });
});

test("an answer that a router is told of is repeated as long as the router has its addresses, and no longer when it has lost some", async () => {
  const yaml = `rules: [{ name: fed, domains: page.example, upstream: main }]\nrouteros: ${ROUTER}`;
  const world = await World.open({ repeats: true, yaml, script: page, cacheBytes: 1 << 20 });
  onTestFinished(() => world.close());
  const untilMs = world.clock.now() + 10_000;
  world.feed = { see: () => null, repeatableUntilMs: (rule) => (rule === "fed" ? untilMs : 0) };
  /** Asks thrice. @returns how many of the replies were repeated. */
  const thrice = async () => {
    const before = world.repeated;
    for (let time = 0; time < 3; time++) await world.ask(queryWire("page.example", "A"), "192.168.1.2");
    return world.repeated - before;
  };
  expect(await thrice()).toBe(1);
  world.onLoss();
  expect(await thrice()).toBe(2);
  await world.clock.advance(9_999);
  expect(await thrice()).toBe(3);
  await world.clock.advance(1);
  expect(await thrice()).toBe(0);
});

test("a reply is repeated until the next moment at which a rule begins or ends to hold, and from then on what follows from the rules of that time", async () => {
  const yaml = `rules: [{ name: night, when: { from: "00:01", to: "00:02", zone: UTC }, upstream: other }]`;
  const world = await World.open({ repeats: true, yaml, script: page, cacheBytes: 1 << 20 });
  onTestFinished(() => world.close());
  const message = queryWire("page.example", "A");
  /** Asks thrice. @returns how many of the replies were repeated. */
  const thrice = async () => {
    const before = world.repeated;
    for (let time = 0; time < 3; time++) await world.ask(message, "192.168.1.2");
    return world.repeated - before;
  };
  expect(await thrice()).toBe(1);
  // The world begins ten seconds before that minute.
  await world.clock.advance(9_000);
  expect(await thrice()).toBe(3);
  await world.clock.advance(1_000);
  expect(await thrice()).toBe(1);
  expect(world.asked).toEqual(["main page.example A", "other page.example A"]);
  const rules = world.records().map(({ rule }) => rule);
  expect([null, "night"].map((name) => rules.filter((rule) => rule === name).length)).toEqual([6, 3]);
});

import { createSocket, type Socket } from "node:dgram";
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { MAX_GROUP_IN_FLIGHT } from "../../src/upstreams/group.ts";
import { queryWire } from "../support/message.ts";
import { siteWith, type TestSite } from "../support/site.ts";
import { honest, silent } from "../support/zone-script.ts";

const page = honest("page.example 100 A 192.0.2.7");
const FLOOD = 12_000;

async function floodingSite(): Promise<TestSite> {
  const site = await siteWith({
    upstreams: { main: page },
    yaml: "hosts: { records: { nas.lan: 10.0.0.5, photos.lan: { cname: page.example } } }\naccess: { clients: [127.0.0.0/8] }",
  });
  await site.ask("page.example");
  site.server().follow(() => silent);
  return site;
}

/** Counts its replies by rcode. */
async function clientAt(address: string, site: TestSite) {
  const socket: Socket = createSocket("udp4");
  onTestFinished(() => new Promise<void>((resolve) => socket.close(() => resolve())));
  socket.bind(0, address);
  await once(socket, "listening");
  const rcodes: number[] = [];
  socket.on("message", (reply) => rcodes.push((reply[3] ?? 0) & 15));
  const port = site.app.bound.dns[0]?.port ?? 0;
  return {
    rcodes,
    /** Sends in portions, so that the kernel drops no datagram. */
    async send(count: number, nameOf: (index: number) => string): Promise<void> {
      for (let index = 0; index < count; index++) {
        socket.send(queryWire(nameOf(index), "A"), port, "127.0.0.1");
        if (index % 25 === 24) await new Promise((resolve) => setImmediate(resolve));
      }
    },
  };
}

async function expectHits(site: TestSite): Promise<void> {
  for (const transport of ["udp", "tcp", "dot", "doh"] as const) {
    expect(await site.ask("page.example", "A", { transport })).toMatchObject({ answers: ["192.0.2.7"] });
    expect(await site.ask("nas.lan", "A", { transport })).toMatchObject({ answers: ["10.0.0.5"] });
    expect(await site.ask("photos.lan", "A", { transport })).toMatchObject({ answers: ["192.0.2.7"] });
  }
}

test("while 12,000 queries wait for one name, names that need no upstream are answered, and every query is answered by the deadline", async () => {
  const site = await floodingSite();
  const flooder = await clientAt("127.0.0.2", site);
  await flooder.send(FLOOD, () => "hanging.example");
  await expectHits(site);
  await site.until(() => flooder.rcodes.length >= FLOOD - 2000);
  const { waiting } = site.app;
  expect(waiting.taken).toBe(2000);
  // They have their replies by turns, so that other clients need not wait for all of them.
  let turns = 0;
  const left: number[] = [];
  const isEnded = site.clock.advance(4000);
  while (waiting.taken > 0) {
    await new Promise((resolve) => setImmediate(resolve));
    if (waiting.taken < 2000) left.push(waiting.taken);
    turns++;
  }
  await isEnded;
  expect(turns).toBeGreaterThan(8);
  expect(Math.max(...left.map((count, index) => (left[index - 1] ?? 2000) - count))).toBeLessThanOrEqual(400);
  // The kernel drops some of 2,000 replies that arrive at once.
  expect(new Set(flooder.rcodes)).toEqual(new Set([2]));
}, 30_000);

test("while one client asks for 12,000 names that hang, names that need no upstream are answered, and the query of another client still goes upstream", async () => {
  const site = await floodingSite();
  const flooder = await clientAt("127.0.0.2", site);
  await flooder.send(FLOOD, (index) => `host${index}.example`);
  await expectHits(site);
  await site.until(() => flooder.rcodes.length >= FLOOD - MAX_GROUP_IN_FLIGHT / 2);
  expect(site.app.waiting.taken).toBe(MAX_GROUP_IN_FLIGHT / 2);
  const other = await clientAt("127.0.0.3", site);
  const fresh = honest("*.fresh.example 100 A 192.0.2.8");
  site.server().follow((asked) => (asked.name.includes("fresh") ? fresh(asked) : silent));
  await other.send(200, (index) => `host${index}.fresh.example`);
  await site.until(() => other.rcodes.length === 200);
  expect(new Set(other.rcodes)).not.toContain(2);
  await site.clock.advance(4000);
  expect(site.app.waiting.taken).toBe(0);
}, 30_000);

test("hundreds of concurrent queries of one router all go upstream", async () => {
  const site = await floodingSite();
  const router = await clientAt("127.0.0.2", site);
  for (let sent = 0; sent < 450; sent += 25) {
    await router.send(25, (index) => `host${sent + index}.example`);
    await site.until(() => site.asked().length > sent + 24);
  }
  expect(router.rcodes).toEqual([]);
  await site.clock.advance(4000);
});

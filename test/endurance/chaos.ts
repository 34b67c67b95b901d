/**
 * What a house meets in years, one scene after another: `npm run chaos [-- SCENE… --kills 5 --flood 4000 --rate 2000 --mutations 5000 --only TEXT --every 3]`. Each scene prints what clients saw, and
 * what breaks a promise of the server; the command ends with 1 if anything did.
 */
import { execFileSync } from "node:child_process";
import { closeSync, existsSync, openSync, rmSync, writeSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout } from "node:timers/promises";
import { parseArgs } from "node:util";
import { BEHAVIOURS } from "./behaviours.ts";
import { hang } from "./hang.ts";
import { hostile } from "./hostile.ts";
import {
  addressOf,
  droppedDatagrams,
  droppedInAll,
  type HouseTransport,
  LOST_MS,
  SteadyHouse,
  Tally,
  TRANSPORTS,
} from "./household.ts";
import { mutated } from "./mutated.ts";
import { network } from "./network.ts";
import { inOrder, World } from "./world.ts";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    /** How often the process is killed. */
    kills: { type: "string", default: "5" },
    /** Questions of each flood. */
    flood: { type: "string", default: "4000" },
    /** Of scene `hang`: questions a second of one flood. */
    rate: { type: "string", default: "2000" },
    /** Of scene `mutated`: messages on each transport. */
    mutations: { type: "string", default: "5000" },
    /** Takes every n-th behaviour of upstreams. */
    every: { type: "string", default: "3" },
    /** Takes the behaviours, or the floods of `hang`, the lines of `network`, with this in their name. */
    only: { type: "string", default: "" },
  },
});

/** The deadline of the configuration, and what a busy machine may take on top. */
const LATEST_MS = 4000 + 1000;
const GROUPS = ["near.example", "far.example", "dot.example", "both.example"];
const problems: string[] = [];
let serial = 0;

/** A name that nobody has asked for. */
const freshName = (group = GROUPS[serial % GROUPS.length]): string => `n${serial++}.${group}`;

function expectThat(scene: string, holds: boolean, promise: string): void {
  if (!holds) problems.push(`${scene}: ${promise}`);
}

/** Asks for fresh names of every group at once. */
async function askAll(world: World, transports: readonly HouseTransport[], each: number): Promise<Tally> {
  const tally = new Tally(LATEST_MS);
  const clients = transports.map((transport) => world.client(transport));
  const asking = clients.flatMap((client) =>
    GROUPS.flatMap((group) => Array.from({ length: each }, async () => tally.note(await client.ask(freshName(group))))),
  );
  await Promise.all(asking);
  for (const client of clients) client.close();
  return tally;
}

/** How long until fresh names of every group are answered rightly again. */
async function recoveryMs(world: World, scene = "recovery"): Promise<number> {
  const startMs = performance.now();
  for (;;) {
    const tally = await askAll(world, ["tcp"], 1);
    if (tally.counts.right === tally.asked) return Math.round(performance.now() - startMs);
    if (performance.now() - startMs < 20_000) continue;
    expectThat(scene, false, `not right after 20 s: ${tally.row()}: ${await world.call("GET", "/api/v1/upstreams")}`);
    return Number.POSITIVE_INFINITY;
  }
}

async function upstreams(world: World): Promise<void> {
  const every = values.only === "" ? Number(values.every) : 1;
  const scripts = Object.entries(BEHAVIOURS).filter(([name], index) => index % every === 0 && name.includes(values.only));
  for (const [name, script] of scripts) {
    world.follow(script);
    const tally = await askAll(world, ["udp", "tcp", "h2"], 2);
    world.follow(inOrder);
    const backMs = await recoveryMs(world, name);
    console.log(`  ${name.padEnd(36)} ${tally.row()}; all is well again after ${backMs} ms`);
    expectThat(name, tally.counts.wrong === 0, `a wrong answer: ${tally.details.join("; ")}`);
    expectThat(name, tally.counts.lost === 0, "a question without a reply");
    expectThat(name, tally.slowestMs <= LATEST_MS, `a reply after ${tally.slowestMs} ms`);
    expectThat(name, backMs <= 6000 || backMs === Number.POSITIVE_INFINITY, `it took ${backMs} ms until all was well again`);
  }
}

async function kills(world: World): Promise<void> {
  await world.call("PUT", "/api/v1/hosts/printer.lan", { address: [addressOf("printer.lan")] });
  const starts: number[] = [];
  const house = new SteadyHouse(
    TRANSPORTS.map((transport) => world.client(transport)),
    { perSecond: 50, lateMs: LATEST_MS },
    () => (serial % 2 === 0 ? "printer.lan" : freshName()),
  );
  for (let kill = 0; kill < Number(values.kills); kill++) {
    await setTimeout(200 + Math.random() * 1500);
    await world.fenliu.stop("SIGKILL");
    const startMs = performance.now();
    await world.startFenliu();
    starts.push(Math.round(performance.now() - startMs));
    const heard = await world.client("udp").ask("printer.lan");
    expectThat("kill -9", heard.kind === "right", `a name that was set is lost: ${heard.detail}`);
  }
  await house.stop();
  await setTimeout(1500);
  const database = new DatabaseSync(join(world.folder, "data/queries.db"), { readOnly: true });
  const check = String(database.prepare("PRAGMA integrity_check").get()?.["integrity_check"]);
  database.close();
  console.log(
    `  killed ${starts.length} times; ready after ${Math.min(...starts)} to ${Math.max(...starts)} ms; the log is ${check}`,
  );
  expectThat("kill -9", check === "ok", `the log is damaged: ${check}`);
  expectThat("kill -9", !/renewed|aside/.test(world.fenliu.output()), "a log was put aside");
}

/** The wall clock jumps, and the process is suspended as a machine that sleeps. */
async function clock(world: World): Promise<void> {
  for (const shiftMs of [3_600_000, -3_600_000, 86_400_000 * 400, 0]) {
    world.shiftClock(shiftMs);
    await setTimeout(300);
    const tally = await askAll(world, ["udp", "h2"], 2);
    console.log(`  the clock is ${shiftMs / 1000} s off: ${tally.row()}`);
    expectThat("clock", tally.counts.right === tally.asked, `${tally.asked - tally.counts.right} questions had no right answer`);
  }
  world.fenliu.child.kill("SIGSTOP");
  await setTimeout(6000);
  world.fenliu.child.kill("SIGCONT");
  const tally = await askAll(world, TRANSPORTS, 2);
  console.log(`  after 6 s of suspension: ${tally.row()}`);
  expectThat("suspension", tally.counts.right === tally.asked, "questions without a right answer");
  expectThat("suspension", tally.slowestMs <= 3000, `an answer after ${tally.slowestMs} ms`);
}

async function disk(world: World): Promise<void> {
  const folder = join(world.folder, "data");
  await world.fenliu.stop();
  try {
    execFileSync("/bin/mount", ["-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], { stdio: "ignore" });
  } catch {
    console.log("  left out: only root may mount a small disk");
    await world.startFenliu();
    return;
  }
  try {
    await world.startFenliu();
    await askAll(world, ["tcp"], 20);
    fill(join(folder, "ballast"));
    const tally = new Tally(LATEST_MS);
    for (let round = 0; round < 5; round++) {
      const heard = await askAll(world, TRANSPORTS, 10);
      expectThat(
        "disk full",
        heard.counts.right === heard.asked,
        `${heard.asked - heard.counts.right} questions without a right answer`,
      );
      tally.note({ kind: "right", ms: heard.slowestMs, again: false, detail: "" });
    }
    const refused = await world.call("PUT", "/api/v1/hosts/full.lan", { address: ["10.0.0.9"] }).catch(String);
    rmSync(join(folder, "ballast"));
    await setTimeout(4000);
    const stored = await world.call("PUT", "/api/v1/hosts/full.lan", { address: [addressOf("full.lan")] }).catch(String);
    const heard = await world.client("udp").ask("full.lan");
    console.log(
      `  all was answered, slowest ${tally.slowestMs} ms; a change of hosts said ${refused.slice(0, 120)}; with room again: ${heard.kind}`,
    );
    expectThat("disk full", heard.kind === "right", `a change with room again: ${stored}`);
  } finally {
    await world.fenliu.stop();
    execFileSync("/bin/umount", ["-l", folder]);
  }
  await world.startFenliu();
}

function fill(path: string): void {
  const file = openSync(path, "w");
  try {
    for (;;) writeSync(file, Buffer.alloc(4096));
  } catch {
    // The disk is full.
  } finally {
    closeSync(file);
  }
}

/** One client asks for names that hang, as often as it can, over every transport; another one asks for what needs no waiting. */
async function floods(world: World): Promise<void> {
  const count = Number(values.flood);
  await world.client("udp").ask("cached.near.example");
  world.follow((asked) => (asked.name.startsWith("hang") ? { kind: "silence" } : inOrder(asked)));
  for (const [kind, nameOf] of [
    ["equal", () => "hang.near.example"],
    ["different", (index: number) => `hang${index}.${GROUPS[index % GROUPS.length]}`],
  ] as const) {
    const house = new SteadyHouse(
      TRANSPORTS.map((transport) => world.client(transport)),
      { perSecond: 100, lateMs: LATEST_MS },
      (number) => (number % 3 === 0 ? "cached.near.example" : "nas.lan"),
    );
    const flooders = TRANSPORTS.map((transport) => world.client(transport, "127.0.0.2"));
    const flood = new Tally(LATEST_MS);
    const asking: Promise<void>[] = [];
    for (let index = 0; index < count; index++) {
      const flooder = flooders[index % flooders.length];
      if (flooder !== undefined) asking.push(flooder.ask(nameOf(index), null).then((heard) => flood.note(heard)));
      if (index % 50 === 49) await setTimeout(5);
    }
    await Promise.all(asking);
    await house.stop();
    const usage = world.usage();
    for (const [transport, tally] of house.tallies) {
      console.log(`  ${count} ${kind}, beside them ${transport.padEnd(9)} ${tally.row()}`);
      expectThat(`flood of ${kind}`, tally.counts.right === tally.asked, `${transport}: ${tally.details.join("; ")}`);
    }
    console.log(`  the flood itself: ${flood.row()}; ${usage.residentMiB.toFixed(0)} MiB, ${usage.handles} handles`);
    for (const flooder of flooders) flooder.close();
  }
  world.follow(inOrder);
  expectThat("flood", (await recoveryMs(world)) < 6000, "it took long until all was well again");
}

/** The certificate is renewed, and the process is ended as by a service manager and started again, while a house asks 2,000 times a second. */
async function restarts(world: World): Promise<void> {
  await world.keepPorts();
  const beside = async (what: string, work: () => Promise<void>): Promise<void> => {
    const clients = TRANSPORTS.map((transport) => world.client(transport));
    for (const client of clients) await client.ask("nas.lan");
    const house = new SteadyHouse(clients, { perSecond: 2000, lateMs: LATEST_MS }, () => "nas.lan");
    const [dropped, droppedHere] = [droppedInAll(), droppedDatagrams(world.fenliu.ports.dns)];
    await setTimeout(500);
    await work();
    await setTimeout(500);
    await house.stop();
    const here = droppedDatagrams(world.fenliu.ports.dns) - droppedHere;
    const late = clients.reduce((sum, client) => sum + client.late, 0);
    console.log(
      `  ${what}: datagrams without room: ${here} of the server's, ${droppedInAll() - dropped} with those of the clients; replies after ${LOST_MS / 1000} s: ${late}`,
    );
    for (const [transport, { asked, counts }] of house.tallies) {
      console.log(
        `  ${what}: ${transport.padEnd(9)} ${counts.right} of ${asked} right, ${counts.again} asked again, ${counts.lost} lost`,
      );
      expectThat(what, counts.wrong + counts.failed === 0, `${transport}: a wrong answer`);
      if (!what.includes("restarts"))
        expectThat(what, counts.right === asked, `${transport}: ${asked - counts.right} without an answer`);
    }
  };
  await beside("5 renewals of the certificate", async () => {
    for (let renewal = 0; renewal < 5; renewal++) await world.renewCertificate();
  });
  await beside("3 hand-overs to another process", async () => {
    for (let handOver = 0; handOver < 3; handOver++) {
      const startMs = performance.now();
      await world.handOver();
      console.log(`  process ${world.pid} has taken over after ${Math.round(performance.now() - startMs)} ms`);
    }
  });
  let awayMs = 0;
  await world.stopFenliu();
  await world.startFenliu();
  await beside("3 restarts", async () => {
    for (let restart = 0; restart < 3; restart++) {
      const startMs = performance.now();
      const status = await world.fenliu.stop();
      await world.startFenliu();
      awayMs += performance.now() - startMs;
      expectThat("restart", status === 0, `it ended with ${status}`);
      await setTimeout(500);
    }
  });
  console.log(`  the server was away ${Math.round(awayMs / 3)} ms at each restart`);
}

/** Connections that say nothing, or never come to the end of what they say. */
async function connections(world: World): Promise<void> {
  const { dns, tls, https, http } = world.fenliu.ports;
  const http2Start = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
  const starts: readonly (readonly [name: string, port: number, bytes: string])[] = [
    ["silent on TCP", dns, ""],
    ["silent on DoT", tls, ""],
    ["silent on HTTPS", https, ""],
    ["half a length on TCP", dns, "\0"],
    ["half a head of HTTP/1", http, "GET /dns-query?dns=AA HTTP/1.1\r\nHost: "],
    [
      "half a body of HTTP/1",
      http,
      "POST /dns-query HTTP/1.1\r\nContent-Type: application/dns-message\r\nContent-Length: 100\r\n\r\n",
    ],
    ["a header block without an end on HTTP/2", http, `${http2Start}\0\0\x01\x01\x00\0\0\0\x01\x82`],
    ["PING without an end on HTTP/2", http, http2Start + `\0\0\x08\x06\0\0\0\0\0${"\0".repeat(8)}`.repeat(3000)],
    ["streams that are reset on HTTP/2", http, http2Start + resets(3000)],
  ];
  const house = new SteadyHouse(
    TRANSPORTS.map((transport) => world.client(transport)),
    { perSecond: 100, lateMs: LATEST_MS },
    (number) => (number % 2 === 0 ? "nas.lan" : freshName()),
  );
  const before = world.usage();
  const sockets: Socket[] = [];
  const stillOpen = new Map<string, number>();
  for (const [name, port, bytes] of starts)
    for (let index = 0; index < 150; index++) {
      const socket = connect({ port, host: "127.0.0.1", localAddress: `127.0.1.${1 + (index % 9)}` });
      socket.on("error", () => {});
      socket.on("data", () => {});
      socket.write(Buffer.from(bytes, "latin1"));
      stillOpen.set(name, (stillOpen.get(name) ?? 0) + 1);
      socket.on("close", () => stillOpen.set(name, (stillOpen.get(name) ?? 0) - 1));
      sockets.push(socket);
      if (index % 50 === 49) await setTimeout(20);
    }
  await setTimeout(8000);
  const during = world.usage();
  await setTimeout(6000);
  const openKinds = [...stillOpen].filter(([, count]) => count > 0).map(([name, count]) => `${count} ${name}`);
  await house.stop();
  for (const socket of sockets) socket.destroy();
  const total = [...house.tallies.values()].reduce((sum, { asked, counts }) => [sum[0] + counts.right, sum[1] + asked] as const, [
    0, 0,
  ] as readonly [number, number]);
  console.log(
    `  ${sockets.length} such connections: ${total[0]} of ${total[1]} questions beside them answered; memory ${before.residentMiB.toFixed(0)} to ${during.residentMiB.toFixed(0)} MiB, ` +
      `handles ${before.handles} to ${during.handles}; still open after 14 s: ${openKinds.join(", ") || "none"}`,
  );
  expectThat("connections", total[0] >= 0.99 * total[1], "good clients lost more than one answer of a hundred");
  // A request has 40 s for its body; the rest is over.
  expectThat(
    "connections",
    openKinds.every((kind) => kind.endsWith("half a body of HTTP/1")),
    `connections are still open: ${openKinds.join(", ")}`,
  );
}

/** More connections that say nothing than the server keeps, over TCP and to be HTTP, from some addresses. */
const IDLE = 10_000;

async function idleConnections(world: World): Promise<void> {
  const { dns, http } = world.fenliu.ports;
  const house = new SteadyHouse(
    TRANSPORTS.map((transport) => world.client(transport)),
    { perSecond: 100, lateMs: LATEST_MS },
    (number) => (number % 2 === 0 ? "nas.lan" : freshName()),
  );
  const before = world.usage();
  const sockets: Socket[] = [];
  for (let index = 0; index < IDLE; index++) {
    const localAddress = `127.0.2.${1 + (index % 200)}`;
    const socket = connect({ port: index % 2 === 0 ? dns : http, host: "127.0.0.1", localAddress });
    socket.on("error", () => {});
    socket.resume();
    sockets.push(socket);
    if (index % 100 === 99) await setTimeout(20);
  }
  await setTimeout(2000);
  const during = world.usage();
  const open = sockets.filter(({ closed }) => !closed).length;
  await house.stop();
  for (const socket of sockets) socket.destroy();
  const tallies = [...house.tallies.values()];
  const right = tallies.reduce((sum, { counts }) => sum + counts.right, 0);
  const asked = tallies.reduce((sum, tally) => sum + tally.asked, 0);
  console.log(
    `  ${IDLE} idle connections: ${right} of ${asked} questions beside them answered, slowest ${Math.max(...tallies.map(({ slowestMs }) => slowestMs))} ms; ` +
      `memory ${before.residentMiB.toFixed(0)} to ${during.residentMiB.toFixed(0)} MiB, handles ${before.handles} to ${during.handles}, ${open} open at the end`,
  );
  expectThat("idle connections", right >= 0.99 * asked, "good clients lost more than one answer of a hundred");
  expectThat("idle connections", during.handles <= 4096 + 200, `${during.handles} handles`);
}

function resets(count: number): string {
  let frames = "";
  for (let index = 0; index < count; index++) {
    const id = String.fromCharCode(0, 0, (index >> 7) & 0xff, ((index << 1) & 0xff) | 1);
    frames += `\0\0\x03\x01\x05${id}\x82\x86\x84\0\0\x04\x03\0${id}\0\0\0\x08`;
  }
  return frames;
}

const SCENES: Readonly<Record<string, (world: World) => Promise<void>>> = {
  upstreams,
  clock,
  floods,
  hang: (world) =>
    hang(world, { count: Number(values.flood), perSecond: Number(values.rate), only: values.only, expect: expectThat }),
  network: () => network(values.only, expectThat),
  hostile: (world) => hostile(world, values.only, expectThat),
  mutated: (world) => mutated(world, { count: Number(values.mutations), expect: expectThat }),
  connections: async (world) => {
    await connections(world);
    await idleConnections(world);
  },
  restarts,
  disk,
  kills,
};

const wanted = positionals.length > 0 ? positionals : Object.keys(SCENES);
const world = await World.open();
try {
  await world.startFenliu();
  for (const name of wanted) {
    const scene = SCENES[name];
    if (scene === undefined) throw new Error(`there is no scene ${name}; there are ${Object.keys(SCENES).join(", ")}`);
    console.log(name);
    await scene(world);
    world.follow(inOrder);
    problems.push(
      ...world
        .complaints()
        .slice(0, 5)
        .map((line) => `${name}: ${line}`),
    );
  }
  if (!existsSync(join(world.folder, "data/queries.db"))) problems.push("there is no log");
} finally {
  await world.close();
}
for (const problem of problems) console.log(`PROBLEM ${problem}`);
process.exit(problems.length > 0 ? 1 : 0);

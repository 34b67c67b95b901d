import { setTimeout as pause } from "node:timers/promises";
import { type HouseClient, type HouseTransport, Tally } from "./household.ts";
import { FAR, Line, type Weather } from "./line.ts";
import { openUpstreams, World } from "./world.ts";

/** The deadline of the configuration, and what a busy machine may take on top. */
const LATEST_MS = 4000 + 1000;

/** After a line is in order again, names of every group are answered rightly within this time. */
const RECOVERED_MS = 15_000;

/** By the group that is asked for them: over UDP, HTTPS and TLS, and two of them compared. */
const ZONES = ["near.example", "far.example", "dot.example", "both.example"] as const;
type Zone = (typeof ZONES)[number];

const CLIENTS: readonly HouseTransport[] = ["udp", "tcp", "h2"];

/** One state of the line. */
interface Condition {
  readonly name: string;
  readonly weather: Weather;
  /** Done when the line is so already. */
  readonly event?: (line: Line, world: World) => void;
  /** The share of right answers that each zone has at least; 0 where the line leaves no way. */
  readonly least: Readonly<Record<Zone, number>>;
}

const all = (share: number) => ({ "near.example": share, "far.example": share, "dot.example": share, "both.example": share });
const cutOff = (address: string) => ({ passes: (far: string) => far !== address });
const reconnect = (_: Line, world: World): void => {
  for (const upstream of Object.values(world.upstreams)) upstream.dropConnections();
};

const CONDITIONS: readonly Condition[] = [
  { name: "in order", weather: {}, least: all(1) },
  { name: "60 ms to the other side", weather: { delayMs: 30 }, event: reconnect, least: all(1) },
  { name: "1 packet of 100 lost", weather: { delayMs: 10, loss: 0.01 }, least: all(0.99) },
  { name: "10 of 100 lost", weather: { delayMs: 10, loss: 0.1 }, least: all(0.95) },
  { name: "30 of 100 lost", weather: { delayMs: 10, loss: 0.3 }, least: all(0.7) },
  { name: "30 of 100 lost, connections new", weather: { delayMs: 10, loss: 0.3 }, event: reconnect, least: all(0.4) },
  { name: "packets overtake each other", weather: { delayMs: 5, jitterMs: 100 }, least: all(1) },
  {
    name: "2 s until an answer",
    weather: { delayMs: 1000 },
    // What is asked after the connection fell silent and before its first late answer waits for one that opens too late.
    least: { ...all(0.9), "far.example": 0.5, "dot.example": 0.5 },
  },
  {
    name: "2 s until an answer, connections new",
    weather: { delayMs: 1000 },
    event: reconnect,
    least: { ...all(0), "near.example": 0.9 },
  },
  { name: "no packet passes", weather: { passes: () => false }, least: all(0) },
  { name: "the server over UDP is cut off", weather: cutOff(FAR[0]), least: { ...all(1), "near.example": 0 } },
  { name: "the server over HTTPS is cut off", weather: cutOff(FAR[1]), least: { ...all(1), "far.example": 0 } },
  {
    name: "the server over TLS is cut off",
    weather: cutOff(FAR[2]),
    least: { ...all(1), "dot.example": 0, "both.example": 0.9 },
  },
  { name: "the address changes", weather: { delayMs: 10 }, event: (line) => line.changeAddress(), least: all(0.95) },
  { name: "packets above 576 bytes vanish", weather: { delayMs: 10, maxBytes: 576 }, least: all(1) },
  {
    name: "packets above 576 bytes vanish, connections new",
    weather: { delayMs: 10, maxBytes: 576 },
    event: reconnect,
    // No certificate comes through.
    least: { ...all(0), "near.example": 1, "both.example": 0.9 },
  },
];

/** A house whose upstreams are beyond a line on which packets are lost, late, out of order or too large. */
export async function network(only: string, expect: (scene: string, holds: boolean, promise: string) => void): Promise<void> {
  let line: Line;
  try {
    line = Line.open();
  } catch (error) {
    console.log(`  left out: it needs Linux, root and network namespaces (${String(error)})`);
    return;
  }
  let world: World | null = null;
  try {
    line.enter("far");
    const upstreams = await openUpstreams(...FAR);
    line.enter("near");
    world = await World.open(upstreams);
    await world.startFenliu();
    for (const condition of CONDITIONS.filter(({ name }) => name.includes(only))) await meet(condition, line, world, expect);
    for (const complaint of world.complaints().slice(0, 5)) expect("network", false, complaint);
  } finally {
    line.weather = {};
    await world?.close();
    line.close();
  }
}

let serial = 0;

async function meet(
  { name, weather, event, least }: Condition,
  line: Line,
  world: World,
  expect: (scene: string, holds: boolean, promise: string) => void,
): Promise<void> {
  const clients = CLIENTS.map((transport) => world.client(transport));
  // Every upstream has a connection before.
  await recoveryMs(world.client("tcp"));
  const before = { ...line.counts };
  line.weather = weather;
  event?.(line, world);
  // Twenty a second and zone, for two seconds: what one learns of the line, others are spared.
  const tallies = new Map(ZONES.map((zone) => [zone, new Tally(LATEST_MS)]));
  const asking: Promise<void>[] = [];
  for (let round = 0; round < 40; round++) {
    for (const [zone, tally] of tallies) {
      const client = clients[serial % clients.length];
      if (client !== undefined) asking.push(client.ask(`n${serial++}.${zone}`).then((heard) => tally.note(heard)));
    }
    await pause(50);
  }
  await Promise.all(asking);
  const { came, lost } = line.counts;
  line.weather = {};
  const backMs = await recoveryMs(world.client("tcp"));
  for (const client of clients) client.close();
  console.log(`  ${name}: ${lost - before.lost} of ${came - before.came} packets lost; all is well again after ${backMs} ms`);
  for (const [zone, tally] of tallies) {
    console.log(`    ${zone.padEnd(13)} ${tally.row()}`);
    const { right, wrong, lost: unanswered } = tally.counts;
    expect(name, wrong === 0, `${zone}: a wrong answer: ${tally.details.join("; ")}`);
    expect(name, unanswered === 0, `${zone}: a question without a reply`);
    expect(name, tally.slowestMs <= LATEST_MS, `${zone}: a reply after ${tally.slowestMs} ms`);
    expect(name, right >= least[zone] * tally.asked, `${zone}: ${right} of ${tally.asked} right`);
  }
  expect(name, backMs <= RECOVERED_MS, `it took ${backMs} ms until all was well again`);
}

/** How long until fresh names of every group are answered rightly, three times in a row. */
async function recoveryMs(client: HouseClient): Promise<number> {
  const startMs = performance.now();
  for (let inRow = 0, sinceMs = 0; performance.now() - startMs < 2 * RECOVERED_MS; ) {
    const heard = await Promise.all(ZONES.map((zone) => client.ask(`n${serial++}.${zone}`)));
    const isWell = heard.every(({ kind }) => kind === "right");
    if (!isWell) inRow = 0;
    else if (inRow++ === 0) sinceMs = performance.now() - startMs;
    if (inRow === 3) {
      client.close();
      return Math.round(sinceMs);
    }
    await pause(100);
  }
  return Number.POSITIVE_INFINITY;
}

import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Worker } from "node:worker_threads";
import { eventually } from "../clients/processes.ts";
import type { HouseReport, HouseTask } from "./house-thread.ts";
import type { World } from "./world.ts";

/** The thread that answers is never held longer. */
const HELD_MS = 20;

const lines = (count: number, lineOf: (index: number) => string): string =>
  Array.from({ length: count }, (_, index) => lineOf(index)).join("\n");

/** The list of each file. */
const LIST_OF = { "ads.txt": "ads", "near.txt": "near-ip", "geo.dat": "geo" } as const;

/** A field of bytes of a .dat file, which is a protobuf message. */
function field(number: number, ...parts: readonly Buffer[]): Buffer {
  const length: number[] = [];
  let left = parts.reduce((sum, part) => sum + part.length, 0);
  for (; left > 127; left >>>= 7) length.push((left & 127) | 128);
  return Buffer.concat([Buffer.from([number * 8 + 2, ...length, left]), ...parts]);
}

const code = (text: string): Buffer => field(1, Buffer.from(text));

/** Lists that somebody wrote to do harm, by what is in them. */
const LISTS: Readonly<Record<string, { readonly file: keyof typeof LIST_OF; readonly text: () => string | Buffer }>> = {
  "64 lines of 1 MB": {
    file: "ads.txt",
    text: () => lines(64, (index) => `DOMAIN-SUFFIX,${" ".repeat(1 << 20)}x${index}.example`),
  },
  "one line of 64 MB": { file: "ads.txt", text: () => "a".repeat(64 << 20) },
  "2,000 expressions": { file: "ads.txt", text: () => lines(2000, (index) => `/^(a|b|ab)*c${index}(x+x+)+y$/`) },
  "2,000 expressions that are taken": {
    file: "ads.txt",
    text: () => lines(2000, (index) => `/^ad[0-9]{1,3}-${index}\\.(example|test)$/`),
  },
  "a million near-duplicates": {
    file: "ads.txt",
    text: () => lines(1_000_000, (index) => `${"a".repeat(40)}${index}.tracker.example`),
  },
  "300,000 labels below each other": {
    file: "ads.txt",
    text: () => lines(300_000, (index) => `${"a.".repeat(index % 60)}n${index % 5000}.example`),
  },
  "a million IPv6 networks": {
    file: "near.txt",
    text: () =>
      lines(1_000_000, (index) => `2001:db8:${(index >> 16).toString(16)}:${((index * 40_503) & 0xffff).toString(16)}::/64`),
  },
  "a million addresses that overlap": {
    file: "near.txt",
    text: () => lines(1_000_000, (index) => `10.${index & 255}.${(index >> 8) & 255}.0/${8 + (index % 24)}`),
  },
  "a million names in base64": {
    file: "ads.txt",
    text: () =>
      Buffer.from(`[AutoProxy 0.2.9]\n${lines(1_000_000, (index) => `||${"a".repeat(20)}${index}.example`)}`).toString("base64"),
  },
  "a .dat of a million categories": {
    file: "geo.dat",
    text: () => Buffer.concat(Array.from({ length: 1_000_000 }, (_, index) => field(1, code(`CATEGORY${index}`)))),
  },
  "a .dat with an entry of 64 MB": {
    file: "geo.dat",
    text: () => field(1, code("CN"), field(2, field(2, Buffer.alloc(64 << 20, "a")))),
  },
  "an mmdb bomb": {
    file: "near.txt",
    // The metadata says that there is a tree of 2^32 nodes.
    text: () =>
      Buffer.concat([
        Buffer.alloc(1 << 20, 0xff),
        Buffer.from("\xab\xcd\xefMaxMind.com\xe1\x4anode_count\xc4\xff\xff\xff\xff", "latin1"),
      ]),
  },
  "bytes by chance": {
    file: "ads.txt",
    text: () => Buffer.from(Array.from({ length: 4 << 20 }, (_, index) => (index * 2_654_435_761) >>> 13)),
  },
};

/** What a holder of the token may ask for. */
const REQUESTS: Readonly<Record<string, (world: World) => Promise<unknown>>> = {
  "a draft that names a list a thousand times": (world) =>
    world.call("POST", "/api/v1/config/check", {
      config: `lists: { big: { domains: [${Array.from({ length: 1000 }, () => "ads.txt").join(", ")}] } }\nrules: [{ name: big, domains: "list:big", answer: nodata }]`,
    }),
  "a draft of 10,000 rules": (world) =>
    world.call("POST", "/api/v1/config/check", {
      config: `rules:\n${lines(10_000, (index) => `  - { name: r${index}, domains: [d${index}.example], answer: nodata }`)}\n`,
    }),
  "a what-if over the log": (world) => world.call("POST", "/api/v1/whatif", { config: "answers: { https: nodata }", from: "7d" }),
  "a search by expression": (world) =>
    world.call("GET", `/api/v1/queries?limit=1000&name=${encodeURIComponent("/(a|aa)+x?.*tracker$/")}`),
  "a search for nothing": (world) => world.call("GET", "/api/v1/queries?limit=1000&name=*nowhere*"),
  "statistics of a week": (world) => world.call("GET", "/api/v1/stats?from=7d"),
};

/** Lists, drafts and searches that are made to hold the thread, beside a house that asks. */
export async function hostile(
  world: World,
  only: string,
  expect: (scene: string, holds: boolean, promise: string) => void,
): Promise<void> {
  const { ports } = world.fenliu;
  const task: HouseTask = { ports, transports: ["udp", "tcp", "h2c"], names: ["nas.lan"], everyMs: 5 };
  const beside = async (name: string, work: () => Promise<string>) => {
    const house = new Worker(new URL("./house-thread.ts", import.meta.url), { workerData: task });
    const report = new Promise<HouseReport>((resolve, reject) => house.once("message", resolve).once("error", reject));
    await pause(300);
    await world.lag();
    const startMs = performance.now();
    const said = await work();
    const tookMs = performance.now() - startMs;
    const { mostMs, workedMs } = await world.lag();
    house.postMessage("over");
    const { ms, faults } = await report;
    const slowest = Math.max(...Object.values(ms).flat());
    const { residentMiB } = world.usage();
    console.log(
      `  ${name.padEnd(44)} ${said} after ${Math.round(tookMs)} ms; worked ${workedMs} ms at a time, held ${mostMs} ms; slowest of the house ${slowest.toFixed(1)} ms; ${residentMiB.toFixed(0)} MiB`,
    );
    expect(name, workedMs <= HELD_MS, `the thread worked ${workedMs} ms at a time`);
    expect(name, faults.length === 0, faults.slice(0, 3).join("; "));
  };
  // The API loads its code when it is first asked. Before the lists: it would count as theirs.
  await beside("the first question to the API", async () => `${(await world.call("GET", "/healthz")).length} bytes`);
  await beside("nothing", async () => {
    await pause(1000);
    return "";
  });
  const isWanted = ([name]: readonly [string, unknown]) => name.includes(only);
  for (const [name, { file, text }] of Object.entries(LISTS).filter(isWanted)) {
    writeFileSync(join(world.folder, file), text());
    await beside(name, async () =>
      String(await world.call("POST", `/api/v1/lists/${LIST_OF[file]}/refresh`, {}).catch(String)).slice(0, 60),
    );
  }
  for (const [name, work] of Object.entries(REQUESTS).filter(isWanted))
    await beside(name, () =>
      work(world).then(
        () => "done",
        (error: unknown) => String(error).slice(0, 60),
      ),
    );
  world.writeList(100);
  writeFileSync(join(world.folder, "near.txt"), "198.51.0.0/17\n");
  await eventually(async () => (await world.call("POST", "/api/v1/lists/near-ip/refresh", {}).catch(() => null)) ?? null);
}

/**
 * `npm run bench:start [-- --runs 10]`: how long a server takes from its beginning to its first answer over UDP. The shipped file with its query log, asked
 * for a name of its hosts table; `cold` is without compiled code on the disk, as after an update, `warm` with that of the run before. Bare Node, which
 * answers every message with the same bytes, is what nobody can be quicker than.
 */
import { spawn, spawnSync } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { fenliuCommand } from "../test/clients/fenliu.ts";
import { freePort, projectRoot } from "../test/clients/processes.ts";
import { queryWire } from "../test/support/message.ts";
import { cpuNanoseconds } from "./cpu.ts";
import { shippedYaml } from "./shipped.ts";
import { median } from "./statistics.ts";

/** Between two questions: a hundredth of what a start takes. */
const ASK_EVERY_MS = 2;

const BARE = `require("node:dgram").createSocket("udp4").on("message", function (message, { port, address }) {
  this.send(message, port, address);
}).bind(Number(process.argv[1]), "127.0.0.1");`;

/** One start. */
interface Start {
  readonly firstAnswerMs: number;
  /** Of all threads until then. */
  readonly cpuMs: number;
}

const { values } = parseArgs({ options: { runs: { type: "string", default: "10" } } });
const runs = Number(values.runs);
// A start that finds sources changed compiles them, which takes seconds.
if (spawnSync(process.execPath, [join(projectRoot, "tools/build.mjs")], { stdio: "inherit" }).status !== 0) process.exit(1);
const folder = mkdtempSync(join(tmpdir(), "fenliu-bench-start-"));
try {
  const port = await freePort();
  const file = join(folder, "fenliu.yaml");
  // Nobody is asked.
  writeFileSync(file, shippedYaml(folder, 1, `listen: { dns: ["127.0.0.1:${port}"], http: [], admin: "127.0.0.1:0" }\n`));
  const [node, ...args] = fenliuCommand(file);
  const cold = await several(runs, (index) => timeStart(port, [node, ...args], join(folder, `cold-${index}`)));
  const cache = join(folder, "warm");
  await timeStart(port, [node, ...args], cache);
  const warm = await several(runs, () => timeStart(port, [node, ...args], cache));
  const bare = await several(runs, () => timeStart(port, [node, "-e", BARE, String(port)], cache));
  console.log("| start | median ms | lowest to highest | CPU ms |\n| --- | --: | --: | --: |");
  tell("cold", cold);
  tell("warm", warm);
  tell("bare Node", bare);
} finally {
  rmSync(folder, { recursive: true, force: true });
}

async function several(count: number, start: (index: number) => Promise<Start>): Promise<readonly Start[]> {
  const starts: Start[] = [];
  for (let index = 0; index < count; index++) starts.push(await start(index));
  return starts;
}

/** @param cache where Node keeps compiled code. */
async function timeStart(port: number, [command, ...args]: readonly [string, ...string[]], cache: string): Promise<Start> {
  const socket = createSocket("udp4");
  const question = queryWire("fenliu.lan", "A", { edns: null, id: 1 });
  const startMs = performance.now();
  const child = spawn(command, args, { env: { ...process.env, NODE_COMPILE_CACHE: cache }, stdio: "ignore" });
  const timer = setInterval(() => socket.send(question, port, "127.0.0.1"), ASK_EVERY_MS);
  try {
    await Promise.race([once(socket, "message"), once(child, "exit").then(() => Promise.reject(new Error("it ended")))]);
    return { firstAnswerMs: performance.now() - startMs, cpuMs: cpuNanoseconds(child.pid ?? 0) / 1e6 };
  } finally {
    clearInterval(timer);
    socket.close();
    // Compiled code is written at the end.
    if (child.exitCode === null) {
      child.kill("SIGTERM");
      await once(child, "exit");
    }
  }
}

function tell(what: string, starts: readonly Start[]): void {
  const times = starts.map(({ firstAnswerMs }) => firstAnswerMs);
  const spread = `${Math.min(...times).toFixed(0)} to ${Math.max(...times).toFixed(0)}`;
  console.log(`| ${what} | ${median(times).toFixed(0)} | ${spread} | ${median(starts.map(({ cpuMs }) => cpuMs)).toFixed(0)} |`);
}

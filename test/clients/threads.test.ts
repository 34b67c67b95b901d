import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, onTestFinished, test } from "vitest";
import { canMount, fill, smallDisk } from "../log/small-disk.ts";
import { apiOf } from "./api.ts";
import { dig, soleData } from "./clients.ts";
import { type FenliuProcess, fenliuCommand } from "./fenliu.ts";
import { eventually, type Running, start } from "./processes.ts";
import { Scene } from "./scene.ts";
import { SteadyAsker } from "./steady-asker.ts";

/**
 * Runs before everything else in each thread, which then does as a file says: nobody else can make one thread of a process hang. The thread of UDP never
 * comes back to its event loop, but counts each of its rounds.
 */
const OBEDIENT = `
import { readFileSync, writeFileSync } from "node:fs";
import { isMainThread, workerData } from "node:worker_threads";
const kind = isMainThread ? "main" : workerData?.sockets !== undefined ? "udp" : workerData?.rings !== undefined ? "log" : "other";
const told = () => { try { return readFileSync(process.env.ORDERS, "utf8"); } catch { return ""; } };
const obey = () => {
  const order = told();
  if (order.startsWith(kind + " ")) writeFileSync(process.env.ORDERS + ".heard", order);
  if (order === kind + " ends") process.exit();
  if (order === kind + " hangs") Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
};
if (kind === "log") {
  obey();
  setInterval(obey, 20).unref();
}
if (kind === "udp") {
  const { add } = Atomics;
  Atomics.add = (...args) => {
    obey();
    return add(...args);
  };
}
`;

/** What the server says at its end of records that were not stored. */
const LOST = /"queries":(\d+),"msg":"the query log was closed before/;

/** What a thread is told. */
type Order = `${"udp" | "log"} ${"ends" | "hangs"}`;

class Trial {
  readonly #running: Running;
  readonly #orders: string;

  private constructor(running: Running, orders: string) {
    this.#running = running;
    this.#orders = orders;
  }

  static async begin(store = "queries.db"): Promise<Trial> {
    const scene = new Scene();
    onTestFinished(() => scene.close());
    const { folder } = scene;
    const orders = join(folder, "orders");
    writeFileSync(join(folder, "obedient.mjs"), OBEDIENT);
    writeFileSync(
      join(folder, "fenliu.yaml"),
      `
listen: { dns: ["127.0.0.1:0"], http: [], admin: "127.0.0.1:0" }
upstreams: { nobody: { servers: ["127.0.0.1:1"] } }
hosts: { records: { nas.lan: 10.0.0.5 } }
cache: { file: null }
log: { queries: { store: ${store} } }
`,
    );
    const [node, ...args] = fenliuCommand(join(folder, "fenliu.yaml"));
    const options = { env: { ORDERS: orders }, limitMs: 120_000 };
    const preload = ["--import", join(folder, "obedient.mjs")];
    const running = await scene.add(start(node, [...preload, ...args], /Fenliu is answering/, options));
    return new Trial(running, orders);
  }

  /** Resolves when the thread does so. */
  async tell(order: Order): Promise<void> {
    writeFileSync(this.#orders, order);
    await eventually(async () => (existsSync(`${this.#orders}.heard`) ? true : null), 30_000);
  }

  /** Lets the threads that come now do their work. */
  tellNothing(): void {
    rmSync(this.#orders, { force: true });
  }

  get ports(): FenliuProcess["ports"] {
    const port = (kind: string) => Number(new RegExp(`"${kind}":"[^"]*?:(\\d+)[ "]`).exec(this.#running.output())?.[1] ?? 0);
    return { dns: port("dns"), dns6: 0, tls: 0, https: 0, http: 0, admin: port("admin") };
  }

  get fenliu(): FenliuProcess {
    return { ...this.#running, ports: this.ports };
  }

  async says(text: string): Promise<void> {
    await eventually(async () => (this.#running.output().includes(text) ? true : null), 30_000);
  }

  async answers(): Promise<void> {
    for (const more of ["", "+tcp "]) expect(soleData(await dig(this.ports.dns, `${more}+time=3 nas.lan`))).toBe("10.0.0.5");
  }

  /**
   * Ends the server as a service manager does; it ends by itself, whatever has hung up. How long that takes is printed: that no part waits longer than it
   * may is told by the tests of the parts, whose clocks go by hand.
   */
  async ends(): Promise<void> {
    const startMs = performance.now();
    this.#running.child.kill("SIGTERM");
    expect(await this.#running.ended).toBe(0);
    console.info(`ended after ${Math.round(performance.now() - startMs)} ms`);
  }
}

describe("the thread of UDP", () => {
  test("ends: the main thread answers from then on, which is told once, and the server ends", async () => {
    const trial = await Trial.begin();
    const asker = await SteadyAsker.open(trial.ports.dns, "nas.lan", "10.0.0.5");
    await trial.tell("udp ends");
    await trial.says("UDP is answered a query at a time");
    await trial.answers();
    // What waited in the socket is lost, as on any way.
    await asker.goesOn();
    await asker.end();
    await trial.ends();
    expect(trial.fenliu.output().split("UDP is answered a query at a time")).toHaveLength(2);
  });

  test("hangs: the main thread answers after some seconds, and the server ends", async () => {
    const trial = await Trial.begin();
    await trial.tell("udp hangs");
    await trial.says("its thread has hung up");
    await trial.answers();
    await trial.ends();
  });

  test("hangs when the server is to end: it ends by itself", async () => {
    const trial = await Trial.begin();
    await trial.tell("udp hangs");
    await trial.ends();
  });
});

describe("the thread of the query log", () => {
  test("ends: another one takes its place, no record is lost, and all answers come meanwhile", async () => {
    const trial = await Trial.begin();
    const asker = await SteadyAsker.open(trial.ports.dns, "nas.lan", "10.0.0.5");
    await trial.tell("log ends");
    await trial.says("queries are answered, but cannot be recorded");
    // Those that come in its place end as well for now.
    await asker.goesOn();
    expect(trial.fenliu.output()).not.toContain("queries are recorded again");
    trial.tellNothing();
    await trial.says("queries are recorded again");
    const { asked, wrong } = await asker.end();
    expect(wrong).toBe(0);
    const api = apiOf(trial.fenliu);
    await eventually(async () => {
      const metrics = JSON.stringify((await api.get("/metrics")).body);
      const count = (name: string) => Number(new RegExp(`${name} (\\d+)`).exec(metrics)?.[1]);
      const dropped = count('fenliu_log_dropped_total\\{where=\\\\\\"store\\\\\\"\\}');
      return count("fenliu_log_records_total") + dropped >= asked && dropped === 0 ? true : null;
    }, 30_000);
    await trial.ends();
  });

  test("hangs when the server is to end: all is answered, it ends by itself, and says what it could not record", async () => {
    const trial = await Trial.begin();
    await trial.tell("log hangs");
    const asker = await SteadyAsker.open(trial.ports.dns, "nas.lan", "10.0.0.5");
    await eventually(async () => (await dig(trial.ports.dns, "+time=2 nas.lan")).status === "NOERROR" || null);
    const { asked, wrong } = await asker.end();
    expect(wrong).toBe(0);
    await trial.ends();
    const [, lost] = LOST.exec(trial.fenliu.output()) ?? [];
    expect(Number(lost)).toBeGreaterThanOrEqual(asked);
  });
});

test("a process that was suspended ends when it goes on, and answers before", async () => {
  const trial = await Trial.begin();
  trial.fenliu.child.kill("SIGSTOP");
  const asking = dig(trial.ports.dns, "+tries=1 +time=5 nas.lan");
  await eventually(async () =>
    /^State:\s+T/m.test(readFileSync(`/proc/${trial.fenliu.child.pid}/status`, "utf8")) ? true : null,
  );
  trial.fenliu.child.kill("SIGCONT");
  expect(soleData(await asking)).toBe("10.0.0.5");
  await trial.answers();
  trial.fenliu.child.kill("SIGSTOP");
  trial.fenliu.child.kill("SIGTERM");
  trial.fenliu.child.kill("SIGCONT");
  await trial.ends();
});

// A disk without room is a small one mounted here, which only root may do; without that it could only be pretended.
test.skipIf(!canMount())("a server whose disk is full answers, ends by itself, and says what it could not record", async () => {
  const disk = smallDisk("4m");
  const trial = await Trial.begin(join(disk, "queries.db"));
  fill(join(disk, "ballast"));
  const asker = await SteadyAsker.open(trial.ports.dns, "nas.lan", "10.0.0.5");
  await trial.says("the disk is full");
  const { wrong } = await asker.end();
  expect(wrong).toBe(0);
  await trial.ends();
  const [, lost] = LOST.exec(trial.fenliu.output()) ?? [];
  expect(Number(lost)).toBeGreaterThan(0);
});

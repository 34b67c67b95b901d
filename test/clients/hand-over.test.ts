import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readFileSync, writeFileSync } from "node:fs";
import { Agent, get } from "node:http";
import { connect } from "node:net";
import { join } from "node:path";
import { expect, onTestFinished, test } from "vitest";
import { frame } from "../../src/dns/wire.ts";
import { directory } from "../support/files.ts";
import { queryWire } from "../support/message.ts";
import { eventually, projectRoot, start } from "./processes.ts";

/** A server under a service manager that writes down what it is told. */
async function serviceOf(batch: "auto" | "off", env: Readonly<Record<string, string>> = { NOTIFY_SOCKET: "/run/none" }) {
  const folder = directory();
  const told = join(folder, "told");
  writeFileSync(told, "");
  writeFileSync(join(folder, "systemd-notify"), `#!/bin/sh\necho "$*" >> ${told}\n`, { mode: 0o755 });
  const config = join(folder, "fenliu.yaml");
  const write = (hosts: string) =>
    writeFileSync(
      config,
      `listen: { dns: ["127.0.0.1:0"], http: ["127.0.0.1:0"], admin: "127.0.0.1:0", batch: ${batch} }
hosts: { records: { ${hosts} } }
cache: { file: data/cache.db }
log: { queries: { enabled: true, store: data/queries.db } }
`,
    );
  write("nas.lan: 10.0.0.5");
  const main = join(projectRoot, "src/main.ts");
  const path = `${folder}:${process.env["PATH"]}`;
  const node = join(projectRoot, "node_modules/.bin/node");
  const args = ["--disable-warning=ExperimentalWarning", main, "serve", "-c", config];
  const running = await start(node, args, /Fenliu is answering/, { env: { ...env, PATH: path } });
  const pids = () =>
    readFileSync(told, "utf8")
      .trim()
      .split("\n")
      .map((line) => Number(/--pid=(\d+) READY=1/.exec(line)?.[1]));
  const [first = 0] = [running.child.pid];
  onTestFinished(async () => {
    const last = pids().at(-1) ?? 0;
    if (last > 0 && last !== first) process.kill(last, "SIGTERM");
    await running.stop();
  });
  const port = (kind: string) => Number(new RegExp(`"${kind}":"127.0.0.1:(\\d+)"`).exec(running.output())?.[1]);
  const says = (text: string) => eventually(async () => (running.output().includes(text) ? true : null), 120_000);
  const api = async (path: string, method = "GET") => {
    const response = await fetch(`http://127.0.0.1:${port("admin")}/api/v1${path}`, {
      method,
      headers: { "content-type": "application/json" },
      ...(method === "PUT" ? { body: JSON.stringify({ address: ["10.0.0.6"] }) } : {}),
    });
    const body: Readonly<Record<string, unknown>> = JSON.parse((await response.text()) || "{}");
    return { status: response.status, body };
  };
  return { write, running, pids, port, says, api, handOver: () => process.kill(first, "SIGUSR2") };
}

const QUERY = queryWire("nas.lan", "A");

/** A question that gets no answer is told with the way it went. */
function within(way: string): { readonly signal: AbortSignal } {
  const late = new AbortController();
  setTimeout(() => late.abort(new Error(`no answer over ${way} within 20 s`)), 20_000).unref();
  return { signal: late.signal };
}

/** Asks one question after the other, in all ways; each has to be answered. */
function household(dns: number, http: number) {
  let isOver = false;
  const counts = { udp: 0, tcp: 0, http: 0 };
  const agent = new Agent({ keepAlive: true });
  const ways = {
    async udp() {
      const socket = createSocket("udp4");
      socket.connect(dns, "127.0.0.1");
      await once(socket, "connect");
      const ask = async () => {
        socket.send(QUERY);
        await once(socket, "message", within("UDP"));
      };
      return { ask, end: () => void socket.close() };
    },
    // A connection each: none may be refused.
    tcp: async () => ({
      async ask() {
        const socket = connect(dns, "127.0.0.1");
        socket.write(frame(QUERY));
        await once(socket, "data", within("TCP"));
        socket.destroy();
      },
      end: () => {},
    }),
    http: async () => ({
      async ask() {
        const path = `/dns-query?dns=${QUERY.toString("base64url")}`;
        const [response] = await once(get({ port: http, path, agent }), "response", within("HTTP"));
        response.resume();
        await once(response, "end", within("HTTP"));
      },
      end: () => agent.destroy(),
    }),
  };
  const asking = Object.entries(ways).map(async ([name, open]) => {
    const way = await open();
    for (; !isOver; counts[name as keyof typeof counts]++) await way.ask();
    way.end();
  });
  return {
    async stop() {
      isOver = true;
      await Promise.all(asking);
      return counts;
    },
  };
}

test.each(["auto", "off"] as const)(
  "at SIGUSR2 another process takes over, and every question is answered and recorded: batch %s",
  async (batch) => {
    const { running, pids, port, says, api, handOver } = await serviceOf(batch);
    expect(await api("/hosts/printer.lan", "PUT")).toMatchObject({ status: 200 });
    const house = household(port("dns"), port("http"));
    handOver();
    await says("another process is about to take over");
    await eventually(async () => (running.output().split("Fenliu is answering").length === 3 ? true : null), 120_000);
    const counts = await house.stop();
    expect(Math.min(...Object.values(counts))).toBeGreaterThan(20);
    // The service manager was told who answers.
    expect(pids()).toEqual([running.child.pid, expect.any(Number)]);
    expect(running.child.exitCode).toBe(0);
    // What was set is still there, and changes are taken again.
    expect(await api("/hosts/printer.lan")).toMatchObject({ status: 200 });
    expect(await api("/hosts/scanner.lan", "PUT")).toMatchObject({ status: 200 });
    const asked = counts.udp + counts.tcp + counts.http;
    expect(running.output()).not.toContain("the query log was closed before");
    const recorded = async () => Number((await api("/stats")).body["total"]);
    await expect.poll(recorded, { timeout: 60_000 }).toBe(asked);
  },
  180_000,
);

test("where the other process cannot start, this one says why and goes on", async () => {
  const { write, running, pids, port, says, api, handOver } = await serviceOf("auto");
  write("nas.lan: ");
  const house = household(port("dns"), port("http"));
  handOver();
  await says("no other process takes over: this one goes on");
  write("nas.lan: 10.0.0.5");
  await house.stop();
  expect(running.output()).toMatch(/"level":60.*a name needs an address/);
  expect(running.child.exitCode).toBeNull();
  expect(new Set(pids())).toEqual(new Set([running.child.pid]));
  expect(await api("/hosts/printer.lan", "PUT")).toMatchObject({ status: 200 });
}, 120_000);

test("without a service manager that follows, no other process takes over", async () => {
  const { running, says, handOver } = await serviceOf("auto", {});
  handOver();
  await says("restart it instead");
  expect(running.child.exitCode).toBeNull();
}, 120_000);

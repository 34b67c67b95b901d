import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { fenliuCommand, QUIET } from "./fenliu.ts";
import { eventually, type Finished, run, start } from "./processes.ts";
import { Scene } from "./scene.ts";

/** Two hosts on one cable: the server has several addresses, of which only the first is what the kernel prefers for replies. */
const SERVER = `fenliu-s${process.pid}`;
const CLIENT = `fenliu-c${process.pid}`;
const ADDRESSES = ["10.99.0.1", "10.99.0.2", "10.99.1.1", "fd99::1", "fd99::2"];
const LATER = ["10.99.0.9", "fd99::9"];
const PORT = 5353;

const scene = new Scene();
const set = await makeNamespaces();
afterAll(() => scene.close());

/** null = done; else the reason why the hosts cannot be set up here. */
async function makeNamespaces(): Promise<string | null> {
  for (const name of [SERVER, CLIENT]) {
    const { status, stderr } = await run("ip", ["netns", "add", name]);
    if (status !== 0) return stderr.trim();
    scene.defer(() => run("ip", ["netns", "del", name]));
  }
  const commands = [
    `link add ${SERVER.slice(0, 15)} netns ${SERVER} type veth peer name eth0 netns ${CLIENT}`,
    `-n ${SERVER} link set ${SERVER.slice(0, 15)} name eth0`,
    ...[SERVER, CLIENT].flatMap((name) => [`-n ${name} link set lo up`, `-n ${name} link set eth0 up`]),
    ...ADDRESSES.map((address) => add(SERVER, address)),
    ...["10.99.0.100", "10.99.1.100", "fd99::100"].map((address) => add(CLIENT, address)),
  ];
  for (const command of commands) {
    const { status, stderr } = await run("ip", command.split(" "));
    if (status !== 0) return `ip ${command}: ${stderr.trim()}`;
  }
  return null;
}

function add(namespace: string, address: string): string {
  return address.includes(":")
    ? `-n ${namespace} addr add ${address}/64 dev eth0 nodad`
    : `-n ${namespace} addr add ${address}/24 dev eth0`;
}

const inside = (namespace: string, ...command: readonly string[]) => ["netns", "exec", namespace, ...command];

/** One question from the other host; dig takes no reply from an address that it did not ask. */
function digFrom(address: string, ...words: readonly string[]): Promise<Finished> {
  return run("ip", inside(CLIENT, "dig", `@${address}`, "-p", String(PORT), "+tries=1", "+time=1", "+short", ...words));
}

beforeEach(({ skip }) => {
  if (set !== null) skip(`network namespaces cannot be had here: ${set}`);
});

describe("listeners on 0.0.0.0 and [::]", () => {
  test("nsd on a wildcard can be reached at its first address only, so this network shows the fault", async () => {
    const config = join(scene.folder, "nsd.conf");
    const files = `pidfile: "${config}.pid"\n  xfrdfile: "${config}.xfrd"\n  zonelistfile: "${config}.zones"\n  database: ""`;
    writeFileSync(config, `server:\n  ip-address: 0.0.0.0\n  port: ${PORT}\n  username: ""\n  ${files}\n`);
    const nsd = await start("ip", inside(SERVER, "nsd", "-d", "-c", config), /nsd started/);
    const heard = await Promise.all(
      ["10.99.0.1", "10.99.0.2"].map((address) => digFrom(address, "+noshort", "+comments", "page.example")),
    );
    await nsd.stop();
    expect(heard[0]?.stdout).toContain("status: REFUSED");
    expect(heard[1]?.stdout).toContain("timed out");
  });

  test("Fenliu answers from each queried address, over UDP and TCP, also from an address that was added later", async () => {
    const file = join(scene.folder, "fenliu.yaml");
    const yaml = `listen: { dns: ["0.0.0.0:${PORT}", "[::]:${PORT}"], http: [], admin: null }\nhosts: { records: { nas.lan: 10.0.0.5 } }${QUIET}`;
    writeFileSync(file, yaml);
    await scene.add(start("ip", inside(SERVER, ...fenliuCommand(file)), /Fenliu is answering/));
    for (const address of ADDRESSES) {
      for (const transport of ["+notcp", "+tcp"])
        expect((await digFrom(address, transport, "nas.lan")).stdout, `${address} ${transport}`).toBe("10.0.0.5\n");
    }
    for (const address of LATER) await run("ip", add(SERVER, address).split(" "));
    for (const address of LATER)
      await eventually(async () => ((await digFrom(address, "nas.lan")).stdout === "10.0.0.5\n" ? true : null), 20_000);
    for (const address of [...ADDRESSES, ...LATER])
      expect((await digFrom(address, "nas.lan")).stdout, address).toBe("10.0.0.5\n");
  });
});

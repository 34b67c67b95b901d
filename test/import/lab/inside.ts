import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { openSync, readFileSync, writeFileSync } from "node:fs";
import { queryWire, readReply } from "../../support/message.ts";
import { openMocks } from "./mock.ts";
import type { Scene } from "./scene.ts";

/**
 * The two network namespaces of the lab: the world, whose every address is local and where the servers of the source are played, and the house with the
 * program and its clients. `lab.ts` starts this file as `inside.ts world JOB` in a namespace of its own. Nothing leaves it.
 */

export interface Job {
  readonly scene: Scene;
  readonly tls: { readonly cert: string; readonly key: string };
  readonly folder: string;
  readonly run: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  /** Where the program is asked. */
  readonly at: { readonly address: string; readonly port: number };
  readonly asks: readonly Ask[];
  /** Gets the roles that were asked, and the replies. */
  readonly log: string;
  readonly replies: string;
}

export interface Ask {
  readonly name: string;
  readonly type: string;
  readonly client: string;
}

export interface Replied extends Ask {
  readonly rcode: string;
  readonly answers: readonly string[];
}

const ip = (...args: readonly string[]) => execFileSync("ip", args.join(" ").split(" "), { stdio: "pipe" });
const STARTED_WITHIN_MS = 60_000;
const REPLY_WITHIN_MS = 8_000;
const AT_ONCE = 24;

const [, , part = "", path = ""] = process.argv;
const job: Job = JSON.parse(readFileSync(path, "utf8"));
if (part === "world") await world();
else await house();
process.exit(0);

async function world(): Promise<void> {
  ip("link set lo up");
  const child = spawn("unshare", ["-n", process.execPath, import.meta.filename, "house", path], {
    stdio: ["pipe", "inherit", "inherit"],
  });
  ip("link add w0 type veth peer name h0");
  // `unshare` runs the program in its own process: its namespace is there when its link to it differs from ours.
  const own = execFileSync("readlink", ["/proc/self/ns/net"]).toString();
  while (execFileSync("readlink", [`/proc/${child.pid}/ns/net`]).toString() === own)
    await new Promise((resolve) => setTimeout(resolve, 10));
  ip(`link set h0 netns ${child.pid}`);
  ip("addr add 169.254.77.1/30 dev w0");
  ip("addr add fd99::1/64 dev w0 nodad");
  ip("link set w0 up");
  ip("route add local 0.0.0.0/1 dev lo");
  ip("route add local 128.0.0.0/1 dev lo");
  ip("-6 route add local ::/0 dev lo");
  // The local table comes before the link; and a route makes an IPv6 address ours to receive, not to bind.
  ip("-6 route add fd99::2/128 dev w0 table local");
  writeFileSync("/proc/sys/net/ipv6/ip_nonlocal_bind", "1");
  await openMocks(job.scene, job.scene.world, { log: job.log, tls: job.tls, streams: true });
  child.stdin.write("ready\n");
  await once(child, "exit");
}

async function house(): Promise<void> {
  await once(process.stdin, "data");
  ip("link set lo up");
  ip("addr add 169.254.77.2/30 dev h0");
  ip("addr add fd99::2/64 dev h0 nodad");
  ip("link set h0 up");
  ip("route add default via 169.254.77.1");
  ip("-6 route add default via fd99::1");
  for (const address of new Set([job.at.address, ...job.asks.map(({ client }) => client)]))
    if (!address.startsWith("127.") && address !== "::1") ip(`addr add ${address}/${address.includes(":") ? 128 : 32} dev lo`);
  await openMocks(job.scene, job.scene.home, { log: job.log, tls: null, streams: false });
  const output = openSync(`${job.replies}.output`, "w");
  const [command = "", ...args] = job.run;
  const program = spawn(command, args, {
    cwd: job.folder,
    env: { ...process.env, ...job.env },
    stdio: ["ignore", output, output],
  });
  try {
    await started(program);
    writeFileSync(job.log, "");
    const replies: Replied[] = [];
    // One client after the other, each with a program that remembers nothing of those before: names come twice otherwise.
    const asks = job.asks.values();
    const ask = async () => {
      for (const each of asks) replies.push({ ...each, ...(await replyTo(each)) });
    };
    await Promise.all(Array.from({ length: AT_ONCE }, ask));
    await new Promise((resolve) => setTimeout(resolve, 300));
    writeFileSync(job.replies, JSON.stringify(replies));
  } finally {
    program.kill("SIGKILL");
  }
}

async function started(program: ChildProcess): Promise<void> {
  const end = Date.now() + STARTED_WITHIN_MS;
  while (Date.now() < end && program.exitCode === null) {
    const { rcode } = await replyTo({ name: "ready.lab", type: "A", client: "" }, 500);
    if (rcode !== "TIMEOUT") return;
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  program.kill("SIGKILL");
  console.error(`${job.run[0]} does not answer:\n${readFileSync(`${job.replies}.output`, "utf8").slice(-2000)}`);
  process.exit(3);
}

async function replyTo({ name, type, client }: Ask, withinMs = REPLY_WITHIN_MS): Promise<Pick<Replied, "rcode" | "answers">> {
  const { address, port } = job.at;
  const socket = createSocket(address.includes(":") ? "udp6" : "udp4");
  const { promise, resolve } = Promise.withResolvers<Pick<Replied, "rcode" | "answers">>();
  const nothing = { rcode: "TIMEOUT", answers: [] };
  socket.on("error", () => resolve(nothing));
  socket.on("message", (wire) => {
    const { rcode, records } = readReply(wire);
    resolve({ rcode, answers: records.map((record) => record.replace(/^(\S+) \d+ IN /, "$1 ")) });
  });
  if (client !== "") socket.bind(0, client);
  socket.connect(port, address, () => socket.send(queryWire(name, type), () => undefined));
  const timer = setTimeout(() => resolve(nothing), withinMs);
  const reply = await promise;
  clearTimeout(timer);
  socket.close();
  return reply;
}

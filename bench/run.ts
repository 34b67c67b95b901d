// `npm run bench`: cache hits of Fenliu beside its peers, or misses, on one machine, in one run. What the figures mean: docs/performance.md.

import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Load, LoadGenerator, TRANSPORTS, type Transport } from "./load.ts";
import { plotOf } from "./plot.ts";
import { versionOf } from "./programs.ts";
import { reportOf } from "./report.ts";
import { measureRounds } from "./rounds.ts";
import { Scene } from "./scene.ts";
import { PEERS } from "./servers/all.ts";
import { commandPeer } from "./servers/command.ts";
import { direct } from "./servers/direct.ts";
import { dnsdist } from "./servers/dnsdist.ts";
import { fenliu, fenliuFeeding, fenliuLogging } from "./servers/fenliu.ts";
import { floor } from "./servers/floor.ts";
import type { Peer } from "./servers/peer.ts";
import { unbound } from "./servers/unbound.ts";
import { WILDCARD_ZONE, zoneOf } from "./zone.ts";

/** Over these `dnsperf` asks. It can be given new names for each run, and never asks for one twice. */
const DNS_TRANSPORTS: readonly Transport[] = ["udp", "tcp", "dot"];

const USAGE = `npm run bench -- [--seconds 5] [--rounds 5] [--rate 5000] [--names 10000] [--only Fenliu,dnsdist] [--transport udp,doh] [--floor] [--misses]

  --seconds    how long each server is measured under each load, in each round
  --rounds     how often; medians are printed
  --rate       queries a second of the loads besides saturation: one number or several, as 1000,5000,20000
  --names      how many names are asked for, all of them cached; with --misses the answers that there is room for
  --only       servers: ${PEERS.map(({ name }) => name).join(", ")}
  --misses     names that nobody was asked for before, each of which goes to the upstream: over ${DNS_TRANSPORTS.join(", ")}
  --svg        a folder for pictures of the processor time, one for each transport
  --peer       another server: 'NAME=COMMAND', with {port}, {upstream} and {folder} in the command; may be given again
  --floor      beside the servers an echo in C by the same system calls, but over HTTP/1.1: it needs a compiler
  --transport  ${TRANSPORTS.join(", ")}`;

/** What is measured unless it is said. */
const SERVERS = PEERS.filter((peer) => peer !== floor && peer !== fenliuFeeding && peer !== direct).map(({ name }) => name);
const SERVERS_OF_MISSES = [fenliu, fenliuLogging, dnsdist, unbound].map(({ name }) => name);

/** Answers that the caches have room for when names are always new: some seconds of them, so that all of them have to make room. */
const ROOM_FOR_MISSES = 200_000;

/** Programs that the load comes from, and the authoritative server behind everybody. */
const TOOLS = [
  { command: "nsd", versionArgs: ["-v"], debianPackage: "nsd" },
  { command: "dnsperf", versionArgs: ["-h"], debianPackage: "dnsperf" },
  { command: "h2load", versionArgs: ["--version"], debianPackage: "nghttp2-client" },
  { command: "openssl", versionArgs: ["version"], debianPackage: "openssl" },
] as const;

interface Options {
  readonly seconds: number;
  readonly rounds: number;
  readonly rates: readonly number[];
  readonly names: number;
  readonly peers: readonly Peer[];
  readonly transports: readonly Transport[];
  readonly misses: boolean;
  /** Where pictures are written; null = nowhere. */
  readonly svg: string | null;
}

process.exitCode = await main(process.argv.slice(2));

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args);
  if (options === null) {
    console.error(USAGE);
    return 2;
  }
  const missing = TOOLS.filter(({ command, versionArgs }) => versionOf(command, versionArgs) === null);
  if (missing.length > 0) {
    console.error(`bench needs: apt-get install ${missing.map(({ debianPackage }) => debianPackage).join(" ")}`);
    return 1;
  }
  const entrants = options.peers.flatMap((peer) => {
    const version = peer.program === null ? null : versionOf(peer.program.command, peer.program.versionArgs);
    if (peer.program === null || version !== null) return [{ peer, name: peer.name, threads: peer.threads, version }];
    console.error(`left out: ${peer.name}, which is not installed (apt-get install ${peer.program.debianPackage})`);
    return [];
  });
  const loads = loadsOf(options);
  const samples = await measureAll(options, { peers: entrants.map(({ peer }) => peer), loads });
  if (samples === null) return 130;
  const { names, rounds, seconds: secondsEach, misses } = options;
  const command = ["npm run bench", ...(args.length === 0 ? [] : ["--", ...args])].join(" ");
  const report = { command, names, rounds, misses, secondsEach, entrants, loads, samples };
  console.log(reportOf(report));
  if (options.svg !== null) {
    mkdirSync(options.svg, { recursive: true });
    for (const transport of options.transports)
      writeFileSync(join(options.svg, `cpu-${transport}.svg`), plotOf(transport, report));
  }
  return 0;
}

/** @returns null where a signal ended it. Everything is stopped in any case. */
async function measureAll(
  options: Options,
  { peers, loads }: { readonly peers: readonly Peer[]; readonly loads: readonly Load[] },
) {
  const stopping = new AbortController();
  const { signal } = stopping;
  const stop = () => stopping.abort();
  process.on("SIGINT", stop).on("SIGTERM", stop);
  const progress = (text: string) => console.error(text);
  const zone = options.misses ? WILDCARD_ZONE : zoneOf(options.names);
  const scene = await Scene.open(zone, options.transports);
  try {
    await scene.start(peers, options.names);
    signal.throwIfAborted();
    const asker = new LoadGenerator({ folder: scene.folder, hosts: options.misses ? null : zone.hosts, signal });
    if (!options.misses) {
      progress("filling the caches");
      await scene.fillCaches(asker);
    }
    return await measureRounds(scene, asker, { loads, rounds: options.rounds, secondsEach: options.seconds, progress });
  } catch (error) {
    if (signal.aborted) return null;
    throw error;
  } finally {
    await scene.close();
    process.off("SIGINT", stop).off("SIGTERM", stop);
  }
}

function loadsOf({ transports, rates }: Options): readonly Load[] {
  return transports.flatMap((transport) => [null, ...rates].map((perSecond) => ({ transport, perSecond })));
}

/** null where they are not understood. */
function readOptions(args: readonly string[]): Options | null {
  try {
    const { values } = parseArgs({
      args: [...args],
      options: {
        seconds: { type: "string", default: "5" },
        rounds: { type: "string", default: "5" },
        rate: { type: "string", default: "5000" },
        names: { type: "string" },
        only: { type: "string" },
        misses: { type: "boolean", default: false },
        svg: { type: "string" },
        peer: { type: "string", multiple: true, default: [] },
        floor: { type: "boolean", default: false },
        transport: { type: "string" },
      },
    });
    const { misses } = values;
    const namesText = values.names ?? String(misses ? ROOM_FOR_MISSES : 10_000);
    const [seconds, rounds, names] = [values.seconds, values.rounds, namesText].map(Number);
    const rates = values.rate.split(",").map(Number);
    const wanted = (values.only ?? (misses ? SERVERS_OF_MISSES : SERVERS).join()).toLowerCase().split(",");
    const found = PEERS.filter(({ name }) => wanted.includes(name.toLowerCase()));
    const others = values.peer.map(commandPeer);
    if (others.includes(null)) return null;
    const beside = [...(values.floor ? [floor] : []), ...(misses ? [direct] : [])].filter((peer) => !found.includes(peer));
    const peers = [...found, ...others.filter((peer) => peer !== null), ...beside];
    const named = (values.transport ?? (misses ? "udp" : "udp,doh")).split(",");
    const transports = (misses ? DNS_TRANSPORTS : TRANSPORTS).filter((each) => named.includes(each));
    if (found.length !== wanted.length || transports.length !== named.length) return null;
    if (!isCount(seconds) || !isCount(rounds) || !isCount(names) || !rates.every(isCount)) return null;
    if (found.includes(direct) && !misses) return null;
    return { seconds, rounds, rates, names, peers, transports, misses, svg: values.svg ?? null };
  } catch (error) {
    console.error(error instanceof Error ? error.message : String(error));
    return null;
  }
}

function isCount(value: number | undefined): value is number {
  return value !== undefined && Number.isInteger(value) && value > 0;
}

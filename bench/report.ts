import { cpus, loadavg, release } from "node:os";
import type { Load } from "./load.ts";
import type { Sample } from "./rounds.ts";
import { NO_RIVALS } from "./servers/all.ts";
import { direct } from "./servers/direct.ts";
import { median } from "./statistics.ts";

/** A server of the report. */
export interface Entrant {
  readonly name: string;
  /** null for what is part of this project. */
  readonly version: string | null;
  readonly threads: string;
}

export interface ReportParts {
  readonly command: string;
  readonly names: number;
  readonly secondsEach: number;
  readonly rounds: number;
  readonly entrants: readonly Entrant[];
  readonly loads: readonly Load[];
  readonly samples: readonly Sample[];
  /** Whether each question was for a new name; else all of them were in the caches. */
  readonly misses: boolean;
}

/** The whole run as Markdown: what ran where, then a table for each load. */
export function reportOf(parts: ReportParts): string {
  const tables = parts.loads.map((load) => `### ${titleOf(load, parts.misses)}\n\n${tableOf(parts, load)}`);
  return `${headOf(parts)}\n\n${tables.join("\n\n")}\n`;
}

function headOf({ command, names, secondsEach, rounds, entrants, misses }: ReportParts): string {
  const model = cpus()[0]?.model ?? "unknown processor";
  const versions = entrants.flatMap(({ name, version }) => (version === null ? [] : [`${name} ${version}`]));
  return [
    `- Command: \`${command}\``,
    `- Machine: ${model}, ${cpus().length} cores, Linux ${release()}, load ${loadavg()[0]?.toFixed(1)} at the end`,
    `- Versions: Node ${process.versions.node}${versions.map((text) => `, ${text}`).join("")}`,
    `- ${misses ? "Names that nobody was asked for before" : `${names} names, all of them cached`}, ${rounds} rounds of ${secondsEach} s for each server and load; medians over the rounds`,
  ].join("\n");
}

export const TITLES: Readonly<Record<Load["transport"], string>> = {
  udp: "UDP",
  tcp: "TCP",
  dot: "DNS over TLS",
  doh: "DoH (HTTP/2 over TLS)",
  "doh-1": "DoH (HTTP/2 over TLS), one stream a connection",
  http1: "DoH (HTTP/1.1 over TLS)",
};

function titleOf(load: Load, misses: boolean): string {
  return `${misses ? "Misses" : "Cache hits"} over ${TITLES[load.transport]}, ${loadText(load)}`;
}

export function loadText({ perSecond }: Load): string {
  return perSecond === null ? "at saturation" : `at ${perSecond} queries a second`;
}

function tableOf({ entrants, samples }: ReportParts, load: Load): string {
  const measured = entrants.flatMap((entrant) => {
    const own = samples.filter((sample) => sample.load === load && sample.server === entrant.name);
    return own.length === 0 ? [] : [{ entrant, own, cpu: median(own.map(({ cpuMicrosPerQuery }) => cpuMicrosPerQuery)) }];
  });
  const asked = samples.filter((sample) => sample.load === load && sample.server === direct.name);
  const rivals = measured.filter(({ entrant }) => !NO_RIVALS.has(entrant.name));
  const best = rivals.toSorted((left, right) => left.cpu - right.cpu)[0];
  const rows = measured.map(({ entrant, own, cpu }) => {
    const costs = own.map(({ cpuMicrosPerQuery }) => cpuMicrosPerQuery);
    const ratio = best === undefined ? "" : ratioTo(best.own, own).toFixed(2);
    const speed = Math.round(median(own.map(({ perSecond }) => perSecond))).toLocaleString("en");
    const spread = `${Math.min(...costs).toFixed(1)} to ${Math.max(...costs).toFixed(1)}`;
    const lost = own.reduce((sum, sample) => sum + sample.lost, 0);
    return [
      entrant.name,
      speed,
      cpu.toFixed(1),
      spread,
      ratio,
      ...latencyCells(own),
      ...addedCells(asked, own),
      String(lost),
      entrant.threads,
    ];
  });
  const latencyHeads = load.perSecond === null ? [] : ["p50 µs", "p99 µs", "p99.9 µs"];
  const addedHeads = load.perSecond === null || asked.length === 0 ? [] : ["p50 added", "p99 added"];
  const ratioHead = best === undefined ? "ratio" : `× ${best.entrant.name}`;
  const heads = [
    "server",
    "queries/s",
    "CPU µs/query",
    "lowest to highest",
    ratioHead,
    ...latencyHeads,
    ...addedHeads,
    "lost",
    "threads",
  ];
  return [heads, heads.map((_, index) => (index === 0 ? "---" : "--:")), ...rows]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n");
}

/** The median of the rounds' own ratios: what slows a whole round down is in both of its terms. */
function ratioTo(base: readonly Sample[], own: readonly Sample[]): number {
  return median(
    own.flatMap(({ round, cpuMicrosPerQuery }) => {
      const beside = base.find((sample) => sample.round === round);
      return beside === undefined ? [] : [cpuMicrosPerQuery / beside.cpuMicrosPerQuery];
    }),
  );
}

function latencyCells(own: readonly Sample[]): string[] {
  const latencies = own.flatMap(({ latency }) => (latency === null ? [] : [latency]));
  if (latencies.length === 0) return [];
  return [
    median(latencies.map(({ medianMicros }) => medianMicros)).toFixed(0),
    median(latencies.map(({ p99Micros }) => p99Micros)).toFixed(0),
    median(latencies.map(({ p999Micros }) => p999Micros)).toFixed(0),
  ];
}

/** What a server adds to the latency of the upstream asked directly: the medians of the differences within each round. */
function addedCells(asked: readonly Sample[], own: readonly Sample[]): string[] {
  const pairs = own.flatMap(({ round, latency }) => {
    const beside = asked.find((sample) => sample.round === round)?.latency ?? null;
    return latency === null || beside === null ? [] : [{ latency, beside }];
  });
  if (pairs.length === 0) return [];
  return [
    median(pairs.map(({ latency, beside }) => latency.medianMicros - beside.medianMicros)).toFixed(0),
    median(pairs.map(({ latency, beside }) => latency.p99Micros - beside.p99Micros)).toFixed(0),
  ];
}

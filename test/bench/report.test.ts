import { expect, test } from "vitest";
import type { Load } from "../../bench/load.ts";
import { reportOf } from "../../bench/report.ts";
import { hostsOf } from "../../bench/zone.ts";

test("what a server adds to the latency of its upstream is the median of the differences within each round", () => {
  const load: Load = { transport: "udp", perSecond: 1000 };
  const sample = (server: string, round: number, medianMicros: number) => ({
    server,
    round,
    load,
    answered: 1,
    lost: 0,
    perSecond: 1000,
    cpuMicrosPerQuery: 10,
    latency: { medianMicros, p99Micros: 10 * medianMicros, p999Micros: 100 * medianMicros },
  });
  // The second round was slow for everybody.
  const samples = [
    ...[100, 500, 110].map((medianMicros, round) => sample("nsd itself", round, medianMicros)),
    ...[150, 550, 165].map((medianMicros, round) => sample("Fenliu", round, medianMicros)),
  ];
  const entrants = ["Fenliu", "nsd itself"].map((name) => ({ name, version: null, threads: "1" }));
  const text = reportOf({ command: "", names: 1, secondsEach: 1, rounds: 3, misses: true, entrants, loads: [load], samples });
  const cells = (start: string) =>
    text
      .split("\n")
      .find((line) => line.startsWith(start))
      ?.split(" | ") ?? [];
  const added = cells("| server").indexOf("p50 added");
  expect(cells("| Fenliu").slice(added, added + 2)).toEqual(["50", "500"]);
  expect(cells("| nsd itself").slice(added, added + 2)).toEqual(["0", "0"]);
});

test("a report of hits says nothing of the upstream", () => {
  const report = { command: "", names: 1, secondsEach: 1, rounds: 1, misses: false, entrants: [], loads: [], samples: [] };
  expect(reportOf(report)).toContain("1 names, all of them cached");
});

test("no name is asked for twice: hosts of different numbers differ, whichever run they are of", () => {
  const hosts = [...hostsOf(0, 1000), ...hostsOf(1000, 2000)];
  expect(new Set(hosts)).toHaveProperty("size", 2000);
  expect(hosts.every((host) => host.endsWith(".bench.example"))).toBe(true);
});

import { expect, test } from "vitest";
import { plotOf } from "../../bench/plot.ts";

test("a picture has a bar for each server under each load, as long as its processor time", () => {
  const load = { transport: "udp", perSecond: null } as const;
  const outcome = { answered: 1, lost: 0, perSecond: 1, latency: null };
  const sample = (server: string, round: number, cpuMicrosPerQuery: number) => ({
    ...outcome,
    server,
    round,
    load,
    cpuMicrosPerQuery,
  });
  const svg = plotOf("udp", {
    command: "",
    names: 1,
    secondsEach: 1,
    rounds: 2,
    misses: false,
    entrants: ["Fenliu", "one < two"].map((name) => ({ name, version: null, threads: "1" })),
    loads: [load],
    samples: [sample("Fenliu", 0, 5), sample("Fenliu", 1, 15), sample("one < two", 0, 5), sample("one < two", 1, 5)],
  });
  const widths = Array.from(svg.matchAll(/<rect .*width="([\d.]+)" height/g), ([, width]) => Number(width));
  expect(widths).toHaveLength(2);
  expect(widths[0]).toBeCloseTo(2 * (widths[1] ?? 0), 0);
  expect(svg).toContain("one &lt; two");
});

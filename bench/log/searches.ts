import { systemClock } from "../../src/lib/clock.ts";
import type { Condition, FilterMatcher, QueryFilter } from "../../src/log/filter.ts";
import { Reader } from "../../src/log/reader.ts";
import { median } from "../statistics.ts";
import type { FilledStore } from "./filled-store.ts";
import type { QuerySource } from "./rows.ts";

export interface SearchTime {
  readonly what: string;
  readonly medianMs: number;
  readonly worstMs: number;
  readonly limitMs: number;
  /** Records or entries found, the fewest and the most. */
  readonly found: string;
}

const DAY_MS = 86_400_000;

interface Case {
  readonly what: string;
  readonly limitMs: number;
  /** Runs it for the nth time, with other values each time, and gives how much was found. */
  readonly run: (nth: number) => Promise<number>;
}

/** Times searches as the API makes them, through the thread that reads. */
export async function searchTimes(store: FilledStore, source: QuerySource, runs: number): Promise<readonly SearchTime[]> {
  const reader = new Reader(store.options.path, { clock: systemClock, damaged: (fault) => console.error(fault) });
  // The first call begins the thread, which takes a tenth of a second.
  await reader.get(1);
  const times: SearchTime[] = [];
  for (const { what, limitMs, run } of cases(reader, store, source)) {
    const tookMs: number[] = [];
    const found: number[] = [];
    for (let nth = 0; nth < runs; nth++) {
      const startMs = performance.now();
      found.push(await run(nth));
      tookMs.push(performance.now() - startMs);
    }
    const [least, most] = [Math.min(...found), Math.max(...found)];
    times.push({
      what,
      limitMs,
      medianMs: median(tookMs),
      worstMs: Math.max(...tookMs),
      found: least === most ? String(most) : `${least} to ${most}`,
    });
  }
  await reader.close();
  return times;
}

function cases(reader: Reader, { fromMs, toMs }: FilledStore, source: QuerySource): readonly Case[] {
  const newest = async (filter: QueryFilter) => (await reader.search({ filter, limit: 100, cursor: null })).records.length;
  const by = (condition: Condition) => newest({ fromMs: null, toMs: null, conditions: [condition] });
  const name = (matcher: FilterMatcher): Condition => ({ field: "name", negated: false, anyOf: [matcher] });
  const site = (rank: number) => source.nameOf(rank).split(".").slice(-2).join(".");
  const summary = async (periodMs: number) => {
    const { total } = await reader.summary({ fromMs: toMs - periodMs, toMs, stepMs: 3_600_000, top: 20, sideOf: {} });
    return total;
  };
  return [
    { what: "newest 100", limitMs: 50, run: () => newest({ fromMs: null, toMs: null, conditions: [] }) },
    {
      what: "by client",
      limitMs: 50,
      run: (nth) =>
        by({ field: "client", negated: false, anyOf: [{ kind: "equals", text: `192.168.88.${10 + ((nth * 7) % 40)}` }] }),
    },
    { what: "exact name, frequent", limitMs: 50, run: (nth) => by(name({ kind: "equals", text: source.nameOf(nth) })) },
    {
      what: "exact name, seldom",
      limitMs: 50,
      run: (nth) => by(name({ kind: "equals", text: source.nameOf(30_000 + nth * 997) })),
    },
    { what: "exact name, never asked", limitMs: 50, run: (nth) => by(name({ kind: "equals", text: `nobody${nth}.example` })) },
    { what: "suffix, frequent (com)", limitMs: 50, run: () => by(name({ kind: "within", text: "com" })) },
    { what: "suffix, a site of frequent names", limitMs: 50, run: (nth) => by(name({ kind: "within", text: site(nth) })) },
    {
      what: "suffix, a site of seldom names",
      limitMs: 50,
      run: (nth) => by(name({ kind: "within", text: site(30_000 + nth * 997) })),
    },
    {
      what: "substring over a day, all there are",
      limitMs: 1000,
      run: async (nth) => {
        const startMs = fromMs + (nth % 7) * DAY_MS;
        const conditions = [name({ kind: "glob", text: `*oud${nth % 10}*` })];
        const filter = { fromMs: startMs, toMs: startMs + DAY_MS, conditions };
        let count = 0;
        for (let cursor: string | null = null, more = true; more; more = cursor !== null) {
          const page = await reader.search({ filter, limit: 1000, cursor });
          count += page.records.length;
          cursor = page.cursor;
        }
        return count;
      },
    },
    {
      what: "substring over a day, newest 100",
      limitMs: 1000,
      run: (nth) => {
        const startMs = fromMs + (nth % 7) * DAY_MS;
        return newest({ fromMs: startMs, toMs: startMs + DAY_MS, conditions: [name({ kind: "glob", text: `*nobody${nth}*` })] });
      },
    },
    { what: "summary with top 20 over the week", limitMs: 1000, run: () => summary(7 * DAY_MS) },
    { what: "summary with top 20 over a day", limitMs: 1000, run: () => summary(DAY_MS) },
  ];
}

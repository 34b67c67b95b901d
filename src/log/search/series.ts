import type { Database } from "../store/database.ts";
import type { Sample } from "../summary.ts";
import { Histogram } from "./histogram.ts";
import type { FilledPart } from "./parts.ts";
import { allRows } from "./rows.ts";

export const MINUTE_MS = 60_000;

/** In whole minutes since 1970. */
export interface Period {
  readonly from: number;
  /** Not included. */
  readonly to: number;
  readonly step: number;
}

/** What happened step by step, and the latencies of them all. */
export class Series {
  readonly latencies = new Histogram();
  readonly upstreamLatencies = new Histogram();
  readonly #period: Period;
  readonly #steps: { total: number; blocked: number; cached: number; failed: number; readonly latencies: Histogram }[];

  constructor(period: Period) {
    this.#period = period;
    this.#steps = Array.from({ length: Math.ceil((period.to - period.from) / period.step) }, () => ({
      total: 0,
      blocked: 0,
      cached: 0,
      failed: 0,
      latencies: new Histogram(),
    }));
  }

  get total(): number {
    return this.#steps.reduce((sum, { total }) => sum + total, 0);
  }

  add(database: Database, part: FilledPart): void {
    this.#addCounts(database, part);
    this.#addLatencies(database, part);
  }

  samples(): Sample[] {
    const { from, step } = this.#period;
    return this.#steps.map(({ total, blocked, cached, failed, latencies }, index) => {
      const percentiles = latencies.percentiles();
      const atMs = (from + index * step) * MINUTE_MS;
      return { atMs, total, blocked, cached, failed, p50Us: percentiles?.p50 ?? 0, p99Us: percentiles?.p99 ?? 0 };
    });
  }

  #addCounts(database: Database, { key }: FilledPart): void {
    const { from, to, step } = this.#period;
    const text = `
      SELECT CAST((minutes.minute - ?1) / ?3 AS INTEGER) AS step, sum(count) AS total, sum(iif(kinds.blocked, count, 0)) AS blocked,
        sum(iif(kinds.source IN ('cache', 'stale'), count, 0)) AS cached,
        sum(iif(kinds.source = 'failure' OR kinds.rcode IS 'SERVFAIL', count, 0)) AS failed
      FROM kind_minutes_${key} AS minutes JOIN kinds_${key} AS kinds ON kinds.id = minutes.kind
      WHERE minutes.minute >= ?1 AND minutes.minute < ?2 GROUP BY 1`;
    for (const counted of allRows<SampleCount>(database, { text, values: [from, to, step] })) {
      const sample = this.#steps[counted.step];
      if (sample === undefined) continue;
      sample.total += counted.total;
      sample.blocked += counted.blocked;
      sample.cached += counted.cached;
      sample.failed += counted.failed;
    }
  }

  #addLatencies(database: Database, { key }: FilledPart): void {
    const { from, to, step } = this.#period;
    const text = `
      SELECT CAST((minute - ?1) / ?3 AS INTEGER) AS step, asked, bucket, sum(count) AS count FROM latency_minutes_${key}
      WHERE minute >= ?1 AND minute < ?2 GROUP BY 1, 2, 3`;
    for (const counted of allRows<LatencyCount>(database, { text, values: [from, to, step] })) {
      this.#steps[counted.step]?.latencies.add(counted.bucket, counted.count);
      this.latencies.add(counted.bucket, counted.count);
      if (counted.asked === 1) this.upstreamLatencies.add(counted.bucket, counted.count);
    }
  }
}

interface SampleCount {
  readonly step: number;
  readonly total: number;
  readonly blocked: number;
  readonly cached: number;
  readonly failed: number;
}

interface LatencyCount {
  readonly step: number;
  readonly asked: number;
  readonly bucket: number;
  readonly count: number;
}

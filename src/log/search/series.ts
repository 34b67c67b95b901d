import type { Database } from "../store/database.ts";
import type { Sample } from "../summary.ts";
import { Histogram } from "./histogram.ts";
import type { FilledPart } from "./parts.ts";
import { numberRows } from "./rows.ts";

export const MINUTE_MS = 60_000;

/** In whole minutes since 1970. */
export interface Period {
  readonly from: number;
  /** Not included. */
  readonly to: number;
  readonly step: number;
}

/** What a step counts of a kind of query. */
export interface KindOutcome {
  readonly blocked: boolean;
  readonly cached: boolean;
  readonly failed: boolean;
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

  /** Queries of one kind in one minute of the period. */
  add(minute: number, count: number, { blocked, cached, failed }: KindOutcome): void {
    const sample = this.#stepOf(minute);
    if (sample === undefined) return;
    sample.total += count;
    if (blocked) sample.blocked += count;
    if (cached) sample.cached += count;
    if (failed) sample.failed += count;
  }

  samples(): Sample[] {
    const { from, step } = this.#period;
    return this.#steps.map(({ total, blocked, cached, failed, latencies }, index) => {
      const percentiles = latencies.percentiles();
      const atMs = (from + index * step) * MINUTE_MS;
      return { atMs, total, blocked, cached, failed, p50Us: percentiles?.p50 ?? 0, p99Us: percentiles?.p99 ?? 0 };
    });
  }

  addLatencies(database: Database, { key }: FilledPart): void {
    const { from, to } = this.#period;
    const text = `SELECT minute, asked, bucket, count FROM latency_minutes_${key} WHERE minute >= ? AND minute < ?`;
    for (const [minute = 0, asked = 0, bucket = 0, count = 0] of numberRows(database, { text, values: [from, to] })) {
      this.#stepOf(minute)?.latencies.add(bucket, count);
      this.latencies.add(bucket, count);
      if (asked === 1) this.upstreamLatencies.add(bucket, count);
    }
  }

  #stepOf(minute: number) {
    const { from, step } = this.#period;
    return this.#steps[Math.floor((minute - from) / step)];
  }
}

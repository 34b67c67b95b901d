import { Type } from "typebox";
import type { LogStatus } from "../../log/record.ts";
import type { Count, Percentiles, Sample, Summary } from "../../log/summary.ts";
import { CLOSED, named, nullable, oneOf } from "./named.ts";

const COUNT = Type.Integer({ minimum: 0 });
const INSTANT = Type.String({ format: "date-time", examples: ["2026-11-21T21:03:00.000Z"] });

/** What was asked in a period, and how the log is doing: `Summary` with its times written out. */
interface Statistics extends Omit<Summary, "fromMs" | "toMs" | "stepMs" | "series"> {
  readonly from: string;
  readonly to: string;
  readonly stepSeconds: number;
  readonly series: readonly StatisticsSample[];
  readonly log: LogState;
}

interface StatisticsSample extends Omit<Sample, "atMs"> {
  readonly at: string;
}

/** `LogStatus` with its times written out. */
export interface LogState extends Omit<LogStatus, "fault" | "oldestWallMs"> {
  readonly fault: { readonly reason: string; readonly since: string } | null;
  readonly oldest: string | null;
}

export function statisticsOf({ fromMs, toMs, stepMs, series, ...counts }: Summary, status: LogStatus): Statistics {
  return {
    from: instant(fromMs),
    to: instant(toMs),
    stepSeconds: stepMs / 1000,
    ...counts,
    series: series.map(({ atMs, ...sample }) => ({ at: instant(atMs), ...sample })),
    log: logStateOf(status),
  };
}

function logStateOf({ fault, oldestWallMs, ...counts }: LogStatus): LogState {
  return {
    ...counts,
    fault: fault === null ? null : { reason: fault.reason, since: instant(fault.sinceWallMs) },
    oldest: oldestWallMs === null ? null : instant(oldestWallMs),
  };
}

function instant(wallMs: number): string {
  return new Date(wallMs).toISOString();
}

const counts = Type.Record(Type.String(), COUNT);

const count = named<Count>("Count").as(Type.Object({ key: Type.String(), count: COUNT }, CLOSED));

const percentiles = named<Percentiles>("Percentiles").as(
  Type.Object({ p50: Type.Number(), p90: Type.Number(), p99: Type.Number() }, { ...CLOSED, description: "In microseconds." }),
);

const sample = named<StatisticsSample>("Sample").as(
  Type.Object(
    {
      at: INSTANT,
      total: COUNT,
      blocked: Type.Integer({ minimum: 0, description: "Those with action `block` or `drop`." }),
      cached: Type.Integer({ minimum: 0, description: "Stale answers too." }),
      failed: Type.Integer({ minimum: 0, description: "Ended in a failure, or SERVFAIL was passed on." }),
      p50Us: Type.Number(),
      p99Us: Type.Number(),
    },
    CLOSED,
  ),
);

const logState = named<LogState>("LogState").as(
  Type.Object(
    {
      state: oneOf(["off", "well", "failing"]),
      fault: nullable(Type.Object({ reason: Type.String(), since: INSTANT }, CLOSED)),
      stored: Type.Integer({ minimum: 0, description: "Records since the start." }),
      dropped: Type.Integer({ minimum: 0, description: "Records lost since the start." }),
      waiting: Type.Integer({ minimum: 0, description: "Records that are yet to be stored." }),
      rows: Type.Integer({ minimum: 0, description: "Records in the store." }),
      bytes: COUNT,
      oldest: nullable(INSTANT),
    },
    { ...CLOSED, description: "How the query log is doing." },
  ),
);

export const statistics = named<Statistics>("Statistics").as(
  Type.Object(
    {
      from: INSTANT,
      to: INSTANT,
      stepSeconds: Type.Number({ description: "The length of one sample of `series`." }),
      total: COUNT,
      bySource: counts,
      byRcode: Type.Record(Type.String(), COUNT, { description: "`none`: nothing was sent." }),
      byType: counts,
      byAction: counts,
      byTransport: counts,
      topNames: Type.Array(count.ref),
      topBlocked: Type.Array(count.ref),
      topClients: Type.Array(count.ref),
      topRules: Type.Array(count.ref),
      topUpstreams: Type.Array(count.ref),
      latencyUs: nullable(percentiles.ref),
      upstreamLatencyUs: nullable(percentiles.ref),
      series: Type.Array(sample.ref),
      log: logState.ref,
    },
    { ...CLOSED, description: "What was asked in a period, in whole minutes." },
  ),
);

export const statisticsSchemas = [count, percentiles, sample, logState, statistics];

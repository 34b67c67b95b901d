import { type Database, inSnapshot } from "../store/database.ts";
import { firstIdAt, type KindColumn } from "../store/schema.ts";
import type { Summary, SummaryRequest } from "../summary.ts";
import { type FilledPart, type IdRange, partsWithin } from "./parts.ts";
import { allRows, numberRows } from "./rows.ts";
import { type KindOutcome, MINUTE_MS, type Period, Series } from "./series.ts";
import { Tally } from "./tally.ts";
import { countNames, topNames } from "./top-names.ts";

const MAX_SAMPLES = 2000;

/** Counts what was asked in a period, from the roll-ups. @throws an error of SQLite. */
export function summarize(database: Database, request: SummaryRequest): Summary {
  const period = periodOf(request);
  const ids = idsOf(period);
  const tallies = newTallies();
  const series = new Series(period);
  inSnapshot(database, () => {
    for (const part of partsWithin(database, ids)) {
      addKinds(database, part, { period, series, tallies });
      addClients(database, part, period, tallies.clients);
      countNames(database, part, ids, tallies);
      series.addLatencies(database, part);
    }
  });
  return {
    fromMs: period.from * MINUTE_MS,
    toMs: period.to * MINUTE_MS,
    total: series.total,
    bySource: tallies.sources.record(),
    byRcode: tallies.rcodes.record(),
    byType: tallies.types.record(),
    byAction: tallies.actions.record(),
    byTransport: tallies.transports.record(),
    topNames: topNames(tallies.names, request.top),
    topBlocked: topNames(tallies.blocked, request.top),
    topClients: tallies.clients.top(request.top),
    topRules: tallies.rules.top(request.top),
    topUpstreams: tallies.upstreams.top(request.top),
    latencyUs: series.latencies.percentiles(),
    upstreamLatencyUs: series.upstreamLatencies.percentiles(),
    series: series.samples(),
    stepMs: period.step * MINUTE_MS,
  };
}

function periodOf({ fromMs, toMs, stepMs }: SummaryRequest): Period {
  const from = Math.max(0, Math.floor(fromMs / MINUTE_MS));
  const to = Math.max(from, Math.ceil(toMs / MINUTE_MS));
  return { from, to, step: Math.max(1, Math.ceil(stepMs / MINUTE_MS), Math.ceil((to - from) / MAX_SAMPLES)) };
}

function idsOf({ from, to }: Period): IdRange {
  return { from: firstIdAt(from * MINUTE_MS), to: firstIdAt(to * MINUTE_MS) };
}

function newTallies() {
  return {
    sources: new Tally(),
    rcodes: new Tally(),
    types: new Tally(),
    actions: new Tally(),
    transports: new Tally(),
    rules: new Tally(),
    upstreams: new Tally(),
    clients: new Tally(),
    names: new Tally(),
    blocked: new Tally(),
  };
}

type Tallies = ReturnType<typeof newTallies>;

interface Summing {
  readonly period: Period;
  readonly series: Series;
  readonly tallies: Tallies;
}

type Kind = Readonly<Record<KindColumn, string | null>> & { readonly id: number; readonly blocked: number };

/** What is counted of each kind, in one walk through the minutes of a part. */
function addKinds(database: Database, { key }: FilledPart, { period, series, tallies }: Summing): void {
  const kinds = allRows<Kind>(database, { text: `SELECT * FROM kinds_${key}`, values: [] }).map((kind) => ({
    kind,
    outcome: outcomeOf(kind),
    count: 0,
  }));
  const byId = new Map(kinds.map((each) => [each.kind.id, each]));
  const text = `SELECT minute, kind, count FROM kind_minutes_${key} WHERE minute >= ? AND minute < ?`;
  for (const [minute = 0, id = 0, count = 0] of numberRows(database, { text, values: [period.from, period.to] })) {
    const counted = byId.get(id);
    if (counted === undefined) continue;
    counted.count += count;
    series.add(minute, count, counted.outcome);
  }
  for (const { kind, count } of kinds) if (count > 0) addKind(kind, count, tallies);
}

function outcomeOf({ blocked, source, rcode }: Kind): KindOutcome {
  return {
    blocked: blocked === 1,
    cached: source === "cache" || source === "stale",
    failed: source === "failure" || rcode === "SERVFAIL",
  };
}

function addKind({ id, ...kind }: Kind, count: number, tallies: Tallies): void {
  tallies.sources.add(kind.source ?? "", count);
  tallies.rcodes.add(kind.rcode ?? "none", count);
  tallies.types.add(kind.type ?? "", count);
  tallies.actions.add(kind.action ?? "", count);
  tallies.transports.add(kind.transport ?? "", count);
  // Id 0 stands for many kinds at once.
  if (id > 0 && kind.rule !== null) tallies.rules.add(kind.rule, count);
  if (id > 0 && kind.upstream !== null) tallies.upstreams.add(kind.upstream, count);
}

function addClients(database: Database, { key }: FilledPart, { from, to }: Period, clients: Tally): void {
  const text = `
    SELECT clients.address, clients.client_id AS clientId, counted.count FROM (
      SELECT client, sum(count) AS count FROM client_minutes_${key} WHERE minute >= ? AND minute < ? AND client > 0 GROUP BY client
    ) AS counted JOIN clients_${key} AS clients ON clients.id = counted.client`;
  const rows = allRows<{ readonly address: string; readonly clientId: string | null; readonly count: number }>(database, {
    text,
    values: [from, to],
  });
  for (const { address, clientId, count } of rows) {
    const client = clientId ?? address;
    if (client !== "") clients.add(client, count);
  }
}

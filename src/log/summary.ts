import { COLUMN, PartBlocks } from "./blocks.ts";
import { valueAt } from "./columns.ts";
import { type Database, inSnapshot } from "./database.ts";
import { allRows, amongIds, numberRows } from "./dictionary-search.ts";
import { type GroupSide, type QueryOutcome, queryOutcome } from "./outcome.ts";
import { type Gap, gapsWithin } from "./runs.ts";
import { bucketMiddleUs, firstIdAt, type IdRange, type KindColumn, reversedName } from "./schema.ts";
import { type FilledPart, partsWithin } from "./search.ts";

const MAX_SAMPLES = 2000;

/** Counts what was asked in a period: names from the rows, all else from the roll-ups. @throws an error of SQLite. */
export function summarize(database: Database, request: SummaryRequest): Summary {
  const period = periodOf(request);
  const ids = idsOf(period);
  const tallies = newTallies();
  const series = new Series(period);
  const gaps = inSnapshot(database, () => {
    for (const part of partsWithin(database, ids)) {
      const concerns = addKinds(database, part, { period, series, tallies, sideOf: request.sideOf });
      addClients(database, part, period, tallies.clients);
      countNames(database, part, { ids, concerns, tallies });
      series.addLatencies(database, part);
    }
    return gapsWithin(database, { fromMs: period.from * MINUTE_MS, toMs: period.to * MINUTE_MS });
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
    topFailing: topNames(tallies.failing, request.top),
    topClients: tallies.clients.top(request.top),
    topRules: tallies.rules.top(request.top),
    topUpstreams: tallies.upstreams.top(request.top),
    latencyUs: series.latencies.percentiles(),
    upstreamLatencyUs: series.upstreamLatencies.percentiles(),
    series: series.samples(),
    gaps,
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
    failing: new Tally(),
  };
}

type Tallies = ReturnType<typeof newTallies>;

interface Summing {
  readonly period: Period;
  readonly series: Series;
  readonly tallies: Tallies;
  readonly sideOf: SummaryRequest["sideOf"];
}

type Kind = Readonly<Record<KindColumn, string | null>> & { readonly id: number; readonly blocked: number };

/** What a query of a kind is counted as, by the number of the kind. */
type Concerns = Uint8Array;
const BLOCKED = 1;
const FAILED = 2;

/** What is counted of each kind, in one walk through the minutes of a part. */
function addKinds(database: Database, { key }: FilledPart, { period, series, tallies, sideOf }: Summing): Concerns {
  const kinds = allRows<Kind>(database, { text: `SELECT * FROM kinds_${key}`, values: [] }).map((kind) => ({
    kind,
    outcome: outcomeOf(kind, sideOf),
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
  const concerns = new Uint8Array(1 + kinds.reduce((highest, { kind }) => Math.max(highest, kind.id), 0));
  for (const { kind, outcome } of kinds) concerns[kind.id] = (outcome.blocked ? BLOCKED : 0) | (outcome.failed ? FAILED : 0);
  return concerns;
}

function outcomeOf(kind: Kind, sideOf: SummaryRequest["sideOf"]): KindOutcome {
  const { blocked, source } = kind;
  const outcome = queryOutcome(kind, sideOf);
  return { outcome, blocked: blocked === 1, cached: source === "cache" || source === "stale", failed: outcome === "failed" };
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

const MINUTE_MS = 60_000;

/** In whole minutes since 1970. */
interface Period {
  readonly from: number;
  /** Not included. */
  readonly to: number;
  readonly step: number;
}

/** What a step counts of a kind of query. */
interface KindOutcome {
  readonly outcome: QueryOutcome;
  readonly blocked: boolean;
  readonly cached: boolean;
  readonly failed: boolean;
}

/** What happened step by step, and the latencies of them all. */
class Series {
  readonly latencies = new Histogram();
  readonly upstreamLatencies = new Histogram();
  readonly #period: Period;
  readonly #steps: {
    total: number;
    blocked: number;
    cached: number;
    failed: number;
    readonly outcomes: Record<QueryOutcome, number>;
    readonly latencies: Histogram;
  }[];

  constructor(period: Period) {
    this.#period = period;
    this.#steps = Array.from({ length: Math.ceil((period.to - period.from) / period.step) }, () => ({
      total: 0,
      blocked: 0,
      cached: 0,
      failed: 0,
      outcomes: noOutcomes(),
      latencies: new Histogram(),
    }));
  }

  get total(): number {
    return this.#steps.reduce((sum, { total }) => sum + total, 0);
  }

  /** Queries of one kind in one minute of the period. */
  add(minute: number, count: number, { outcome, blocked, cached, failed }: KindOutcome): void {
    const sample = this.#stepOf(minute);
    if (sample === undefined) return;
    sample.total += count;
    if (blocked) sample.blocked += count;
    if (cached) sample.cached += count;
    if (failed) sample.failed += count;
    sample.outcomes[outcome] += count;
  }

  samples(): Sample[] {
    const { from, step } = this.#period;
    return this.#steps.map(({ latencies, ...counts }, index) => {
      const percentiles = latencies.percentiles();
      const atMs = (from + index * step) * MINUTE_MS;
      return { atMs, ...counts, p50Us: percentiles?.p50 ?? 0, p99Us: percentiles?.p99 ?? 0 };
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

function noOutcomes(): Record<QueryOutcome, number> {
  return { cache: 0, local: 0, rule: 0, near: 0, far: 0, stale: 0, failed: 0, refused: 0 };
}

/** Durations by the buckets of the store. */
class Histogram {
  readonly #counts = new Map<number, number>();

  add(bucket: number, count: number): void {
    this.#counts.set(bucket, (this.#counts.get(bucket) ?? 0) + count);
  }

  /** In microseconds; null where nothing was counted. */
  percentiles(): Percentiles | null {
    const buckets = [...this.#counts].sort(([a], [b]) => a - b);
    const total = buckets.reduce((sum, [, count]) => sum + count, 0);
    return total === 0
      ? null
      : { p50: durationAt(buckets, total * 0.5), p90: durationAt(buckets, total * 0.9), p99: durationAt(buckets, total * 0.99) };
  }
}

/** The duration that so many of the counted do not exceed. */
function durationAt(buckets: readonly (readonly [number, number])[], rank: number): number {
  let sum = 0;
  for (const [bucket, count] of buckets) {
    sum += count;
    if (sum >= rank) return bucketMiddleUs(bucket);
  }
  return 0;
}

/** How often each of many texts was counted. */
class Tally {
  readonly #counts = new Map<string, number>();

  add(key: string, count: number): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + count);
  }

  /** The most frequent, most first; where two are equally frequent, in the order of their texts. */
  top(limit: number): Count[] {
    const counts = [...this.#counts].filter(([, count]) => count > 0);
    const sorted = counts.sort(([keyA, a], [keyB, b]) => b - a || (keyA < keyB ? -1 : 1));
    return sorted.slice(0, limit).map(([key, count]) => ({ key, count }));
  }

  /** All of them. */
  record(): Readonly<Record<string, number>> {
    return Object.fromEntries(this.top(this.#counts.size).map(({ key, count }) => [key, count]));
  }
}

/** Names that are taken of one part: the most asked, and besides the most blocked, and those that failed most. */
const NAMES_TAKEN = { asked: 2000, blocked: 500, failing: 2000 } as const;

interface NameCounting {
  readonly ids: IdRange;
  readonly concerns: Concerns;
  readonly tallies: Pick<Tallies, "names" | "blocked" | "failing">;
}

/** Adds how often names were asked, blocked and failed within a range, as far as one part tells; the rarest are left out where there are many. */
function countNames(database: Database, { key }: FilledPart, { ids, concerns, tallies }: NameCounting): void {
  const last = database.prepare(`SELECT max(id) AS id FROM names_${key}`).get()?.["id"];
  const counts = () => new Uint32Array(Number(last ?? 0) + 1);
  const [asked, blocked, failing] = [counts(), counts(), counts()];
  for (const { block, from, to } of new PartBlocks(database, key).slices(ids)) {
    const [names, kinds] = [block.column(COLUMN.name), block.column(COLUMN.kind)];
    for (let index = from; index < to; index++) {
      const name = valueAt(names, index);
      const concern = concerns[valueAt(kinds, index)] ?? 0;
      asked[name] = (asked[name] ?? 0) + 1;
      if ((concern & BLOCKED) !== 0) blocked[name] = (blocked[name] ?? 0) + 1;
      if ((concern & FAILED) !== 0) failing[name] = (failing[name] ?? 0) + 1;
    }
  }
  const taken = [
    { tally: tallies.names, most: mostCounted(asked, NAMES_TAKEN.asked) },
    { tally: tallies.blocked, most: mostCounted(blocked, NAMES_TAKEN.blocked) },
    { tally: tallies.failing, most: mostCounted(failing, NAMES_TAKEN.failing) },
  ];
  const among = amongIds("id", new Set(taken.flatMap(({ most }) => most.map(({ name }) => name))));
  const text = `SELECT id, text FROM names_${key} WHERE ${among.text} AND text <> ''`;
  const rows = allRows<{ readonly id: number; readonly text: string }>(database, { text, values: among.values });
  const texts = new Map(rows.map(({ id, text }) => [id, text]));
  for (const { tally, most } of taken)
    for (const { name, count } of most) {
      const reversed = texts.get(name);
      if (reversed !== undefined) tally.add(reversed, count);
    }
}

/** More than any number of a name in a part. */
const NAME_NUMBERS = 2 ** 24;

/** The names that were counted most, by their numbers. */
function mostCounted(counts: Uint32Array, limit: number): readonly { readonly name: number; readonly count: number }[] {
  const counted = new Float64Array(counts.length);
  let length = 0;
  for (const [name, count] of counts.entries()) if (count > 0) counted[length++] = count * NAME_NUMBERS + name;
  const most = counted
    .subarray(0, length)
    .sort()
    .subarray(Math.max(0, length - limit));
  return Array.from(most, (both) => ({ name: both % NAME_NUMBERS, count: Math.floor(both / NAME_NUMBERS) }));
}

/** The names of a tally as they are written. */
function topNames(tally: Tally, limit: number): Count[] {
  return tally.top(limit).map(({ key, count }) => ({ key: reversedName(key), count }));
}

/** What was asked in a period of whole minutes. */
export interface Summary {
  /** Milliseconds since 1970: whole minutes that hold what was wanted. */
  readonly fromMs: number;
  readonly toMs: number;
  readonly total: number;
  readonly bySource: Readonly<Record<string, number>>;
  /** `none` = nothing was sent. */
  readonly byRcode: Readonly<Record<string, number>>;
  readonly byType: Readonly<Record<string, number>>;
  readonly byAction: Readonly<Record<string, number>>;
  readonly byTransport: Readonly<Record<string, number>>;
  /** The most frequent, most first. Names are counted part by part of the log: left out are the parts where a name was among the rarest of thousands. */
  readonly topNames: readonly Count[];
  readonly topBlocked: readonly Count[];
  /** Of queries that count as failed. */
  readonly topFailing: readonly Count[];
  /** By client id, else by address. */
  readonly topClients: readonly Count[];
  readonly topRules: readonly Count[];
  readonly topUpstreams: readonly Count[];
  /** From the message read to the reply made; null where nothing was asked. Precise to about a fifth: from a histogram. */
  readonly latencyUs: Percentiles | null;
  /** The same for what upstreams were asked for. */
  readonly upstreamLatencyUs: Percentiles | null;
  /** In steps of `stepMs`, those without queries too. */
  readonly series: readonly Sample[];
  /** When nothing was recorded, or not everything. */
  readonly gaps: readonly Gap[];
  readonly stepMs: number;
}

export interface Count {
  readonly key: string;
  readonly count: number;
}

export interface Percentiles {
  readonly p50: number;
  readonly p90: number;
  readonly p99: number;
}

export interface Sample {
  readonly atMs: number;
  readonly total: number;
  readonly blocked: number;
  /** Stale answers too. */
  readonly cached: number;
  /** Ended in a failure, or SERVFAIL was passed on. */
  readonly failed: number;
  readonly outcomes: Readonly<Record<QueryOutcome, number>>;
  /** 0 where nothing was asked. */
  readonly p50Us: number;
  readonly p99Us: number;
}

export interface SummaryRequest {
  readonly fromMs: number;
  readonly toMs: number;
  /** At least a minute; rounded up to whole minutes, and so that there are 2,000 samples at most. */
  readonly stepMs: number;
  /** How many of each top list: 1 to 100. */
  readonly top: number;
  /** Where the groups of the present configuration are. */
  readonly sideOf: Readonly<Record<string, GroupSide>>;
}

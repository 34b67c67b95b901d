import type { LogStatus } from "../log/record.ts";
import { ANSWERERS, BUCKET_ENDS_SECONDS, type Counters } from "./counters.ts";
import type { ProcessStats, ReloadStats } from "./process.ts";

/** Everything that is shown, as it is at this moment. */
export interface MetricsInput {
  readonly counters: Counters;
  readonly upstreams: readonly GroupMetrics[];
  readonly cache: CacheMetrics;
  readonly lists: readonly ListMetrics[];
  /** The lists as the configuration wants them. */
  readonly refreshes: readonly ListRefresh[];
  readonly log: LogStatus;
  readonly listeners: ListenerMetrics;
  readonly process: ProcessStats;
  readonly reloads: ReloadStats;
  readonly build: { readonly version: string; readonly node: string };
  /** Milliseconds since 1970. */
  readonly nowWallMs: number;
  /** The same each time. */
  readonly counts: RisingCounts;
}

interface GroupMetrics {
  readonly name: string;
  readonly well: boolean;
  readonly inFlight: number;
  readonly breaches: number;
  readonly members: readonly MemberMetrics[];
}

interface MemberMetrics {
  readonly server: string;
  readonly well: boolean;
  readonly latencyMs: number | null;
  readonly questions: number;
  readonly failures: number;
  readonly inFlight: number;
}

interface CacheMetrics {
  readonly hits: number;
  readonly misses: number;
  readonly positive: SegmentMetrics;
  readonly negative: SegmentMetrics;
}

interface SegmentMetrics {
  readonly entries: number;
  readonly bytes: number;
  readonly budgetBytes: number;
}

interface ListMetrics {
  readonly name: string;
  readonly size: number;
  readonly sources: readonly ListSourceMetrics[];
}

interface ListRefresh {
  readonly name: string;
  /** null = its sources are never read again. */
  readonly refreshMs: number | null;
}

interface ListSourceMetrics {
  readonly servedFrom: string;
  /** When it was last known to be the newest, as `Date.parse` reads it; null = never, or it is not downloaded. */
  readonly checked: string | null;
  readonly problem: string | null;
  readonly downloadProblem: object | null;
}

/** As the listeners count. */
interface ListenerMetrics {
  readonly udpInFlight: number;
  readonly udpShed: number;
  readonly udpUnsent: number;
  readonly connections: number;
  readonly connectionsRefused: number;
}

/**
 * Metrics in Prometheus's text format. Labels have values from the configuration or from closed sets, never from clients: their number is
 * bounded by the size of the configuration.
 */
export function metricsText(input: MetricsInput): string {
  const exposition = new PrometheusWriter(input.counts);
  addQueries(exposition, input.counters);
  addUpstreams(exposition, input.upstreams);
  addCache(exposition, input.cache);
  addLists(exposition, input);
  addLog(exposition, input.log, input.counters);
  addListeners(exposition, input.listeners);
  addProcess(exposition, input);
  input.counts.settle();
  return exposition.text();
}

function addQueries(to: PrometheusWriter, counters: Counters): void {
  to.counter(
    "fenliu_queries_total",
    "Queries answered, by transport, where the answer came from, and the rcode that was sent (NONE: nothing was).",
    [...counters.queries()].map(({ transport, source, rcode, count }) => [
      { transport, source, rcode: rcodeLabel(rcode) },
      count,
    ]),
  );
  to.counter(
    "fenliu_actions_total",
    "Queries that something was done with: blocked, guarded against a false NXDOMAIN, refused, and so on.",
    counters.actions().map(({ kind, count }) => [{ action: kind }, count]),
  );
  to.counter(
    "fenliu_rule_queries_total",
    "Queries that the rule decided.",
    [...counters.rules.entries()].map(([rule, count]) => [{ rule }, count]),
  );
  to.counter(
    "fenliu_group_queries_total",
    "Queries whose answer was the group's, fresh, cached or stale, or that it was asked for in vain.",
    [...counters.groups.entries()].map(([group, count]) => [{ group }, count]),
  );
  to.histogram(
    "fenliu_query_duration_seconds",
    { help: "From the whole message read to the reply made.", endsSeconds: BUCKET_ENDS_SECONDS },
    ANSWERERS.map((answered) => [{ answered }, counters.durations(answered)]),
  );
}

function addUpstreams(to: PrometheusWriter, groups: readonly GroupMetrics[]): void {
  const ofGroups = (value: (group: GroupMetrics) => number) =>
    groups.map((group) => [{ group: group.name }, value(group)] as const);
  const ofMembers = (value: (member: MemberMetrics) => number | null) =>
    groups.flatMap(({ name, members }) =>
      labelled(members).flatMap(([server, member]) => {
        const number = value(member);
        return number === null ? [] : [[{ group: name, server }, number] as const];
      }),
    );
  to.gauge(
    "fenliu_group_up",
    "Whether any server of the group is well.",
    ofGroups(({ well }) => Number(well)),
  );
  to.gauge(
    "fenliu_group_in_flight",
    "Questions that wait on the group.",
    ofGroups(({ inFlight }) => inFlight),
  );
  to.counter(
    "fenliu_leaks_total",
    "Questions that the rules sent to a group against its `never`, and that were refused.",
    ofGroups(({ breaches }) => breaches),
  );
  to.gauge(
    "fenliu_upstream_up",
    "Whether the server is well.",
    ofMembers(({ well }) => Number(well)),
  );
  to.gauge(
    "fenliu_upstream_latency_seconds",
    "How long the server takes to answer, smoothed over its last answers.",
    ofMembers(({ latencyMs }) => (latencyMs === null ? null : latencyMs / 1000)),
  );
  to.counter(
    "fenliu_upstream_questions_total",
    "Questions sent to the server, but for probes.",
    ofMembers(({ questions }) => questions),
  );
  to.counter(
    "fenliu_upstream_failures_total",
    "Questions that failed there, or got no good answer, or none in time.",
    ofMembers(({ failures }) => failures),
  );
  to.gauge(
    "fenliu_upstream_in_flight",
    "Questions under way to the server.",
    ofMembers(({ inFlight }) => inFlight),
  );
}

/** Each with its label; a server that is written twice in one group has a number behind it, because no two samples may be alike. */
function labelled(members: readonly MemberMetrics[]): (readonly [string, MemberMetrics])[] {
  const seen = new Map<string, number>();
  return members.map((member) => {
    const times = (seen.get(member.server) ?? 0) + 1;
    seen.set(member.server, times);
    return [times === 1 ? member.server : `${member.server} (${times})`, member];
  });
}

function addCache(to: PrometheusWriter, { hits, misses, positive, negative }: CacheMetrics): void {
  const segments = [
    ["positive", positive],
    ["negative", negative],
  ] as const;
  const each = (value: (segment: SegmentMetrics) => number) =>
    segments.map(([segment, metrics]) => [{ segment }, value(metrics)] as const);
  to.counter("fenliu_cache_hits_total", "Looks into the cache that found something, fresh or not.", [[{}, hits]]);
  to.counter("fenliu_cache_misses_total", "Looks into the cache that found nothing.", [[{}, misses]]);
  to.gauge(
    "fenliu_cache_entries",
    "Answers held.",
    each(({ entries }) => entries),
  );
  to.gauge(
    "fenliu_cache_bytes",
    "Memory that the answers count for.",
    each(({ bytes }) => bytes),
  );
  to.gauge(
    "fenliu_cache_budget_bytes",
    "Memory that they may have.",
    each(({ budgetBytes }) => budgetBytes),
  );
}

function addLists(to: PrometheusWriter, { lists, refreshes, nowWallMs }: MetricsInput): void {
  const each = (value: (list: ListMetrics) => number | null) =>
    lists.flatMap((list) => {
      const number = value(list);
      return number === null ? [] : [[{ list: list.name }, number] as const];
    });
  to.gauge(
    "fenliu_list_entries",
    "Different patterns or blocks of addresses in the list.",
    each(({ size }) => size),
  );
  to.gauge(
    "fenliu_list_age_seconds",
    "Since the source of the list that was checked longest ago was known to be the newest.",
    each(({ sources }) => ageSeconds(sources, nowWallMs)),
  );
  to.gauge(
    "fenliu_list_refresh_seconds",
    "How often the list is renewed, where it ever is.",
    refreshes.flatMap(({ name, refreshMs }) => (refreshMs === null ? [] : [[{ list: name }, refreshMs / 1000] as const])),
  );
  to.gauge(
    "fenliu_list_problems",
    "Sources of the list that cannot be read, or whose last download failed.",
    each(({ sources }) => sources.filter(({ problem, downloadProblem }) => problem !== null || downloadProblem !== null).length),
  );
  to.gauge(
    "fenliu_list_missing",
    "Sources of the list that have never been downloaded.",
    each(({ sources }) => sources.filter(({ servedFrom }) => servedFrom === "nothing").length),
  );
}

function ageSeconds(sources: readonly ListSourceMetrics[], nowWallMs: number): number | null {
  const times = sources.flatMap(({ checked }) => (checked === null ? [] : [Date.parse(checked)]));
  return times.length === 0 ? null : Math.max(0, (nowWallMs - Math.min(...times)) / 1000);
}

function addLog(to: PrometheusWriter, log: LogStatus, { recordsDropped }: Counters): void {
  to.gauge("fenliu_log_up", "Whether queries are recorded as wanted: 0 while the store fails.", [
    [{}, log.state === "failing" ? 0 : 1],
  ]);
  to.gauge("fenliu_log_enabled", "Whether a query log is kept.", [[{}, log.state === "off" ? 0 : 1]]);
  to.counter("fenliu_log_records_total", "Records stored.", [[{}, log.stored]]);
  to.counter("fenliu_log_dropped_total", "Records lost, because too many came at once or because of the store.", [
    [{ where: "journal" }, recordsDropped],
    [{ where: "store" }, log.dropped],
  ]);
  to.gauge("fenliu_log_waiting", "Records that wait to be stored.", [[{}, log.waiting]]);
  to.gauge("fenliu_log_rows", "Records in the store.", [[{}, log.rows]]);
  to.gauge("fenliu_log_bytes", "Size of the store.", [[{}, log.bytes]]);
  to.gauge(
    "fenliu_log_oldest_timestamp_seconds",
    "When the oldest record in the store came.",
    log.oldestWallMs === null ? [] : [[{}, log.oldestWallMs / 1000]],
  );
}

function addListeners(to: PrometheusWriter, listeners: ListenerMetrics): void {
  to.gauge("fenliu_udp_in_flight", "UDP queries whose answer is awaited.", [[{}, listeners.udpInFlight]]);
  to.counter("fenliu_udp_shed_total", "UDP queries dropped because too many were in flight.", [[{}, listeners.udpShed]]);
  to.counter("fenliu_udp_unsent_total", "UDP replies that could not be sent.", [[{}, listeners.udpUnsent]]);
  to.gauge("fenliu_connections", "Open connections of clients.", [[{}, listeners.connections]]);
  to.counter("fenliu_connections_refused_total", "Connections closed at once because there were too many.", [
    [{}, listeners.connectionsRefused],
  ]);
}

function addProcess(to: PrometheusWriter, { process, reloads, build }: MetricsInput): void {
  to.gauge("fenliu_build_info", "Always 1; what runs is in the labels.", [[build, 1]]);
  to.counter("fenliu_config_reloads_total", "Reloads of the configuration, by how they ended.", [
    [{ result: "success" }, reloads.succeeded],
    [{ result: "failure" }, reloads.failed],
  ]);
  to.gauge("fenliu_config_last_reload_successful", "Whether the last reload was put in place.", [
    [{}, Number(reloads.lastSucceeded)],
  ]);
  to.gauge("fenliu_config_loaded_timestamp_seconds", "When the configuration in force was put in place.", [
    [{}, reloads.sinceWallMs / 1000],
  ]);
  const { loopDelaySeconds: delay } = process;
  to.gauge(
    "fenliu_event_loop_delay_seconds",
    "How late the event loop was since the last look.",
    delay === null ? [] : Object.entries(delay).map(([statistic, seconds]) => [{ statistic }, seconds] as const),
  );
  to.counter("process_cpu_seconds_total", "Processor time, user and system.", [
    [{}, process.cpuUserSeconds + process.cpuSystemSeconds],
  ]);
  to.gauge("process_resident_memory_bytes", "Memory of the process.", [[{}, process.residentBytes]]);
  to.gauge("process_start_time_seconds", "When the process began.", [[{}, process.startedSeconds]]);
  to.gauge("fenliu_heap_bytes", "Memory in use on the JavaScript heap.", [[{}, process.heapBytes]]);
  to.gauge("fenliu_external_bytes", "Memory of buffers outside the heap.", [[{}, process.externalBytes]]);
}

/** The labels of a sample; those that are absent are left out. */
type Labels = Readonly<Record<string, string | number>>;

type MetricSample = readonly [labels: Labels, value: number];

/** Text in Prometheus's exposition format 0.0.4, metric by metric. */
class PrometheusWriter {
  readonly #lines: string[] = [];
  readonly #counts: RisingCounts;

  constructor(counts: RisingCounts) {
    this.#counts = counts;
  }

  counter(name: string, help: string, samples: Iterable<MetricSample>): void {
    this.#head(name, { help, type: "counter" });
    for (const [labels, value] of samples) {
      const key = keyOf(name, labels);
      this.#lines.push(`${key} ${numberText(this.#counts.read(key, value))}`);
    }
  }

  gauge(name: string, help: string, samples: Iterable<MetricSample>): void {
    this.#head(name, { help, type: "gauge" });
    for (const [labels, value] of samples) this.#sample(name, labels, value);
  }

  /** @param endsSeconds of the buckets but for the last, whose count is that of all values. */
  histogram(name: string, { help, endsSeconds }: HistogramShape, samples: Iterable<HistogramSample>): void {
    this.#head(name, { help, type: "histogram" });
    for (const [labels, { cumulative, sumSeconds }] of samples) {
      for (const [index, count] of cumulative.entries()) {
        const end = endsSeconds[index];
        this.#sample(`${name}_bucket`, { ...labels, le: end === undefined ? "+Inf" : end }, count);
      }
      this.#sample(`${name}_sum`, labels, sumSeconds);
      this.#sample(`${name}_count`, labels, cumulative.at(-1) ?? 0);
    }
  }

  text(): string {
    return `${this.#lines.join("\n")}\n`;
  }

  #head(name: string, { help, type }: About): void {
    this.#lines.push(`# HELP ${name} ${help.replace(/\\/g, "\\\\").replace(/\n/g, "\\n")}`, `# TYPE ${name} ${type}`);
  }

  #sample(name: string, labels: Labels, value: number): void {
    this.#lines.push(`${keyOf(name, labels)} ${numberText(value)}`);
  }
}

function keyOf(name: string, labels: Labels): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escaped(String(text))}"`);
  return pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
}

interface HistogramShape {
  readonly help: string;
  readonly endsSeconds: readonly number[];
}

type HistogramSample = readonly [
  labels: Labels,
  histogram: { readonly cumulative: readonly number[]; readonly sumSeconds: number },
];

interface About {
  readonly help: string;
  readonly type: "counter" | "gauge" | "histogram";
}

function escaped(text: string): string {
  return text.replace(/[\\"\n]/g, (character) => (character === "\n" ? "\\n" : `\\${character}`));
}

function numberText(value: number): string {
  if (Number.isFinite(value)) return String(value);
  return Number.isNaN(value) ? "NaN" : value > 0 ? "+Inf" : "-Inf";
}

const NAMES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
const BADVERS = 16;

/** Of a number that `Counters` counts by. */
function rcodeLabel(rcode: number | null): string {
  if (rcode === null) return "NONE";
  return rcode === BADVERS ? "BADVERS" : (NAMES[rcode] ?? `RCODE${rcode}`);
}

interface Count {
  last: number;
  /** What was counted before it began again at zero. */
  before: number;
}

/**
 * Keeps counters from falling: what counts servers, the cache and the log is made anew by a reload, and begins at zero. What was counted between
 * the last look and the reload is not made up for.
 */
export class RisingCounts {
  #counts: ReadonlyMap<string, Count> = new Map();
  #seen = new Map<string, Count>();

  /** The count of this sample since the start of the process. */
  read(sample: string, value: number): number {
    const count = this.#counts.get(sample) ?? { last: 0, before: 0 };
    if (value < count.last) count.before += count.last;
    count.last = value;
    this.#seen.set(sample, count);
    return count.before + value;
  }

  /** Ends a look at all of them: what was not among them is forgotten. */
  settle(): void {
    this.#counts = this.#seen;
    this.#seen = new Map();
  }
}

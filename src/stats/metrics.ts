// The door of stats/: everything that is counted or measured, as a text that Prometheus reads.
//
// control/control.ts renders the text for `GET /metrics`. counters.ts counts queries as they end; process.ts watches the process and the
// reloads; the other numbers come from the objects that hold them.

import { BUCKET_ENDS_SECONDS } from "../lib/histogram.ts";
import type { LogStatus } from "../log/record.ts";
import { ANSWERERS, type Counters } from "./counters.ts";
import type { ProcessStats, ReloadStats } from "./process.ts";

/** All numbers at this moment. */
export interface MetricsInput {
  readonly counters: Counters;
  readonly upstreams: readonly GroupMetrics[];
  readonly cache: {
    readonly hits: number;
    readonly misses: number;
    readonly positive: SegmentMetrics;
    readonly negative: SegmentMetrics;
  };
  readonly lists: readonly ListMetrics[];
  /** The lists of the configuration; `refreshMs` null = never. */
  readonly refreshes: readonly { readonly name: string; readonly refreshMs: number | null }[];
  readonly log: LogStatus;
  readonly listeners: ListenerMetrics;
  /** null = no listener speaks TLS. */
  readonly certificate: CertificateMetrics | null;
  /** null = no address lists are fed. */
  readonly router: RouterMetrics | null;
  /** null = no router is checked. */
  readonly routerCheck: RouterCheckMetrics | null;
  readonly process: ProcessStats;
  readonly reloads: ReloadStats;
  readonly build: { readonly version: string; readonly node: string };
  /** Milliseconds since 1970. */
  readonly nowWallMs: number;
  /** The same object at every call. */
  readonly counts: RisingCounts;
}

/** The last check of the router. */
export interface RouterCheckMetrics {
  readonly succeeded: boolean;
  /** Milliseconds since 1970. */
  readonly atWallMs: number;
  readonly findings: readonly { readonly id: string; readonly isFound: boolean }[];
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

interface ListSourceMetrics {
  readonly servedFrom: string;
  /** When it was last known to be the newest version, in a form that `Date.parse` reads; null = never, or not a download. */
  readonly checked: string | null;
  readonly problem: string | null;
  readonly downloadProblem: object | null;
}

interface CertificateMetrics {
  readonly expiresWallMs: number;
  readonly refusal: string | null;
}

interface RouterMetrics {
  readonly problem: string | null;
  readonly queued: number;
  readonly counts: Readonly<Record<string, number>>;
  readonly lists: readonly { readonly list: string; readonly entries: number }[];
}

interface ListenerMetrics {
  readonly udpInFlight: number;
  readonly udpUnsent: number;
  readonly udpShed: number;
  readonly connections: number;
  readonly connectionsRefused: number;
  readonly connectionsEvicted: number;
}

/** Every metric with its help text. A counter's name ends in `_total`. */
const HELP = {
  fenliu_queries_total:
    "Queries answered, by transport, where the answer came from, and the rcode that was sent (NONE: nothing was).",
  fenliu_actions_total: "Queries that something was done with: blocked, guarded against a false NXDOMAIN, refused, and so on.",
  fenliu_rule_queries_total: "Queries that the rule decided.",
  fenliu_group_queries_total: "Queries whose answer was the group's, fresh, cached or stale, or that it was asked for in vain.",
  fenliu_query_duration_seconds: "From the whole message read to the reply made.",
  fenliu_group_up: "Whether any server of the group is well.",
  fenliu_group_in_flight: "Questions that wait on the group.",
  fenliu_leaks_total: "Questions that the rules sent to a group against its `never`, and that were refused.",
  fenliu_upstream_up: "Whether the server is well.",
  fenliu_upstream_latency_seconds: "How long the server takes to answer, smoothed over its last answers.",
  fenliu_upstream_questions_total: "Questions sent to the server, but for probes.",
  fenliu_upstream_failures_total: "Questions that failed there, or got no good answer, or none in time.",
  fenliu_upstream_in_flight: "Questions under way to the server.",
  fenliu_cache_hits_total: "Looks into the cache that found something, fresh or not.",
  fenliu_cache_misses_total: "Looks into the cache that found nothing.",
  fenliu_cache_entries: "Answers held.",
  fenliu_cache_bytes: "Memory that the answers count for.",
  fenliu_cache_budget_bytes: "Memory that they may have.",
  fenliu_list_entries: "Different patterns or blocks of addresses in the list.",
  fenliu_list_age_seconds: "Since the source of the list that was checked longest ago was known to be the newest.",
  fenliu_list_refresh_seconds: "How often the list is renewed, where it ever is.",
  fenliu_list_problems: "Sources of the list that cannot be read, or whose last download failed.",
  fenliu_list_missing: "Sources of the list that have never been downloaded.",
  fenliu_log_up: "Whether queries are recorded as wanted: 0 while the store fails.",
  fenliu_log_enabled: "Whether a query log is kept.",
  fenliu_log_records_total: "Records stored.",
  fenliu_log_dropped_total: "Records lost, because too many came at once or because of the store.",
  fenliu_log_waiting: "Records that wait to be stored.",
  fenliu_log_rows: "Records in the store.",
  fenliu_log_bytes: "Size of the store.",
  fenliu_log_oldest_timestamp_seconds: "When the oldest record in the store came.",
  fenliu_udp_in_flight: "UDP queries whose answer is awaited.",
  fenliu_udp_unsent_total: "UDP replies that could not be sent, and UDP queries that found no room.",
  fenliu_udp_shed_total: "UDP queries that found no room to wait for their turn, and got SERVFAIL at once.",
  fenliu_connections: "Open connections of clients.",
  fenliu_connections_refused_total: "Connections closed at once: there were too many, or the client is not in `access.clients`.",
  fenliu_connections_evicted_total:
    "Connections closed to make room: idle ones where all places were taken, and those with most unread answers.",
  fenliu_certificate_expiry_seconds: "Until the certificate in use ends; below zero it has ended.",
  fenliu_certificate_refused: "Whether the files of the certificate cannot be used, so that the one before serves on.",
  fenliu_router_up: "Whether the router takes entries for its address lists; 1 too where none are wanted.",
  fenliu_router_queue: "Entries that wait to be made or renewed.",
  fenliu_router_entries: "Living entries by list.",
  fenliu_router_results_total:
    "Entries added, renewed (refreshed), found there (present), refused (failed) and given up (dropped); replies that waited (held), and those sent before their entries were there (late).",
  fenliu_build_info: "Always 1; what runs is in the labels.",
  fenliu_config_reloads_total: "Reloads of the configuration, by how they ended.",
  fenliu_config_last_reload_successful: "Whether the last reload was put in place.",
  fenliu_config_loaded_timestamp_seconds: "When the configuration in force was put in place.",
  fenliu_event_loop_delay_seconds: "How late the event loop was since the last look.",
  process_cpu_seconds_total: "Processor time, user and system.",
  process_resident_memory_bytes: "Memory of the process.",
  process_start_time_seconds: "When the process began.",
  fenliu_heap_bytes: "Memory in use on the JavaScript heap.",
  fenliu_external_bytes: "Memory of buffers outside the heap.",
  fenliu_router_check_up: "Whether the last check of the router could read it.",
  fenliu_router_check_timestamp_seconds: "When the router was last checked.",
  fenliu_router_finding: "Whether the last check of the router found this (docs/routeros.md).",
};

type MetricName = keyof typeof HELP;

/**
 * All metrics in Prometheus's text format. Values of labels come from the configuration or from closed sets, never from clients, so the size of
 * the configuration bounds their number.
 */
export function metricsText(input: MetricsInput): string {
  const writer = new PrometheusWriter(input.counts);
  addQueries(writer, input.counters);
  addUpstreams(writer, input.upstreams);
  addCache(writer, input.cache);
  addLists(writer, input);
  addLog(writer, input.log, input.counters);
  addListeners(writer, input.listeners);
  addCertificate(writer, input);
  addRouter(writer, input.router);
  addRouterCheck(writer, input.routerCheck);
  addProcess(writer, input);
  input.counts.endPass();
  return writer.text();
}

function addQueries(to: PrometheusWriter, counters: Counters): void {
  const queries = [...counters.queries()];
  const ofQueries = queries.map(
    ({ transport, source, rcode, count }) => [{ transport, source, rcode: rcodeLabel(rcode) }, count] as const,
  );
  to.write("fenliu_queries_total", ofQueries);
  const ofActions = counters.actions().map(({ kind, count }) => [{ action: kind }, count] as const);
  to.write("fenliu_actions_total", ofActions);
  const ofRules = [...counters.rules.entries()].map(([rule, count]) => [{ rule }, count] as const);
  to.write("fenliu_rule_queries_total", ofRules);
  const ofGroups = [...counters.groups.entries()].map(([group, count]) => [{ group }, count] as const);
  to.write("fenliu_group_queries_total", ofGroups);
  const durations = ANSWERERS.map((answered) => [{ answered }, counters.durations(answered)] as const);
  to.writeHistogram("fenliu_query_duration_seconds", BUCKET_ENDS_SECONDS, durations);
}

function addUpstreams(to: PrometheusWriter, groups: readonly GroupMetrics[]): void {
  const writeGroups = to.forEach(groups, ({ name }) => ({ group: name }));
  writeGroups("fenliu_group_up", ({ well }) => Number(well));
  writeGroups("fenliu_group_in_flight", ({ inFlight }) => inFlight);
  writeGroups("fenliu_leaks_total", ({ breaches }) => breaches);
  const members = groups.flatMap(({ name, members }) => labelServers(members).map((each) => ({ ...each, group: name })));
  const writeMembers = to.forEach(members, ({ group, server }) => ({ group, server }));
  writeMembers("fenliu_upstream_up", ({ well }) => Number(well));
  writeMembers("fenliu_upstream_latency_seconds", ({ latencyMs }) => latencyMs && latencyMs / 1000);
  writeMembers("fenliu_upstream_questions_total", ({ questions }) => questions);
  writeMembers("fenliu_upstream_failures_total", ({ failures }) => failures);
  writeMembers("fenliu_upstream_in_flight", ({ inFlight }) => inFlight);
}

/** A server that is written twice in one group gets a number behind its name: no two samples may be alike. */
function labelServers(members: readonly MemberMetrics[]): readonly MemberMetrics[] {
  const seen = new Map<string, number>();
  return members.map((member) => {
    const times = (seen.get(member.server) ?? 0) + 1;
    seen.set(member.server, times);
    return times === 1 ? member : { ...member, server: `${member.server} (${times})` };
  });
}

function addCache(to: PrometheusWriter, { hits, misses, positive, negative }: MetricsInput["cache"]): void {
  to.write("fenliu_cache_hits_total", hits);
  to.write("fenliu_cache_misses_total", misses);
  const segments = Object.entries({ positive, negative }).map(([segment, metrics]) => ({ segment, ...metrics }));
  const writeSegments = to.forEach(segments, ({ segment }) => ({ segment }));
  writeSegments("fenliu_cache_entries", ({ entries }) => entries);
  writeSegments("fenliu_cache_bytes", ({ bytes }) => bytes);
  writeSegments("fenliu_cache_budget_bytes", ({ budgetBytes }) => budgetBytes);
}

function addLists(to: PrometheusWriter, { lists, refreshes, nowWallMs }: MetricsInput): void {
  const labels = ({ name }: { readonly name: string }) => ({ list: name });
  const writeLists = to.forEach(lists, labels);
  const hasProblem = ({ problem, downloadProblem }: ListSourceMetrics) => problem !== null || downloadProblem !== null;
  writeLists("fenliu_list_entries", ({ size }) => size);
  writeLists("fenliu_list_age_seconds", ({ sources }) => ageSeconds(sources, nowWallMs));
  to.forEach(refreshes, labels)("fenliu_list_refresh_seconds", ({ refreshMs }) => refreshMs && refreshMs / 1000);
  writeLists("fenliu_list_problems", ({ sources }) => sources.filter(hasProblem).length);
  writeLists("fenliu_list_missing", ({ sources }) => sources.filter(({ servedFrom }) => servedFrom === "nothing").length);
}

function ageSeconds(sources: readonly ListSourceMetrics[], nowWallMs: number): number | null {
  const times = sources.flatMap(({ checked }) => (checked === null ? [] : [Date.parse(checked)]));
  return times.length === 0 ? null : Math.max(0, (nowWallMs - Math.min(...times)) / 1000);
}

function addLog(to: PrometheusWriter, log: LogStatus, { recordsDropped }: Counters): void {
  to.write("fenliu_log_up", log.state === "failing" ? 0 : 1);
  to.write("fenliu_log_enabled", log.state === "off" ? 0 : 1);
  to.write("fenliu_log_records_total", log.stored);
  const dropped = [
    [{ where: "journal" }, recordsDropped],
    [{ where: "store" }, log.dropped],
  ] as const;
  to.write("fenliu_log_dropped_total", dropped);
  to.write("fenliu_log_waiting", log.waiting);
  to.write("fenliu_log_rows", log.rows);
  to.write("fenliu_log_bytes", log.bytes);
  to.write("fenliu_log_oldest_timestamp_seconds", log.oldestWallMs === null ? [] : log.oldestWallMs / 1000);
}

function addListeners(to: PrometheusWriter, listeners: ListenerMetrics): void {
  to.write("fenliu_udp_in_flight", listeners.udpInFlight);
  to.write("fenliu_udp_unsent_total", listeners.udpUnsent);
  to.write("fenliu_udp_shed_total", listeners.udpShed);
  to.write("fenliu_connections", listeners.connections);
  to.write("fenliu_connections_refused_total", listeners.connectionsRefused);
  to.write("fenliu_connections_evicted_total", listeners.connectionsEvicted);
}

function addCertificate(to: PrometheusWriter, { certificate, nowWallMs }: MetricsInput): void {
  to.write("fenliu_certificate_expiry_seconds", certificate === null ? [] : (certificate.expiresWallMs - nowWallMs) / 1000);
  to.write("fenliu_certificate_refused", certificate === null ? [] : Number(certificate.refusal !== null));
}

function addRouter(to: PrometheusWriter, router: RouterMetrics | null): void {
  const { problem, queued, counts, lists } = router ?? { problem: null, queued: 0, counts: { late: 0 }, lists: [] };
  to.write("fenliu_router_up", Number(problem === null));
  to.write("fenliu_router_queue", queued);
  to.write(
    "fenliu_router_entries",
    lists.map(({ list, entries }) => [{ list }, entries] as const),
  );
  to.write(
    "fenliu_router_results_total",
    Object.entries(counts).map(([result, count]) => [{ result }, count] as const),
  );
}

function addRouterCheck(to: PrometheusWriter, router: RouterCheckMetrics | null): void {
  // Without a router, or before the first check, the metrics have no samples: 0 would say that something was looked at.
  to.write("fenliu_router_check_up", router === null ? [] : Number(router.succeeded));
  to.write("fenliu_router_check_timestamp_seconds", router === null ? [] : router.atWallMs / 1000);
  const findings = router?.succeeded ? router.findings : [];
  to.write(
    "fenliu_router_finding",
    findings.map(({ id, isFound }) => [{ finding: id }, Number(isFound)] as const),
  );
}

function addProcess(to: PrometheusWriter, { process, reloads, build }: MetricsInput): void {
  to.write("fenliu_build_info", [[build, 1]]);
  const outcomes = [
    [{ result: "success" }, reloads.succeeded],
    [{ result: "failure" }, reloads.failed],
  ] as const;
  to.write("fenliu_config_reloads_total", outcomes);
  to.write("fenliu_config_last_reload_successful", Number(reloads.lastSucceeded));
  to.write("fenliu_config_loaded_timestamp_seconds", reloads.sinceWallMs / 1000);
  const delays = Object.entries(process.loopDelaySeconds ?? {}).map(([statistic, seconds]) => [{ statistic }, seconds] as const);
  to.write("fenliu_event_loop_delay_seconds", delays);
  to.write("process_cpu_seconds_total", process.cpuUserSeconds + process.cpuSystemSeconds);
  to.write("process_resident_memory_bytes", process.residentBytes);
  to.write("process_start_time_seconds", process.startedSeconds);
  to.write("fenliu_heap_bytes", process.heapBytes);
  to.write("fenliu_external_bytes", process.externalBytes);
}

type Labels = Readonly<Record<string, string | number>>;

type Sample = readonly [labels: Labels, value: number];

/** Writes Prometheus's exposition format 0.0.4, metric by metric. */
class PrometheusWriter {
  readonly #lines: string[] = [];
  readonly #counts: RisingCounts;

  constructor(counts: RisingCounts) {
    this.#counts = counts;
  }

  /** @param samples a number = one sample without labels. */
  write(name: MetricName, samples: number | readonly Sample[]): void {
    const isCounter = name.endsWith("_total");
    this.#writeHead(name, isCounter ? "counter" : "gauge");
    for (const [labels, value] of typeof samples === "number" ? [[{}, samples] as const] : samples) {
      const key = keyOf(name, labels);
      this.#writeSample(key, isCounter ? this.#counts.add(key, value) : value);
    }
  }

  /** Returns a function that writes a metric with one sample for each item; items whose value is null are left out. */
  forEach<T>(items: readonly T[], labels: (item: T) => Labels): (name: MetricName, value: (item: T) => number | null) => void {
    return (name, value) => {
      const samples = items.map((item) => [labels(item), value(item)] as const);
      this.write(
        name,
        samples.filter((sample): sample is Sample => sample[1] !== null),
      );
    };
  }

  /** @param endsSeconds ends of the buckets; one more bucket counts all values. */
  writeHistogram(
    name: MetricName,
    endsSeconds: readonly number[],
    samples: readonly (readonly [Labels, { readonly cumulative: readonly number[]; readonly sumSeconds: number }])[],
  ): void {
    this.#writeHead(name, "histogram");
    for (const [labels, { cumulative, sumSeconds }] of samples) {
      for (const [index, count] of cumulative.entries())
        this.#writeSample(keyOf(`${name}_bucket`, { ...labels, le: endsSeconds[index] ?? "+Inf" }), count);
      this.#writeSample(keyOf(`${name}_sum`, labels), sumSeconds);
      this.#writeSample(keyOf(`${name}_count`, labels), cumulative.at(-1) ?? 0);
    }
  }

  text(): string {
    return `${this.#lines.join("\n")}\n`;
  }

  #writeHead(name: MetricName, type: "counter" | "gauge" | "histogram"): void {
    this.#lines.push(`# HELP ${name} ${HELP[name]}`, `# TYPE ${name} ${type}`);
  }

  #writeSample(key: string, value: number): void {
    this.#lines.push(`${key} ${value}`);
  }
}

function keyOf(name: string, labels: Labels): string {
  const pairs = Object.entries(labels).map(([label, text]) => `${label}="${escapeLabel(String(text))}"`);
  return pairs.length === 0 ? name : `${name}{${pairs.join(",")}}`;
}

function escapeLabel(text: string): string {
  return text.replace(/[\\"\n]/g, (character) => (character === "\n" ? "\\n" : `\\${character}`));
}

const RCODE_NAMES = ["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED"];
const BADVERS = 16;

function rcodeLabel(rcode: number | null): string {
  if (rcode === null) return "NONE";
  return rcode === BADVERS ? "BADVERS" : (RCODE_NAMES[rcode] ?? `RCODE${rcode}`);
}

interface Count {
  last: number;
  /** Sum of the values that the count had when it fell back to zero. */
  before: number;
}

/**
 * Keeps counters from falling. A reload replaces the objects that count for servers, the cache and the log, and the new ones begin at zero.
 * Counts between the last reading of the metrics and the reload are lost.
 */
export class RisingCounts {
  #counts: ReadonlyMap<string, Count> = new Map();
  #seen = new Map<string, Count>();

  /** @returns the count of this sample since the start of the process. */
  add(sample: string, value: number): number {
    const count = this.#counts.get(sample) ?? { last: 0, before: 0 };
    if (value < count.last) count.before += count.last;
    count.last = value;
    this.#seen.set(sample, count);
    return count.before + value;
  }

  /** Ends a reading of all metrics. Samples that were not in this reading are forgotten. */
  endPass(): void {
    this.#counts = this.#seen;
    this.#seen = new Map();
  }
}

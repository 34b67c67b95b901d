import type { App } from "../../src/app/app.ts";
import { cacheView, groupView, listView } from "../../src/control/views.ts";
import type { LogStatus } from "../../src/log/record.ts";
import { type MetricsInput, metricsText, RisingCounts } from "../../src/stats/metrics.ts";
import { ProcessWatch } from "../../src/stats/process.ts";
import type { TestSite } from "../support/site.ts";

const log: LogStatus = {
  state: "well",
  fault: null,
  stored: 5,
  dropped: 1,
  waiting: 2,
  rows: 5,
  bytes: 4096,
  oldestWallMs: Date.UTC(2026, 0, 1),
};

/** The metrics of a server at work, with some parts replaced. */
export function exposedBy(app: App, changes: Partial<MetricsInput> = {}): string {
  const nowWallMs = Date.UTC(2026, 0, 2);
  const { state, recorder, listenCounters, reloads } = app;
  const watch = new ProcessWatch(() => nowWallMs);
  const process = watch.read();
  watch.close();
  const downloaded = { checkedWallMs: nowWallMs - 3_600_000, downloadProblem: null };
  const lists = state.policy.lists
    .status()
    .map((status) =>
      listView({ ...status, sources: status.sources.map((source) => ({ ...source, ...downloaded })) }, state.config.access),
    );
  return metricsText({
    router: null,
    counters: recorder.counters,
    upstreams: app.upstreams().map((group) => groupView(group, {})),
    cache: cacheView(state.shared.cache.stats()),
    lists,
    refreshes: state.config.lists,
    log,
    listeners: listenCounters,
    certificate: app.certificate(),
    process: { ...process, loopDelaySeconds: { p50: 0.0001, p99: 0.002, max: 0.01 } },
    routerCheck: null,
    reloads: reloads.read(),
    build: { version: "1.2.3", node: "26.10.0" },
    nowWallMs,
    counts: new RisingCounts(),
    ...changes,
  });
}

/** What the server itself says at /metrics, once it has anything to say of its event loop. */
export async function fetchMetrics(site: TestSite): Promise<string> {
  for (;;) {
    const response = await site.api("/metrics");
    const text = await response.text();
    if (response.status !== 200) throw new Error(text);
    if (text.includes("fenliu_event_loop_delay_seconds{")) return text;
  }
}

/** A sample of an exposition. */
export interface Exposed {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** Reads the text as Prometheus does, as far as labels without escapes go. @throws Error for a line that is none. */
export function samplesOf(text: string): Exposed[] {
  return text
    .split("\n")
    .filter((line) => line !== "" && !line.startsWith("#"))
    .map((line) => {
      const [, name = "", labels = "", value = ""] = /^([a-z_]+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? [];
      if (name === "") throw new Error(`no sample: ${line}`);
      const pairs = [...labels.matchAll(/([a-z_]+)="((?:[^"\\]|\\.)*)"/g)].map(
        ([, label = "", text = ""]) => [label, text] as const,
      );
      return { name, labels: Object.fromEntries(pairs), value: value === "+Inf" ? Number.POSITIVE_INFINITY : Number(value) };
    });
}

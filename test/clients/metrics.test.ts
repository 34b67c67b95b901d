import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { fetchMetrics } from "../stats/exposed.ts";
import { directory } from "../support/files.ts";
import { siteWith } from "../support/site.ts";
import { deny, honest } from "../support/zone-script.ts";
import { projectRoot, run } from "./processes.ts";

const alerts = join(projectRoot, "docs/alerts.yaml");

test("promtool accepts the metrics", async () => {
  const page = honest("page.example 300 A 192.0.2.7");
  const site = await siteWith({ upstreams: { main: (asked) => (asked.type === 65 ? deny(asked) : page(asked)) }, admin: true });
  for (const type of ["A", "A", "AAAA", "HTTPS"]) await site.ask("page.example", type);
  const file = join(directory(), "metrics.txt");
  writeFileSync(file, await fetchMetrics(site));
  expect(await run(`promtool check metrics < '${file}'`, [], { shell: true })).toEqual({ status: 0, stdout: "", stderr: "" });
});

test("promtool accepts the alert rules", async () => {
  expect(await run("promtool", ["check", "rules", alerts])).toMatchObject({ status: 0, stderr: "" });
});

/** Series by their selector, in Prometheus's notation of values: one a minute. */
type Series = Readonly<Record<string, string>>;

const up = { 'fenliu_group_up{instance="a",group="main"}': "1x60" };
const fine = 'fenliu_queries_total{instance="a",transport="udp",source="cache",rcode="NOERROR"}';
const failing = 'fenliu_queries_total{instance="a",transport="udp",source="failure",rcode="SERVFAIL"}';

const fires: readonly (readonly [alert: string, series: Series, atMinutes: number])[] = [
  ["FenliuDown", { 'up{job="fenliu",instance="a"}': "1x10 0x10" }, 14],
  ["FenliuGroupDown", { 'fenliu_group_up{instance="a",group="main"}': "1x10 0x10" }, 14],
  ["FenliuUpstreamDown", { ...up, 'fenliu_upstream_up{instance="a",group="main",server="udp://192.0.2.1"}': "0x60" }, 20],
  ["FenliuFailures", { [fine]: "0+100x60", [failing]: "0+10x60" }, 20],
  [
    "FenliuSlowUpstreams",
    {
      'fenliu_query_duration_seconds_bucket{instance="a",answered="upstream",le="1.048576"}': "0+50x60",
      'fenliu_query_duration_seconds_bucket{instance="a",answered="upstream",le="4.194304"}': "0+100x60",
      'fenliu_query_duration_seconds_bucket{instance="a",answered="upstream",le="+Inf"}': "0+100x60",
      'fenliu_query_duration_seconds_count{instance="a",answered="upstream"}': "0+100x60",
    },
    30,
  ],
  ["FenliuServesStale", { 'fenliu_queries_total{instance="a",transport="udp",source="stale",rcode="NOERROR"}': "0+10x60" }, 30],
  ["FenliuLeak", { 'fenliu_leaks_total{instance="a",group="overseas"}': "0x10 1x10" }, 14],
  ["FenliuGuarded", { 'fenliu_actions_total{instance="a",action="guard"}': "0+5x60" }, 50],
  ["FenliuLoop", { 'fenliu_actions_total{instance="a",action="loop"}': "0+5x60" }, 30],
  ["FenliuLogFailing", { 'fenliu_log_up{instance="a"}': "0x60" }, 10],
  ["FenliuLogDrops", { 'fenliu_log_dropped_total{instance="a",where="store"}': "0x10 7x10" }, 14],
  ["FenliuListProblem", { 'fenliu_list_problems{instance="a",list="cn"}': "1x120" }, 70],
  [
    "FenliuListOld",
    {
      'fenliu_list_age_seconds{instance="a",list="cn"}': "300000x120",
      'fenliu_list_refresh_seconds{instance="a",list="cn"}': "86400x120",
    },
    70,
  ],
  ["FenliuReloadFailed", { 'fenliu_config_last_reload_successful{instance="a"}': "1x5 0x5" }, 8],
  ["FenliuSheds", { 'fenliu_actions_total{instance="a",action="shed"}': "0x10 3x10" }, 13],
  ["FenliuEventLoopLate", { 'fenliu_event_loop_delay_seconds{instance="a",statistic="p99"}': "0.5x60" }, 10],
];

const keepsStill: readonly (readonly [alert: string, why: string, series: Series, atMinutes: number])[] = [
  ["FenliuGroupDown", "for a moment", { 'fenliu_group_up{instance="a",group="main"}': "1x10 0 1x10" }, 11],
  [
    "FenliuUpstreamDown",
    "while its whole group is down, which is told already",
    {
      'fenliu_group_up{instance="a",group="main"}': "0x60",
      'fenliu_upstream_up{instance="a",group="main",server="udp://192.0.2.1"}': "0x60",
    },
    30,
  ],
  ["FenliuFailures", "for one failure in a quiet house", { [fine]: "0x60", [failing]: "0x10 1x50" }, 14],
  ["FenliuFailures", "for one in a hundred", { [fine]: "0+990x60", [failing]: "0+10x60" }, 30],
  [
    "FenliuListOld",
    "for a list that is downloaded once",
    { 'fenliu_list_age_seconds{instance="a",list="cn"}': "9000000x120" },
    70,
  ],
  [
    "FenliuListOld",
    "for a list that is seldom renewed",
    {
      'fenliu_list_age_seconds{instance="a",list="cn"}': "1000000x120",
      'fenliu_list_refresh_seconds{instance="a",list="cn"}': "1209600x120",
    },
    70,
  ],
  ["FenliuListProblem", "for half an hour", { 'fenliu_list_problems{instance="a",list="cn"}': "1x30 0x30" }, 29],
];

interface Expected {
  readonly expr: string;
  readonly atMinutes: number;
  /** Of the one sample without labels. */
  readonly value: number;
}

/** Whether the expression has that value; other than that it may only have none. */
async function evaluates(series: Series, { expr, atMinutes, value }: Expected): Promise<boolean> {
  const file = join(directory(), "test.json");
  const evaluation = {
    rule_files: [alerts],
    evaluation_interval: "1m",
    tests: [
      {
        interval: "1m",
        input_series: Object.entries(series).map(([name, values]) => ({ series: name, values })),
        promql_expr_test: [{ expr, eval_time: `${atMinutes}m`, exp_samples: [{ labels: "{}", value }] }],
      },
    ],
  };
  writeFileSync(file, JSON.stringify(evaluation));
  const { status, stdout, stderr } = await run("promtool", ["test", "rules", file]);
  if (status !== 0 && !`${stdout}${stderr}`.includes("got: nil")) throw new Error(`${stdout}${stderr}`);
  return status === 0;
}

function firing(alert: string, series: Series, atMinutes: number): Promise<boolean> {
  return evaluates(series, { expr: `count(ALERTS{alertname="${alert}",alertstate="firing"})`, atMinutes, value: 1 });
}

describe("an alert", () => {
  test.each(fires)("%s fires", async (alert, series, atMinutes) => {
    expect(await firing(alert, series, atMinutes)).toBe(true);
  });

  test.each(keepsStill)("%s does not fire %s", async (alert, _why, series, atMinutes) => {
    expect(await firing(alert, series, atMinutes)).toBe(false);
  });
});

describe("a share on the dashboard", () => {
  const { panels }: { panels: { type: string; fieldConfig?: { defaults: { unit?: string } }; targets?: { expr: string }[] }[] } =
    JSON.parse(readFileSync(join(projectRoot, "docs/grafana-dashboard.json"), "utf8"));
  const shares = panels
    .filter(({ type, fieldConfig }) => type === "stat" && fieldConfig?.defaults.unit === "percentunit")
    .flatMap(({ targets = [] }) =>
      targets.map(({ expr }) => expr.replaceAll("$instance", ".+").replaceAll("$__rate_interval", "5m")),
    );
  const blocked = 'fenliu_actions_total{instance="a",action="block"}';
  const asked = 'fenliu_queries_total{instance="a",transport="udp",source="upstream",rcode="NOERROR"}';

  test.each(shares)("is 0 if the event never happened: %s", async (expr) => {
    expect(await evaluates({ [asked]: "0+100x60", [blocked]: "0x60" }, { expr, atMinutes: 20, value: 0 })).toBe(true);
  });

  test.each(shares)("has no value without queries: %s", async (expr) => {
    const series = { [asked]: "100x60", [blocked]: "0x60" };
    expect(await evaluates(series, { expr: `count(${expr}) or vector(0)`, atMinutes: 20, value: 0 })).toBe(true);
  });
});

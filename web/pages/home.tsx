import type { QueryOutcome } from "../../src/log/outcome.ts";
import type { Count, Health, Statistics } from "../api/calls.ts";
import { health } from "../api/events.ts";
import { useCall } from "../api/use-call.ts";
import { type Bar, Bars, gapsOfLog } from "../parts/bars.tsx";
import { Count as CountOf, Line, Sentence, Waiting } from "../parts/text.tsx";
import { type Filter, type FilterKey, QUERIES, type QueriesRoute, queriesWith, urlOf } from "../routes.ts";
import { useIsPhone } from "../theme.ts";
import { format, words } from "../words/words.ts";
import { SIGNS, TONES } from "./health.tsx";
import { ProblemRow } from "./problem-row.tsx";
import { filtersOfOutcome } from "./query-words.ts";

const ANSWERED: readonly QueryOutcome[] = ["cache", "local", "rule", "near", "far"];
const TROUBLE: readonly QueryOutcome[] = ["stale", "failed", "refused"];
const STATISTICS_MS = 30_000;
const PROBLEMS_MS = 10_000;
const SHOWN_PROBLEMS = 4;

/** Is all well? Health in words, the last day, the problems, who asks what. */
export function Home() {
  const isPhone = useIsPhone();
  const step = isPhone ? "30m" : "15m";
  const { data, error } = useCall("getStatistics", { from: "24h", step, top: 10 }, { everyMs: STATISTICS_MS, keep: true });
  return (
    <section class="home">
      <HealthStrip isFolded={isPhone} />
      <div class="home-grid">
        <section class="panel">
          <h2>{words().home.lastDay}</h2>
          {data === null ? <Waiting error={error} /> : <Day statistics={data} />}
        </section>
        <ProblemsPanel answered={data?.total ?? null} />
      </div>
      {data === null ? null : <Tops statistics={data} />}
    </section>
  );
}

/** @param isFolded whether what is well stands behind one line. */
function HealthStrip({ isFolded }: { readonly isFolded: boolean }) {
  const now = health.value;
  const [shown, folded] = isFolded ? partition(now?.items ?? []) : [now?.items ?? [], []];
  const state = now?.state ?? "unknown";
  return (
    <section class={`health ${TONES[state]}`} aria-labelledby="health-title">
      <h1 id="health-title">
        <span aria-hidden="true">{SIGNS[state]}</span> {words().health.titles[state]}
        {now === null || state === "well" ? null : (
          <span class="since soft">{words().health.since(format.value.when(now.since, Date.now()))}</span>
        )}
      </h1>
      <HealthItems items={shown} />
      {folded.length === 0 ? null : (
        <details>
          <summary class="soft">✓ {words().health.othersWell(folded.length)}</summary>
          <HealthItems items={folded} />
        </details>
      )}
    </section>
  );
}

type Items = Health["items"];

function partition(items: Items): readonly [notWell: Items, well: Items] {
  return [items.filter(({ state }) => state !== "well"), items.filter(({ state }) => state === "well")];
}

function HealthItems({ items }: { readonly items: Items }) {
  return (
    <ul class="health-items">
      {items.map((item) => (
        <li key={`${item.kind} ${item.name}`}>
          <HealthItem item={item} />
        </li>
      ))}
    </ul>
  );
}

const PLACES: Readonly<Record<string, string>> = {
  group: "/house/upstreams",
  list: "/house/lists",
  router: "/house/router",
  expectations: "/config",
  certificate: "/config",
  pause: "/config",
  log: "/queries",
};

function HealthItem({ item: { kind, state, said, problem } }: { readonly item: Health["items"][number] }) {
  const href = problem === null ? (PLACES[kind] ?? "/") : urlOf({ page: "problems", id: problem });
  return (
    <a class={`health-item ${TONES[state]}`} href={href}>
      <span aria-hidden="true">{SIGNS[state]}</span>
      <span class="hidden">{words().health.states[state]}: </span> <Sentence said={said} />
    </a>
  );
}

function Day({ statistics }: { readonly statistics: Statistics }) {
  const { series, stepSeconds, total } = statistics;
  const { data: groups } = useCall("listUpstreams", {}, { topics: ["config"], keep: true });
  const { data: versions } = useCall("listVersions", {}, { topics: ["config"], keep: true });
  const firstMs = Date.parse(statistics.from);
  const marks = (versions ?? [])
    .map(({ version, since }) => ({
      atMs: Date.parse(since),
      label: words().home.newVersion(version.slice(0, 8), format.value.moment(since)),
    }))
    .filter(({ atMs }) => atMs > firstMs);
  if (total === 0)
    return (
      <p class="empty">
        {words().home.noQuery} <a href="/house/devices">{words().home.setUpDevice} ›</a>
      </p>
    );
  const gaps = gapsOfLog(statistics.gaps);
  const bars: readonly Bar[] = series.map(({ at, outcomes }) => {
    const atMs = Date.parse(at);
    const toMs = atMs + stepSeconds * 1000;
    return { atMs, toMs, values: outcomes, href: urlOf({ ...QUERIES, from: String(atMs), to: String(toMs) }) };
  });
  return (
    <>
      <Bars
        label={words().home.lastDay}
        bars={bars}
        gaps={gaps}
        marks={marks.map((mark) => ({ ...mark, href: "/config/history" }))}
        lanes={[
          { label: words().home.answered, keys: ANSWERED, share: 0.68 },
          { label: words().home.trouble, keys: TROUBLE, share: 0.32 },
        ]}
        wordOf={(key) => words().outcomes[key as QueryOutcome]}
      />
      <ul class="legend">
        {[...ANSWERED, ...TROUBLE].map((outcome) => (
          <li key={outcome}>
            <Legend outcome={outcome} count={sum(series, outcome)} filters={filtersOfOutcome(outcome, groups ?? [])} />
          </li>
        ))}
        {gaps.length === 0 ? null : (
          <li>
            <span>
              <span class="swatch gap" aria-hidden="true" />
              {words().parts.notRecorded}
            </span>
          </li>
        )}
      </ul>
    </>
  );
}

interface LegendProps {
  readonly outcome: QueryOutcome;
  readonly count: number;
  readonly filters: readonly Filter[] | null;
}

function Legend({ outcome, count, filters }: LegendProps) {
  const content = (
    <>
      <span class={`swatch ${outcome}`} aria-hidden="true" />
      {words().outcomes[outcome]}
    </>
  );
  return (
    <>
      {filters === null ? <span>{content}</span> : <a href={urlOf({ ...QUERIES, filters })}>{content}</a>}{" "}
      <CountOf value={count} />
    </>
  );
}

function sum(series: Statistics["series"], outcome: QueryOutcome): number {
  return series.reduce((total, { outcomes }) => total + outcomes[outcome], 0);
}

function ProblemsPanel({ answered }: { readonly answered: number | null }) {
  const { data, error } = useCall(
    "listProblems",
    { limit: 50 },
    { everyMs: PROBLEMS_MS, topics: ["problems", "health"], keep: true },
  );
  const problems = (data?.problems ?? []).filter(({ state }) => state !== "muted" && state !== "fixed");
  return (
    <section class="panel">
      <h2>
        <a href="/problems">
          {words().pages.problems}
          {problems.length === 0 ? "" : ` (${format.value.exact(problems.length)}${data?.cursor == null ? "" : "+"})`} ›
        </a>
      </h2>
      {error === null ? null : <p class="bad">{error.message}</p>}
      {data === null ? null : problems.length === 0 ? (
        <p class="soft">✓ {answered === null ? words().problems.none : words().problems.noneOf(format.value.exact(answered))}</p>
      ) : (
        <ul class="problem-list">
          {problems.slice(0, SHOWN_PROBLEMS).map((problem) => (
            <li key={problem.id}>
              <ProblemRow problem={problem} />
            </li>
          ))}
        </ul>
      )}
    </section>
  );
}

function Tops({ statistics }: { readonly statistics: Statistics }) {
  const { topNames, topFailing, topClients, topRules, topUpstreams, total } = statistics;
  return (
    <div class="tops">
      <Top
        title={words().home.topFailing}
        counts={topFailing}
        total={null}
        to={(key) => ({ ...QUERIES, filters: [...withName(key).filters, { key: "rcode", value: "SERVFAIL" }] })}
      />
      <Top title={words().home.topNames} counts={topNames} total={total} to={withName} />
      <Top title={words().home.topClients} counts={topClients} total={total} to={with_("client")} />
      <Top title={words().home.topRules} counts={topRules} total={total} to={with_("rule")} />
      <Top title={words().home.topUpstreams} counts={topUpstreams} total={total} to={with_("upstream")} />
    </div>
  );
}

const with_ = (key: FilterKey) => (value: string) => queriesWith(key, value);
const withName = (name: string) => queriesWith("name", `full:${name}`);

interface TopProps {
  readonly title: string;
  readonly counts: readonly Count[];
  /** What a count is a share of; null = of the first. */
  readonly total: number | null;
  readonly to: (key: string) => QueriesRoute;
}

function Top({ title, counts, total, to }: TopProps) {
  const most = counts[0]?.count ?? 1;
  return (
    <section class="panel">
      <h2>{title}</h2>
      {counts.length === 0 ? (
        <p class="soft">{words().parts.nothing}</p>
      ) : (
        <ol class="top-list">
          {counts.map(({ key, count }) => (
            <li key={key}>
              <a href={urlOf(to(key))}>
                <Line value={key} />
              </a>
              <CountOf
                value={count}
                say={(text) => (total === null ? text : `${text} · ${format.value.percent(count / total)}`)}
              />
              <svg class="share" width="100%" height="2" aria-hidden="true">
                <rect width={`${(count / most) * 100}%`} height="2" />
              </svg>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

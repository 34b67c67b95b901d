import { useEffect, useRef, useState } from "preact/hooks";
import { CallError, call, session } from "../api/call.ts";
import { conditionsOf, type QueryRecord } from "../api/calls.ts";
import { useCall } from "../api/use-call.ts";
import { go, route, useKeys } from "../navigation.ts";
import { Bars, gapsOfLog } from "../parts/bars.tsx";
import { VirtualList, walkRows } from "../parts/list.tsx";
import { Line } from "../parts/text.tsx";
import { FILTER_KEYS, parseFilters, QUERIES, type QueriesRoute, urlOf } from "../routes.ts";
import { useIsPhone } from "../theme.ts";
import { format, words } from "../words/words.ts";
import { QueryView } from "./query-view.tsx";
import { endOf, sidesOf, toneOf, whyOf } from "./query-words.ts";
import { type Tail, useTail } from "./tail.ts";

const PAGE_SIZE = 200;
const MOST_ROWS = 5000;
const PERIODS = ["15m", "1h", "6h", "24h", "7d"] as const;
const DAY = "24h";
const CLOCK_LENGTH = "21:03:11".length;

/** Finds and watches queries: filters, volume over time, rows, and the picture of one. */
export function Queries() {
  const at = route.value?.page === "queries" ? route.value : QUERIES;
  const search = useSearch(at);
  const tail = useTail(at, MOST_ROWS);
  const rows = at.tail ? tail.records : search.records;
  const isPhone = useIsPhone();
  // Rows of other days say which.
  const last = rows.at(-1);
  const isDated = last !== undefined && format.value.when(last.time, Date.now()).length > CLOCK_LENGTH;
  const { data: groups } = useCall("listUpstreams", {});
  const sides = sidesOf(groups ?? []);
  useKeys({
    j: () => walkRows(1),
    k: () => walkRows(-1),
    o: () => (document.activeElement instanceof HTMLElement ? document.activeElement.click() : undefined),
    p: () => go({ ...at, tail: !at.tail }),
    ...(at.open === null ? {} : { Escape: () => go({ ...at, open: null }) }),
  });
  return (
    <section class={`queries ${at.open === null ? "" : "with-picture"} ${isDated ? "dated" : ""}`}>
      <div class="queries-list">
        <h1 class="hidden">{words().pages.queries}</h1>
        <FilterBar at={at} />
        {at.tail ? null : <VolumeBars at={at} bars={isPhone ? 48 : 96} isWanted={search.isFirstThere} />}

        <VirtualList
          label={words().pages.queries}
          items={rows}
          keyOf={({ id }) => id}
          rowHeight={isPhone ? 64 : 32}
          row={(record, tabIndex) => <Row record={record} at={at} sides={sides} tabIndex={tabIndex} />}
          onEnd={at.tail || search.isPartial ? () => {} : search.more}
          foot={at.tail ? <TailFoot tail={tail} /> : <SearchFoot search={search} at={at} />}
        />
      </div>
      {at.open === null ? null : <QueryView id={at.open} at={at} />}
    </section>
  );
}

interface RowProps {
  readonly record: QueryRecord;
  readonly at: QueriesRoute;
  readonly sides: ReturnType<typeof sidesOf>;
  readonly tabIndex: 0 | -1;
}

function Row({ record, at, sides, tabIndex }: RowProps) {
  const { id, time, client, clientId, type, name, route: group, source, durationUs, answers } = record;
  return (
    <a class={`row ${at.open === id ? "open" : ""}`} data-row={id} href={urlOf({ ...at, open: id })} tabIndex={tabIndex}>
      <time dateTime={time}>{format.value.when(time, Date.now())}</time>
      <span class="row-client">
        <Line value={clientId ?? client} />
      </span>
      <span class="row-type mono">{type}</span>
      <span class="row-name mono">
        <Line value={name === "" ? words().queries.noName : name} />
      </span>
      <span class="row-route">
        <Line value={group ?? words().sources[source]} />
      </span>
      <span class="row-why soft">
        <Line value={whyOf(record)} />
      </span>
      <span class="row-ms mono">{format.value.ms(durationUs / 1000)}</span>
      <span class={`row-rcode mono ${toneOf(record, sides)}`}>{endOf(record)}</span>
      <span class="row-count mono soft">{answers.length}</span>
    </a>
  );
}

function FilterBar({ at }: { readonly at: QueriesRoute }) {
  const [text, setText] = useState("");
  const add = () => {
    const filters = parseFilters(text);
    if (filters.length === 0) return;
    setText("");
    go({ ...at, filters: [...at.filters, ...filters] });
  };
  const period = at.from ?? DAY;
  const isCustom = !PERIODS.some((each) => each === period);
  return (
    <form
      class="filters"
      onSubmit={(event) => {
        event.preventDefault();
        add();
      }}
    >
      <input
        type="search"
        class="mono"
        value={text}
        list="filter-keys"
        autocapitalize="off"
        autocomplete="off"
        spellcheck={false}
        aria-label={words().queries.filter}
        placeholder={words().queries.filterHint}
        onInput={({ currentTarget }) => setText(currentTarget.value)}
      />
      <datalist id="filter-keys">
        {FILTER_KEYS.map((key) => (
          <option key={key} value={`${key}:`}>
            {words().filters[key]}
          </option>
        ))}
      </datalist>
      <select
        aria-label={words().queries.period}
        value={isCustom ? "" : period}
        onChange={({ currentTarget }) => go({ ...at, from: currentTarget.value, to: null })}
      >
        {isCustom ? <option value="">{periodText(at)}</option> : null}
        {PERIODS.map((each) => (
          <option key={each} value={each}>
            {words().periods[each]}
          </option>
        ))}
      </select>
      <button type="button" aria-pressed={at.tail} onClick={() => go({ ...at, tail: !at.tail })}>
        {words().queries.tail}
      </button>
      {at.filters.length === 0 ? null : (
        <ul class="chips">
          {at.filters.map((filter) => (
            <li key={`${filter.key}:${filter.value}`}>
              <button
                type="button"
                aria-label={words().queries.removeFilter(`${filter.key}:${filter.value}`)}
                onClick={() => go({ ...at, filters: at.filters.filter((each) => each !== filter) })}
              >
                <span class="soft">{filter.key}:</span>
                <Line value={filter.value} /> ✕
              </button>
            </li>
          ))}
        </ul>
      )}
    </form>
  );
}

const DURATION_UNITS: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** The length of the searched period in ms. */
function periodMs({ from, to }: QueriesRoute): number {
  const end = to === null ? Date.now() : Number(to);
  const [, count = "", unit = ""] = /^(\d+)([mhd])$/.exec(from ?? DAY) ?? [];
  const length = Number(count) * (DURATION_UNITS[unit] ?? 0);
  return length > 0 ? length : end - Number(from);
}

/**
 * How many queries fit over the period; a span that is drawn becomes the period.
 * @param isWanted whether the first rows have come: one thread reads for both, and rows come first.
 */
function VolumeBars({ at, bars, isWanted }: { readonly at: QueriesRoute; readonly bars: number; readonly isWanted: boolean }) {
  const { filters, from, to } = at;
  const step = `${Math.max(60, Math.ceil(periodMs(at) / bars / 60_000) * 60)}`;
  const period = { from: from ?? DAY, ...(to === null ? {} : { to }) };
  const { data } = useCall("getVolume", isWanted ? { ...conditionsOf(filters), ...period, step } : null, { keep: true });
  if (data === null) return <div class="bars low" />;
  const stepMs = data.stepSeconds * 1000;
  const [first] = data.samples;
  const uncounted =
    data.complete || first === undefined
      ? []
      : [{ fromMs: Date.parse(first.at), toMs: Date.parse(data.countedFrom), label: words().queries.notCounted }];
  return (
    <Bars
      label={words().queries.volume}
      low
      bars={data.samples.map(({ at: time, total, failed }) => {
        const atMs = Date.parse(time);
        const toMs = atMs + stepMs;
        const href = urlOf({ ...at, from: String(atMs), to: String(toMs), open: null });
        return { atMs, toMs, values: { other: total - failed, failed }, href };
      })}
      gaps={[...gapsOfLog(data.gaps), ...uncounted]}
      lanes={[{ label: words().queries.volume, keys: ["failed", "other"], share: 1 }]}
      wordOf={(key) => (key === "failed" ? words().queries.failed : words().queries.other)}
      onSpan={(fromMs, toMs) => go({ ...at, from: String(fromMs), to: String(toMs), open: null })}
    />
  );
}

function periodText({ from, to }: QueriesRoute): string {
  const text = (moment: string | null) => (moment === null ? words().queries.now : format.value.moment(momentMs(moment) ?? 0));
  return `${text(from)} – ${text(to)}`;
}

function momentMs(text: string): number | null {
  return /^\d+$/.test(text) ? Number(text) : null;
}

interface Search {
  readonly records: readonly QueryRecord[];
  readonly error: CallError | null;
  readonly isLoading: boolean;
  /** Whether the first page has come, or cannot. */
  readonly isFirstThere: boolean;
  /** Whether there may be more. */
  readonly hasMore: boolean;
  /** Whether the last page ended because it took long: the next one is searched when somebody wants it. */
  readonly isPartial: boolean;
  readonly more: () => void;
}

/** Pages of the log, one after the other, as long as somebody reads on. */
function useSearch(at: QueriesRoute): Search {
  const { filters, from, to, tail } = at;
  const key = JSON.stringify([filters, from, to, tail, session.value]);
  const [state, setState] = useState<Omit<Search, "more">>(NOTHING_FOUND);
  const next = useRef<{ cursor: string | undefined; isBusy: boolean; abort: AbortController }>(null);

  const load = () => {
    const mine = next.current;
    if (mine === null || mine.isBusy) return;
    mine.isBusy = true;
    const { cursor, abort } = mine;
    const period = { from: from ?? DAY, ...(to === null ? {} : { to }) };
    const input = { ...conditionsOf(filters), ...period, limit: PAGE_SIZE, ...(cursor === undefined ? {} : { cursor }) };
    setState((before) => ({ ...before, isLoading: true }));
    call("searchQueries", input, abort.signal).then(
      (page) => {
        mine.cursor = page.cursor ?? undefined;
        mine.isBusy = false;
        setState((before) => {
          const records = [...before.records, ...page.records].slice(0, MOST_ROWS);
          const hasMore = page.cursor !== null && records.length < MOST_ROWS;
          return {
            records,
            error: null,
            isLoading: false,
            isFirstThere: true,
            hasMore,
            isPartial: hasMore && page.records.length < PAGE_SIZE,
          };
        });
      },
      (error: unknown) => {
        if (abort.signal.aborted || !(error instanceof CallError)) return;
        mine.isBusy = false;
        setState((before) => ({ ...before, error, isLoading: false, isFirstThere: true }));
      },
    );
  };

  useEffect(() => {
    next.current = { cursor: undefined, isBusy: false, abort: new AbortController() };
    const mine = next.current;
    setState(NOTHING_FOUND);
    if (!tail) load();
    return () => mine.abort.abort();
  }, [key]);
  return { ...state, more: () => (state.hasMore ? load() : undefined) };
}

const NOTHING_FOUND = { records: [], error: null, isLoading: true, isFirstThere: false, hasMore: false, isPartial: false };

function SearchFoot({ search, at }: { readonly search: Search; readonly at: QueriesRoute }) {
  const { records, error, isLoading, isPartial, hasMore } = search;
  if (error !== null)
    return (
      <p class="empty bad" role="alert">
        {error.status === 0 ? words().shell.gone : error.message}
      </p>
    );
  if (isLoading) return <p class="empty soft loading">{words().parts.loading}</p>;
  const last = records.at(-1);
  if (isPartial && hasMore)
    return (
      <p class="empty">
        {last === undefined ? words().queries.slowEmpty : words().queries.slow(format.value.moment(last.time))}{" "}
        <button type="button" class="link" onClick={search.more}>
          {words().queries.goOn}
        </button>
      </p>
    );
  // More come when the end is in sight.
  if (hasMore) return null;
  if (records.length > 0)
    return (
      <p class="empty soft small">
        {records.length >= MOST_ROWS ? words().queries.full(format.value.exact(MOST_ROWS)) : words().queries.end}
      </p>
    );
  return <NothingFits at={at} />;
}

/** Says which filter to blame: how many queries there are without it. */
function NothingFits({ at }: { readonly at: QueriesRoute }) {
  const [wider, setWider] = useState<{ readonly filter: string; readonly route: QueriesRoute; readonly count: string } | null>(
    null,
  );
  const key = JSON.stringify(at);
  useEffect(() => {
    const abort = new AbortController();
    setWider(null);
    void findWider(at, abort.signal).then(
      (found) => setWider(found),
      () => {},
    );
    return () => abort.abort();
  }, [key]);
  if (at.filters.length === 0)
    return (
      <p class="empty">
        {words().queries.nothing} <a href={urlOf({ page: "house", part: "devices" })}>{words().home.setUpDevice}</a>
      </p>
    );
  return (
    <p class="empty">
      {words().queries.nothingFits}{" "}
      {wider === null ? null : <a href={urlOf(wider.route)}>{words().queries.without(wider.filter, wider.count)}</a>}
    </p>
  );
}

async function findWider(at: QueriesRoute, abort: AbortSignal) {
  const period = { from: at.from ?? DAY, ...(at.to === null ? {} : { to: at.to }) };
  for (const filter of at.filters.toReversed()) {
    const filters = at.filters.filter((each) => each !== filter);
    const { records, cursor } = await call("searchQueries", { ...conditionsOf(filters), ...period, limit: 1000 }, abort);
    if (records.length === 0) continue;
    const count = `${format.value.exact(records.length)}${cursor === null ? "" : "+"}`;
    return { filter: `${filter.key}:${filter.value}`, route: { ...at, filters }, count };
  }
  return null;
}

function TailFoot({ tail: { records, leftOut, leftOutPerSecond } }: { readonly tail: Tail }) {
  const { exact } = format.value;
  const say = words().queries;
  return (
    <p class="empty soft small">
      <span role="status">{records.length === 0 ? say.waiting : say.tailing}</span>
      {leftOutPerSecond === 0 ? "" : ` · ${say.leftOutNow(exact(leftOutPerSecond))}`}
      {leftOut === 0 ? "" : ` · ${say.leftOut(exact(leftOut))}`}
    </p>
  );
}

import { useRef, useState } from "preact/hooks";
import { CallError, call } from "../api/call.ts";
import type { ProblemFix, Trouble } from "../api/calls.ts";
import { useCall } from "../api/use-call.ts";
import { go, route, useKeys } from "../navigation.ts";
import { EditPreview } from "../parts/edit-preview.tsx";
import { Opened, walkRows } from "../parts/list.tsx";
import { Line, Name, Sentence, Text, Waiting } from "../parts/text.tsx";
import { ASK, CONFIG, QUERIES, queriesWith, urlOf } from "../routes.ts";
import { format, words } from "../words/words.ts";
import { HostDialog } from "./host-dialog.tsx";
import { ProblemRow, ProblemTitle, Spark } from "./problem-row.tsx";

const EVERY_MS = 5000;
const PAGE_SIZE = 100;
const MUTE_DAYS = 7;
const DAY_MS = 86_400_000;

/** Why names fail, grouped by cause, each with its fix. */
export function Problems() {
  const id = route.value?.page === "problems" ? route.value.id : null;
  const [shown, setShown] = useState<"open" | "all">("open");
  const [limit, setLimit] = useState(PAGE_SIZE);
  const { data, error, refresh } = useCall(
    "listProblems",
    { limit },
    { everyMs: EVERY_MS, topics: ["problems", "health"], keep: true },
  );
  useKeys({
    j: () => walkRows(1),
    k: () => walkRows(-1),
    o: () => (document.activeElement instanceof HTMLElement ? document.activeElement.click() : undefined),
    ...(id === null ? {} : { Escape: () => go({ page: "problems", id: null }) }),
  });
  const isOpen = ({ state }: Trouble) => state !== "muted" && state !== "fixed";
  const problems = (data?.problems ?? []).filter((problem) => shown === "all" || isOpen(problem));
  // What the user looks at stays, with what was done there, also where a list comes without it.
  const seen = useRef<Trouble | null>(null);
  const found = data?.problems.find((problem) => problem.id === id) ?? null;
  if (found !== null || seen.current?.id !== id) seen.current = found;
  const open = seen.current;
  return (
    <section class={id === null ? "queries" : "queries with-picture problems"}>
      <div class="queries-list">
        <div class="row-flex spread">
          <h1>{words().pages.problems}</h1>
          <select
            aria-label={words().problems.show}
            value={shown}
            onChange={({ currentTarget }) => setShown(currentTarget.value === "all" ? "all" : "open")}
          >
            <option value="open">{words().problems.onlyOpen}</option>
            <option value="all">{words().problems.all}</option>
          </select>
        </div>
        {data === null ? <Waiting error={error} /> : null}
        {data !== null && problems.length === 0 ? (
          <NothingFailed />
        ) : (
          <ul class="list problem-list">
            {problems.map((problem) => (
              <li key={problem.id}>
                <ProblemRow problem={problem} isOpen={problem.id === id} />
              </li>
            ))}
            {data?.cursor == null ? null : (
              <li>
                <button type="button" onClick={() => setLimit(limit + PAGE_SIZE)}>
                  {words().problems.more}
                </button>
              </li>
            )}
          </ul>
        )}
      </div>
      {id === null ? null : (
        <Opened label={words().pages.problems} rowKey={id} closed="/problems">
          {open === null ? (
            data === null ? null : (
              <p class="empty">{words().problems.gone}</p>
            )
          ) : (
            <ProblemView problem={open} onChange={refresh} />
          )}
        </Opened>
      )}
    </section>
  );
}

function NothingFailed() {
  const { data } = useCall("getStatistics", { from: "24h", step: "1h", top: 1 }, { keep: true });
  const say = words().problems;
  return <p class="empty">✓ {data === null ? say.none : say.noneOf(format.value.exact(data.total))}</p>;
}

function ProblemView({ problem, onChange }: { readonly problem: Trouble; readonly onChange: () => void }) {
  const { id, suffix, why, firstSeen, lastSeen, queries, names, nameCount, clients, state, series, shared, began, newest } =
    problem;
  const say = words().problems;
  const [said, setSaid] = useState<string | null>(null);
  const fixes = useRef<HTMLFieldSetElement>(null);
  const mute = async () => {
    const until = new Date(Date.now() + MUTE_DAYS * DAY_MS).toISOString();
    try {
      await call("changeProblem", { id, body: state === "muted" ? { state: "open" } : { state: "muted", until } });
      onChange();
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      setSaid(error.message);
    }
  };
  useKeys({ m: () => void mute(), f: () => fixes.current?.querySelector("input")?.focus() });
  return (
    <div class="stack problem-view">
      <div>
        <h2>
          <ProblemTitle problem={problem} />
        </h2>
        {queries === 0 ? null : (
          <p class="lead">
            <Sentence said={why} />
          </p>
        )}
        <p class="soft small">
          {say.states[state]} · {words().health.since(format.value.moment(firstSeen))} · {say.lastSeen}{" "}
          {format.value.ago(lastSeen, Date.now())}
        </p>
        {queries === 0 ? null : (
          <p class="row-flex">
            <span>{say.queries(format.value.exact(queries))}</span> <Spark series={series} />
          </p>
        )}
      </div>
      <dl class="facts">
        <div>
          <dt>{say.why}</dt>
          <dd>
            <Culprit problem={problem} />
          </dd>
        </div>
        {names.length === 0 ? null : (
          <div>
            <dt>{say.namesTitle}</dt>
            <dd>
              <ul>
                {names.slice(0, 5).map(({ key, count }) => (
                  <li key={key}>
                    <a href={urlOf(queriesWith("name", `full:${key}`))}>
                      <Name value={key} />
                    </a>{" "}
                    <span class="mono soft">{format.value.exact(count)}</span>
                  </li>
                ))}
              </ul>
              {nameCount > 5 ? <span class="soft">{say.moreNames(format.value.ofProblem(nameCount, 5))}</span> : null}
            </dd>
          </div>
        )}
        {clients.length === 0 ? null : (
          <div>
            <dt>{say.hurt}</dt>
            <dd>
              {clients.slice(0, 6).map(({ key, count }, index) => (
                <span key={key}>
                  {index === 0 ? "" : " · "}
                  <a href={urlOf(queriesWith("client", key))}>
                    <Text value={key} />
                  </a>{" "}
                  <span class="mono soft">{format.value.exact(count)}</span>
                </span>
              ))}
            </dd>
          </div>
        )}
        {shared.length === 0 && began === null ? null : (
          <div>
            <dt>{say.shared}</dt>
            <dd>
              <ul>
                {shared.map(({ field, value, share, usual }) => (
                  <li key={`${field} ${value}`}>
                    {say.fields[field] ?? field} <Text value={value} mono />
                    {say.share(format.value.percent(share), format.value.percent(usual))}
                  </li>
                ))}
                {began === null ? null : (
                  <li>
                    <Began began={began} />
                  </li>
                )}
              </ul>
            </dd>
          </div>
        )}
      </dl>
      <p class="row-flex">
        {newest === null ? null : (
          <a
            class="button"
            href={urlOf({ ...QUERIES, open: newest, filters: suffix === "" ? [] : [{ key: "name", value: suffix }] })}
          >
            {say.newest}
          </a>
        )}
        {names[0] === undefined ? null : (
          <a class="button" href={urlOf({ ...ASK, name: names[0].key, client: clients[0]?.key ?? "", a: "live" })}>
            {words().queries.askNow}
          </a>
        )}
        <button type="button" onClick={() => void mute()}>
          {state === "muted" ? say.unmute : say.mute(MUTE_DAYS)}
        </button>
      </p>
      {said === null ? null : (
        <p class="bad" role="alert">
          {said}
        </p>
      )}
      <Fixes key={id} problem={problem} box={fixes} onChange={onChange} />
    </div>
  );
}

function Began({ began: { version, secondsBefore, list } }: { readonly began: NonNullable<Trouble["began"]> }) {
  const time = format.value.duration(secondsBefore);
  return list === null ? (
    <a href={urlOf({ ...CONFIG, view: "history" })}>{words().problems.began(time, version.slice(0, 8))} ›</a>
  ) : (
    <a href={urlOf({ page: "house", part: "lists" })}>{words().problems.beganByList(time, list)} ›</a>
  );
}

function Culprit({ problem: { culprit } }: { readonly problem: Trouble }) {
  const { kind, name, list, line } = culprit;
  const say = words().problems;
  const place = {
    rule: urlOf(queriesWith("rule", name)),
    group: urlOf({ page: "house", part: "upstreams" }),
    list: urlOf({ page: "house", part: "lists" }),
    client: urlOf(queriesWith("client", name)),
    router: urlOf({ page: "house", part: "router" }),
    certificate: urlOf(CONFIG),
    expectations: urlOf(CONFIG),
    log: urlOf(QUERIES),
    fenliu: urlOf(QUERIES),
  }[kind];
  return (
    <>
      {say.kinds[kind]}{" "}
      <a href={place}>
        <Text value={name} mono />
      </a>
      {list === null ? null : (
        <>
          {" · "}
          <a href={urlOf({ page: "house", part: "lists" })}>
            <Line value={list} />
            {line === null ? "" : `:${format.value.exact(line)}`}
          </a>
        </>
      )}
    </>
  );
}

interface FixesProps {
  readonly problem: Trouble;
  readonly box: { current: HTMLFieldSetElement | null };
  readonly onChange: () => void;
}

function Fixes({ problem, box, onChange }: FixesProps) {
  const { id, fixes, suffix, newest } = problem;
  const [chosen, choose] = useState<string | null>(null);
  const { data: record } = useCall("getQuery", newest === null ? null : { id: newest }, { keep: true });
  // Which problem is fixed is the user's word: the server tells when it comes back.
  const note = async (state: "open" | "fixed") => {
    try {
      await call("changeProblem", { id, body: { state } });
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
    }
    onChange();
  };
  const fix = fixes.find(({ id }) => id === chosen) ?? null;
  if (fixes.length === 0) return <p class="soft">{words().problems.noFix}</p>;
  return (
    <>
      <fieldset ref={box} class="stack-small">
        <legend>
          <h3>{words().problems.fix}</h3>
        </legend>
        {fixes.map(({ id, title }) => (
          <label key={id} class="choice">
            <input type="radio" name="fix" checked={id === chosen} onChange={() => choose(id)} />
            <span>
              <Sentence said={title} />
            </span>
          </label>
        ))}
      </fieldset>
      {fix === null ? null : fix.edit === null ? (
        <Act fix={fix} problem={problem} onDone={onChange} />
      ) : (
        <EditPreview
          key={fix.id}
          edit={fix.edit}
          suffix={suffix === "" ? null : suffix}
          question={record}
          onApplied={() => void note("fixed")}
          onUndone={() => void note("open")}
        />
      )}
    </>
  );
}

/** A fix that is no edit of the configuration. */
function Act({ fix, problem, onDone }: { readonly fix: ProblemFix; readonly problem: Trouble; readonly onDone: () => void }) {
  const [said, setSaid] = useState<{ readonly text: string; readonly isBad: boolean } | null>(null);
  const [isAdding, setAdding] = useState(false);
  if (fix.kind === "host")
    return (
      <div class="row-flex">
        <button type="button" class="primary" onClick={() => setAdding(true)}>
          {words().house.addHost}
        </button>
        {said === null ? null : <span role="status">✓ {said.text}</span>}
        {isAdding ? (
          <HostDialog
            host={null}
            newName={problem.suffix}
            onDone={() => {
              setAdding(false);
              setSaid({ text: words().problems.done, isBad: false });
              onDone();
            }}
            onClose={() => setAdding(false)}
          />
        ) : null}
      </div>
    );
  const act = actOf(fix, problem);
  if (act === null) return <a href={urlOf({ page: "house", part: "router" })}>{words().house.parts.router} ›</a>;
  const run = async () => {
    try {
      setSaid({ text: await act(), isBad: false });
      onDone();
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      setSaid({ text: error.message, isBad: true });
    }
  };
  return (
    <div class="row-flex">
      <button type="button" class="primary" onClick={() => void run()}>
        {words().parts.apply}
      </button>
      {said === null ? null : (
        <span class={said.isBad ? "bad wrap" : ""} role="status">
          {said.isBad ? "" : "✓ "}
          {said.text}
        </span>
      )}
    </div>
  );
}

/** What a press does; null = it is done elsewhere. */
function actOf(fix: ProblemFix, { suffix, culprit, clients }: Trouble): (() => Promise<string>) | null {
  switch (fix.kind) {
    case "flush":
      return async () => {
        const { flushed } = await call("flushCache", { name: suffix, subtree: true });
        return words().house.flushed(format.value.exact(flushed));
      };
    case "refresh":
      return async () => {
        await call("refreshList", { name: culprit.list ?? culprit.name });
        return words().problems.done;
      };
    case "pause":
      return async () => {
        const client = clients[0]?.key;
        await call("pauseRules", { body: { rules: [culprit.name], minutes: 10, ...(client === undefined ? {} : { client }) } });
        return words().problems.paused;
      };
    default:
      return null;
  }
}

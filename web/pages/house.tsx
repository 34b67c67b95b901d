import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { CallError, call } from "../api/call.ts";
import type { ListView, UpstreamGroup } from "../api/calls.ts";
import { useCall } from "../api/use-call.ts";
import { route, useKeys } from "../navigation.ts";
import { Count, Text, Waiting } from "../parts/text.tsx";
import { HOUSE_PARTS, type HousePart, queriesWith, urlOf } from "../routes.ts";
import { format, words } from "../words/words.ts";
import { Cache } from "./cache.tsx";
import { Devices } from "./devices.tsx";
import { Hosts } from "./hosts.tsx";
import { Router } from "./router.tsx";

const PARTS: Readonly<Record<HousePart, ComponentType>> = {
  upstreams: Upstreams,
  lists: Lists,
  hosts: Hosts,
  cache: Cache,
  devices: Devices,
  router: Router,
};

/** What the server is made of, part by part. */
export function House() {
  const part = route.value?.page === "house" ? route.value.part : "upstreams";
  const Part = PARTS[part];
  const tabs = useRef<HTMLElement>(null);
  // On a phone the tabs are wider than the window.
  useEffect(() => tabs.current?.querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" }), [part]);
  return (
    <section class="house">
      <nav ref={tabs} class="tabs" aria-label={words().pages.house}>
        {HOUSE_PARTS.map((each) => (
          <a
            key={each}
            href={urlOf({ page: "house", part: each })}
            {...(each === part ? { "aria-current": "page" as const } : {})}
          >
            {words().house.parts[each]}
          </a>
        ))}
      </nav>
      <h1 class="hidden">{words().house.parts[part]}</h1>
      <Part />
    </section>
  );
}

const EVERY_MS = 5000;
const KEEP_DAYS = 7;
const DAY_MS = 86_400_000;

function Upstreams() {
  const { data, error, refresh } = useCall("listUpstreams", {}, { everyMs: EVERY_MS, keep: true });
  useKeys({ r: refresh });
  if (data === null) return <Waiting error={error} />;
  return (
    <div class="cards">
      {data.map((group) => (
        <Group key={group.name} group={group} />
      ))}
    </div>
  );
}

function Group({ group: { name, strategy, fallback, well, inFlight, breaches, members } }: { readonly group: UpstreamGroup }) {
  const say = words().house;
  return (
    <section class="panel">
      <h2>
        <span class={well ? "good" : "bad"} aria-hidden="true">
          {well ? "✓" : "✕"}
        </span>{" "}
        <a href={urlOf(queriesWith("upstream", name))}>
          <Text value={name} />
        </a>{" "}
        <span class="soft small">
          {say.strategies[strategy] ?? strategy}
          {fallback === null ? "" : ` · ${say.fallback(fallback)}`}
        </span>
      </h2>
      <ul class="members">
        {members.map(({ server, well: isWell, latencyMs, questions, failures, lastFailure, inFlight: waiting }) => (
          <li key={server}>
            <p>
              <span class={isWell ? "good" : "bad"}>{isWell ? "✓" : "✕"}</span>
              <span class="hidden">{isWell ? say.well : say.silent}</span> <Text value={server} mono />
            </p>
            <p class="small soft">
              {latencyMs === null ? say.notMeasured : format.value.ms(latencyMs)} ·{" "}
              <Count value={questions} tone="" say={say.questions} /> ·{" "}
              <Count value={failures} tone={failures > 0 ? "care" : ""} say={say.failures} />
              {waiting === 0 ? "" : ` · ${say.inFlight(format.value.exact(waiting))}`}
            </p>
            {lastFailure === null ? null : (
              <p class="small soft">
                {say.lastFailure} {words().failures[lastFailure.reason] ?? lastFailure.reason},{" "}
                <time dateTime={lastFailure.time}>{format.value.ago(lastFailure.time, Date.now())}</time>
              </p>
            )}
          </li>
        ))}
      </ul>
      {inFlight === 0 && breaches === 0 ? null : (
        <p class="small soft">
          {inFlight === 0 ? "" : say.inFlight(format.value.exact(inFlight))}
          {breaches === 0 ? "" : ` ${say.breaches(format.value.exact(breaches))}`}
        </p>
      )}
    </section>
  );
}

function Lists() {
  const { data, error, refresh } = useCall("listLists", {}, { everyMs: EVERY_MS, topics: ["config", "health"], keep: true });
  useKeys({ r: refresh });
  if (data === null) return <Waiting error={error} />;
  if (data.length === 0) return <p class="empty soft">{words().house.noLists}</p>;
  return (
    <div class="cards">
      {data.map((list) => (
        <List key={list.name} list={list} onChange={refresh} />
      ))}
    </div>
  );
}

function List({ list: { name, kind, size, sources }, onChange }: { readonly list: ListView; readonly onChange: () => void }) {
  const say = words().house;
  const [state, setState] = useState<{ busy: boolean; problem: string | null }>({ busy: false, problem: null });
  const run = async (change: () => Promise<unknown>) => {
    setState({ busy: true, problem: null });
    try {
      await change();
      setState({ busy: false, problem: null });
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      setState({ busy: false, problem: error.message });
    }
    onChange();
  };
  const keep = () => {
    const until = new Date(Date.now() + KEEP_DAYS * DAY_MS).toISOString();
    return call("changeProblem", { id: `v1|list|${name}|`, body: { state: "muted", until } });
  };
  const isHeld = sources.some(({ downloadProblem }) => downloadProblem?.held === true);
  return (
    <section class="panel">
      <div class="row-flex spread">
        <h2>
          <Text value={name} /> <span class="soft small">{say.kinds[kind]}</span>
        </h2>
        <Count value={size} say={say.entries} />
      </div>
      <ul class="members">
        {sources.map((source) => (
          <Source key={source.source} source={source} />
        ))}
      </ul>
      {state.problem === null ? null : (
        <p class="bad wrap" role="alert">
          {state.problem}
        </p>
      )}
      {sources.some(({ source }) => /^https?:/.test(source)) ? (
        <div class="row-flex">
          <button type="button" disabled={state.busy} onClick={() => void run(() => call("refreshList", { name }))}>
            {state.busy ? say.downloading : say.download}
          </button>
          {isHeld ? (
            <>
              <button
                type="button"
                disabled={state.busy}
                onClick={() => void run(() => call("refreshList", { name, accept: true }))}
              >
                {say.accept}
              </button>
              <button type="button" disabled={state.busy} onClick={() => void run(keep)}>
                {say.keep(KEEP_DAYS)}
              </button>
            </>
          ) : null}
        </div>
      ) : null}
    </section>
  );
}

function Source({
  source: { source, servedFrom, entries, changed, checked, problem, downloadProblem, warningCount, warnings },
}: {
  readonly source: ListView["sources"][number];
}) {
  const say = words().house;
  const isIll = problem !== null || servedFrom === "nothing";
  return (
    <li>
      <p>
        <span class={isIll ? "bad" : downloadProblem === null ? "good" : "care"} aria-hidden="true">
          {isIll ? "✕" : downloadProblem === null ? "✓" : "▲"}
        </span>{" "}
        <Text value={source} mono max={64} />
      </p>
      <p class="small soft">
        {say.servedFrom[servedFrom]} · {say.entries(format.value.exact(entries))}
        {changed === null ? "" : ` · ${say.changed(format.value.moment(changed))}`}
        {checked === null ? "" : ` · ${say.checked(format.value.ago(checked, Date.now()))}`}
      </p>
      {problem === null ? null : (
        <p class="small bad">
          <Text value={problem} max={300} />
        </p>
      )}
      {downloadProblem === null ? null : (
        <p class="small care">
          {downloadProblem.held ? say.held : say.notDownloaded} <Text value={downloadProblem.reason} max={300} />{" "}
          <span class="soft">{words().health.since(format.value.when(downloadProblem.since, Date.now()))}</span>
        </p>
      )}
      {warningCount === 0 ? null : (
        <details class="small">
          <summary>{say.warnings(format.value.exact(warningCount))}</summary>
          <ul>
            {warnings.map(({ line, reason }) => (
              <li key={`${line} ${reason}`}>
                <code>{line}</code> <Text value={reason} max={200} />
              </li>
            ))}
          </ul>
        </details>
      )}
    </li>
  );
}

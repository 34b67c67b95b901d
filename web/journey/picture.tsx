import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Attempt, TraceStep } from "../api/calls.ts";
import { useCall } from "../api/use-call.ts";
import { Name, Text, Waiting } from "../parts/text.tsx";
import { visibleText } from "../parts/visible.ts";
import { CONFIG, urlOf } from "../routes.ts";
import { format, words } from "../words/words.ts";
import { type Differences, type Journey, stepKey, timeAxis } from "./journey.ts";

interface PictureProps {
  readonly journey: Journey;
  /** Where it differs from the picture beside it. */
  readonly differences?: Differences | undefined;
}

/** The way of one query as stations in order, the same on phone and desktop. */
export function Picture({ journey, differences }: PictureProps) {
  const stations = stationsOf(journey, differences);
  return (
    <ol class="journey">
      {stations.map(({ key, title, differs, content }, index) => (
        <li key={key} class={stationClass(differences === undefined ? "" : differs ? "differs" : "same", index, stations)}>
          <StationTitle title={title} differs={differs} />
          {content}
        </li>
      ))}
    </ol>
  );
}

interface ComparedProps {
  readonly a: Journey;
  readonly b: Journey;
  readonly differences: Differences;
  /** What the sides are called. */
  readonly titles: readonly [a: string, b: string];
}

/** Two ways in one column, where there is no room for two: each station once, and those that differ as before and after. */
export function ComparedPicture({ a, b, differences, titles }: ComparedProps) {
  const before = stationsOf(a, differences);
  const after = new Map(stationsOf(b, differences).map((station) => [station.key, station]));
  return (
    <ol class="journey">
      {before.map(({ key, title, differs, content }, index) => (
        <li key={key} class={stationClass(differs ? "differs" : "same", index, before)}>
          <StationTitle title={title} differs={differs} />
          {differs ? (
            <>
              <p class="side-title small">{titles[0]}</p>
              {content}
              <p class="side-title small">→ {titles[1]}</p>
              {after.get(key)?.content}
            </>
          ) : (
            content
          )}
        </li>
      ))}
    </ol>
  );
}

interface StationView {
  readonly key: string;
  readonly title: string;
  readonly differs: boolean;
  readonly content: ComponentChildren;
}

function stationClass(state: string, index: number, stations: readonly StationView[]): string {
  return `station ${state} ${index === stations.length - 1 ? "last" : ""}`;
}

function StationTitle({ title, differs }: { readonly title: string; readonly differs: boolean }) {
  return (
    <h3>
      {differs ? <span class="care">≠ </span> : null}
      {title}
    </h3>
  );
}

/** Both sides of a comparison have the same stations. */
function stationsOf(journey: Journey, differences: Differences | undefined): readonly StationView[] {
  const { edits, listener } = journey;
  const say = words().journey;
  const hasEdits = edits.length > 0 || differences?.edits === true;
  return [
    { key: "who", title: say.who, differs: false, content: <Who journey={journey} /> },
    ...(listener === null ? [] : [{ key: "listener", title: say.listener, differs: false, content: <p>{listener}</p> }]),
    {
      key: "rules",
      title: say.rules,
      differs: differences !== undefined && (differences.decision || differences.steps.size > 0),
      content: <Rules journey={journey} differences={differences} />,
    },
    { key: "routes", title: say.routes, differs: differences?.routes === true, content: <Routes journey={journey} /> },
    ...(hasEdits
      ? [{ key: "edits", title: say.edits, differs: differences?.edits === true, content: <Edits edits={edits} /> }]
      : []),
    { key: "answer", title: say.answer, differs: differences?.answer === true, content: <Answer journey={journey} /> },
  ];
}

function Who({ journey: { provenance, client, clientId } }: { readonly journey: Journey }) {
  return (
    <>
      <p>
        <Text value={clientId === null ? client : `${clientId} · ${client}`} mono />
      </p>
      <p class="soft small">
        {provenance.kind === "recorded" ? format.value.moment(provenance.time) : words().journey.provenance[provenance.kind]}
        {" · "}
        {words().journey.version} <code>{provenance.version.slice(0, 8)}</code>
      </p>
    </>
  );
}

function Edits({ edits }: Pick<Journey, "edits">) {
  if (edits.length === 0) return <p class="soft">{words().parts.nothing}</p>;
  return (
    <ul>
      {edits.map((edit) => (
        <li key={edit}>
          <Text value={edit} mono />
        </li>
      ))}
    </ul>
  );
}

function Answer({ journey: { action, answer, decision, cached } }: { readonly journey: Journey }) {
  if (answer === null && cached !== null && cached.remainingSeconds > 0)
    return (
      <>
        <p class="mono">{cached.rcode}</p>
        <ul>
          {cached.answers.map((record) => (
            <li key={record}>
              <Text value={record} mono />
            </li>
          ))}
        </ul>
      </>
    );
  if (answer === null)
    return (
      <p class={decision.answer === null ? "soft" : "mono"}>
        <Text value={decision.answer ?? words().journey.notAsked} />
      </p>
    );
  return (
    <>
      <p>
        <strong class={isTrouble(answer.rcode) ? "mono bad" : "mono"}>{answer.rcode ?? words().queries.silence}</strong>
        <span class="soft">
          {" · "}
          {format.value.ms(answer.ms)}
          {answer.bytes === null ? "" : ` · ${format.value.bytes(answer.bytes)}`}
        </span>
      </p>
      {answer.rcode === "NOERROR" && answer.records.length === 0 ? (
        // A name that is blocked has records all right: nobody is told of them.
        <p>{action === "block" ? words().journey.blocked : words().journey.noRecords}</p>
      ) : null}
      <ul>
        {answer.records.map((record) => (
          <li key={record}>
            <Text value={record} mono />
          </li>
        ))}
        {answer.ede.map((text) => (
          <li key={text} class="soft">
            EDE <Text value={text} />
          </li>
        ))}
      </ul>
    </>
  );
}

/** Steps that say nothing of the outcome: folded away until somebody wants them. */
function isMiss(step: TraceStep): boolean {
  return step.kind === "rule" && !["decides", "modifies", "closed", "excepted"].includes(step.outcome);
}

function Rules({ journey, differences }: { readonly journey: Journey; readonly differences: Differences | undefined }) {
  const [all, setAll] = useState(false);
  const { steps, decision, action } = journey;
  const shown = (steps ?? []).filter((step) => all || !isMiss(step) || differences?.steps.has(stepKey(step)));
  const folded = (steps ?? []).length - shown.length;
  const tried = (steps ?? []).filter(({ kind }) => kind === "rule").length;
  const count = useRuleCount(journey);
  return (
    <>
      {tried === 0 ? null : (
        <p class="soft small">
          {words().journey.tried(format.value.exact(tried), count === null ? null : format.value.exact(count))}
        </p>
      )}
      {steps === null ? <p class="soft">{words().journey.rulesGone}</p> : null}
      <ul class="steps">
        {shown.map((step) => (
          <li key={stepKey(step)} class={differences?.steps.has(stepKey(step)) ? "differs" : ""}>
            {differences?.steps.has(stepKey(step)) ? <span class="care">≠ </span> : null}
            <Step step={step} journey={journey} />
          </li>
        ))}
        {folded === 0 ? null : (
          <li>
            <button type="button" class="link" onClick={() => setAll(true)}>
              {words().journey.others(folded)}
            </button>
          </li>
        )}
        {steps === null && decision.rule !== null ? (
          <li>
            ▶ <Text value={decision.rule} />
          </li>
        ) : null}
      </ul>
      {action === "none" ? null : (
        <p class="soft small">
          <code>{action}</code>
        </p>
      )}
    </>
  );
}

/** How many rules there are; null = the version is not the one in force. */
function useRuleCount({ provenance: { version }, steps }: Journey): number | null {
  const { data } = useCall("getConfig", steps === null ? null : {}, { topics: ["config"], keep: true });
  const rules = data?.version === version ? data.config["rules"] : null;
  return Array.isArray(rules) ? rules.length : null;
}

function Step({ step, journey }: { readonly step: TraceStep; readonly journey: Journey }) {
  const say = words().journey;
  switch (step.kind) {
    case "rule": {
      const decides = step.outcome === "decides";
      return (
        <>
          {decides ? <span aria-hidden="true">▶ </span> : null}
          <a href={urlOf({ ...CONFIG, rule: step.rule })} class={decides ? "strong" : ""}>
            <Text value={step.rule} />
          </a>{" "}
          <span class={decides ? "" : "soft"}>
            {step.when === undefined ? say.outcomes[step.outcome] : say.notWithin(step.when.hours, step.when.time)}
          </span>
          {decides ? <Decides journey={journey} /> : null}
          {step.match === null ? null : <Match rule={step.rule} match={step.match} />}
        </>
      );
    }
    case "hosts":
      return (
        <>
          <span aria-hidden="true">▶ </span>
          <a href={urlOf({ page: "house", part: "hosts" })}>{say.hosts}</a> <Text value={step.pattern} mono />
          <span class="soft small">
            {" "}
            <Text value={`${step.source}:${step.line}`} mono />
          </span>
        </>
      );
    case "special":
      return (
        <>
          {say.special} <Text value={step.zone} mono />
        </>
      );
    case "kept":
      return <>{say.kept(typeof step.because === "string" ? step.because : step.because.rule)}</>;
    case "first-group":
      return (
        <>
          <span aria-hidden="true">▶ </span>
          {say.firstGroup}{" "}
          <strong>
            <Text value={step.group} />
          </strong>
        </>
      );
    case "alias":
      return (
        <>
          {say.alias} <Name value={step.target} />
        </>
      );
    case "compared":
      return (
        <>
          {say.compared(
            say.sides[step.side],
            step.near === null ? null : (say.findings[step.near] ?? step.near),
            say.by[step.by],
          )}
        </>
      );
    default:
      return step satisfies never;
  }
}

function Decides({ journey: { decision } }: { readonly journey: Journey }) {
  const { near, far, route } = decision;
  if (near !== null && far !== null) return <> · {words().journey.compares(near, far)}</>;
  return route === null ? null : (
    <>
      {" "}
      · → <Text value={route} />
    </>
  );
}

type Matched = NonNullable<Extract<TraceStep, { kind: "rule" }>["match"]>;

interface MatchProps {
  readonly rule: string;
  readonly match: Matched;
}

function Match({ rule, match: { list, source, line, pattern } }: MatchProps) {
  return (
    <div class="match small">
      <Text value={pattern} mono />{" "}
      <span class="soft">
        {list === null ? (
          <a href={urlOf(source === "" ? { ...CONFIG, rule } : { ...CONFIG, line })}>
            {source === "" ? words().journey.ownPattern : words().journey.lineOf(format.value.exact(line), source)}
          </a>
        ) : (
          <Neighbours list={list} source={source} line={line} />
        )}
      </span>
    </div>
  );
}

/** Where a list has the match; a press shows the lines around it. */
function Neighbours({ list, source, line }: { readonly list: string; readonly source: string; readonly line: number }) {
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <button type="button" class="link" aria-expanded={isOpen} onClick={() => setOpen(!isOpen)}>
        {visibleText(list)} · {words().journey.lineOf(format.value.exact(line), source)}
      </button>
      {isOpen ? <ListLines list={list} source={source} around={line} /> : null}
    </>
  );
}

function ListLines({ list, source, around }: { readonly list: string; readonly source: string; readonly around: number }) {
  const { data, error } = useCall("getListLines", { name: list, source, around });
  if (data === null) return <Waiting error={error} />;
  return (
    <ol class="list-lines mono">
      {data.lines.map(({ number, text }) => (
        <li key={number} class={number === around ? "strong" : ""} {...(number === around ? { "aria-current": "true" } : {})}>
          <span aria-hidden="true">{number}</span> <Text value={text} max={120} />
        </li>
      ))}
    </ol>
  );
}

function Routes({ journey }: { readonly journey: Journey }) {
  const { attempts, usedServer, cached, source, decision, answer } = journey;
  const say = words();
  const usualMs = useUsualMs(attempts.length === 0 && answer === null ? (decision.far ?? decision.route) : null);
  if (attempts.length > 0) return <Attempts attempts={attempts} usedServer={usedServer} />;
  if (source === "cache" || source === "stale" || (answer === null && cached !== null))
    return (
      <p>
        {source === "stale" ? say.journey.fromStale : say.journey.fromCache}
        {cached === null ? null : (
          <span class="soft">
            {" · "}
            {say.journey.age(
              format.value.duration(cached.ageSeconds),
              format.value.duration(Math.max(0, cached.remainingSeconds)),
            )}
          </span>
        )}
      </p>
    );
  const usual = usualMs === null ? "" : ` ${say.journey.usually(format.value.ms(usualMs))}`;
  if (answer === null && decision.near !== null && decision.far !== null)
    return <p class="soft">{say.journey.wouldAsk(`${decision.near}, ${decision.far}`) + usual}</p>;
  if (answer === null && decision.route !== null) return <p class="soft">{say.journey.wouldAsk(decision.route) + usual}</p>;
  return <p class="soft">{say.journey.answeredHere}</p>;
}

/** How long the quickest server of a group usually takes; null = it is not known, or nobody wants to know. */
function useUsualMs(group: string | null): number | null {
  const { data } = useCall("listUpstreams", group === null ? null : {});
  const latencies = (data ?? []).flatMap(({ name, members }) =>
    name === group ? members.flatMap(({ well, latencyMs }) => (well && latencyMs !== null ? [latencyMs] : [])) : [],
  );
  return latencies.length === 0 ? null : Math.min(...latencies);
}

function Attempts({ attempts, usedServer }: { readonly attempts: readonly Attempt[]; readonly usedServer: string | null }) {
  const { beginMs, lengthMs, spans } = timeAxis(attempts);
  const used = attempts.findLastIndex(({ server, rcode }) => server === usedServer && rcode !== null);
  return (
    <div class="attempts">
      <div class="attempts-axis small soft" aria-hidden="true">
        <span>{beginMs === 0 ? "0" : format.value.ms(beginMs)}</span>
        <span>{format.value.ms(beginMs + lengthMs / 2)}</span>
        <span>{format.value.ms(beginMs + lengthMs)}</span>
      </div>
      <ul>
        {attempts.map((attempt, index) => {
          const { group, server, rcode, failure, ms } = attempt;
          const span = spans[index] ?? { left: 0, width: 0 };
          return (
            <li key={`${index} ${server}`}>
              <p>
                <strong>
                  <Text value={group ?? ""} />
                </strong>{" "}
                <Text value={server} mono max={60} />
              </p>
              <svg width="100%" height="10" aria-hidden="true">
                <rect
                  class={failure === null ? "attempt" : "attempt failure"}
                  x={`${span.left * 100}%`}
                  width={`max(2px, ${span.width * 100}%)`}
                  height="10"
                  rx="2"
                />
              </svg>
              <p class="small">
                {failure === null ? null : <span class="bad">✕ {words().failures[failure] ?? failure} · </span>}
                {rcode === null ? null : <span class={isTrouble(rcode) ? "mono bad" : "mono"}>{rcode} · </span>}
                {rcode === null && failure === null ? `${words().journey.pending} · ` : ""}
                {format.value.ms(ms)}
                {index === used ? <strong> ◀ {words().journey.used}</strong> : null}
              </p>
            </li>
          );
        })}
      </ul>
    </div>
  );
}

function isTrouble(rcode: string | null): boolean {
  return rcode === null || (rcode !== "NOERROR" && rcode !== "NXDOMAIN");
}

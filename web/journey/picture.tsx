import type { ComponentChildren } from "preact";
import { useState } from "preact/hooks";
import type { Attempt, TraceStep } from "../api/calls.ts";
import { Text } from "../parts/text.tsx";
import { CONFIG, urlOf } from "../routes.ts";
import { format, words } from "../words/words.ts";
import { type Differences, type Journey, stepKey, timeAxis } from "./journey.ts";

interface PictureProps {
  readonly journey: Journey;
  /** Where it differs from the picture beside it. */
  readonly differences?: Differences;
}

/** The way of one query as six stations, the same on phone and desktop. */
export function Picture({ journey, differences }: PictureProps) {
  const { provenance, client, clientId, listener, decision, edits, answer } = journey;
  const mark = (differs: boolean | undefined) => (differences === undefined ? "" : differs ? "differs" : "same");
  return (
    <ol class="journey">
      <Station title={words().journey.who} state={mark(false)}>
        <p>
          <Text value={clientId === null ? client : `${clientId} · ${client}`} mono />
          {listener === null ? null : <span class="soft"> · {listener}</span>}
        </p>
        <p class="soft small">
          {provenance.kind === "recorded" ? format.value.moment(provenance.time) : words().journey.provenance[provenance.kind]}
          {" · "}
          {words().journey.version} <code>{provenance.version.slice(0, 8)}</code>
        </p>
      </Station>
      <Rules journey={journey} differences={differences} />
      <Station title={words().journey.routes} state={mark(differences?.routes)}>
        <Routes journey={journey} />
      </Station>
      {edits.length === 0 && differences?.edits !== true ? null : (
        <Station title={words().journey.edits} state={mark(differences?.edits)}>
          <ul>
            {edits.map((edit) => (
              <li key={edit}>
                <Text value={edit} mono />
              </li>
            ))}
          </ul>
        </Station>
      )}
      <Station title={words().journey.answer} state={mark(differences?.answer)} last>
        {answer === null ? (
          <p class={decision.answer === null ? "soft" : "mono"}>{decision.answer ?? words().journey.notAsked}</p>
        ) : (
          <>
            <p>
              <strong class={isTrouble(answer.rcode) ? "mono bad" : "mono"}>{answer.rcode ?? words().queries.silence}</strong>
              <span class="soft">
                {" · "}
                {format.value.ms(answer.ms)}
                {answer.bytes === null ? "" : ` · ${format.value.bytes(answer.bytes)}`}
              </span>
            </p>
            {answer.rcode === "NOERROR" && answer.records.length === 0 ? <p>{words().journey.noRecords}</p> : null}
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
        )}
      </Station>
    </ol>
  );
}

interface StationProps {
  readonly title: string;
  readonly state: string;
  readonly last?: boolean;
  readonly children: ComponentChildren;
}

function Station({ title, state, last = false, children }: StationProps) {
  return (
    <li class={`station ${state} ${last ? "last" : ""}`}>
      <h3>
        {state === "differs" ? <span class="care">≠ </span> : null}
        {title}
      </h3>
      {children}
    </li>
  );
}

/** Steps that say nothing of the outcome: folded away until somebody wants them. */
function isMiss(step: TraceStep): boolean {
  return step.kind === "rule" && !["decides", "modifies", "closed", "excepted"].includes(step.outcome);
}

function Rules({ journey, differences }: { readonly journey: Journey; readonly differences: Differences | undefined }) {
  const [all, setAll] = useState(false);
  const { steps, decision, action } = journey;
  const differsAny = differences !== undefined && (differences.decision || differences.steps.size > 0);
  const state = differences === undefined ? "" : differsAny ? "differs" : "same";
  const shown = (steps ?? []).filter((step) => all || !isMiss(step) || differences?.steps.has(stepKey(step)));
  const folded = (steps ?? []).length - shown.length;
  return (
    <Station title={words().journey.rules} state={state}>
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
    </Station>
  );
}

function Step({ step, journey }: { readonly step: TraceStep; readonly journey: Journey }) {
  const say = words().journey;
  switch (step.kind) {
    case "rule": {
      const decides = step.outcome === "decides";
      return (
        <>
          {decides ? <span aria-hidden="true">▶ </span> : null}
          <a href={urlOf(CONFIG)} class={decides ? "strong" : ""}>
            <Text value={step.rule} />
          </a>{" "}
          <span class={decides ? "" : "soft"}>{say.outcomes[step.outcome]}</span>
          {decides ? <Decides journey={journey} /> : null}
          {step.match === null ? null : <Match match={step.match} />}
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
          {say.firstGroup} <strong>{step.group}</strong>
        </>
      );
    case "alias":
      return (
        <>
          {say.alias} <Text value={step.target} mono />
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
  return route === null ? null : <> · → {route}</>;
}

type Matched = NonNullable<Extract<TraceStep, { kind: "rule" }>["match"]>;

function Match({ match: { list, source, line, pattern } }: { readonly match: Matched }) {
  return (
    <div class="match small">
      <Text value={pattern} mono />{" "}
      <span class="soft">
        {list === null ? (
          <a href={urlOf({ ...CONFIG, line: source === "" ? null : line })}>
            {source === "" ? words().journey.ownPattern : words().journey.lineOf(line, source)}
          </a>
        ) : (
          <>
            {list} · {words().journey.lineOf(line, source)}
          </>
        )}
      </span>
    </div>
  );
}

function Routes({ journey }: { readonly journey: Journey }) {
  const { attempts, usedServer, cached, source, decision, answer } = journey;
  const say = words();
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
  if (answer === null && decision.route !== null) return <p class="soft">{say.journey.wouldAsk(decision.route)}</p>;
  if (answer === null && decision.near !== null && decision.far !== null)
    return <p class="soft">{say.journey.wouldAsk(`${decision.near}, ${decision.far}`)}</p>;
  return <p class="soft">{say.journey.answeredHere}</p>;
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
                <strong>{group ?? ""}</strong> <Text value={server} mono max={60} />
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

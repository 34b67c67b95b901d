import { useEffect, useRef, useState } from "preact/hooks";
import { CallError, call } from "../api/call.ts";
import type { Calls, Explained } from "../api/calls.ts";
import { useCall } from "../api/use-call.ts";
import { compareJourneys, type Differences, type Journey, journeyOfExplained } from "../journey/journey.ts";
import { Picture } from "../journey/picture.tsx";
import { useKeys } from "../keys.ts";
import { go, route } from "../navigation.ts";
import { Text } from "../parts/text.tsx";
import { ASK, type AskRoute, QUERIES, urlOf } from "../routes.ts";
import { sayText } from "../words/said.ts";
import { format, words } from "../words/words.ts";

const TYPES = ["A", "AAAA", "HTTPS", "CNAME", "MX", "TXT", "SRV", "NS", "SOA", "PTR", "CAA", "SVCB"];

/** What happens to a question, what happened, and what would happen under another version: one way, or two beside each other. */
export function Ask() {
  const at = route.value?.page === "ask" ? route.value : ASK;
  const swap = () => at.b !== null && go({ ...at, a: at.b, b: at.a });
  useKeys({ x: swap });
  return (
    <section class="ask">
      <h1 class="hidden">{words().pages.ask}</h1>
      <AskForm at={at} onSwap={swap} />
      {at.name === "" ? <Examples /> : <Answers at={at} />}
    </section>
  );
}

function AskForm({ at, onSwap }: { readonly at: AskRoute; readonly onSwap: () => void }) {
  const [draft, setDraft] = useState(at);
  const form = useRef<HTMLFormElement>(null);
  const { data: versions } = useCall("listVersions", {});
  useEffect(() => setDraft(at), [urlOf(at)]);
  const set = (change: Partial<AskRoute>) => setDraft((before) => ({ ...before, ...change }));
  const sides = (
    <>
      <option value="now">{words().ask.now}</option>
      <option value="live">{words().ask.live}</option>
      {(versions ?? []).map(({ version, since }, index) => (
        <option key={version} value={version}>
          {version.slice(0, 8)} · {format.value.moment(since)}
          {index === 0 ? ` · ${words().ask.present}` : ""}
        </option>
      ))}
    </>
  );
  return (
    <form
      ref={form}
      class="ask-form"
      onSubmit={(event) => {
        event.preventDefault();
        go({ ...draft, name: draft.name.trim(), client: draft.client.trim() });
      }}
      onKeyDown={(event) => {
        if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.current?.requestSubmit();
      }}
    >
      <label class="field grow">
        <span>{words().ask.name}</span>
        <input
          class="mono"
          value={draft.name}
          required
          autocapitalize="off"
          autocomplete="off"
          spellcheck={false}
          onInput={({ currentTarget }) => set({ name: currentTarget.value })}
        />
      </label>
      <label class="field">
        <span>{words().ask.type}</span>
        <input
          class="mono short"
          value={draft.type}
          list="types"
          autocapitalize="characters"
          onInput={({ currentTarget }) => set({ type: currentTarget.value.toUpperCase() })}
        />
        <datalist id="types">
          {TYPES.map((type) => (
            <option key={type} value={type} />
          ))}
        </datalist>
      </label>
      <label class="field">
        <span>{words().ask.client}</span>
        <input
          class="mono"
          value={draft.client}
          placeholder="127.0.0.1"
          autocapitalize="off"
          autocomplete="off"
          onInput={({ currentTarget }) => set({ client: currentTarget.value })}
        />
      </label>
      <label class="field">
        <span>{words().ask.under}</span>
        <select value={draft.a} onChange={({ currentTarget }) => set({ a: currentTarget.value })}>
          {sides}
        </select>
      </label>
      <label class="field">
        <span>{words().ask.comparedWith}</span>
        <select value={draft.b ?? ""} onChange={({ currentTarget }) => set({ b: currentTarget.value || null })}>
          <option value="">{words().ask.nothing}</option>
          {sides}
        </select>
      </label>
      <div class="row-flex">
        <button type="submit" class="primary">
          {words().ask.button}
        </button>
        {at.b === null ? null : (
          <button type="button" onClick={onSwap}>
            {words().ask.swap}
          </button>
        )}
      </div>
    </form>
  );
}

interface Side {
  readonly explained: Explained | null;
  readonly error: CallError | null;
}

function Answers({ at }: { readonly at: AskRoute }) {
  const a = useSide(at, at.a);
  const b = useSide(at, at.b);
  const [left, right] = [a, b].map(({ explained }) => (explained === null ? null : journeyOfExplained(explained)));
  const differences = left && right ? compareJourneys(left, right) : undefined;
  return (
    <>
      {left && right && differences !== undefined ? <InWords a={left} b={right} differences={differences} /> : null}
      <div class={at.b === null ? "sides" : "sides two"}>
        <SideView title={sideText(at.a)} side={a} journey={left ?? null} differences={differences} />
        {at.b === null ? null : <SideView title={sideText(at.b)} side={b} journey={right ?? null} differences={differences} />}
      </div>
      <Happened at={at} />
    </>
  );
}

function sideText(side: string): string {
  if (side === "now") return words().ask.now;
  return side === "live" ? words().ask.live : side.slice(0, 8);
}

/** Asks for one side. Live questions are asked once, not again when the page is drawn anew. */
function useSide({ name, type, client }: AskRoute, side: string | null): Side {
  const [state, setState] = useState<Side>({ explained: null, error: null });
  useEffect(() => {
    const abort = new AbortController();
    setState({ explained: null, error: null });
    if (side !== null)
      call("explain", questionOf({ name, type, client }, side), abort.signal).then(
        (explained) => setState({ explained, error: null }),
        (error: unknown) => {
          if (!abort.signal.aborted && error instanceof CallError) setState({ explained: null, error });
        },
      );
    return () => abort.abort();
  }, [name, type, client, side]);
  return state;
}

type Question = Pick<AskRoute, "name" | "type" | "client">;

function questionOf({ name, type, client }: Question, side: string): Calls["explain"]["input"] {
  const isAddress = /^[0-9.]+$|:/.test(client);
  return {
    name,
    type,
    ...(client === "" ? {} : isAddress ? { client } : { clientId: client }),
    ...(side === "live" ? { resolve: true } : side === "now" ? {} : { version: side }),
  };
}

interface SideViewProps {
  readonly title: string;
  readonly side: Side;
  readonly journey: Journey | null;
  readonly differences: Differences | undefined;
}

function SideView({ title, side: { explained, error }, journey, differences }: SideViewProps) {
  return (
    <section class="panel" aria-label={title}>
      <h2>{title}</h2>
      {error === null ? null : (
        <p class="bad" role="alert">
          {error.status === 404 ? words().ask.versionGone : error.message}
        </p>
      )}
      {explained === null && error === null ? <p class="soft loading">{words().parts.loading}</p> : null}
      {explained === null ? null : <p>{explained.summary.map(sayText).join(" ")}</p>}
      {journey === null ? null : <Picture journey={journey} {...(differences === undefined ? {} : { differences })} />}
      {explained === null || explained.notes.length === 0 ? null : (
        <ul class="notes soft">
          {explained.notes.map((note) => (
            <li key={note.text}>{sayText(note)}</li>
          ))}
        </ul>
      )}
      {explained?.target ? (
        <>
          <h3>
            → <Text value={explained.target.question.name} mono />
          </h3>
          <Picture journey={journeyOfExplained(explained.target)} />
        </>
      ) : null}
    </section>
  );
}

/** The differences as sentences, for those who do not look at pictures. */
function InWords({ a, b, differences }: { readonly a: Journey; readonly b: Journey; readonly differences: Differences }) {
  const say = words().ask;
  const ruleOf = ({ decision }: Journey) => decision.rule ?? say.noRule;
  const routeOf = ({ decision: { route, near, far } }: Journey) => {
    if (near !== null && far !== null) return words().journey.compares(near, far);
    return route === null ? say.here : say.goesTo(route);
  };
  const sentences = [
    ruleOf(a) === ruleOf(b) ? null : say.decidesInstead(ruleOf(a), ruleOf(b)),
    routeOf(a) === routeOf(b) ? null : say.goesInstead(routeOf(a), routeOf(b)),
    differences.answer ? say.answerDiffers(answerText(a), answerText(b)) : null,
    differences.edits ? say.editsDiffer : null,
  ].filter((sentence) => sentence !== null);
  const isSame = sentences.length === 0 && differences.steps.size === 0 && !differences.routes;
  return (
    <section class="in-words" aria-live="polite">
      {isSame ? <p>= {say.same}</p> : null}
      {sentences.map((sentence) => (
        <p key={sentence}>
          <span class="care">≠</span> {sentence}
        </p>
      ))}
      {!isSame && sentences.length === 0 ? <p>{say.sameEnd}</p> : null}
    </section>
  );
}

function answerText({ answer }: Journey): string {
  if (answer === null) return "";
  return `${answer.rcode ?? words().queries.silence} (${answer.records.length})`;
}

/** The last records of the name. */
function Happened({ at: { name } }: { readonly at: AskRoute }) {
  const full = [`full:${name.replace(/\.$/, "").toLowerCase()}`];
  const { data } = useCall("searchQueries", { name: full, from: "7d", limit: 8 });
  const all = urlOf({ ...QUERIES, from: "7d", filters: [{ key: "name", value: full[0] ?? "" }] });
  return (
    <section class="panel">
      <h2>
        <a href={all}>{words().ask.happened} ›</a>
      </h2>
      {data === null ? null : data.records.length === 0 ? (
        <p class="soft">{words().ask.neverAsked}</p>
      ) : (
        <ol class="happened">
          {data.records.map(({ id, time, type, client, clientId, rcode, answers, version }) => (
            <li key={id}>
              <a href={urlOf({ ...QUERIES, from: "7d", filters: [{ key: "name", value: full[0] ?? "" }], open: id })}>
                <time>{format.value.moment(time)}</time> <span class="mono">{type}</span> <Text value={clientId ?? client} />{" "}
                <span class="mono">
                  {rcode ?? words().queries.silence} {answers.length}
                </span>
              </a>{" "}
              <a class="small" href={urlOf({ ...ASK, name, type, client: clientId ?? client, a: version, b: "now" })}>
                {words().queries.compareNow}
              </a>
            </li>
          ))}
        </ol>
      )}
    </section>
  );
}

/** Names of this house, to begin with. */
function Examples() {
  const { data } = useCall("getStatistics", { from: "24h", step: "1h", top: 5 });
  const names = [...(data?.topFailing ?? []), ...(data?.topNames ?? [])].map(({ key }) => key);
  return (
    <div class="stack">
      <p class="soft">{words().ask.hint}</p>
      <ul class="chips">
        {[...new Set(names)].slice(0, 8).map((name) => (
          <li key={name}>
            <a class="button" href={urlOf({ ...ASK, name })}>
              <Text value={name} mono />
            </a>
          </li>
        ))}
      </ul>
    </div>
  );
}

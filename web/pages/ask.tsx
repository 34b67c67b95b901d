import { useEffect, useRef, useState } from "preact/hooks";
import { CallError, call, session } from "../api/call.ts";
import type { ConfigEdit, Explained } from "../api/calls.ts";
import { useCall } from "../api/use-call.ts";
import { draft } from "../draft.ts";
import { compareJourneys, type Differences, type Journey, journeyOfExplained } from "../journey/journey.ts";
import { ComparedPicture, Picture } from "../journey/picture.tsx";
import { go, route, useKeys } from "../navigation.ts";
import { Name, Text, Waiting } from "../parts/text.tsx";
import { visibleText } from "../parts/visible.ts";
import { ASK, type AskRoute, QUERIES, urlOf } from "../routes.ts";
import { useIsPhone } from "../theme.ts";
import { sayAll, sayText } from "../words/said.ts";
import { format, words } from "../words/words.ts";
import { ProblemsOf } from "./problem-row.tsx";
import { endOf } from "./query-words.ts";

const TYPES = ["A", "AAAA", "HTTPS", "CNAME", "MX", "TXT", "SRV", "NS", "SOA", "PTR", "CAA", "SVCB"];

/** What happens to a question, what happened, and what would happen under another version or a draft: one way, or two beside each other. */
export function Ask() {
  const at = route.value?.page === "ask" ? route.value : ASK;
  const swap = () => at.b !== null && go({ ...at, a: at.b, b: at.a });
  useKeys({ x: swap });
  return (
    <section class="ask">
      <h1 class="hidden">{words().pages.ask}</h1>
      <AskForm at={at} onSwap={swap} />
      {at.name === "" ? (
        <Examples />
      ) : (
        <>
          <ProblemsOf name={at.name} />
          <Answers at={at} />
        </>
      )}
    </section>
  );
}

function AskForm({ at, onSwap }: { readonly at: AskRoute; readonly onSwap: () => void }) {
  const [form, setForm] = useState(at);
  const element = useRef<HTMLFormElement>(null);
  const { data: versions } = useCall("listVersions", {}, { topics: ["config"], keep: true });
  useEffect(() => setForm(at), [urlOf(at)]);
  const set = (change: Partial<AskRoute>) => setForm((before) => ({ ...before, ...change }));
  const say = words().ask;
  const sides = (
    <>
      <option value="now">{say.now}</option>
      <option value="live">{say.live}</option>
      <option value="draft">{say.draft}</option>
      {(versions ?? []).map(({ version, since }, index) => (
        <option key={version} value={version}>
          {version.slice(0, 8)} · {format.value.moment(since)}
          {index === 0 ? ` · ${say.present}` : ""}
        </option>
      ))}
    </>
  );
  return (
    <form
      ref={element}
      class="ask-form"
      onSubmit={(event) => {
        event.preventDefault();
        go({ ...form, name: form.name.trim(), client: form.client.trim() });
      }}
      onKeyDown={(event) => {
        if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
        // What was typed into the draft counts, as if it had been left.
        event.target?.dispatchEvent(new Event("change", { bubbles: true }));
        element.current?.requestSubmit();
      }}
    >
      <div class="ask-question">
        <label class="field grow">
          <span>{say.name}</span>
          <input
            class="mono"
            value={form.name}
            required
            autocapitalize="off"
            autocomplete="off"
            spellcheck={false}
            onInput={({ currentTarget }) => set({ name: currentTarget.value })}
          />
        </label>
        <label class="field">
          <span>{say.type}</span>
          <input
            class="mono short"
            value={form.type}
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
          <span>{say.client}</span>
          <input
            class="mono"
            value={form.client}
            placeholder="127.0.0.1"
            autocapitalize="off"
            autocomplete="off"
            onInput={({ currentTarget }) => set({ client: currentTarget.value })}
          />
        </label>
      </div>
      <div class="ask-question">
        <label class="field">
          <span>{say.under}</span>
          <select value={form.a} onChange={({ currentTarget }) => set({ a: currentTarget.value })}>
            {sides}
          </select>
        </label>
        <label class="field">
          <span>{say.comparedWith}</span>
          <select value={form.b ?? ""} onChange={({ currentTarget }) => set({ b: currentTarget.value || null })}>
            <option value="">{say.nothing}</option>
            {sides}
          </select>
        </label>
        <button type="submit" class="primary">
          {say.button}
        </button>
        {at.b === null ? null : (
          <button type="button" onClick={onSwap}>
            ⇄ {say.swap}
          </button>
        )}
      </div>
      {form.a === "draft" || form.b === "draft" ? <DraftBox /> : null}
    </form>
  );
}

/** What the draft is: one edit in words, or the whole file to change. */
function DraftBox() {
  const edit = draft.value;
  const { data: file, error } = useCall("getConfigFile", {}, { keep: true });
  /** What is being typed: it counts when the field is left, and stays when the page is drawn anew. */
  const [typed, setTyped] = useState<string | null>(null);
  const say = words().ask;
  const text = edit === null ? (file?.text ?? null) : edit.kind === "text" ? edit.text : null;
  return (
    <div class="stack-small draft">
      <p class="small soft">{say.draftHint}</p>
      {edit !== null && edit.kind !== "text" ? (
        <p class="row-flex">
          <code class="wrap">{visibleText(editText(edit))}</code>
          <button
            type="button"
            class="link"
            onClick={() => {
              draft.value = null;
            }}
          >
            {say.wholeFile}
          </button>
        </p>
      ) : text === null ? (
        <Waiting error={error} />
      ) : (
        <textarea
          class="mono"
          rows={12}
          wrap="off"
          spellcheck={false}
          autocapitalize="off"
          aria-label={say.draft}
          value={typed ?? text}
          onInput={({ currentTarget }) => setTyped(currentTarget.value)}
          onChange={({ currentTarget }) => {
            if (currentTarget.value !== text) draft.value = { kind: "text", text: currentTarget.value };
            setTyped(null);
          }}
        />
      )}
    </div>
  );
}

/** As it stands in the file, as far as one line can say. */
function editText(edit: ConfigEdit): string {
  switch (edit.kind) {
    case "pattern":
      return `${edit.rule}: domains + ${JSON.stringify(edit.pattern)}`;
    case "rule":
      return `rules + ${JSON.stringify(edit.rule)}${edit.before === null ? "" : ` < ${edit.before}`}`;
    case "host":
      return `hosts.records.${edit.name}: ${JSON.stringify(edit.record)}`;
    case "set":
      return `${edit.path.join(".")}: ${JSON.stringify(edit.value)}`;
    default:
      return edit.text;
  }
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
  const isPhone = useIsPhone();
  if (at.b === null)
    return (
      <div class="sides one">
        <SideView title={sideText(at.a)} side={a} journey={left ?? null} differences={differences} />
        <Happened at={at} />
      </div>
    );
  const titles = [sideText(at.a), sideText(at.b)] as const;
  return (
    <>
      {left && right && differences !== undefined ? <InWords a={left} b={right} differences={differences} /> : null}
      {isPhone && left && right && differences !== undefined ? (
        <section class="panel" aria-label={words().ask.compared}>
          <h2>
            {titles[0]} → {titles[1]}
          </h2>
          <ComparedPicture a={left} b={right} differences={differences} titles={titles} />
        </section>
      ) : (
        <div class="sides two">
          <SideView title={titles[0]} side={a} journey={left ?? null} differences={differences} />
          <SideView title={titles[1]} side={b} journey={right ?? null} differences={differences} />
        </div>
      )}
      <Happened at={at} />
    </>
  );
}

function sideText(side: string): string {
  const say = words().ask;
  const known: Readonly<Record<string, string>> = { now: say.now, live: say.live, draft: say.draft };
  return known[side] ?? `${words().journey.version} ${side.slice(0, 8)}`;
}

/** Asks for one side. Live questions are asked once, not again when the page is drawn anew. */
function useSide({ name, type, client }: AskRoute, side: string | null): Side {
  const [state, setState] = useState<Side>({ explained: null, error: null });
  const edit = side === "draft" ? draft.value : null;
  useEffect(() => {
    const abort = new AbortController();
    setState({ explained: null, error: null });
    if (side !== null)
      explain({ name, type, client }, side, edit, abort.signal).then(
        (explained) => setState({ explained, error: null }),
        (error: unknown) => {
          if (!abort.signal.aborted && error instanceof CallError) setState({ explained: null, error });
        },
      );
    return () => abort.abort();
  }, [name, type, client, side, edit, session.value]);
  return state;
}

type Question = Pick<AskRoute, "name" | "type" | "client">;

/** @param edit of the side `draft`; null = the file as it stands. */
function explain(
  { name, type, client }: Question,
  side: string,
  edit: ConfigEdit | null,
  abort: AbortSignal,
): Promise<Explained> {
  const isAddress = /^[0-9.]+$|:/.test(client);
  const question = { name, type, ...(client === "" ? {} : isAddress ? { client } : { clientId: client }) };
  if (edit !== null) return call("explainUnder", { body: { ...question, under: { edit } } }, abort);
  const under = side === "live" ? { resolve: true } : side === "now" || side === "draft" ? {} : { version: side };
  return call("explain", { ...question, ...under }, abort);
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
      {explained === null ? null : <p>{sayAll(explained.summary)}</p>}
      {journey === null ? null : <Picture journey={journey} differences={differences} />}
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
            → <Name value={explained.target.question.name} />
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
          {data.records.map(({ id, time, type, client, clientId, action, rcode, answers, version }) => (
            <li key={id}>
              <a href={urlOf({ ...QUERIES, from: "7d", filters: [{ key: "name", value: full[0] ?? "" }], open: id })}>
                <time dateTime={time}>{format.value.moment(time)}</time>
              </a>
              <span>
                <span class="mono">{type}</span> <Text value={clientId ?? client} />
              </span>
              <span class="mono soft">
                {endOf({ action, rcode })} {answers.length === 0 ? "" : answers.length}
              </span>
              <a
                class="button plain"
                title={words().queries.compareNow}
                aria-label={words().queries.compareNow}
                href={urlOf({ ...ASK, name, type, client: clientId ?? client, a: version, b: "now" })}
              >
                ⇄
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
              <Name value={name} />
            </a>
          </li>
        ))}
      </ul>
    </div>
  );
}

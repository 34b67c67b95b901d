import { useEffect, useLayoutEffect, useState } from "preact/hooks";
import { CallError, call } from "../api/call.ts";
import type { AppliedEdit, ConfigEdit, ConfigProblem, Explained, EditPreview as Preview, WhatIf } from "../api/calls.ts";
import { draft } from "../draft.ts";
import { ASK, CONFIG, urlOf } from "../routes.ts";
import { sayText } from "../words/said.ts";
import { format, words } from "../words/words.ts";
import { Diff } from "./diff.tsx";
import { withoutEdit } from "./reverse.ts";
import { Text } from "./text.tsx";

const POLL_MS = 1000;
/** An edit is asked about when it has stood so long: arrow keys pass over choices that nobody wants to know of. */
const SETTLE_MS = 250;
/** How often an edit is asked about, a second apart, while the server is busy with other drafts. */
const MOST_TRIES = 30;

/** A question that an edit is made for. */
export interface Question {
  readonly name: string;
  readonly type: string;
  readonly client: string;
  readonly clientId: string | null;
}

interface EditPreviewProps {
  readonly edit: ConfigEdit;
  /** What the edit is meant to change: other names want a second thought. null = whatever it changes. */
  readonly suffix: string | null;
  /** Asked anew when the edit is in force, and when it is undone: the proof that counts. null = no question is known. */
  readonly question?: Question | null;
  readonly onApplied?: (applied: AppliedEdit) => void;
  readonly onUndone?: () => void;
}

/** An edit of the configuration with its proof: the lines it changes, what the check and the expectations say, which logged queries would go otherwise. */
export function EditPreview({ edit, suffix, question = null, onApplied, onUndone }: EditPreviewProps) {
  const [preview, setPreview] = useState<Preview | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  /** Whether somebody changed the file while the preview was looked at. */
  const [hasMoved, setMoved] = useState(false);
  const [applied, setApplied] = useState<AppliedEdit | null>(null);
  const [isSure, setSure] = useState(false);
  const [round, setRound] = useState(0);
  const key = JSON.stringify(edit);

  // At once: the preview of another edit is never shown as that of this one, nor applied.
  useLayoutEffect(() => {
    const abort = new AbortController();
    setPreview(null);
    setProblem(null);
    setSure(false);
    void watchEdit(edit, setPreview, abort.signal).catch((error: unknown) => {
      if (!abort.signal.aborted && error instanceof CallError) setProblem(error.message);
    });
    return () => abort.abort();
  }, [key, round]);

  if (applied !== null) return <AppliedNote applied={applied} question={question} onUndone={onUndone} />;
  const others = preview?.whatIf ? otherNames(preview.whatIf, suffix) : [];
  const missing = preview === null ? words().edit.waiting : missingStep(preview);
  const apply = async () => {
    if (preview?.ticket == null) return;
    if (others.length > 0 && !isSure) return setSure(true);
    try {
      const done = await call("editConfig", { body: { ticket: preview.ticket, apply: true } });
      if (!("version" in done)) return;
      setApplied(done);
      onApplied?.(done);
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      // The file moved, or the preview grew old: another one tells what the edit would do now.
      if (error.status === 409 || error.status === 404) {
        setMoved(true);
        setRound(round + 1);
      } else setProblem(error.message);
    }
  };
  return (
    <div class="edit-preview">
      {hasMoved ? (
        <p class="notice care" role="alert">
          ▲ {words().edit.moved}
        </p>
      ) : null}
      {preview === null && problem === null ? <p class="soft">{words().edit.waiting}</p> : null}
      {preview === null ? null : (
        <>
          <Diff lines={preview.diff} />
          <ProofSteps preview={preview} others={others} suffix={suffix} />
        </>
      )}
      {problem === null ? null : (
        <p class="bad wrap" role="alert">
          {problem}{" "}
          <button type="button" class="link" onClick={() => setRound(round + 1)}>
            {words().edit.again}
          </button>
        </p>
      )}
      <div class="row-flex">
        <button
          type="button"
          class="primary"
          disabled={missing !== null}
          aria-describedby="missing-step"
          onClick={() => void apply()}
        >
          {isSure ? words().edit.applyNevertheless : words().parts.apply}
        </button>
        {question === null || preview === null || !preview.check.ok ? null : (
          <a
            class="button"
            href={urlOf({ ...ASK, name: question.name, type: question.type, client: clientOf(question), b: "draft" })}
            onClick={() => {
              draft.value = edit;
            }}
          >
            {words().edit.compare}
          </a>
        )}
        <span id="missing-step" class="soft small" role="status">
          {missing ?? (isSure ? words().edit.alsoChanges(others.slice(0, 3).join(", ")) : "")}
        </span>
      </div>
    </div>
  );
}

/** Asks for the preview, and then for the what-if, which takes some seconds. */
async function watchEdit(edit: ConfigEdit, show: (preview: Preview) => void, abort: AbortSignal): Promise<void> {
  await pause(SETTLE_MS);
  let preview = await askForEdit(edit, abort);
  if ("version" in preview) return;
  show(preview);
  while (preview.ticket !== null && !preview.whatIfDone && !abort.aborted) {
    await pause(POLL_MS);
    preview = await call("getConfigEdit", { ticket: preview.ticket }, abort);
    show(preview);
  }
}

/** Asks again while the server is busy: it takes one draft after the other, and few of them. */
async function askForEdit(edit: ConfigEdit, abort: AbortSignal) {
  for (let tries = 1; ; tries++) {
    try {
      const { digest } = await call("getConfigFile", {}, abort);
      return await call("editConfig", { body: { edit, base: digest } }, abort);
    } catch (error) {
      if (!(error instanceof CallError) || error.status !== 503 || tries === MOST_TRIES) throw error;
      await pause(POLL_MS);
    }
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Why it cannot be applied yet; null = it can. */
function missingStep({ check, expect, whatIfDone, ticket }: Preview): string | null {
  if (!check.ok) return words().edit.checkFails;
  if (expect.broken.length > 0) return words().edit.expectFails;
  if (ticket !== null && !whatIfDone) return words().edit.whatIfRuns;
  return ticket === null ? words().edit.nothingToDo : null;
}

function otherNames({ changes }: WhatIf, suffix: string | null): readonly string[] {
  if (suffix === null) return [];
  return changes.flatMap(({ names }) =>
    names.map(({ name }) => name).filter((name) => name !== suffix && !name.endsWith(`.${suffix}`)),
  );
}

function ProofSteps({
  preview: { check, expect, whatIf, whatIfDone },
  others,
  suffix,
}: {
  readonly preview: Preview;
  readonly others: readonly string[];
  readonly suffix: string | null;
}) {
  const say = words().edit;
  const isAllBelow = suffix !== null && others.length === 0 && (whatIf?.changed ?? 0) > 0;
  return (
    <ul class="proof">
      <li>
        <Sign ok={check.ok} /> {say.check}
        <Problems problems={check.problems} tone="bad" />
        <Problems problems={check.warnings} tone="care" />
      </li>
      <li>
        <Sign ok={expect.broken.length === 0} /> {say.expect(expect.held, expect.total)}
        <ul>
          {expect.broken.map((said) => (
            <li key={said.text} class="bad">
              {sayText(said)}
            </li>
          ))}
        </ul>
      </li>
      {whatIf === null && whatIfDone ? null : (
        <li>
          <Sign ok={whatIf === null ? null : others.length === 0} />{" "}
          {whatIf === null ? say.whatIfRuns : say.whatIf(format.value.exact(whatIf.changed), format.value.exact(whatIf.queries))}
          {isAllBelow ? say.allBelow(suffix) : ""}
          {whatIf === null ? null : <Changes whatIf={whatIf} />}
        </li>
      )}
    </ul>
  );
}

function Sign({ ok }: { readonly ok: boolean | null }) {
  if (ok === null) return <span class="soft">…</span>;
  return ok ? <span class="good">✓</span> : <span class="bad">✕</span>;
}

export function Problems({ problems, tone }: { readonly problems: readonly ConfigProblem[]; readonly tone: "bad" | "care" }) {
  return (
    <ul>
      {problems.map(({ message, fix, line, column }) => (
        <li key={`${line}:${column} ${message}`} class={tone}>
          {line === null ? null : (
            <a class="mono" href={urlOf({ ...CONFIG, line })}>
              {line}:{column}
            </a>
          )}{" "}
          <Text value={message} max={300} />{" "}
          {fix === null ? null : (
            <span class="soft">
              → <Text value={fix} max={300} />
            </span>
          )}
        </li>
      ))}
    </ul>
  );
}

function Changes({ whatIf: { changes, notes } }: { readonly whatIf: WhatIf }) {
  const say = words();
  return (
    <details class="small">
      <summary>{say.edit.changes}</summary>
      <ul>
        {changes.map(({ before, after, queries, names }) => (
          <li key={JSON.stringify([before, after])}>
            <Text value={before.rule ?? say.ask.noRule} /> → <Text value={after.rule ?? say.ask.noRule} />,{" "}
            <Text value={before.answer ?? before.route ?? ""} /> → <Text value={after.answer ?? after.route ?? ""} />:{" "}
            <span class="mono">{format.value.exact(queries)}</span>{" "}
            {names.map(({ name, type }) => (
              <span key={`${name} ${type}`}>
                <Text value={name} mono />{" "}
              </span>
            ))}
          </li>
        ))}
        {notes.map((note) => (
          <li key={note.text} class="soft">
            {sayText(note)}
          </li>
        ))}
      </ul>
    </details>
  );
}

interface AppliedNoteProps {
  readonly applied: AppliedEdit;
  readonly question: Question | null;
  readonly onUndone: (() => void) | undefined;
}

/** What was applied, what the question comes to now, and the way back, here and in the history. */
function AppliedNote({ applied: { version, previous }, question, onUndone }: AppliedNoteProps) {
  const [undone, setUndone] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);
  /** Takes the edit back out of a file that was changed since. */
  const [reverse, setReverse] = useState<ConfigEdit | null>(null);
  const say = words().edit;
  const undo = async () => {
    try {
      // On the very file that was written: what somebody wrote since is never lost.
      await call("restoreConfig", { version: previous, body: { base: version } });
      setUndone(true);
      onUndone?.();
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      if (error.status === 409) await findReverse();
      else setProblem(error.message);
    }
  };
  const findReverse = async () => {
    try {
      const [{ lines }, file] = await Promise.all([
        call("diffHistory", { before: previous, after: version }),
        call("getConfigFile", {}),
      ]);
      const text = withoutEdit(lines, file.text);
      if (text === null) setProblem(say.movedAway);
      else setReverse({ kind: "text", text });
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      setProblem(error.message);
    }
  };
  if (reverse !== null)
    return (
      <>
        <p class="notice care" role="status">
          ▲ {say.movedSince}
        </p>
        <EditPreview edit={reverse} suffix={null} question={question} onApplied={onUndone ?? (() => {})} />
      </>
    );
  const href = urlOf({ ...CONFIG, view: "history", versions: [previous, version] });
  return (
    <div class="notice stack-small" role="status">
      <p>
        <span class="good">✓</span> {undone ? say.undone : say.applied} <a href={href}>{say.inHistory} ›</a>
      </p>
      {question === null ? null : <AskedAnew key={String(undone)} question={question} />}
      {undone ? null : (
        <div>
          <button type="button" onClick={() => void undo()}>
            {say.undo}
          </button>
        </div>
      )}
      {problem === null ? null : (
        <p class="bad" role="alert">
          {problem}
        </p>
      )}
    </div>
  );
}

const ADDRESS_TYPES: ReadonlySet<string> = new Set(["A", "AAAA", "HTTPS", "SVCB"]);

/** Drops what the cache holds of the name, really asks, and shows what comes. */
function AskedAnew({ question }: { readonly question: Question }) {
  const [outcome, setOutcome] = useState<Explained["outcome"] | CallError>(null);
  const { name, client, clientId } = question;
  // Whether there are addresses is what people want to know: most names have no records of the other types that browsers ask for.
  const type = ADDRESS_TYPES.has(question.type) ? "A" : question.type;
  const say = words().edit;
  useEffect(() => {
    const abort = new AbortController();
    const ask = async () => {
      await call("flushCache", { name, subtree: true }, abort.signal);
      const who = { client, ...(clientId === null ? {} : { clientId }) };
      return (await call("explain", { name, type, ...who, resolve: true }, abort.signal)).outcome;
    };
    ask().then(setOutcome, (error: unknown) => {
      if (!abort.signal.aborted && error instanceof CallError) setOutcome(error);
    });
    return () => abort.abort();
  }, []);
  return (
    <p>
      <Text value={name} mono /> <span class="mono">{type}</span>:{" "}
      {outcome === null ? (
        <span class="soft loading">{say.asking}</span>
      ) : outcome instanceof CallError ? (
        <span class="bad">{outcome.message}</span>
      ) : (
        <strong class="now">{say.now(outcome.rcode ?? words().queries.silence, outcome.answers.length)}</strong>
      )}
    </p>
  );
}

/** As the page of questions takes a client. */
function clientOf({ client, clientId }: Question): string {
  return clientId ?? client;
}

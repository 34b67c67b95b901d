import { useEffect, useState } from "preact/hooks";
import { CallError, call } from "../api/call.ts";
import type { AppliedEdit, ConfigEdit, ConfigProblem, EditPreview as Preview, WhatIf } from "../api/calls.ts";
import { CONFIG, urlOf } from "../routes.ts";
import { sayText } from "../words/said.ts";
import { format, words } from "../words/words.ts";
import { Diff } from "./diff.tsx";
import { Text } from "./text.tsx";

const POLL_MS = 1000;
const UNDO_MS = 60_000;

interface EditPreviewProps {
  readonly edit: ConfigEdit;
  /** What the edit is meant to change: other names want a second thought. null = whatever it changes. */
  readonly suffix: string | null;
  readonly onApplied?: (applied: AppliedEdit) => void;
}

/** An edit of the configuration with its proof: the lines it changes, what the check and the expectations say, which logged queries would go otherwise. */
export function EditPreview({ edit, suffix, onApplied }: EditPreviewProps) {
  const [preview, setPreview] = useState<Preview | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [applied, setApplied] = useState<AppliedEdit | null>(null);
  const [isSure, setSure] = useState(false);
  const [round, setRound] = useState(0);
  const key = JSON.stringify(edit);

  useEffect(() => {
    const abort = new AbortController();
    setPreview(null);
    setProblem(null);
    setSure(false);
    void watchEdit(edit, setPreview, abort.signal).catch((error: unknown) => {
      if (!abort.signal.aborted && error instanceof CallError) setProblem(error.message);
    });
    return () => abort.abort();
  }, [key, round]);

  if (applied !== null) return <AppliedNote applied={applied} />;
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
      setProblem(error.message);
    }
  };
  return (
    <div class="edit-preview">
      {preview === null && problem === null ? <p class="soft">{words().edit.waiting}</p> : null}
      {preview === null ? null : (
        <>
          <Diff lines={preview.diff} />
          <ProofSteps preview={preview} others={others} />
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
        <span id="missing-step" class="soft small" role="status">
          {missing ?? (isSure ? words().edit.alsoChanges(others.slice(0, 3).join(", ")) : "")}
        </span>
      </div>
    </div>
  );
}

/** Asks for the preview, and then for the what-if, which takes some seconds. */
async function watchEdit(edit: ConfigEdit, show: (preview: Preview) => void, abort: AbortSignal): Promise<void> {
  const { digest } = await call("getConfigFile", {}, abort);
  let preview = await call("editConfig", { body: { edit, base: digest } }, abort);
  if ("version" in preview) return;
  show(preview);
  while (preview.ticket !== null && !preview.whatIfDone && !abort.aborted) {
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    preview = await call("getConfigEdit", { ticket: preview.ticket }, abort);
    show(preview);
  }
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
}: {
  readonly preview: Preview;
  readonly others: readonly string[];
}) {
  const say = words().edit;
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
          <Text value={message} max={300} /> {fix === null ? null : <span class="soft">→ {fix}</span>}
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
            {before.rule ?? say.ask.noRule} → {after.rule ?? say.ask.noRule}, {before.answer ?? before.route} →{" "}
            {after.answer ?? after.route}: <span class="mono">{format.value.exact(queries)}</span>{" "}
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

/** What was applied can be taken back for a minute here, and later in the history. */
function AppliedNote({ applied: { version, previous } }: { readonly applied: AppliedEdit }) {
  const [state, setState] = useState<"fresh" | "old" | "undone">("fresh");
  const [problem, setProblem] = useState<string | null>(null);
  useEffect(() => {
    const timer = setTimeout(() => setState((before) => (before === "fresh" ? "old" : before)), UNDO_MS);
    return () => clearTimeout(timer);
  }, []);
  const undo = async () => {
    try {
      const { digest } = await call("getConfigFile", {});
      await call("restoreConfig", { version: previous, body: { base: digest } });
      setState("undone");
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      setProblem(error.message);
    }
  };
  const href = urlOf({ ...CONFIG, view: "history", versions: [previous, version] });
  return (
    <div class="notice" role="status">
      <p>
        <span class="good">✓</span> {state === "undone" ? words().edit.undone : words().edit.applied}{" "}
        <a href={href}>{words().edit.inHistory} ›</a>
      </p>
      {state === "fresh" ? (
        <button type="button" onClick={() => void undo()}>
          {words().edit.undo}
        </button>
      ) : null}
      {problem === null ? null : <p class="bad">{problem}</p>}
    </div>
  );
}

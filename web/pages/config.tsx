import { useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import { CallError, call } from "../api/call.ts";
import type { ConfigCheck, ConfigFile } from "../api/calls.ts";
import { useCall } from "../api/use-call.ts";
import { draft } from "../draft.ts";
import { route } from "../navigation.ts";
import { Diff } from "../parts/diff.tsx";
import { EditPreview, Problems } from "../parts/edit-preview.tsx";
import { Text, Waiting } from "../parts/text.tsx";
import { visibleText } from "../parts/visible.ts";
import { ASK, CONFIG, type ConfigRoute, urlOf } from "../routes.ts";
import { format, words } from "../words/words.ts";

/** The file as it stands, what served before, and what changed between two. */
export function Configuration() {
  const at = route.value?.page === "config" ? route.value : CONFIG;
  return (
    <section class="house">
      <nav class="tabs" aria-label={words().pages.config}>
        {(["file", "history"] as const).map((view) => (
          <a key={view} href={urlOf({ ...CONFIG, view })} {...(view === at.view ? { "aria-current": "page" as const } : {})}>
            {words().config.views[view]}
          </a>
        ))}
      </nav>
      <h1 class="hidden">{words().pages.config}</h1>
      {at.view === "file" ? <File at={at} /> : <History at={at} />}
    </section>
  );
}

function File({ at }: { readonly at: ConfigRoute }) {
  const { data, error, refresh } = useCall("getConfigFile", {}, { topics: ["config"], keep: true });
  if (data === null) return <Waiting error={error} />;
  return <Editor key={data.path} file={data} at={at} onApplied={refresh} />;
}

/** Where the file names a rule, as far as one can tell without reading YAML; null = nowhere. */
function lineOfRule(text: string, rule: string | null): number | null {
  if (rule === null) return null;
  const index = text.split("\n").findIndex((each) => {
    const [, name = ""] =
      /(?:^|[\s{,-])name:\s*(?:"([^"]*)"|'([^']*)'|([^\s,}#]+))/.exec(each)?.filter((part) => part !== undefined) ?? [];
    return name === rule;
  });
  return index === -1 ? null : index + 1;
}

interface EditorProps {
  readonly file: ConfigFile;
  readonly at: ConfigRoute;
  readonly onApplied: () => void;
}

/** The YAML with its line numbers. The check marks lines; what is applied goes through the same proof as any other edit. */
function Editor({ file, at, onApplied }: EditorProps) {
  // A text that was tried on the page of questions is not lost on the way back.
  const [text, setText] = useState(draft.value?.kind === "text" ? draft.value.text : file.text);
  const [check, setCheck] = useState<ConfigCheck | null>(null);
  const [previewed, setPreviewed] = useState<string | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const area = useRef<HTMLTextAreaElement>(null);
  const lines = text.split("\n");
  const faults = new Set([...(check?.problems ?? []), ...(check?.warnings ?? [])].map((each) => each.line));
  const isChanged = text !== file.text;
  const say = words().config;

  // Each visit, also one more to the same line.
  useEffect(() => {
    const box = area.current;
    const line = at.line ?? lineOfRule(text, at.rule);
    if (line === null || box === null) return;
    const start = lines.slice(0, line - 1).join("\n").length + (line > 1 ? 1 : 0);
    box.focus();
    box.setSelectionRange(start, start + (lines[line - 1]?.length ?? 0));
  }, [at]);
  useEffect(() => {
    const warn = (event: BeforeUnloadEvent) => (isChanged ? event.preventDefault() : undefined);
    addEventListener("beforeunload", warn);
    return () => removeEventListener("beforeunload", warn);
  }, [isChanged]);

  // Wherever the focus is: the browser would save the page. The text that is checked is the one that is shown.
  useLayoutEffect(() => {
    const listen = (event: KeyboardEvent) => {
      if (event.key !== "s" || !(event.ctrlKey || event.metaKey)) return;
      event.preventDefault();
      void runCheck();
    };
    addEventListener("keydown", listen);
    return () => removeEventListener("keydown", listen);
  });

  const runCheck = async () => {
    try {
      setProblem(null);
      setCheck(await call("checkConfig", { body: { config: text } }));
    } catch (error) {
      if (!(error instanceof CallError)) throw error;
      setProblem(error.message);
    }
  };
  return (
    <div class="stack">
      <p class="small">
        <code class="wrap soft">{visibleText(file.path)}</code>
        {file.inForce ? null : <span class="care"> ▲ {say.notInForce}</span>}
      </p>
      <div class="editor">
        <ol class="mono soft" aria-hidden="true">
          {lines.map((_, index) => (
            <li key={index} class={faults.has(index + 1) ? "fault" : ""}>
              {index + 1}
            </li>
          ))}
        </ol>
        <textarea
          ref={area}
          class="mono"
          rows={lines.length}
          value={text}
          wrap="off"
          spellcheck={false}
          autocapitalize="off"
          autocomplete="off"
          aria-label={say.views.file}
          onInput={({ currentTarget }) => setText(currentTarget.value)}
        />
      </div>
      <div class="row-flex">
        <button type="button" onClick={() => void runCheck()}>
          {say.check}
        </button>
        <button type="button" disabled={!isChanged} onClick={() => setPreviewed(text)}>
          {say.preview}
        </button>
        {isChanged ? (
          <>
            <a
              class="button"
              href={urlOf({ ...ASK, a: "now", b: "draft" })}
              onClick={() => {
                draft.value = { kind: "text", text };
              }}
            >
              {say.ask}
            </a>
            <button type="button" onClick={() => setText(file.text)}>
              {say.discard}
            </button>
          </>
        ) : null}
      </div>
      {problem === null ? null : (
        <p class="bad" role="alert">
          {problem}
        </p>
      )}
      {check === null ? null : (
        <div role="status">
          <p>
            {check.ok ? <span class="good">✓</span> : <span class="bad">✕</span>} {check.ok ? say.ok : say.notOk}
          </p>
          <Problems problems={check.problems} tone="bad" />
          <Problems problems={check.warnings} tone="care" />
        </div>
      )}
      {previewed === null ? null : <EditPreview edit={{ kind: "text", text: previewed }} suffix={null} onApplied={onApplied} />}
    </div>
  );
}

function History({ at }: { readonly at: ConfigRoute }) {
  const { data, error, refresh } = useCall("listHistory", {}, { topics: ["config"], keep: true });
  const [said, setSaid] = useState<string | null>(null);
  /** The version that is to be restored, as soon as the user has seen what that changes. */
  const [wanted, setWanted] = useState<{ readonly version: string; readonly file: ConfigFile } | null>(null);
  const say = words().config;
  if (data === null) return <Waiting error={error} />;
  const show = async (version: string) => {
    setSaid(null);
    try {
      setWanted({ version, file: await call("getConfigFile", {}) });
    } catch (failed) {
      if (!(failed instanceof CallError)) throw failed;
      setSaid(failed.message);
    }
  };
  const restore = async (version: string, file: ConfigFile) => {
    setWanted(null);
    try {
      await call("restoreConfig", { version, body: { base: file.digest } });
      setSaid(say.restored);
      refresh();
    } catch (failed) {
      if (!(failed instanceof CallError)) throw failed;
      setSaid(failed.message);
    }
  };
  return (
    <div class="stack">
      {said === null ? null : (
        <p class="notice" role="status">
          {said}
        </p>
      )}
      {at.versions === null ? null : <Difference versions={at.versions} />}
      <ol class="versions">
        {data.map(({ version, since, current, changedLines, lists }, index) => {
          const before = data[index + 1];
          return (
            <li key={version} class="panel">
              <p>
                <strong>{format.value.moment(since)}</strong> <code>{version.slice(0, 12)}</code>{" "}
                {current ? <span class="good">{words().ask.present}</span> : null}
              </p>
              <p class="small soft">
                {changedLines === null ? "" : `${say.changedLines(format.value.exact(changedLines))} · `}
                {lists.length === 0 ? null : <Text value={say.listSizes(listSizes(lists))} max={400} />}
              </p>
              <p class="row-flex">
                {before === undefined ? null : (
                  <a class="button" href={urlOf({ ...CONFIG, view: "history", versions: [before.version, version] })}>
                    {say.difference}
                  </a>
                )}
                {current ? null : (
                  <button type="button" onClick={() => void show(version)}>
                    {say.restore}
                  </button>
                )}
              </p>
              {wanted?.version !== version ? null : (
                <div class="stack-small" ref={bringIntoView}>
                  {wanted.file.inForce ? (
                    <Difference versions={[wanted.file.digest, version]} />
                  ) : (
                    <p class="care">▲ {say.restoreOverEdits}</p>
                  )}
                  <div class="row-flex">
                    <button type="button" class="primary" onClick={() => void restore(version, wanted.file)}>
                      {say.restoreThis}
                    </button>
                    <button type="button" onClick={() => setWanted(null)}>
                      {words().parts.cancel}
                    </button>
                  </div>
                </div>
              )}
            </li>
          );
        })}
      </ol>
    </div>
  );
}

/** A press on the last line of the window would else seem to do nothing. */
function bringIntoView(element: HTMLElement | null): void {
  element?.scrollIntoView({ block: "start" });
}

function listSizes(lists: readonly { readonly name: string; readonly size: number }[]): string {
  return lists.map(({ name, size }) => `${name} ${format.value.count(size)}`).join(" · ");
}

function Difference({ versions: [a, b] }: { readonly versions: readonly [string, string] }) {
  const { data, error } = useCall("diffHistory", { before: a, after: b });
  const say = words().config;
  return (
    <section class="panel" aria-label={say.difference}>
      <h2>
        <code>{a.slice(0, 8)}</code> → <code>{b.slice(0, 8)}</code>
      </h2>
      {data === null ? (
        <Waiting error={error} />
      ) : (
        <>
          <Diff lines={data.lines} />
          {data.lists.length === 0 ? null : (
            <details>
              <summary>{say.listsChanged(format.value.exact(data.lists.length))}</summary>
              <ul>
                {data.lists.map(({ name, before, after }) => (
                  <li key={name}>
                    <Text value={name} />{" "}
                    <span class="mono soft">
                      {before === null ? "–" : format.value.exact(before)} → {after === null ? "–" : format.value.exact(after)}
                    </span>
                  </li>
                ))}
              </ul>
            </details>
          )}
        </>
      )}
    </section>
  );
}

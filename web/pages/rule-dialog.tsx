import { useState } from "preact/hooks";
import type { ConfigEdit, ConfigView, QueryRecord } from "../api/calls.ts";
import { useCall } from "../api/use-call.ts";
import { Dialog } from "../parts/dialog.tsx";
import { EditPreview } from "../parts/edit-preview.tsx";
import { Waiting } from "../parts/text.tsx";
import { words } from "../words/words.ts";

interface RuleDialogProps {
  /** The query that the rule is made for. */
  readonly record: QueryRecord;
  readonly onClose: () => void;
}

const BLOCK = "block";
/** Of a rule's name, with room for a number: names of domains are longer. */
const MAX_NAME = 56;

/** Makes a rule of a query: which names, for whom, and what becomes of them; with the same proof as any other edit. */
export function RuleDialog({ record, onClose }: RuleDialogProps) {
  const { name, type, client, clientId } = record;
  const { data: groups, error: noGroups } = useCall("listUpstreams", {});
  const { data: view, error: noView } = useCall("getConfig", {});
  const [pattern, setPattern] = useState(name);
  const [action, setAction] = useState<string | null>(null);
  const [isForOne, setForOne] = useState(false);
  const say = words().rule;
  // What may be chosen is shown when all of it is known: a choice would else be another one a moment later.
  if (groups === null || view === null)
    return (
      <Dialog title={say.title} onClose={onClose}>
        <Waiting error={noGroups ?? noView} />
      </Dialog>
    );
  const chosen = action ?? groups[0]?.name ?? BLOCK;
  const who = clientId ?? client;
  const edit = ruleOf({ record, pattern, action: chosen, client: isForOne ? who : null }, ruleNames(view));
  return (
    <Dialog title={say.title} onClose={onClose}>
      <div class="stack">
        <label class="field">
          <span>{say.names}</span>
          <select class="mono" value={pattern} onChange={({ currentTarget }) => setPattern(currentTarget.value)}>
            {suffixesOf(name).map((suffix) => (
              <option key={suffix} value={suffix}>
                {suffix === `full:${name}` ? say.only(name) : say.below(suffix)}
              </option>
            ))}
          </select>
        </label>
        <label class="field">
          <span>{say.action}</span>
          <select value={chosen} onChange={({ currentTarget }) => setAction(currentTarget.value)}>
            {groups.map((group) => (
              <option key={group.name} value={group.name}>
                {record.action === "block" ? say.letThrough(group.name) : say.send(group.name)}
              </option>
            ))}
            <option value={BLOCK}>{say.block}</option>
          </select>
        </label>
        <label class="row-flex">
          <input type="checkbox" checked={isForOne} onChange={({ currentTarget }) => setForOne(currentTarget.checked)} />
          <span>{say.forOne(who)}</span>
        </label>
        <EditPreview
          key={JSON.stringify(edit)}
          edit={edit}
          suffix={pattern.replace(/^full:/, "")}
          question={{ name, type, client, clientId }}
        />
      </div>
    </Dialog>
  );
}

/** The name alone, with what is below, and each name above it that is no top-level domain. */
function suffixesOf(name: string): readonly string[] {
  const labels = name.split(".");
  const suffixes = labels.map((_, index) => labels.slice(index).join("."));
  return [...suffixes.slice(0, Math.max(1, labels.length - 1)), `full:${name}`];
}

interface WantedRule {
  readonly record: QueryRecord;
  readonly pattern: string;
  /** A group, or `block`. */
  readonly action: string;
  readonly client: string | null;
}

function ruleNames({ config }: ConfigView): ReadonlySet<string> {
  const rules: unknown = config["rules"];
  return new Set(Array.isArray(rules) ? rules.map((rule: { readonly name?: unknown }) => String(rule.name)) : []);
}

/** It stands before the rule that decided, or at the end where that is gone, or nothing decided. */
function ruleOf({ record, pattern, action, client }: WantedRule, names: ReadonlySet<string>): ConfigEdit {
  const parts = [pattern.replace(/^full:/, ""), ...(client === null ? [] : [client])];
  const name = freeName(
    parts
      .join("-")
      .replace(/[^a-z0-9]+/gi, "-")
      .slice(-MAX_NAME),
    names,
  );
  const rule = {
    name,
    ...(client === null ? {} : { clients: [client] }),
    domains: [pattern],
    ...(action === BLOCK ? { answer: "nodata" } : { upstream: action }),
  };
  return { kind: "rule", before: record.rule !== null && names.has(record.rule) ? record.rule : null, rule };
}

function freeName(base: string, names: ReadonlySet<string>): string {
  for (let index = 1; ; index++) {
    const name = index === 1 ? base : `${base}-${index}`;
    if (!names.has(name)) return name;
  }
}

import { isDeepStrictEqual } from "node:util";
import {
  type Document,
  isAlias,
  isMap,
  isScalar,
  isSeq,
  type Pair,
  parseDocument,
  stringify,
  type YAMLMap,
  type YAMLSeq,
} from "yaml";
import { ParameterError } from "../admin/control.ts";
import type { ConfigEdit } from "../admin/schemas/health.ts";

type DataEdit = Exclude<ConfigEdit, { readonly kind: "text" }>;
type Path = readonly (string | number)[];

/**
 * Makes one edit in the text of a configuration. All other lines, comments and spaces stay as they are where the edit can be put between them; where it cannot,
 * the text is written anew, with its comments. Either way the text says afterwards what the edit says, and nothing else.
 * @throws ParameterError if the text is no YAML, or has no place for the edit.
 */
export function editYaml(text: string, edit: DataEdit): string {
  const document = parsed(text);
  const wanted = parsed(text);
  applyTo(wanted, edit);
  const spliced = spliceOf(text, document, edit);
  if (spliced !== null && saysTheSame(spliced, wanted)) return spliced;
  const written = wanted.toString({ lineWidth: 0, flowCollectionPadding: true });
  if (!saysTheSame(written, wanted)) throw impossible("the file cannot be edited by a program: edit it by hand");
  return written;
}

function parsed(text: string): Document {
  const document = parseDocument(text);
  const [error] = document.errors;
  if (error !== undefined) throw impossible(`the file is no YAML: ${error.message}`);
  return document;
}

function impossible(reason: string): ParameterError {
  return new ParameterError({ parameter: "edit", reason });
}

function saysTheSame(text: string, wanted: Document): boolean {
  const document = parseDocument(text);
  return document.errors.length === 0 && isDeepStrictEqual(document.toJS(), wanted.toJS());
}

/** Makes the edit in the tree, whatever becomes of the layout. */
function applyTo(document: Document, edit: DataEdit): void {
  switch (edit.kind) {
    case "pattern": {
      const path = ["rules", ruleIndex(document, edit.rule), "domains"];
      const domains = document.getIn(path, true);
      if (isSeq(domains)) domains.add(document.createNode(edit.pattern));
      else if (isScalar(domains)) document.setIn(path, document.createNode([domains.value, edit.pattern], { flow: true }));
      else throw impossible(`rule ${edit.rule} has no \`domains\` to which a pattern could be added`);
      return;
    }
    case "rule": {
      const rule = document.createNode(edit.rule, { flow: true });
      const rules = document.get("rules", true);
      if (!isSeq(rules)) {
        if (rules !== undefined && !(isScalar(rules) && rules.value === null)) throw impossible("`rules` is no list");
        if (edit.before !== null) throw impossible(`there is no rule ${edit.before}`);
        document.set("rules", document.createNode([edit.rule]));
        return;
      }
      rules.items.splice(edit.before === null ? rules.items.length : ruleIndex(document, edit.before), 0, rule);
      return;
    }
    case "host":
      setIn(document, ["hosts", "records", edit.name], edit.record);
      return;
    case "set":
      setIn(document, edit.path, edit.value);
      return;
  }
}

function setIn(document: Document, path: Path, value: unknown): void {
  for (let length = 1; length < path.length; length++) {
    const at = document.getIn(path.slice(0, length), true);
    if (at !== undefined && !isMap(at) && !isSeq(at) && !isAlias(at) && !(isScalar(at) && at.value === null))
      throw impossible(`\`${path.slice(0, length).join(".")}\` is no map`);
  }
  if (value === null) document.deleteIn(path);
  else document.setIn(path, document.createNode(value, { flow: true }));
}

function ruleIndex(document: Document, name: string): number {
  const rules = document.get("rules", true);
  const index = isSeq(rules) ? rules.items.findIndex((rule) => isMap(rule) && rule.get("name") === name) : -1;
  if (index === -1) throw impossible(`there is no rule ${name}`);
  return index;
}

/** The text with the edit put into it; null where that is not simple. */
function spliceOf(text: string, document: Document, edit: DataEdit): string | null {
  switch (edit.kind) {
    case "pattern": {
      const domains = document.getIn(["rules", ruleIndex(document, edit.rule), "domains"], true);
      if (isSeq(domains)) return addItem(text, domains, edit.pattern, null);
      const [from, to] = rangeOf(domains);
      return replaced(text, { from, to, by: `[${text.slice(from, to)}, ${flow(edit.pattern)}]` });
    }
    case "rule": {
      const rules = document.get("rules", true);
      if (!isSeq(rules)) return rules === undefined ? appended(text, `rules:\n  - ${flow(edit.rule)}\n`) : null;
      return addItem(text, rules, edit.rule, edit.before === null ? null : ruleIndex(document, edit.before));
    }
    case "host":
      return setValue(text, document, ["hosts", "records", edit.name], edit.record);
    case "set":
      return setValue(text, document, edit.path, edit.value);
  }
}

/** @param before index of the item that it goes before; null = at the end. */
function addItem(text: string, list: YAMLSeq, value: unknown, before: number | null): string | null {
  const next = before === null ? undefined : list.items[before];
  if (list.flow === true) {
    if (next !== undefined) return inserted(text, rangeOf(next)[0], `${flow(value)}, `);
    const last = list.items.at(-1);
    return last === undefined
      ? inserted(text, rangeOf(list)[0] + 1, flow(value))
      : inserted(text, rangeOf(last)[1], `, ${flow(value)}`);
  }
  const neighbour = next ?? list.items.at(-1);
  if (neighbour === undefined) return null;
  const line = lineStart(text, rangeOf(neighbour)[0]);
  const indent = /^ *(?=- )/.exec(text.slice(line))?.[0];
  if (indent === undefined) return null;
  const item = `${indent}- ${flow(value)}\n`;
  return next === undefined ? insertedAfter(text, rangeOf(neighbour)[1], item) : inserted(text, aboveComments(text, line), item);
}

function setValue(text: string, document: Document, path: Path, value: unknown): string | null {
  if (value === null) return null;
  const present = document.getIn(path, true);
  if (present !== undefined) {
    // A collection in block style would leave its lines behind.
    if ((isMap(present) || isSeq(present)) && present.flow !== true) return null;
    const [from, to] = rangeOf(present);
    return from === to ? null : replaced(text, { from, to, by: flow(value) });
  }
  const [key, ...parents] = path.toReversed();
  const parent = parents.length === 0 ? document.contents : document.getIn(parents.toReversed(), true);
  if (parent === undefined && parents.length > 0) return setValue(text, document, parents.toReversed(), { [String(key)]: value });
  if (parent === null) return appended(text, `${flow(key)}: ${flow(value)}\n`);
  return isMap(parent) ? addPair(text, parent, `${flow(key)}: ${flow(value)}`) : null;
}

function addPair(text: string, map: YAMLMap, pair: string): string | null {
  const last = map.items.at(-1);
  if (map.flow === true)
    return last === undefined ? inserted(text, rangeOf(map)[0] + 1, ` ${pair} `) : inserted(text, endOf(last), `, ${pair}`);
  if (last === undefined) return null;
  const [from] = rangeOf(last.key);
  const line = lineStart(text, from);
  const indent = text.slice(line, from);
  return /^ *$/.test(indent) ? insertedAfter(text, endOf(last), `${indent}${pair}\n`) : null;
}

function endOf({ key, value }: Pair): number {
  return value === null || value === undefined ? rangeOf(key)[1] : rangeOf(value)[1];
}

/** Where a node begins and ends, without what follows it on its line. */
function rangeOf(node: unknown): readonly [from: number, to: number] {
  const range = Object(node).range as readonly [number, number, number] | null | undefined;
  return range == null ? [0, 0] : [range[0], range[1]];
}

function lineStart(text: string, offset: number): number {
  return text.lastIndexOf("\n", offset - 1) + 1;
}

/** A rule's comment stays above it. */
function aboveComments(text: string, line: number): number {
  let start = line;
  while (start > 0) {
    const above = lineStart(text, start - 1);
    if (!/^ *#/.test(text.slice(above, start))) break;
    start = above;
  }
  return start;
}

function replaced(text: string, { from, to, by }: { readonly from: number; readonly to: number; readonly by: string }): string {
  return text.slice(0, from) + by + text.slice(to);
}

function inserted(text: string, at: number, what: string): string {
  return replaced(text, { from: at, to: at, by: what });
}

/** Puts lines after the line in which something ends. A collection in block style ends at the beginning of the next line. */
function insertedAfter(text: string, end: number, lines: string): string {
  if (end > 0 && text[end - 1] === "\n") return inserted(text, end, lines);
  const next = text.indexOf("\n", end);
  return next === -1 ? appended(text, lines) : inserted(text, next + 1, lines);
}

function appended(text: string, lines: string): string {
  return `${text}${text === "" || text.endsWith("\n") ? "" : "\n"}${lines}`;
}

/** A value on one line, as it can stand in any place. */
function flow(value: unknown): string {
  if (typeof value === "string") return /^[a-z][\w.-]*$/i.test(value) && !YAML_WORDS.test(value) ? value : JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(flow).join(", ")}]`;
  if (typeof value === "object" && value !== null)
    return `{ ${Object.entries(value)
      .map(([key, each]) => `${flow(key)}: ${flow(each)}`)
      .join(", ")} }`;
  return stringify(value).trimEnd();
}

/** Words that YAML, or a reader of it, takes for something else than text. */
const YAML_WORDS = /^(?:null|true|false|yes|no|on|off|nan|inf)$/i;

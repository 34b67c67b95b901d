import { isAlias, isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import { ImportError, type Place } from "./findings.ts";

/** A value of a YAML file with its line. Every accessor takes any tree: what has another form is simply not there. */
export type Tree =
  | { readonly kind: "map"; readonly place: Place; readonly entries: readonly Entry[] }
  | { readonly kind: "list"; readonly place: Place; readonly items: readonly Tree[] }
  | { readonly kind: "scalar"; readonly place: Place; readonly text: string };

export interface Entry {
  readonly key: string;
  readonly place: Place;
  readonly value: Tree;
}

/** Values in one file, aliases counted each time; more is no configuration. */
const MAX_NODES = 50_000;
const MAX_DEPTH = 60;

/** @throws ImportError where `text` is no YAML. */
export function readTree(text: string, file: string): Tree {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, uniqueKeys: false });
  const placeOf = (offset: number): Place => ({ file, line: Math.max(1, lines.linePos(offset).line) });
  const [error] = document.errors;
  if (error !== undefined) throw new ImportError(placeOf(error.pos[0]), `this is no YAML: ${error.message}`);
  let count = 0;

  const convert = (given: unknown, outer: Place, depth: number): Tree => {
    const node = isAlias(given) ? given.resolve(document) : given;
    const place = isNode(node) ? placeOf(node.range?.[0] ?? 0) : outer;
    if (++count > MAX_NODES || depth > MAX_DEPTH) throw new ImportError(place, "this file is too large or too deeply nested");
    if (isSeq(node)) return { kind: "list", place, items: node.items.map((item) => convert(item, place, depth + 1)) };
    if (!isMap(node)) return { kind: "scalar", place, text: isScalar(node) ? scalarText(node.value) : "" };
    const entries = node.items.flatMap(({ key, value }): Entry[] => {
      const written = isScalar(key) ? scalarText(key.value) : "";
      const keyPlace = isNode(key) ? placeOf(key.range?.[0] ?? 0) : place;
      const converted = convert(value, keyPlace, depth + 1);
      // A merge key spreads the map that it names.
      if (written === "<<" && converted.kind === "map") return [...converted.entries];
      return [{ key: written, place: keyPlace, value: converted }];
    });
    return { kind: "map", place, entries };
  };
  return convert(document.contents, { file, line: 1 }, 0);
}

export function entryOf(tree: Tree | null, key: string): Entry | null {
  return tree?.kind === "map" ? (tree.entries.findLast((entry) => entry.key === key) ?? null) : null;
}

export function childOf(tree: Tree | null, key: string): Tree | null {
  return entryOf(tree, key)?.value ?? null;
}

/** The text of a scalar; empty where there is none. */
export function textOf(tree: Tree | null): string {
  return tree?.kind === "scalar" ? tree.text : "";
}

export function textAt(tree: Tree | null, key: string): string {
  return textOf(childOf(tree, key));
}

/** A whole number, or null. */
export function numberAt(tree: Tree | null, key: string): number | null {
  const written = textAt(tree, key);
  return /^\d{1,9}$/.test(written) ? Number(written) : null;
}

/** The items of a list; one value alone stands for a list of it, and what is empty for none. */
export function itemsOf(tree: Tree | null): readonly Tree[] {
  if (tree === null) return [];
  if (tree.kind === "list") return tree.items;
  return tree.kind === "scalar" && tree.text === "" ? [] : [tree];
}

/** Entries of a map that have a value other than "off", except those of `known`. */
export function othersThan(tree: Tree | null, known: readonly string[]): readonly Entry[] {
  if (tree?.kind !== "map") return [];
  return tree.entries.filter(
    ({ key, value }) => !known.includes(key) && !/^(|false|0)$/.test(value.kind === "scalar" ? value.text : "on"),
  );
}

function scalarText(value: unknown): string {
  if (typeof value === "string") return value;
  return typeof value === "number" || typeof value === "boolean" || typeof value === "bigint" ? String(value) : "";
}

function isNode(node: unknown): node is Node {
  return isMap(node) || isSeq(node) || isScalar(node);
}

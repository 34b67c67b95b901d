import { dirname, resolve } from "node:path";
import { type Document, isAlias, type LineCounter, type Scalar, type YAMLMap, type YAMLSeq } from "yaml";
import { printable } from "../lib/text.ts";

/** A node of the YAML document; aliases are resolved. null = nothing is written. */
export type Node = Scalar | YAMLMap | YAMLSeq | null;

/** A place in the file that a problem can point at. */
export interface SourceLocation {
  readonly node: Node;
  /** As in `Problem`. */
  readonly key: string;
  /** Where the node begins, in UTF-16 code units from the start of the text. */
  readonly offset: number;
}

/** A value with its place, for checks that need other values too. */
export interface Located<T> {
  readonly value: T;
  readonly place: SourceLocation;
}

/** The state of reading one file: finds places, and collects problems and warnings. */
export class ConfigReader {
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #file: string;
  readonly #baseDirectory: string;
  readonly #problems: Problem[] = [];
  readonly #warnings: Problem[] = [];

  /** @param path as the user wrote it; null = defaults alone: then relative paths start at the working directory. */
  constructor(path: string | null, document: Document, lines: LineCounter) {
    this.#document = document;
    this.#lines = lines;
    this.#file = path ?? "(defaults)";
    this.#baseDirectory = path === null ? process.cwd() : dirname(resolve(path));
  }

  get problems(): readonly Problem[] {
    return this.#problems.toSorted(byPosition);
  }

  get warnings(): readonly Problem[] {
    return this.#warnings.toSorted(byPosition);
  }

  /** Reports a problem. Returns undefined, so that a shape can return the call. */
  fail(place: Omit<SourceLocation, "node">, message: string, fix: string): undefined {
    this.#problems.push(this.#problem(place, message, fix));
  }

  warn(place: Omit<SourceLocation, "node">, message: string, fix: string): void {
    this.#warnings.push(this.#problem(place, message, fix));
  }

  /** Whether there is no problem at `key` or below. A wrong value needs no second problem that follows from the first. */
  isClean(key: string): boolean {
    return !this.#problems.some((problem) => problem.key.startsWith(key) && /^(?:$|[.[])/.test(problem.key.slice(key.length)));
  }

  /** Whether there is a problem at `key` itself. */
  isWrong(key: string): boolean {
    return this.#problems.some((problem) => problem.key === key);
  }

  /** @param node from the YAML library: a node, an alias of a node, or nothing. */
  place(node: unknown, key: string, fallbackOffset: number): SourceLocation {
    if (isAlias(node)) return { node: node.resolve(this.#document) ?? null, key, offset: node.range?.[0] ?? fallbackOffset };
    // The YAML library puts only nodes, aliases and null below a map or array.
    const plain = node as Node;
    return { node: plain, key, offset: plain?.range?.[0] ?? fallbackOffset };
  }

  /** The place of a default value: the place of its owner. */
  placeOfDefault(value: unknown, key: string, owner: SourceLocation): SourceLocation {
    return this.place(this.#document.createNode(value), key, owner.offset);
  }

  /** From 1. */
  lineOf({ offset }: Pick<SourceLocation, "offset">): number {
    return this.#lines.linePos(offset).line;
  }

  absolutePath(path: string): string {
    return resolve(this.#baseDirectory, path);
  }

  #problem(place: Omit<SourceLocation, "node">, message: string, fix: string): Problem {
    const { line, col } = this.#lines.linePos(place.offset);
    return { file: this.#file, line, column: col, key: place.key, message: onOneLine(message), fix: onOneLine(fix) };
  }
}

// A value that is quoted from the file may contain line ends.
function onOneLine(message: string): string {
  return message.replace(/\p{Cc}/gu, " ");
}

function byPosition(a: Problem, b: Problem): number {
  return a.line - b.line || a.column - b.column;
}

/** The key path of the entry `name` of `parent`. */
export function keyBelow(parent: string, name: string | number): string {
  if (typeof name === "number") return `${parent}[${name}]`;
  if (!/^[\p{L}\p{N}_-]+$/u.test(name)) return `${parent}[${JSON.stringify(name)}]`;
  return parent === "" ? name : `${parent}.${name}`;
}

/** Something wrong in the configuration file, or, as a warning, something doubtful. */
export interface Problem {
  /** Path of the file as the user wrote it. */
  readonly file: string;
  /** From 1; 1 also for a problem of the file as a whole. */
  readonly line: number;
  /** From 1, in UTF-16 code units, as editors count. */
  readonly column: number;
  /** Path in the tree, such as `rules[2].types`; empty for the file as a whole. */
  readonly key: string;
  readonly message: string;
  /** What to do about it, as an order. */
  readonly fix: string;
}

/** Columns of a source line that are printed; a longer line is cut to the part around the caret. */
const SHOWN_COLUMNS = 150;

/** Prints each problem with its line of `text` and a caret below the place. The result ends in a newline unless it is empty. */
export function printProblems(problems: readonly Problem[], text: string): string {
  const lines = text.split(/\r?\n/);
  return problems.map((problem) => printProblem(problem, lines[problem.line - 1] ?? "")).join("");
}

/** The lines of these keys are not printed: what the server prints goes into logs. */
const SECRET_KEY = /(?:^|\.)tokens?(?:$|\[)/;

function printProblem(problem: Problem, sourceLine: string): string {
  const printed = [`${problem.file}:${problem.line}:${problem.column}: ${problem.message}`];
  if (sourceLine.trim() !== "" && !SECRET_KEY.test(problem.key)) {
    const start = Math.max(0, problem.column - Math.ceil(SHOWN_COLUMNS / 2));
    const from = sourceLine.length <= SHOWN_COLUMNS ? 0 : start;
    const shown = sourceLine.slice(from, from + SHOWN_COLUMNS);
    // A tab counts as one column.
    const [line, before] = [shown, shown.slice(0, problem.column - 1 - from)].map((part) => printable(part, " "));
    printed.push(`    ${line}`, `    ${" ".repeat(displayWidth(before ?? ""))}^`);
  }
  printed.push(`    fix: ${problem.fix}`);
  return `${printed.join("\n")}\n`;
}

/** Columns on a terminal: East Asian wide characters take two, combining ones none. */
function displayWidth(text: string): number {
  let width = 0;
  for (const character of text) {
    if (/\p{Mn}/u.test(character)) continue;
    width +=
      /[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6\u{1f300}-\u{3fffd}]/u.test(
        character,
      )
        ? 2
        : 1;
  }
  return width;
}

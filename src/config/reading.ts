import { dirname, resolve } from "node:path";
import { type Document, isAlias, type LineCounter, type Scalar, type YAMLMap, type YAMLSeq } from "yaml";
import type { Problem } from "./problem.ts";

/** A node of the YAML document with aliases followed; null = nothing was written. */
export type Node = Scalar | YAMLMap | YAMLSeq | null;

/** Something in the file that can be pointed at. */
export interface Place {
  readonly node: Node;
  /** As in `Problem`. */
  readonly key: string;
  /** Where it begins, in UTF-16 code units from the start of the text. */
  readonly offset: number;
}

/** A value with the place it was read from, for what can only be judged beside other sections. */
export interface Located<T> {
  readonly value: T;
  readonly place: Place;
}

/** The state of reading one file: where it is, and everything found wrong so far. */
export class Reading {
  readonly #document: Document;
  readonly #lines: LineCounter;
  readonly #file: string;
  readonly #baseDirectory: string;
  readonly #problems: Problem[] = [];
  readonly #warnings: Problem[] = [];

  /** @param path as given by the user; null = defaults alone, relative paths then start at the working directory. */
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

  /** Gives undefined, so that a reader can end with it. */
  fail(place: Omit<Place, "node">, message: string, fix: string): undefined {
    this.#problems.push(this.#problem(place, message, fix));
  }

  warn(place: Omit<Place, "node">, message: string, fix: string): void {
    this.#warnings.push(this.#problem(place, message, fix));
  }

  /** Whether nothing is wrong at `key` and below it: what is wrong already would make further complaints about it noise. */
  isClean(key: string): boolean {
    return !this.#problems.some((problem) => problem.key.startsWith(key) && /^(?:$|[.[])/.test(problem.key.slice(key.length)));
  }

  /** Whether something is wrong at `key` itself. */
  isWrong(key: string): boolean {
    return this.#problems.some((problem) => problem.key === key);
  }

  /** @param node what the YAML library holds there: a node, an alias of one, or nothing. */
  place(node: unknown, key: string, fallbackOffset: number): Place {
    if (isAlias(node)) return { node: node.resolve(this.#document) ?? null, key, offset: node.range?.[0] ?? fallbackOffset };
    // Below a map or array stand only nodes, aliases and null.
    const plain = node as Node;
    return { node: plain, key, offset: plain?.range?.[0] ?? fallbackOffset };
  }

  /** A place for a value that the file leaves out: it counts as standing where its owner does. */
  placeOfDefault(value: unknown, key: string, owner: Place): Place {
    return this.place(this.#document.createNode(value), key, owner.offset);
  }

  absolutePath(path: string): string {
    return resolve(this.#baseDirectory, path);
  }

  #problem(place: Omit<Place, "node">, message: string, fix: string): Problem {
    const { line, col } = this.#lines.linePos(place.offset);
    return {
      file: this.#file,
      line,
      column: col,
      key: place.key,
      message: onOneLine(message),
      fix: onOneLine(fix),
    };
  }
}

// Values quoted from the file may hold anything.
function onOneLine(message: string): string {
  return message.replace(/\p{Cc}/gu, " ");
}

function byPosition(a: Problem, b: Problem): number {
  return a.line - b.line || a.column - b.column;
}

/** The key path of what lies at `name` under `parent`. */
export function keyBelow(parent: string, name: string | number): string {
  if (typeof name === "number") return `${parent}[${name}]`;
  if (!/^[\p{L}\p{N}_-]+$/u.test(name)) return `${parent}[${JSON.stringify(name)}]`;
  return parent === "" ? name : `${parent}.${name}`;
}

/**
 * Regular expressions whose time grows with the text's length alone: all ways through an expression are followed at once (Thompson, "Regular Expression
 * Search Algorithm", 1968), so an expression such as `(a+)+$` is as cheap as any other. Slower than the runtime's engine where that has little to try.
 */

/** What a linear expression says of a text of ASCII, without regard to letter case. */
export interface LinearRegexp {
  readonly matches: (text: string) => boolean;
  /** How many steps one character takes at most. */
  readonly states: number;
}

/** More would take longer for one name than a question may. */
const MAX_STATES = 2000;

const ASCII = 128;

/**
 * Compiles an expression that the runtime compiles with the flag `i` alone; null = it has something else than characters, classes, groups, choices,
 * repetitions, `^` and `$`, or is too large.
 */
export function linearRegexp(source: string): LinearRegexp | null {
  try {
    const program = new Program(new Parser(source).parse());
    return { matches: (text) => program.matches(text), states: program.size };
  } catch (error) {
    if (error instanceof Unsupported) return null;
    throw error;
  }
}

class Unsupported extends Error {}

type Node =
  | { readonly kind: "set"; readonly set: CharacterSet }
  | { readonly kind: "start" | "end" }
  | { readonly kind: "sequence" | "choice"; readonly parts: readonly Node[] }
  | { readonly kind: "repeated"; readonly node: Node; readonly least: number; readonly most: number };

/** By code, 1 for those that fit. */
type CharacterSet = Uint8Array;

const DIGITS = charactersOf(/\d/);
const WORDS = charactersOf(/\w/);
const SPACES = charactersOf(/\s/);
const CLASSES: Readonly<Record<string, CharacterSet>> = {
  d: DIGITS,
  D: complement(DIGITS),
  w: WORDS,
  W: complement(WORDS),
  s: SPACES,
  S: complement(SPACES),
};
const ANY = charactersOf(/./);
const CONTROLS: Readonly<Record<string, string>> = { t: "\t", n: "\n", v: "\v", f: "\f", r: "\r" };

function charactersOf(pattern: RegExp): CharacterSet {
  return Uint8Array.from({ length: ASCII }, (_, code) => (pattern.test(String.fromCharCode(code)) ? 1 : 0));
}

function complement(set: CharacterSet): CharacterSet {
  return set.map((fits) => 1 - fits);
}

/** Reads an expression that is known to compile: what it does not expect is a character that stands for itself, or unsupported. */
class Parser {
  readonly #source: string;
  #position = 0;

  constructor(source: string) {
    this.#source = source;
  }

  parse(): Node {
    return this.#choice();
  }

  /** Up to a closing parenthesis or the end. */
  #choice(): Node {
    const parts = [this.#sequence()];
    while (this.#takes("|")) parts.push(this.#sequence());
    return { kind: "choice", parts };
  }

  #sequence(): Node {
    const parts: Node[] = [];
    while (this.#position < this.#source.length && !/[|)]/.test(this.#next)) parts.push(this.#repeated(this.#atom()));
    return { kind: "sequence", parts };
  }

  #repeated(node: Node): Node {
    const [quantifier, least = "", comma, most = ""] =
      /^(?:[*+?]|\{(\d+)(,?)(\d*)\})\??/.exec(this.#source.slice(this.#position)) ?? [];
    if (quantifier === undefined) return node;
    this.#position += quantifier.length;
    // Whether it takes much or little first does not change what fits.
    if (quantifier.startsWith("{")) {
      const unbounded = comma === "," && most === "";
      return { kind: "repeated", node, least: Number(least), most: unbounded ? Number.POSITIVE_INFINITY : Number(most || least) };
    }
    const isOption = quantifier.startsWith("?");
    return { kind: "repeated", node, least: quantifier.startsWith("+") ? 1 : 0, most: isOption ? 1 : Number.POSITIVE_INFINITY };
  }

  #atom(): Node {
    const character = this.#take();
    switch (character) {
      case "^":
        return { kind: "start" };
      case "$":
        return { kind: "end" };
      case ".":
        return { kind: "set", set: ANY };
      case "(":
        return this.#group();
      case "[":
        return { kind: "set", set: this.#class() };
      case "\\":
        return { kind: "set", set: this.#escape() };
      default:
        return { kind: "set", set: characterSet(character) };
    }
  }

  #group(): Node {
    if (this.#takes("?")) {
      if (!this.#takes(":")) throw new Unsupported();
    }
    const choice = this.#choice();
    this.#take();
    return choice;
  }

  /** After a backslash. */
  #escape(): CharacterSet {
    const character = this.#take();
    const known = CLASSES[character];
    if (known !== undefined) return known;
    const control = CONTROLS[character];
    if (control === undefined && /[0-9a-z]/i.test(character)) throw new Unsupported();
    return characterSet(control ?? character);
  }

  /** After an opening bracket. */
  #class(): CharacterSet {
    const isComplement = this.#takes("^");
    const union = new Uint8Array(ASCII);
    while (!this.#takes("]")) {
      const first = this.#classMember();
      const isRange = this.#next === "-" && this.#source[this.#position + 1] !== "]" && typeof first === "string";
      if (!isRange) {
        add(union, typeof first === "string" ? characterSet(first) : first);
        continue;
      }
      this.#take();
      const last = this.#classMember();
      if (typeof last !== "string") throw new Unsupported();
      for (let code = first.charCodeAt(0); code <= last.charCodeAt(0); code++)
        add(union, characterSet(String.fromCharCode(code)));
    }
    return isComplement ? complement(union) : union;
  }

  #classMember(): string | CharacterSet {
    const character = this.#take();
    if (character !== "\\") return character;
    const escaped = this.#take();
    const known = CLASSES[escaped];
    if (known !== undefined) return known;
    const control = CONTROLS[escaped];
    if (control === undefined && /[0-9a-z]/i.test(escaped)) throw new Unsupported();
    return control ?? escaped;
  }

  get #next(): string {
    return this.#source[this.#position] ?? "";
  }

  #take(): string {
    const character = this.#next;
    if (character.charCodeAt(0) >= ASCII) throw new Unsupported();
    this.#position++;
    return character;
  }

  #takes(character: string): boolean {
    if (this.#next !== character) return false;
    this.#position++;
    return true;
  }
}

/** Both cases of a letter. */
function characterSet(character: string): CharacterSet {
  const set = new Uint8Array(ASCII);
  for (const each of [character.toLowerCase(), character.toUpperCase()]) set[each.charCodeAt(0)] = 1;
  return set;
}

function add(set: CharacterSet, more: CharacterSet): void {
  for (const [code, fits] of more.entries()) if (fits === 1) set[code] = 1;
}

type State =
  | { readonly kind: "set"; readonly set: CharacterSet; next: number }
  | { readonly kind: "start" | "end"; next: number }
  | { readonly kind: "both"; readonly nexts: number[] }
  | { readonly kind: "fits" };

/** An expression as states; several are taken at once. */
class Program {
  readonly #states: State[] = [{ kind: "fits" }];
  readonly #first: number;
  /** The round in which each state was taken last. */
  readonly #taken: Float64Array;
  #round = 0;

  constructor(node: Node) {
    this.#first = this.#before(node, 0);
    this.#taken = new Float64Array(this.#states.length);
  }

  get size(): number {
    return this.#states.length;
  }

  matches(text: string): boolean {
    let current: number[] = [];
    for (let position = 0; ; position++) {
      // A fit may begin anywhere: with what the step before has taken, in the same round.
      if (position === 0) this.#round++;
      if (this.#take(this.#first, { position, length: text.length }, current)) return true;
      if (position === text.length) return false;
      const code = text.charCodeAt(position);
      const next: number[] = [];
      this.#round++;
      for (const index of current) {
        const state = this.#states[index];
        if (state?.kind !== "set" || state.set[code] !== 1) continue;
        if (this.#take(state.next, { position: position + 1, length: text.length }, next)) return true;
      }
      current = next;
    }
  }

  /** Takes a state, and all that it leads to without a character. @returns whether the expression fits. */
  #take(first: number, at: { readonly position: number; readonly length: number }, reading: number[]): boolean {
    const pending = [first];
    for (let index = pending.pop(); index !== undefined; index = pending.pop()) {
      if (this.#taken[index] === this.#round) continue;
      this.#taken[index] = this.#round;
      // All indices are of states.
      const state = this.#states[index] as State;
      switch (state.kind) {
        case "fits":
          return true;
        case "set":
          reading.push(index);
          break;
        case "start":
          if (at.position === 0) pending.push(state.next);
          break;
        case "end":
          if (at.position === at.length) pending.push(state.next);
          break;
        case "both":
          pending.push(...state.nexts);
          break;
      }
    }
    return false;
  }

  /** Adds the states of a node that go on with `next`. @returns the first of them. */
  #before(node: Node, next: number): number {
    switch (node.kind) {
      case "set":
        return this.#add({ kind: "set", set: node.set, next });
      case "start":
      case "end":
        return this.#add({ kind: node.kind, next });
      case "sequence":
        return node.parts.reduceRight((after, part) => this.#before(part, after), next);
      case "choice":
        return this.#add({ kind: "both", nexts: node.parts.map((part) => this.#before(part, next)) });
      case "repeated":
        return this.#repeated(node, next);
    }
  }

  #repeated({ node, least, most }: Extract<Node, { kind: "repeated" }>, next: number): number {
    let first = next;
    if (most === Number.POSITIVE_INFINITY) {
      const nexts = [next];
      first = this.#add({ kind: "both", nexts });
      nexts.push(this.#before(node, first));
    } else {
      for (let count = least; count < most; count++)
        first = this.#add({ kind: "both", nexts: [this.#before(node, first), next] });
    }
    for (let count = 0; count < least; count++) first = this.#before(node, first);
    return first;
  }

  #add(state: State): number {
    if (this.#states.length >= MAX_STATES) throw new Unsupported();
    return this.#states.push(state) - 1;
  }
}

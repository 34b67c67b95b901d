import { linearRegexp } from "./linear-regexp.ts";

/** Characters of the longest regular expression that is accepted. */
const MAX_SOURCE_LENGTH = 512;

/** A longer text is matched by no regular expression. Host names are shorter; a name with escaped bytes can be longer. */
export const MAX_SUBJECT_LENGTH = 253;

/** In how many ways the engine may try an expression against one name. */
export const MAX_WAYS = {
  /** For an expression of a list, which has many: three unbounded repetitions, each of 0 to 253 characters, and a small choice. */
  list: 4 * 254 ** 3,
  /** For a search, which tries the expression on every name of the log: two unbounded repetitions. */
  search: 4 * 254 ** 2,
} as const;

/** A step of a linear expression takes as long as the engine takes for so many ways, about. */
const STEP_WAYS = 128;

/** A compiled expression, or the reason why it is refused. */
type BoundedRegexp =
  | { readonly kind: "accepted"; readonly matches: (text: string) => boolean; readonly ways: number }
  | { readonly kind: "refused"; readonly reason: string };

/**
 * Compiles a regular expression for names, without regard to letter case, if the work it can cause is bounded. The engine tries alternatives one after
 * another; lists come from strangers and names from anybody, so with `(a+)+$` one question could hold the server for hours. Therefore this function counts
 * in how many ways the parts can be combined. An expression with too many ways, or with a choice in a repeated group, is followed in all ways at once
 * instead, which takes longer for most names and never much longer; it is refused where it has something that cannot be followed so.
 */
export function boundedRegexp(source: string, maxWays: number = MAX_WAYS.list): BoundedRegexp {
  if (source.length > MAX_SOURCE_LENGTH)
    return { kind: "refused", reason: `a regular expression of more than ${MAX_SOURCE_LENGTH} characters` };
  // `(?i)` changes nothing: letter case never counts.
  const plain = source.startsWith("(?i)") ? source.slice(4) : source;
  let regexp: RegExp;
  try {
    regexp = new RegExp(plain, "i");
  } catch {
    return { kind: "refused", reason: "not a regular expression" };
  }
  const ways = countWays(plain);
  if (typeof ways === "number" && ways <= maxWays) return { kind: "accepted", matches: (text) => regexp.test(text), ways };
  const linear = linearRegexp(plain);
  const steps = (linear?.states ?? Number.POSITIVE_INFINITY) * MAX_SUBJECT_LENGTH;
  if (linear !== null && steps * STEP_WAYS <= maxWays)
    return { kind: "accepted", matches: linear.matches, ways: steps * STEP_WAYS };
  return { kind: "refused", reason: typeof ways === "string" ? ways : "a regular expression with too many repetitions" };
}

/** Or why they are not counted. */
function countWays(source: string): number | string {
  try {
    return new WayCounter(source).count();
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return error.message;
  }
}

class Refusal extends Error {}

/** Walks over an expression that compiles. */
class WayCounter {
  readonly #source: string;
  #position = 0;

  constructor(source: string) {
    this.#source = source;
  }

  count(): number {
    const { ways, choices } = this.#alternatives();
    // The engine tries an expression without `^` at every character.
    return this.#source.startsWith("^") && choices === 1 ? ways : ways * MAX_SUBJECT_LENGTH;
  }

  /** Reads up to a closing parenthesis or the end. */
  #alternatives(): { readonly ways: number; readonly choices: number } {
    let sum = 0;
    let product = 1;
    let choices = 1;
    while (this.#position < this.#source.length && this.#source[this.#position] !== ")") {
      if (this.#source[this.#position] === "|") {
        this.#position++;
        sum += product;
        product = 1;
        choices++;
      } else {
        const ways = this.#atom();
        product *= ways * this.#repetitions(ways);
      }
    }
    return { ways: sum + product, choices };
  }

  #atom(): number {
    const character = this.#source[this.#position++];
    if (character === "(") return this.#group();
    if (character === "[") {
      while (this.#position < this.#source.length && this.#source[this.#position] !== "]") {
        this.#position += this.#source[this.#position] === "\\" ? 2 : 1;
      }
      this.#position++;
    } else if (character === "\\") {
      if (/[1-9k]/.test(this.#source[this.#position] ?? "")) throw new Refusal("a regular expression with a back reference");
      this.#position++;
    }
    return 1;
  }

  #group(): number {
    if (this.#source.startsWith("?:", this.#position)) this.#position += 2;
    else if (this.#source[this.#position] === "?") throw new Refusal("a regular expression with a group of the form (?…)");
    const { ways } = this.#alternatives();
    this.#position++;
    return ways;
  }

  /** The factor by which a quantifier at this position multiplies the ways. */
  #repetitions(ways: number): number {
    const quantifier = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})\??/.exec(this.#source.slice(this.#position));
    if (quantifier === null) return 1;
    this.#position += quantifier[0].length;
    if (quantifier[0].startsWith("?")) return 2;
    const least = Number(quantifier[1] ?? 0);
    const unbounded = quantifier[1] === undefined || (quantifier[2] === "," && quantifier[3] === "");
    const most = unbounded ? MAX_SUBJECT_LENGTH : Number(quantifier[3] || least);
    if (ways > 1 && most > 1) throw new Refusal("a regular expression that repeats a group with a choice in it");
    return Math.min(most, MAX_SUBJECT_LENGTH) - Math.min(least, MAX_SUBJECT_LENGTH) + 1;
  }
}

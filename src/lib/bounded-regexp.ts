/** Longest regular expression that is accepted, in characters. */
const MAX_SOURCE_LENGTH = 512;

/** Names whose text is longer are matched by no regular expression. Host names are not; bytes that must be escaped can make one longer. */
export const MAX_SUBJECT_LENGTH = 253;

/** Ways in which an expression may be tried against a name. */
export const MAX_WAYS = {
  /** Of a list, where it is one of many that somebody published: three unbounded repetitions, each of 0 to 253 characters, and a small choice. */
  list: 4 * 254 ** 3,
  /** Of a search, which tries it on every name of a log: two. */
  search: 4 * 254 ** 2,
} as const;

/** An expression that may be used, or why it may not. */
type BoundedRegexp =
  | { readonly kind: "accepted"; readonly regexp: RegExp }
  | { readonly kind: "refused"; readonly reason: string };

/**
 * Compiles a regular expression that names are to be tried with, letter case disregarded, if the work it can cause is bounded. The engine tries
 * alternatives one after another, and lists come from others while names come from anybody: `(a+)+$` would let one question hold the server for hours. So the ways in which the
 * parts can be combined are counted, without regard to which of them can match, and an expression with too many is refused; a group that is repeated
 * must not itself hold a choice.
 */
export function boundedRegexp(source: string, maxWays: number = MAX_WAYS.list): BoundedRegexp {
  if (source.length > MAX_SOURCE_LENGTH)
    return { kind: "refused", reason: `a regular expression of more than ${MAX_SOURCE_LENGTH} characters` };
  // Names are compared without regard to case anyhow.
  const plain = source.startsWith("(?i)") ? source.slice(4) : source;
  let regexp: RegExp;
  try {
    regexp = new RegExp(plain, "i");
  } catch {
    return { kind: "refused", reason: "not a regular expression" };
  }
  try {
    const ways = new WayCounter(plain).count();
    if (ways > maxWays) return { kind: "refused", reason: "a regular expression with too many repetitions" };
  } catch (error) {
    if (!(error instanceof Refusal)) throw error;
    return { kind: "refused", reason: error.message };
  }
  return { kind: "accepted", regexp };
}

class Refusal extends Error {}

/** Walks over an expression that is known to compile. */
class WayCounter {
  readonly #source: string;
  #position = 0;

  constructor(source: string) {
    this.#source = source;
  }

  count(): number {
    const { ways, choices } = this.#alternatives();
    // What is not tied to the beginning is tried at every character.
    return this.#source.startsWith("^") && choices === 1 ? ways : ways * MAX_SUBJECT_LENGTH;
  }

  /** Up to a closing parenthesis or the end. */
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

  /** By how much a quantifier at this place multiplies the ways. */
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

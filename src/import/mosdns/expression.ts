/** A condition of mosdns 4: tags with `!`, `&&`, `||` and brackets. */
export type Expression =
  | { readonly kind: "word"; readonly word: string }
  | { readonly kind: "not"; readonly of: Expression }
  | { readonly kind: "all" | "any"; readonly of: readonly Expression[] };

const MAX_TOKENS = 200;
const MAX_DEPTH = 40;

/** Reads `(a) || [b] && ! c`. null = it is no such expression, or too long for one. */
export function parseExpression(text: string): Expression | null {
  const tokens = text.match(/\|\||&&|[!()[\]]|[^\s!()[\]|&]+|\S/g) ?? [];
  if (tokens.length === 0 || tokens.length > MAX_TOKENS) return null;
  const parser = new ExpressionParser(tokens);
  const parsed = parser.alternatives(0);
  return parser.isAtEnd ? parsed : null;
}

class ExpressionParser {
  readonly #tokens: readonly string[];
  #position = 0;

  constructor(tokens: readonly string[]) {
    this.#tokens = tokens;
  }

  get isAtEnd(): boolean {
    return this.#position === this.#tokens.length;
  }

  alternatives(depth: number): Expression | null {
    return this.#chain("||", () => this.#chain("&&", () => this.#operand(depth)));
  }

  #chain(operator: "||" | "&&", next: () => Expression | null): Expression | null {
    const of: Expression[] = [];
    do {
      const part = next();
      if (part === null) return null;
      of.push(part);
    } while (this.#take(operator));
    const [only] = of;
    return of.length === 1 && only !== undefined ? only : { kind: operator === "||" ? "any" : "all", of };
  }

  #operand(depth: number): Expression | null {
    if (depth > MAX_DEPTH) return null;
    if (this.#take("!")) {
      const of = this.#operand(depth + 1);
      return of === null ? null : { kind: "not", of };
    }
    const closing = this.#take("(") ? ")" : this.#take("[") ? "]" : null;
    if (closing !== null) {
      const inner = this.alternatives(depth + 1);
      return this.#take(closing) ? inner : null;
    }
    const word = this.#tokens[this.#position];
    if (word === undefined || !/^[^|&!()[\]]+$/.test(word)) return null;
    this.#position++;
    return { kind: "word", word };
  }

  #take(token: string): boolean {
    if (this.#tokens[this.#position] !== token) return false;
    this.#position++;
    return true;
  }
}

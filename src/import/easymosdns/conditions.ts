/** What a condition of a sequence asks, as a tree over matchers. `T` = a matcher. */
export type Expression<T> =
  | { readonly kind: "leaf"; readonly leaf: T }
  | { readonly kind: "not"; readonly of: Expression<T> }
  | { readonly kind: "and" | "or"; readonly parts: readonly Expression<T>[] };

/** A matcher as it stands in one alternative. */
export interface Literal<T> {
  readonly negated: boolean;
  readonly leaf: T;
}

const MAX_TOKENS = 200;
const MAX_DEPTH = 40;
const MAX_ALTERNATIVES = 64;

/** Reads `(a) || [b] && ! c`. null = it is no such expression, or too long for one. */
export function parseExpression(text: string): Expression<string> | null {
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

  alternatives(depth: number): Expression<string> | null {
    return this.#chain("||", () => this.#chain("&&", () => this.#operand(depth)));
  }

  #chain(operator: "||" | "&&", next: () => Expression<string> | null): Expression<string> | null {
    const parts: Expression<string>[] = [];
    do {
      const part = next();
      if (part === null) return null;
      parts.push(part);
    } while (this.#take(operator));
    const [only] = parts;
    if (parts.length === 1 && only !== undefined) return only;
    return { kind: operator === "||" ? "or" : "and", parts };
  }

  #operand(depth: number): Expression<string> | null {
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
    const token = this.#tokens[this.#position];
    if (token === undefined || !/^[^|&!()[\]]+$/.test(token)) return null;
    this.#position++;
    return { kind: "leaf", leaf: token };
  }

  #take(token: string): boolean {
    if (this.#tokens[this.#position] !== token) return false;
    this.#position++;
    return true;
  }
}

/** The expression as alternatives, each of literals that must all hold. null = too many of them. */
export function alternativesOf<T>(expression: Expression<T>, negated = false): readonly (readonly Literal<T>[])[] | null {
  if (expression.kind === "leaf") return [[{ negated, leaf: expression.leaf }]];
  if (expression.kind === "not") return alternativesOf(expression.of, !negated);
  let sum: (readonly Literal<T>[])[] = [];
  const isSum = (expression.kind === "or") !== negated;
  if (!isSum) sum = [[]];
  for (const part of expression.parts) {
    const inner = alternativesOf(part, negated);
    if (inner === null) return null;
    sum = isSum ? [...sum, ...inner] : sum.flatMap((left) => inner.map((right) => [...left, ...right]));
    if (sum.length > MAX_ALTERNATIVES) return null;
  }
  return sum;
}

/** Gives each leaf a new form. */
export function mapLeaves<T, U>(expression: Expression<T>, map: (leaf: T) => Expression<U>): Expression<U> {
  if (expression.kind === "leaf") return map(expression.leaf);
  if (expression.kind === "not") return { kind: "not", of: mapLeaves(expression.of, map) };
  return { kind: expression.kind, parts: expression.parts.map((part) => mapLeaves(part, map)) };
}

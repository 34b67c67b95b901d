/**
 * Readers of two configuration languages whose programs cannot be had where the tests run, by the grammars that their projects publish. Both give
 * blocks with what stands in them; what is not of the grammar is a SyntaxError.
 */

/** `name "label" { … }` of Alloy, `name { … }` of dae. */
export interface Block {
  readonly name: string;
  /** null = it has none. */
  readonly label: string | null;
  readonly values: Readonly<Record<string, Value>>;
  readonly blocks: readonly Block[];
  /** Rules of dae: `function(arguments) && … -> outbound`. */
  readonly rules: readonly Rule[];
}

/** A text, a reference to what another component exports, a list, or an object. */
export type Value =
  | string
  | { readonly reference: string }
  | readonly Value[]
  | { readonly fields: Readonly<Record<string, Value>> };

export interface Rule {
  readonly conditions: readonly { readonly name: string; readonly isNot: boolean; readonly values: readonly string[] }[];
  readonly outbound: string;
}

class Tokens {
  readonly #tokens: readonly string[];
  #at = 0;

  constructor(text: string, pattern: RegExp) {
    const found = [...text.matchAll(pattern)];
    const rest = text.replace(pattern, "").trim();
    if (rest !== "") throw new SyntaxError(`not of the grammar: ${rest}`);
    this.#tokens = found.map(([token]) => token).filter((token) => !/^(\/\/|\/\*|#)/.test(token));
  }

  get next(): string {
    return this.#tokens[this.#at] ?? "";
  }

  /** The token after the next. */
  get second(): string {
    return this.#tokens[this.#at + 1] ?? "";
  }

  take(): string {
    const token = this.next;
    if (token === "") throw new SyntaxError("the text ends too early");
    this.#at++;
    return token;
  }

  takes(token: string): boolean {
    const isNext = this.next === token;
    if (isNext) this.#at++;
    return isNext;
  }

  need(token: string): void {
    if (!this.takes(token)) throw new SyntaxError(`\`${token}\` wanted, not \`${this.next}\``);
  }

  needMatch(pattern: RegExp, what: string): string {
    if (!pattern.test(this.next)) throw new SyntaxError(`${what} wanted, not \`${this.next}\``);
    return this.take();
  }
}

function all<Item>(tokens: Tokens, end: string, read: () => Item): readonly Item[] {
  const items: Item[] = [];
  while (tokens.next !== end) items.push(read());
  return items;
}

const DAE_WORD = String.raw`[A-Za-z_/\\^*.+0-9-][A-Za-z_/\\^*.+0-9=@$!#%-]*`;
const DAE_TOKENS = new RegExp(
  String.raw`/\*[\s\S]*?\*/|#[^\n]*|"(?:\\"|[^"])*"|'(?:\\'|[^'])*'|->|&&|[{}(),:!]|(?:(?!->)${DAE_WORD})`,
  "g",
);
const DAE_ID = /^[A-Za-z_]/;

/** Reads a `config.dae`. @throws SyntaxError */
export function readDae(text: string): readonly Block[] {
  const tokens = new Tokens(text, DAE_TOKENS);
  const literal = () => tokens.needMatch(/^["'\w/\\^*.+-]/, "a literal").replace(/^(["'])(.*)\1$/s, "$2");
  const listOf = () => {
    const items = [literal()];
    while (tokens.takes(",")) items.push(literal());
    return items;
  };
  const condition = () => {
    const isNot = tokens.takes("!");
    const name = tokens.needMatch(DAE_ID, "a function");
    tokens.need("(");
    const values: string[] = [];
    while (!tokens.takes(")")) {
      if (values.length > 0) tokens.need(",");
      const key = tokens.second === ":" ? `${tokens.take()}${tokens.take()} ` : "";
      values.push(key + literal());
    }
    return { name, isNot, values };
  };
  const block = (): Block => {
    const name = tokens.needMatch(DAE_ID, "a section");
    tokens.need("{");
    const values: Record<string, Value> = {};
    const blocks: Block[] = [];
    const rules: Rule[] = [];
    while (!tokens.takes("}")) {
      if (tokens.second === "{") blocks.push(block());
      else if (tokens.second === ":") {
        const key = tokens.needMatch(DAE_ID, "a name");
        tokens.need(":");
        const list = listOf();
        values[key] = list.length === 1 ? (list[0] ?? "") : list;
      } else if (tokens.second === "(" || tokens.next === "!") {
        const conditions = [condition()];
        while (tokens.takes("&&")) conditions.push(condition());
        tokens.need("->");
        rules.push({ conditions, outbound: tokens.needMatch(DAE_ID, "an outbound") });
      } else literal();
    }
    return { name, label: null, values, blocks, rules };
  };
  return all(tokens, "", block);
}

const ALLOY_TOKENS = /\/\/[^\n]*|\/\*[\s\S]*?\*\/|"(?:\\.|[^"\\])*"|[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*|-?\d+(?:\.\d+)?|[{}[\](),=]/g;

/** Reads a configuration of Grafana Alloy, as far as it has texts, numbers, lists, objects and references. @throws SyntaxError */
export function readAlloy(text: string): readonly Block[] {
  const tokens = new Tokens(text, ALLOY_TOKENS);
  const value = (): Value => {
    if (tokens.takes("[")) {
      const items: Value[] = [];
      while (!tokens.takes("]")) {
        items.push(value());
        if (tokens.next !== "]") tokens.need(",");
      }
      return items;
    }
    if (tokens.takes("{")) {
      const fields: Record<string, Value> = {};
      while (!tokens.takes("}")) {
        const key = tokens.needMatch(/^["A-Za-z_]/, "a field").replaceAll('"', "");
        tokens.need("=");
        fields[key] = value();
        if (tokens.next !== "}") tokens.need(",");
      }
      return { fields };
    }
    const token = tokens.needMatch(/^["\w-]/, "a value");
    if (token.startsWith('"')) return String(JSON.parse(token));
    return /^[A-Za-z_]/.test(token) && !/^(true|false|null)$/.test(token) ? { reference: token } : token;
  };
  const body = (name: string, label: string | null): Block => {
    tokens.need("{");
    const values: Record<string, Value> = {};
    const blocks: Block[] = [];
    while (!tokens.takes("}")) {
      const key = tokens.needMatch(/^[A-Za-z_]/, "a name");
      if (tokens.takes("=")) values[key] = value();
      else blocks.push(body(key, null));
    }
    return { name, label, values, blocks, rules: [] };
  };
  return all(tokens, "", () => {
    const name = tokens.needMatch(/^[A-Za-z_]/, "a component");
    const label = tokens.next.startsWith('"') ? String(JSON.parse(tokens.take())) : null;
    return body(name, label);
  });
}

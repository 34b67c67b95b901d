import { labelsOf, type Name, nameFromText, nameOfLabels } from "./name.ts";

/** Why a text is no record. */
export class PresentationError extends Error {
  override readonly name = "PresentationError";
}

/** One word of a master file (RFC 1035 §5.1). */
export interface Token {
  /** As written, quotation marks left out, escapes kept. */
  readonly raw: string;
  /** The bytes meant, one character (0 to 255) each. */
  readonly octets: string;
  readonly quoted: boolean;
}

/** Gives the words of one record's text in order. Every method throws PresentationError where the text does not fit. */
export class TextReader {
  readonly origin: Name;
  readonly #tokens: readonly Token[];
  #position = 0;

  /** Names without a final dot are below `origin`. */
  constructor(tokens: readonly Token[], origin: Name) {
    this.#tokens = tokens;
    this.origin = origin;
  }

  get atEnd(): boolean {
    return this.#position === this.#tokens.length;
  }

  peek(): Token | null {
    return this.#tokens[this.#position] ?? null;
  }

  next(): Token {
    const token = this.#tokens[this.#position];
    if (token === undefined) throw new PresentationError("the text ends where a value is due");
    this.#position++;
    return token;
  }

  rest(): readonly Token[] {
    const rest = this.#tokens.slice(this.#position);
    this.#position = this.#tokens.length;
    return rest;
  }

  integer(max: number): number {
    return integerOf(this.next().raw, max);
  }

  domain(): Name {
    const { raw, quoted } = this.next();
    if (quoted) throw new PresentationError(`"${raw}" is quoted where a name is due`);
    return nameBelow(raw, this.origin);
  }
}

export function integerOf(text: string, max: number): number {
  const value = /^\d{1,10}$/.test(text) ? Number(text) : Number.NaN;
  if (!(value <= max)) throw new PresentationError(`${text} is no number from 0 to ${max}`);
  return value;
}

/** Splits a record into words: by spaces, quotation marks, and, within parentheses, line ends; `;` begins a comment. */
export function tokensOf(text: string): Token[] {
  const tokens: Token[] = [];
  let position = 0;
  let depth = 0;
  for (;;) {
    const character = text[position];
    if (character === undefined) break;
    if (character === ";") position = commentEnd(text, position);
    else if (character === "(") depth++;
    else if (character === ")") depth--;
    else if (character === "\n" && depth === 0 && text.slice(position).trim() !== "")
      throw new PresentationError("a record goes on in the next line only within parentheses");
    if (depth < 0) throw new PresentationError("a parenthesis is closed that was not opened");
    if (/[\s();]/.test(character)) {
      position++;
      continue;
    }
    const { token, end } = readToken(text, position);
    tokens.push(token);
    position = end;
  }
  if (depth > 0) throw new PresentationError("a parenthesis is not closed");
  return tokens;
}

/** Stands before the line end, so that this is seen too. */
function commentEnd(text: string, start: number): number {
  const lineEnd = text.indexOf("\n", start);
  return (lineEnd < 0 ? text.length : lineEnd) - 1;
}

// A quotation mark may begin a word, or stand within it as in key667="some value" (RFC 9460 §2.1); the closing one ends the word.
function readToken(text: string, start: number): { token: Token; end: number } {
  let raw = "";
  let octets = "";
  let quoted = false;
  let position = start;
  while (position < text.length) {
    const character = String.fromCodePoint(text.codePointAt(position) ?? 0);
    if (character === '"') {
      position++;
      if (quoted) return { token: { raw, octets, quoted: text[start] === '"' }, end: position };
      quoted = true;
      continue;
    }
    if (!quoted && /[\s();]/.test(character)) break;
    const unit = character === "\\" ? readEscape(text, position) : { raw: character, octets: utf8Bytes(character) };
    raw += unit.raw;
    octets += unit.octets;
    position += unit.raw.length;
  }
  if (quoted) throw new PresentationError("a quotation mark is not closed");
  return { token: { raw, octets, quoted }, end: position };
}

function readEscape(text: string, start: number): { raw: string; octets: string } {
  const digits = /^\d{3}/.exec(text.slice(start + 1, start + 4))?.[0];
  if (digits !== undefined && Number(digits) <= 255) return { raw: `\\${digits}`, octets: String.fromCharCode(Number(digits)) };
  const code = text.codePointAt(start + 1);
  if (code === undefined || (code >= 0x30 && code <= 0x39))
    throw new PresentationError("a backslash stands before neither three digits up to 255 nor another character");
  const character = String.fromCodePoint(code);
  return { raw: `\\${character}`, octets: utf8Bytes(character) };
}

function utf8Bytes(character: string): string {
  return character <= "\x7f" ? character : Buffer.from(character).toString("latin1");
}

function nameBelow(raw: string, origin: Name): Name {
  if (raw === "@") return origin;
  const name = nameFromText(raw);
  if (name === null) throw new PresentationError(`${raw} is no domain name`);
  if (endsInDot(raw)) return name;
  const whole = nameOfLabels([...labelsOf(name), ...labelsOf(origin)]);
  if (whole === null) throw new PresentationError(`${raw} is too long below its origin`);
  return whole;
}

function endsInDot(raw: string): boolean {
  const backslashes = /(\\*)\.$/.exec(raw)?.[1];
  return backslashes !== undefined && backslashes.length % 2 === 0;
}

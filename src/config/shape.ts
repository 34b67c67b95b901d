import type { TSchema } from "typebox";
import Type from "typebox";
import { isMap, isScalar, isSeq } from "yaml";
import { closest } from "./closest.ts";
import type { ConfigReader, Located, Node, SourceLocation } from "./reading.ts";

/** What may stand at one place of the file: for editors as a schema, for the program as a reader. */
export interface Shape<T> {
  /** Accepts whatever `read` accepts; `read` may want more, such as a file that exists. */
  readonly schema: TSchema;
  /** Completes the sentence "expected …". */
  readonly expected: string;
  /** A key of this shape with nothing after it counts as left out, as where every entry is commented out. */
  readonly mayBeBlank?: boolean;
  /** undefined = wrong, and reported. */
  readonly read: (place: SourceLocation, reading: ConfigReader) => T | undefined;
}

/** What a parser of one word gives: the value, or what is wrong with the word and what to write. */
export type Parsed<T> = { readonly value: T } | { readonly wrong: string; readonly fix: string };

/** Longer words are no configuration, and would drown every message about them. */
const MAX_TEXT_LENGTH = 2000;

interface TextOptions<T> {
  readonly expected: string;
  readonly parse: (text: string) => Parsed<T>;
  /** Has to match whatever `parse` accepts. */
  readonly pattern?: string;
  readonly examples?: readonly string[];
  /** What to do where YAML saw a map or array; by default, to write what is expected. */
  readonly fixOfCollection?: string;
}

/** A string with a form of its own. */
export function text<T>(options: TextOptions<T>): Shape<T> {
  const { expected, parse, pattern, examples } = options;
  return {
    schema: Type.String({ ...(pattern === undefined ? {} : { pattern }), ...(examples === undefined ? {} : { examples }) }),
    expected,
    read(place, reading) {
      const word = scalarOf(place.node);
      if (typeof word !== "string") return failAsNotText(place, reading, options);
      if (word.length > MAX_TEXT_LENGTH)
        return reading.fail(place, `expected ${expected}, found ${word.length} characters`, `write ${expected}`);
      const parsed = parse(word);
      return "value" in parsed ? parsed.value : reading.fail(place, parsed.wrong, parsed.fix);
    },
  };
}

function failAsNotText<T>(place: SourceLocation, reading: ConfigReader, options: TextOptions<T>): undefined {
  const written = isScalar(place.node) && place.node.value !== null ? (place.node.source ?? null) : null;
  const message = `expected ${options.expected}, found ${describe(place.node)}`;
  if (written === null) return reading.fail(place, message, options.fixOfCollection ?? `write ${options.expected}`);
  const parsed = options.parse(written);
  return reading.fail(place, message, "value" in parsed ? `put it in quotes: "${written}"` : parsed.fix);
}

/** One of a few fixed words. */
export function keyword<const W extends string>(...choices: readonly [W, ...W[]]): Shape<W> {
  const listed = choices.map((choice) => `\`${choice}\``);
  const expected = listed.length === 1 ? listed.join("") : `${listed.slice(0, -1).join(", ")} or ${listed.at(-1)}`;
  return {
    schema: Type.Enum([...choices]),
    expected,
    read(place, reading) {
      const found = scalarOf(place.node);
      const match = choices.find((choice) => choice === found);
      if (match !== undefined) return match;
      const near = typeof found === "string" ? closest(found, choices) : null;
      const fix = near === null ? `write ${expected}` : `write \`${near}\``;
      return reading.fail(place, `expected ${expected}, found ${describe(place.node)}`, fix);
    },
  };
}

export function boolean(): Shape<boolean> {
  const expected = "`true` or `false`";
  const meant = new Map([
    ["yes", "true"],
    ["on", "true"],
    ["no", "false"],
    ["off", "false"],
  ]);
  return {
    schema: Type.Boolean(),
    expected,
    read(place, reading) {
      const found = scalarOf(place.node);
      if (typeof found === "boolean") return found;
      const fix = meant.get(String(found).toLowerCase());
      return reading.fail(
        place,
        `expected ${expected}, found ${describe(place.node)}`,
        `write ${fix === undefined ? expected : `\`${fix}\``}`,
      );
    },
  };
}

/** A whole number from `minimum` to `maximum`, both included. */
export function integer(minimum: number, maximum: number): Shape<number> {
  const expected = `a whole number from ${minimum} to ${maximum}`;
  return {
    schema: Type.Integer({ minimum, maximum }),
    expected,
    read(place, reading) {
      const found = scalarOf(place.node);
      if (typeof found === "number" && Number.isInteger(found) && found >= minimum && found <= maximum) return found;
      const unquoted =
        typeof found === "string" && /^\d{1,15}$/.test(found) ? `write it without quotes: ${found}` : `write ${expected}`;
      return reading.fail(place, `expected ${expected}, found ${describe(place.node)}`, unquoted);
    },
  };
}

/** Keeps the place beside the value. */
export function located<T>(shape: Shape<T>): Shape<Located<T>> {
  return {
    ...shape,
    read(place, reading) {
      const value = shape.read(place, reading);
      return value === undefined ? undefined : { value, place };
    },
  };
}

/** null in the file is null in the program. */
export function orNull<T>(shape: Shape<T>): Shape<T | null> {
  return {
    schema: anyOf(shape.schema, Type.Null()),
    expected: `${shape.expected} or \`null\``,
    read: (place, reading) => (scalarOf(place.node) === null ? null : shape.read(place, reading)),
  };
}

/** `false` switches off what the shape describes: null in the program. */
export function orFalse<T>(shape: Shape<T>): Shape<T | null> {
  return {
    ...shape,
    schema: anyOf(shape.schema, Type.Literal(false)),
    expected: `${shape.expected} or \`false\``,
    read: (place, reading) => (scalarOf(place.node) === false ? null : shape.read(place, reading)),
  };
}

/** Maps are read by the one shape, all else by the other. */
export function mapOr<M, O>(map: Shape<M>, other: Shape<O>): Shape<M | O> {
  return {
    schema: anyOf(other.schema, map.schema),
    expected: `${other.expected} or ${map.expected}`,
    read: (place, reading) => (isMap(place.node) ? map.read(place, reading) : other.read(place, reading)),
  };
}

/** A union in one level, however its parts were made. */
export function anyOf(...schemas: readonly TSchema[]): TSchema {
  return Type.Union(schemas.flatMap((schema) => (Type.IsUnion(schema) ? schema.anyOf : [schema])));
}

/** The value of a scalar; undefined for all else, null where nothing is written. */
export function scalarOf(node: Node): unknown {
  if (node === null) return null;
  return isScalar(node) ? node.value : undefined;
}

/** Completes the sentence "found …". */
export function describe(node: Node): string {
  if (isMap(node)) return "a map";
  if (isSeq(node)) return "an array";
  const value = scalarOf(node);
  if (typeof value === "string") return value === "" ? "an empty text" : `\`${shortened(value)}\``;
  if (typeof value === "number") return `the number ${value}`;
  return typeof value === "boolean" ? `\`${value}\`` : "nothing";
}

/** Long or many-lined values would drown the message they stand in. */
export function shortened(value: string): string {
  const line = value.replace(/\p{Cc}/gu, " ");
  return line.length <= 80 ? line : `${line.slice(0, 77)}...`;
}

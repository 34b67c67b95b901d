import { isMap, isScalar, isSeq } from "yaml";
import { closest } from "../lib/text.ts";
import { type ConfigReader, keyBelow, type Located, type Node, type SourceLocation } from "./reading.ts";

/** A JSON Schema (draft 7). Plain objects: a library for them would stay in the memory of a server that never shows one. */
export type JsonSchema = Readonly<Record<string, unknown>>;

/** What may stand at one place of the file: a schema for editors, and a reader for the program. */
export interface Shape<T> {
  /** Accepts everything that `read` accepts. `read` may want more, such as a file that exists. */
  readonly schema: JsonSchema;
  /** Completes the sentence "expected …". */
  readonly expected: string;
  /** A key of this shape with no value counts as absent, as when every entry below it is commented out. */
  readonly mayBeBlank?: boolean;
  /** Returns undefined for a wrong value, which is reported. */
  readonly read: (place: SourceLocation, reader: ConfigReader) => T | undefined;
}

/** What a shape reads. */
export type RawOf<S extends Shape<unknown>> = NonNullable<ReturnType<S["read"]>>;

/** The result of parsing one word: the value, or what is wrong with the word and what to write. */
export type Parsed<T> = { readonly value: T } | { readonly wrong: string; readonly fix: string };

/** Longer words are refused without quoting them: they would drown every message. */
const MAX_TEXT_LENGTH = 2000;

interface TextOptions<T> {
  readonly expected: string;
  readonly parse: (text: string) => Parsed<T>;
  /** For the schema: matches everything that `parse` accepts. */
  readonly pattern?: string;
  readonly examples?: readonly string[];
  /** What to do if YAML saw a map or array; by default, to write what is expected. */
  readonly fixOfCollection?: string;
  /** No message quotes what was written. */
  readonly isSecret?: boolean;
}

/** A string with a form of its own. */
export function text<T>(options: TextOptions<T>): Shape<T> {
  const { expected, parse, pattern, examples } = options;
  return {
    schema: { type: "string", ...(pattern === undefined ? {} : { pattern }), ...(examples === undefined ? {} : { examples }) },
    expected,
    read(place, reader) {
      const word = scalarOf(place.node);
      if (typeof word !== "string") return failAsNotText(place, reader, options);
      if (word.length > MAX_TEXT_LENGTH)
        return reader.fail(place, `expected ${expected}, found ${word.length} characters`, `write ${expected}`);
      const parsed = parse(word);
      return "value" in parsed ? parsed.value : reader.fail(place, parsed.wrong, parsed.fix);
    },
  };
}

function failAsNotText<T>(place: SourceLocation, reader: ConfigReader, options: TextOptions<T>): undefined {
  const { expected, parse, fixOfCollection = `write ${expected}` } = options;
  const written = isScalar(place.node) && place.node.value !== null ? (place.node.source ?? null) : null;
  if (written === null) return failAsOther(place, expected, reader, fixOfCollection);
  // YAML takes a token of digits for a number.
  if (options.isSecret === true)
    return reader.fail(place, `expected ${expected}, found what YAML takes for no text`, "put it in quotes");
  const parsed = parse(written);
  return failAsOther(place, expected, reader, "value" in parsed ? `put it in quotes: "${written}"` : parsed.fix);
}

/** A word that matches a pattern. */
export function wordLike(pattern: RegExp, expected: string, { wrong, fix, isSecret = false }: WrongWord): Shape<string> {
  return text({
    expected,
    isSecret,
    parse: (written) => (pattern.test(written) ? { value: written } : { wrong: wrong.replaceAll("%", () => written), fix }),
  });
}

interface WrongWord {
  /** `%` stands for the word. */
  readonly wrong: string;
  readonly fix: string;
  readonly isSecret?: boolean;
}

/** One of a few fixed words. */
export function keyword<const W extends string>(...choices: readonly [W, ...W[]]): Shape<W> {
  const listed = choices.map((choice) => `\`${choice}\``);
  const expected = listed.length === 1 ? listed.join("") : `${listed.slice(0, -1).join(", ")} or ${listed.at(-1)}`;
  return {
    schema: { enum: choices },
    expected,
    read(place, reader) {
      const found = scalarOf(place.node);
      const match = choices.find((choice) => choice === found);
      if (match !== undefined) return match;
      const near = typeof found === "string" ? closest(found, choices) : null;
      return failAsOther(place, expected, reader, near === null ? `write ${expected}` : `write \`${near}\``);
    },
  };
}

const BOOLEAN_SYNONYMS = new Map([
  ["yes", "`true`"],
  ["on", "`true`"],
  ["no", "`false`"],
  ["off", "`false`"],
]);

export function boolean(): Shape<boolean> {
  const expected = "`true` or `false`";
  return {
    schema: { type: "boolean" },
    expected,
    read(place, reader) {
      const found = scalarOf(place.node);
      if (typeof found === "boolean") return found;
      return failAsOther(place, expected, reader, `write ${BOOLEAN_SYNONYMS.get(String(found).toLowerCase()) ?? expected}`);
    },
  };
}

/** A whole number from `minimum` to `maximum`, both included. */
export function integer(minimum: number, maximum: number): Shape<number> {
  const expected = `a whole number from ${minimum} to ${maximum}`;
  return {
    schema: { type: "integer", minimum, maximum },
    expected,
    read(place, reader) {
      const found = scalarOf(place.node);
      if (typeof found === "number" && Number.isInteger(found) && found >= minimum && found <= maximum) return found;
      const isQuoted = typeof found === "string" && /^\d{1,15}$/.test(found);
      return failAsOther(place, expected, reader, isQuoted ? `write it without quotes: ${found}` : `write ${expected}`);
    },
  };
}

/** Checks or changes what a shape has read. `next` returns undefined for a wrong value, which it reports. */
export function refine<T, R>(
  shape: Shape<T>,
  next: (value: T, place: SourceLocation, reader: ConfigReader) => R | undefined,
): Shape<R> {
  return {
    ...shape,
    read(place, reader) {
      const value = shape.read(place, reader);
      return value === undefined ? undefined : next(value, place, reader);
    },
  };
}

/** Returns the place beside the value. */
export function withPlace<T>(shape: Shape<T>): Shape<Located<T>> {
  return refine(shape, (value, place) => ({ value, place }));
}

/** null in the file is null in the program. */
export function orNull<T>(shape: Shape<T>): Shape<T | null> {
  return {
    schema: anyOf(shape.schema, NULL),
    expected: `${shape.expected} or \`null\``,
    read: (place, reader) => (scalarOf(place.node) === null ? null : shape.read(place, reader)),
  };
}

/** `false` switches off what the shape describes: null in the program. */
export function orFalse<T>(shape: Shape<T>): Shape<T | null> {
  return {
    ...shape,
    schema: anyOf(shape.schema, { type: "boolean", const: false }),
    expected: `${shape.expected} or \`false\``,
    read: (place, reader) => (scalarOf(place.node) === false ? null : shape.read(place, reader)),
  };
}

/** Maps are read by the first shape, everything else by the second. */
export function mapOr<M, O>(map: Shape<M>, other: Shape<O>): Shape<M | O> {
  return {
    schema: anyOf(other.schema, map.schema),
    expected: `${other.expected} or ${map.expected}`,
    read: (place, reader) => (isMap(place.node) ? map.read(place, reader) : other.read(place, reader)),
  };
}

/** One key of an object. */
export interface Key<T> {
  readonly schema: JsonSchema;
  readonly isRequired: boolean;
  /** @param place null = the key is absent. Returns undefined for a wrong value, which is reported: then the whole object is wrong. */
  readonly read: (place: SourceLocation | null, absent: Absent, reader: ConfigReader) => T | undefined;
}

/** Where an absent key would stand. */
interface Absent {
  readonly name: string;
  readonly owner: SourceLocation;
}

/** A key whose default is written as in the file. A wrong value is reported, and reading goes on with the default. */
export function key<T>(shape: Shape<T>, description: string, byDefault: unknown): Key<T> {
  return {
    schema: { ...blankable(shape), description, default: byDefault },
    isRequired: false,
    read(place, { name, owner }, reader) {
      const value = isAbsent(place, shape) ? undefined : shape.read(place, reader);
      // null is a value too: something is switched off.
      if (value !== undefined) return value;
      return shape.read(reader.placeOfDefault(byDefault, keyBelow(owner.key, name), owner), reader);
    },
  };
}

/** A key that may be absent: null in the program. */
export function optional<T>(shape: Shape<T>, description: string): Key<T | null> {
  return {
    schema: { ...blankable(shape), description },
    isRequired: false,
    read: (place, _absent, reader) => (isAbsent(place, shape) ? null : (shape.read(place, reader) ?? null)),
  };
}

/** @param standIn replaces an absent or wrong value, so that the rest of the object is checked too. */
export function required<T>(shape: Shape<T>, description: string, standIn?: (owner: SourceLocation) => T): Key<T> {
  return {
    schema: { ...shape.schema, description },
    isRequired: true,
    read(place, { name, owner }, reader) {
      if (place === null) reader.fail(owner, `the key \`${name}\` is missing`, `add \`${name}:\` with ${shape.expected}`);
      return (place === null ? undefined : shape.read(place, reader)) ?? standIn?.(owner);
    },
  };
}

/** Stands in for an absent or wrong name: no name in the file is empty. */
export function nameless(owner: SourceLocation): Located<string> {
  return { value: "", place: owner };
}

function isAbsent(place: SourceLocation | null, shape: Shape<unknown>): place is null {
  return place === null || (shape.mayBeBlank === true && scalarOf(place.node) === null);
}

const NULL = { type: "null" };

function blankable(shape: Shape<unknown>): JsonSchema {
  return shape.mayBeBlank === true ? anyOf(shape.schema, NULL) : shape.schema;
}

type Keys = Readonly<Record<string, Key<unknown>>>;
type ObjectOf<K extends Keys> = { readonly [N in keyof K]: K[N] extends Key<infer T> ? T : never };

/**
 * A map with fixed keys. Wrong parts are reported, and reading goes on without them.
 * @param reserved what to say about keys that are known but not allowed yet.
 */
export function object<K extends Keys>(
  expected: string,
  keys: K,
  reserved: ReadonlyMap<string, string> = new Map(),
): Shape<ObjectOf<K>> {
  const known = Object.keys(keys);
  const wanted = known.filter((name) => keys[name]?.isRequired);
  const properties = Object.fromEntries(Object.entries(keys).map(([name, { schema }]) => [name, schema]));
  return {
    schema: { type: "object", ...(wanted.length === 0 ? {} : { required: wanted }), properties, additionalProperties: false },
    expected,
    mayBeBlank: true,
    read(place, reader) {
      const found = entriesOf(place, expected, reader, `write its keys below: ${known.join(", ")}`);
      if (found === undefined) return undefined;
      for (const { name, keyPlace } of found) {
        const reason = reserved.get(name);
        if (reason !== undefined) reader.fail(keyPlace, reason, "remove it");
        else if (!Object.hasOwn(keys, name))
          failAsUnknown(
            keyPlace,
            { name, known, what: "unknown key", fix: `remove it; the keys here are ${known.join(", ")}` },
            reader,
          );
      }
      const values = Object.entries(keys).map(([name, { read }]) => {
        const value = found.find((entry) => entry.name === name)?.place ?? null;
        return [name, read(value, { name, owner: place }, reader)] as const;
      });
      if (values.some(([, value]) => value === undefined)) return undefined;
      // The compiler cannot see that the values come from `keys` one by one.
      return Object.fromEntries(values) as ObjectOf<K>;
    },
  };
}

interface UnknownName {
  readonly name: string;
  readonly known: readonly string[];
  /** Begins the message. */
  readonly what: string;
  /** What to do if no known name is similar. */
  readonly fix: string;
}

/** Reports a name that is not among the known ones, with the one that was probably meant. */
export function failAsUnknown(place: SourceLocation, { name, known, what, fix }: UnknownName, reader: ConfigReader): void {
  const near = closest(name, known);
  const message = `${what} \`${shorten(name)}\``;
  if (near === null) reader.fail(place, message, fix);
  else reader.fail(place, `${message}; did you mean \`${near}\`?`, `write \`${near}\``);
}

/** A key of a map with the place of its value, which is not read yet. */
interface Entry {
  readonly name: string;
  readonly keyPlace: SourceLocation;
  readonly place: SourceLocation;
}

/** @param fix for a value that is no map. */
function entriesOf(place: SourceLocation, expected: string, reader: ConfigReader, fix: string): readonly Entry[] | undefined {
  if (!isMap(place.node)) return failAsOther(place, expected, reader, fix);
  const entries: Entry[] = [];
  const names = new Set<string>();
  for (const pair of place.node.items) {
    const keyNode = reader.place(pair.key, place.key, place.offset);
    const name = nameOf(keyNode.node);
    if (name === null) {
      failAsOther(keyNode, "a key", reader, "write a word, in quotes if it begins with a bracket");
      continue;
    }
    const keyPath = keyBelow(place.key, name);
    const entry = { name, keyPlace: { ...keyNode, key: keyPath }, place: reader.place(pair.value, keyPath, keyNode.offset) };
    if (names.has(name)) reader.fail(entry.keyPlace, `the key \`${shorten(name)}\` is here twice`, "make it one entry");
    else entries.push(entry);
    names.add(name);
  }
  return entries;
}

/** A key as it is written, whatever type YAML gives it; null for a map or array. */
function nameOf(node: Node): string | null {
  if (!isScalar(node)) return null;
  return typeof node.value === "string" ? node.value : (node.source ?? null);
}

/** An entry of a map whose keys are the user's own names. */
export interface Named<N, T> {
  readonly name: N;
  readonly keyPlace: SourceLocation;
  /** undefined = wrong, and reported. The name still exists, so references to it are right. */
  readonly value: T | undefined;
}

/** A map from names to values, in the order of the file. Entries with a wrong name are reported and left out. */
export function mapOf<N, T>(
  expected: string,
  parseName: (text: string) => Parsed<N>,
  shape: Shape<T>,
): Shape<readonly Named<N, T>[]> {
  return {
    schema: { type: "object", patternProperties: { "^.*$": shape.schema } },
    expected,
    mayBeBlank: true,
    read(place, reader) {
      const entries = entriesOf(place, expected, reader, "write a name, `:` and its value on each line below");
      return entries?.flatMap(({ name, keyPlace, place }) => {
        const parsed = parseName(name);
        const value = shape.read(place, reader);
        if ("value" in parsed) return [{ name: parsed.value, keyPlace, value }];
        reader.fail(keyPlace, parsed.wrong, parsed.fix);
        return [];
      });
    },
  };
}

/** An array. Wrong items are reported and left out. */
export function arrayOf<T>(item: Shape<T>): Shape<readonly T[]> {
  const expected = `an array, each item ${item.expected}`;
  return {
    schema: { type: "array", items: item.schema },
    expected,
    mayBeBlank: true,
    read: (place, reader) => readItems(place, item, reader) ?? failAsOther(place, expected, reader, "begin each item with `- `"),
  };
}

/** An array, or one item without brackets. Wrong items are reported and left out. */
export function oneOrMany<T>(item: Shape<T>): Shape<readonly T[]> {
  return {
    schema: anyOf(item.schema, { type: "array", items: item.schema }),
    expected: `${item.expected}, or an array of such`,
    mayBeBlank: true,
    read(place, reader) {
      const items = readItems(place, item, reader);
      if (items !== undefined) return items;
      const value = item.read(place, reader);
      return value === undefined ? undefined : [value];
    },
  };
}

/** As `oneOrMany`, for a key whose empty array could only be an oversight, for the reason given. */
export function oneOrMore<T>(item: Shape<T>, reason: string): Shape<readonly T[]> {
  const { expected, read } = oneOrMany(item);
  return {
    schema: anyOf(item.schema, { type: "array", items: item.schema, minItems: 1 }),
    expected,
    read(place, reader) {
      const isEmpty = scalarOf(place.node) === null || (isSeq(place.node) && place.node.items.length === 0);
      if (isEmpty) return reader.fail(place, `nothing is listed here: ${reason}`, `write ${expected}, or remove the key`);
      return read(place, reader);
    },
  };
}

/** Reads the items of an array; undefined for anything else. */
function readItems<T>(place: SourceLocation, item: Shape<T>, reader: ConfigReader): readonly T[] | undefined {
  if (!isSeq(place.node)) return undefined;
  const values = place.node.items.map((node, index) =>
    item.read(reader.place(node, keyBelow(place.key, index), place.offset), reader),
  );
  return values.filter((value) => value !== undefined);
}

/** A union in one level, however its parts were made. */
export function anyOf(...schemas: readonly JsonSchema[]): JsonSchema {
  return { anyOf: schemas.flatMap((schema) => (Array.isArray(schema["anyOf"]) ? schema["anyOf"] : [schema])) };
}

/** The value of a scalar; null if nothing is written, undefined for a map or array. */
export function scalarOf(node: Node): unknown {
  if (node === null) return null;
  return isScalar(node) ? node.value : undefined;
}

/** Reports a value of another kind than the expected one. */
export function failAsOther(place: SourceLocation, expected: string, reader: ConfigReader, fix: string): undefined {
  return reader.fail(place, `expected ${expected}, found ${describe(place.node)}`, fix);
}

/** Completes the sentence "found …". */
function describe(node: Node): string {
  if (isMap(node)) return "a map";
  if (isSeq(node)) return "an array";
  const value = scalarOf(node);
  if (typeof value === "string") return value === "" ? "an empty text" : `\`${shorten(value)}\``;
  if (typeof value === "number") return `the number ${value}`;
  return typeof value === "boolean" ? `\`${value}\`` : "nothing";
}

/** Long values and line ends would drown the message around them. */
export function shorten(value: string): string {
  const line = value.replace(/\p{Cc}/gu, " ");
  return line.length <= 80 ? line : `${line.slice(0, 77)}...`;
}

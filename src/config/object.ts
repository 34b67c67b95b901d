import type { TSchema } from "typebox";
import Type from "typebox";
import { isMap, isScalar, isSeq } from "yaml";
import { closest } from "./closest.ts";
import { type ConfigReader, keyBelow, type Located, type Node, type SourceLocation } from "./reading.ts";
import { anyOf, describe, type Parsed, type Shape, scalarOf, shortened } from "./shape.ts";

/** One key of an object. */
interface Key<T> {
  readonly schema: TSchema;
  /** @param place null = the key is not there. undefined = wrong and reported, and the whole object with it. */
  readonly read: (place: SourceLocation | null, absent: Absent, reading: ConfigReader) => T | undefined;
}

/** Where a key that is left out would stand. */
interface Absent {
  readonly name: string;
  readonly owner: SourceLocation;
}

/** A key whose default is written as in the file. A wrong value is reported, and reading goes on with the default. */
export function key<T>(shape: Shape<T>, description: string, byDefault: unknown): Key<T> {
  return {
    schema: Type.Optional(Type.With(blankable(shape), { description, default: byDefault })),
    read(place, { name, owner }, reading) {
      const value = isAbsent(place, shape) ? undefined : shape.read(place, reading);
      // null is a value: what has been switched off.
      return value !== undefined
        ? value
        : shape.read(reading.placeOfDefault(byDefault, keyBelow(owner.key, name), owner), reading);
    },
  };
}

/** A key that may be missing: null in the program. */
export function optional<T>(shape: Shape<T>, description: string): Key<T | null> {
  return {
    schema: Type.Optional(Type.With(blankable(shape), { description })),
    read: (place, _absent, reading) => (isAbsent(place, shape) ? null : (shape.read(place, reading) ?? null)),
  };
}

/** @param standIn with it the object is read on where this key is missing or wrong, so that the rest of it is judged too. */
export function required<T>(shape: Shape<T>, description: string, standIn?: (owner: SourceLocation) => T): Key<T> {
  return {
    schema: Type.With(shape.schema, { description }),
    read(place, { name, owner }, reading) {
      if (place === null) reading.fail(owner, `the key \`${name}\` is missing`, `add \`${name}:\` with ${shape.expected}`);
      return (place === null ? undefined : shape.read(place, reading)) ?? standIn?.(owner);
    },
  };
}

/** Stands in for a name that is missing or wrong; nothing in the file can be called so. */
export function nameless(owner: SourceLocation): Located<string> {
  return { value: "", place: owner };
}

function isAbsent(place: SourceLocation | null, shape: Shape<unknown>): place is null {
  return place === null || (shape.mayBeBlank === true && scalarOf(place.node) === null);
}

function blankable(shape: Shape<unknown>): TSchema {
  return shape.mayBeBlank === true ? anyOf(shape.schema, Type.Null()) : shape.schema;
}

type Keys = Readonly<Record<string, Key<unknown>>>;
type ObjectOf<K extends Keys> = { readonly [N in keyof K]: K[N] extends Key<infer T> ? T : never };

interface ObjectOptions {
  /** What to say about keys that are known and still not allowed. */
  readonly reserved?: Readonly<Record<string, string>>;
}

/** A map with fixed keys. Wrong parts are reported, and reading goes on without them. */
export function object<K extends Keys>(expected: string, keys: K, options: ObjectOptions = {}): Shape<ObjectOf<K>> {
  const properties = Object.fromEntries(Object.entries(keys).map(([name, { schema }]) => [name, schema]));
  return {
    schema: Type.Object(properties, { additionalProperties: false }),
    expected,
    mayBeBlank: true,
    read(place, reading) {
      const found = entriesOf(place, expected, reading, `write its keys below: ${Object.keys(keys).join(", ")}`);
      if (found === undefined) return undefined;
      for (const entry of found) if (!Object.hasOwn(keys, entry.name)) failAsUnknown(entry, Object.keys(keys), options, reading);
      const values = Object.entries(keys).map(([name, { read }]) => {
        const value = found.find((entry) => entry.name === name)?.place ?? null;
        return [name, read(value, { name, owner: place }, reading)] as const;
      });
      if (values.some(([, value]) => value === undefined)) return undefined;
      // Built key by key from `keys`, which the compiler cannot follow.
      return Object.fromEntries(values) as ObjectOf<K>;
    },
  };
}

function failAsUnknown(entry: Entry, known: readonly string[], { reserved }: ObjectOptions, reading: ConfigReader): void {
  const reason = reserved !== undefined && Object.hasOwn(reserved, entry.name) ? reserved[entry.name] : undefined;
  if (reason !== undefined) {
    reading.fail(entry.keyPlace, reason, "remove it");
    return;
  }
  const name = shortened(entry.name);
  const near = closest(entry.name, known);
  if (near === null) reading.fail(entry.keyPlace, `unknown key \`${name}\``, `remove it; the keys here are ${known.join(", ")}`);
  else reading.fail(entry.keyPlace, `unknown key \`${name}\`; did you mean \`${near}\`?`, `write \`${near}\``);
}

/** A pair of a map, its value not read yet. */
interface Entry {
  readonly name: string;
  readonly keyPlace: SourceLocation;
  readonly place: SourceLocation;
}

/** @param fix for what is no map. */
function entriesOf(place: SourceLocation, expected: string, reading: ConfigReader, fix: string): readonly Entry[] | undefined {
  if (!isMap(place.node)) return reading.fail(place, `expected ${expected}, found ${describe(place.node)}`, fix);
  const entries: Entry[] = [];
  const names = new Set<string>();
  for (const pair of place.node.items) {
    const keyNode = reading.place(pair.key, place.key, place.offset);
    const name = nameOf(keyNode.node);
    if (name === null) {
      reading.fail(
        keyNode,
        `expected a key, found ${describe(keyNode.node)}`,
        "write a word, in quotes if it begins with a bracket",
      );
      continue;
    }
    const keyPath = keyBelow(place.key, name);
    const entry = { name, keyPlace: { ...keyNode, key: keyPath }, place: reading.place(pair.value, keyPath, keyNode.offset) };
    if (names.has(name)) reading.fail(entry.keyPlace, `the key \`${shortened(name)}\` is here twice`, "make it one entry");
    else entries.push(entry);
    names.add(name);
  }
  return entries;
}

/** A key as it is written, whatever YAML takes it for; null where it is no scalar. */
function nameOf(node: Node): string | null {
  if (!isScalar(node)) return null;
  return typeof node.value === "string" ? node.value : (node.source ?? null);
}

/** An entry of a map whose keys are the user's own names. */
export interface Named<N, T> {
  readonly name: N;
  readonly keyPlace: SourceLocation;
  /** undefined = wrong, and reported; the name stands all the same, so that references to it are no further problem. */
  readonly value: T | undefined;
}

/** A map from names to values, in the order of the file; entries with a wrong name are reported and left out. */
export function mapOf<N, T>(
  expected: string,
  parseName: (text: string) => Parsed<N>,
  shape: Shape<T>,
): Shape<readonly Named<N, T>[]> {
  return {
    schema: Type.Record(Type.String(), shape.schema),
    expected,
    mayBeBlank: true,
    read(place, reading) {
      const named: Named<N, T>[] = [];
      for (const entry of entriesOf(place, expected, reading, "write a name, `:` and its value on each line below") ?? []) {
        const parsed = parseName(entry.name);
        const value = shape.read(entry.place, reading);
        if ("value" in parsed) named.push({ name: parsed.value, keyPlace: entry.keyPlace, value });
        else reading.fail(entry.keyPlace, parsed.wrong, parsed.fix);
      }
      return isMap(place.node) ? named : undefined;
    },
  };
}

/** An array; wrong items are reported and left out. */
export function arrayOf<T>(item: Shape<T>): Shape<readonly T[]> {
  const expected = `an array, each item ${item.expected}`;
  return {
    schema: Type.Array(item.schema),
    expected,
    mayBeBlank: true,
    read(place, reading) {
      if (isSeq(place.node)) return itemsOf(place, item, reading);
      return reading.fail(place, `expected ${expected}, found ${describe(place.node)}`, "begin each item with `- `");
    },
  };
}

/** An array, or one item without the brackets; wrong items are reported and left out. */
export function oneOrMany<T>(item: Shape<T>): Shape<readonly T[]> {
  return {
    schema: anyOf(item.schema, Type.Array(item.schema)),
    expected: `${item.expected}, or an array of such`,
    mayBeBlank: true,
    read(place, reading) {
      if (isSeq(place.node)) return itemsOf(place, item, reading);
      const value = item.read(place, reading);
      return value === undefined ? undefined : [value];
    },
  };
}

/** Like `oneOrMany`, where an empty array could only be an oversight, for the reason given. */
export function oneOrMore<T>(item: Shape<T>, reason: string): Shape<readonly T[]> {
  const { expected, read } = oneOrMany(item);
  return {
    schema: anyOf(item.schema, Type.Array(item.schema, { minItems: 1 })),
    expected,
    read(place, reading) {
      const isEmpty = scalarOf(place.node) === null || (isSeq(place.node) && place.node.items.length === 0);
      if (isEmpty) return reading.fail(place, `nothing is listed here: ${reason}`, `write ${expected}, or remove the key`);
      return read(place, reading);
    },
  };
}

function itemsOf<T>(place: SourceLocation, item: Shape<T>, reading: ConfigReader): readonly T[] {
  if (!isSeq(place.node)) return [];
  const values: T[] = [];
  for (const [index, node] of place.node.items.entries()) {
    const value = item.read(reading.place(node, keyBelow(place.key, index), place.offset), reading);
    if (value !== undefined) values.push(value);
  }
  return values;
}

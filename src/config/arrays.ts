import Type from "typebox";
import { isSeq } from "yaml";
import { keyBelow, type Place, type Reading } from "./reading.ts";
import { anyOf, describe, type Shape, scalarOf } from "./shape.ts";

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

function itemsOf<T>(place: Place, item: Shape<T>, reading: Reading): readonly T[] {
  if (!isSeq(place.node)) return [];
  const values: T[] = [];
  for (const [index, node] of place.node.items.entries()) {
    const value = item.read(reading.place(node, keyBelow(place.key, index), place.offset), reading);
    if (value !== undefined) values.push(value);
  }
  return values;
}

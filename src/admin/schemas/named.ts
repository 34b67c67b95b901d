import {
  type Static,
  type TObjectOptions,
  type TProperties,
  type TSchema,
  type TSchemaOptions,
  type TUnsafe,
  Type,
} from "typebox";
import type { Said } from "../../lib/said.ts";

/** A schema that the OpenAPI document has once, under its name; other schemas refer to it by `ref`. */
export interface NamedSchema<T = unknown> {
  readonly name: string;
  readonly schema: TSchema;
  readonly ref: TUnsafe<T>;
}

/** The type of the values that a named schema describes: the schema is the only list of the fields. */
export type ValueOf<S> = S extends NamedSchema<infer T> ? T : never;

/** An object that has no other properties than these. */
export function closedObject<P extends TProperties>(properties: P, options: TObjectOptions = {}) {
  return Type.Object(properties, { additionalProperties: false, ...options });
}

export function named<S extends TSchema>(name: string, schema: S): NamedSchema<Immutable<Static<S>>> {
  return { name, schema, ref: schemaReference(name) };
}

/** @param description null where the name says all. */
export function namedObject<P extends TProperties>(name: string, description: string | null, properties: P) {
  return named(name, closedObject(properties, description === null ? {} : { description }));
}

/** For a schema that contains itself. */
export function schemaReference<T>(name: string): TUnsafe<T> {
  return Type.Unsafe<T>({ $ref: `${name}#` });
}

export function listOf<T>({ ref }: NamedSchema<T>): TUnsafe<readonly T[]> {
  return Type.Unsafe<readonly T[]>(Type.Array(ref));
}

export function nullable<S extends TSchema>(schema: S) {
  return Type.Union([schema, Type.Null()]);
}

/** `lib/said.ts` */
export const saidSchema: NamedSchema<Said> = namedObject("Said", "A sentence for people.", {
  code: Type.String({
    description: "Which sentence it is, for pages in other languages. There may be new ones at any time: show `text` then.",
    examples: ["explain.sends"],
  }),
  values: Type.Record(Type.String(), Type.Union([Type.String(), Type.Number()]), {
    description: "What the sentence names.",
    examples: [{ rule: "split", group: "domestic" }],
  }),
  text: Type.String({ description: "In English.", examples: ["Rule split sends it to domestic."] }),
});

/** One of these texts. */
export function oneOf<const V extends string>(values: readonly V[], options: TSchemaOptions = {}): TUnsafe<V> {
  return Type.Unsafe<V>(Type.Enum([...values], { type: "string", ...options }));
}

/** `Static` gives mutable types; values of the API are never changed. */
export type Immutable<T> = unknown extends T ? T : { readonly [K in keyof T]: Immutable<T[K]> };

import { type Static, type TSchema, type TSchemaOptions, type TUnsafe, Type } from "typebox";

/** A schema that stands once in the OpenAPI document, under its name, and is referred to from elsewhere. */
export interface NamedSchema<T> {
  readonly name: string;
  readonly schema: TSchema;
  readonly ref: TUnsafe<T>;
}

/** For objects that have no other properties than those that are named. */
export const CLOSED = { additionalProperties: false } as const;

/**
 * Begins a schema of this type: `named<Page>("Page").as(Type.Object({ … }))`. The compiler refuses a schema that says anything else than
 * the type, `readonly` apart, so that the two cannot drift.
 */
export function named<T>(name: string): {
  as<S extends TSchema>(schema: Same<Writable<Static<S>>, Writable<T>> extends true ? S : never): NamedSchema<T>;
} {
  return { as: (schema) => ({ name, schema, ref: schemaReference<T>(name) }) };
}

/** For schemas that contain themselves. */
export function schemaReference<T>(name: string): TUnsafe<T> {
  return Type.Unsafe<T>({ $ref: `${name}#` });
}

export function listOf<T>({ ref }: NamedSchema<T>): TUnsafe<readonly T[]> {
  return Type.Unsafe<readonly T[]>(Type.Array(ref));
}

export function nullable<S extends TSchema>(schema: S) {
  return Type.Union([schema, Type.Null()]);
}

/** One of these texts. */
export function oneOf<const V extends string>(values: readonly V[], options: TSchemaOptions = {}): TUnsafe<V> {
  return Type.Unsafe<V>(Type.Enum([...values], { type: "string", ...options }));
}

type Same<A, B> = [A] extends [B] ? ([B] extends [A] ? true : false) : false;

/** What typebox gives is not `readonly`; what it refers to is. Four levels deep, because a type may contain itself. */
type Writable<T, Level extends readonly 0[] = []> = Level["length"] extends 4
  ? T
  : T extends readonly (infer E)[]
    ? Writable<E, [...Level, 0]>[]
    : T extends object
      ? { -readonly [K in keyof T]: Writable<T[K], [...Level, 0]> }
      : T;

import { Compile } from "typebox/compile";
import { NAMED_SCHEMAS } from "../admin/openapi.ts";
import type { NamedSchema } from "../admin/schemas/named.ts";

/** Whether JSON of the API has the shape that its document of this version tells. */
export function fits<T>(shape: NamedSchema<T>, json: unknown): json is T {
  let checker = checkers.get(shape);
  if (checker === undefined) {
    // Schemas refer to each other so.
    const context = Object.fromEntries(NAMED_SCHEMAS.map(({ name, schema }) => [`${name}#`, schema]));
    const validator = Compile(context, shape.schema);
    checker = (value) => validator.Check(value);
    checkers.set(shape, checker);
  }
  return checker(json);
}

/** Made when they are needed, which most commands do not. */
const checkers = new Map<NamedSchema<unknown>, (json: unknown) => boolean>();

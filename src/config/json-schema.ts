import Type, { type TSchema } from "typebox";
import { fileShape } from "./file.ts";

/** What editors are told of `fenliu.yaml`. They complain of unknown keys and wrong types while one types; the rest is told by `fenliu check`. */
export function jsonSchema(): TSchema {
  return Type.With(fileShape.schema, {
    $schema: "http://json-schema.org/draft-07/schema#",
    title: "fenliu.yaml",
    description: "Configuration of Fenliu; every key is optional. The chapters of docs/config.md say more.",
  });
}

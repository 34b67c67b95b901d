import { Type } from "typebox";
import { closedObject, type NamedSchema, namedObject, nullable, oneOf, type ValueOf } from "./named.ts";

const INSTANT = Type.String({ format: "date-time", examples: ["2026-11-21T21:03:11.482Z"] });
const INTEGER = Type.Integer({ minimum: 0 });
const VERSION = Type.String({ examples: ["7f3a91c2d0e4"] });

const diffLineSchema = namedObject("DiffLine", "A line of the difference between two texts.", {
  kind: oneOf(["same", "removed", "added"]),
  before: nullable(Type.Integer({ minimum: 1, description: "Its number in the text before; null: it is not there." })),
  after: nullable(Type.Integer({ minimum: 1 })),
  text: Type.String({ description: "Secrets are hidden." }),
});

export const historyEntrySchema = namedObject("HistoryEntry", "A text of the configuration file that served.", {
  version: VERSION,
  since: INSTANT,
  until: nullable(INSTANT),
  current: Type.Boolean(),
  changedLines: nullable(
    Type.Integer({ minimum: 0, description: "Lines that differ from the text before; null: there was none." }),
  ),
  policies: Type.Array(Type.String(), {
    description:
      "The versions that records bear and `explain` takes: a text comes to another one with each new list. The newest last.",
  }),
  lists: Type.Array(closedObject({ name: Type.String(), size: INTEGER })),
});

export type HistoryEntry = ValueOf<typeof historyEntrySchema>;

export const configDiffSchema = namedObject("ConfigDiff", "What changed between two texts of the configuration.", {
  lines: Type.Array(diffLineSchema.ref),
  lists: Type.Array(closedObject({ name: Type.String(), before: nullable(INTEGER), after: nullable(INTEGER) }), {
    description: "Lists that have another size; null: there was no such list.",
  }),
});

export type ConfigDiff = ValueOf<typeof configDiffSchema>;

export const EDIT_SCHEMAS: readonly NamedSchema[] = [diffLineSchema, historyEntrySchema, configDiffSchema];

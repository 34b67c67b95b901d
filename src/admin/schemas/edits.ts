import { Type } from "typebox";
import { closedObject, type NamedSchema, namedObject, nullable, oneOf, saidSchema, type ValueOf } from "./named.ts";
import { configCheckSchema, whatIfSchema } from "./views.ts";

const INSTANT = Type.String({ format: "date-time", examples: ["2026-11-21T21:03:11.482Z"] });
const INTEGER = Type.Integer({ minimum: 0 });
const VERSION = Type.String({ examples: ["7f3a91c2d0e4"] });

const diffLineSchema = namedObject("DiffLine", "A line of the difference between two texts.", {
  kind: oneOf(["same", "removed", "added"]),
  before: nullable(Type.Integer({ minimum: 1, description: "Its number in the text before; null: it is not there." })),
  after: nullable(Type.Integer({ minimum: 1 })),
  text: Type.String({ description: "Secrets are hidden." }),
});

export const configFileSchema = namedObject("ConfigFile", "The configuration file as it stands.", {
  path: Type.String(),
  digest: Type.String({ description: "Of the file, for edits." }),
  text: Type.String({ description: "Hidden parts stand as `•••1`, `•••2`; an edit of the text keeps them by these marks." }),
  inForce: Type.Boolean({ description: "Whether this text serves; else somebody has edited the file, and it was not reloaded." }),
});

export type ConfigFile = ValueOf<typeof configFileSchema>;

export const editPreviewSchema = namedObject("EditPreview", "What an edit of the configuration would do.", {
  diff: Type.Array(diffLineSchema.ref, { description: "The lines that change, with three lines around each change." }),
  check: configCheckSchema.ref,
  expect: closedObject(
    { held: INTEGER, total: INTEGER, broken: Type.Array(saidSchema.ref) },
    { description: "The expectations of the configuration." },
  ),
  whatIf: nullable(whatIfSchema.ref),
  whatIfDone: Type.Boolean({
    description: "Whether `whatIf` is all there will be: it takes up to 20 seconds, and is null where there is no log.",
  }),
  ticket: nullable(Type.String({ description: "For applying it within ten minutes; null: it cannot be applied." })),
});

export type EditPreview = ValueOf<typeof editPreviewSchema>;

export const appliedEditSchema = namedObject("AppliedEdit", "An edit that is in force.", {
  version: Type.String({ description: "Of the configuration now in force, as in the history.", examples: ["7f3a91c2d0e4"] }),
  previous: Type.String({
    description: "Of the configuration before: restoring it undoes the edit.",
    examples: ["0c41b2aa97d3"],
  }),
});

export type AppliedEdit = ValueOf<typeof appliedEditSchema>;

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

export const pauseSchema = namedObject("Pause", "Rules that answer here, and are passed over for a while.", {
  id: Type.String(),
  rules: Type.Array(Type.String(), { description: "Empty: all rules that answer here." }),
  client: nullable(Type.String({ description: "An address, a network or a client id; null: for everybody." })),
  until: INSTANT,
});

export type Pause = ValueOf<typeof pauseSchema>;

export const EDIT_SCHEMAS: readonly NamedSchema[] = [
  configFileSchema,
  editPreviewSchema,
  appliedEditSchema,
  diffLineSchema,
  historyEntrySchema,
  configDiffSchema,
  pauseSchema,
];

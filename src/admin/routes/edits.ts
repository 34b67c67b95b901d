import { Type } from "typebox";
import { jsonContent, operation } from "../openapi.ts";
import { configDiffSchema, historyEntrySchema } from "../schemas/edits.ts";
import { closedObject, listOf } from "../schemas/named.ts";
import type { Api, ApiParts } from "../types.ts";

const TAGS = ["configuration"] as const;

const VERSION = Type.String({
  minLength: 1,
  maxLength: 64,
  description: "`version` of an entry of the history.",
  examples: ["7f3a91c2d0e4"],
});

const listHistory = operation({
  operationId: "listHistory",
  summary: "The texts of the configuration file that served",
  description: "The present one first; the last hundred are kept.",
  tags: TAGS,
  response: { 200: jsonContent("The texts, without their content.", listOf(historyEntrySchema)) },
});

const diffHistory = operation({
  operationId: "diffHistory",
  summary: "What changed between two texts of the configuration",
  tags: TAGS,
  params: closedObject({ before: VERSION, after: VERSION }),
  response: { 200: jsonContent("The lines and lists that differ.", configDiffSchema.ref) },
  problems: [404],
});

export function historyRoutes(api: Api, { control }: ApiParts): void {
  api.get("/history", { schema: listHistory }, () => control().history());
  api.get("/history/:before/diff/:after", { schema: diffHistory }, ({ params: { before, after } }) =>
    control().historyDiff(before, after),
  );
}

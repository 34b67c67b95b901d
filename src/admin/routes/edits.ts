import { Type } from "typebox";
import { jsonContent, operation } from "../openapi.ts";
import { HttpProblem } from "../problem.ts";
import {
  type AppliedEdit,
  appliedEditSchema,
  configDiffSchema,
  configFileSchema,
  type EditPreview,
  editPreviewSchema,
  historyEntrySchema,
  pauseSchema,
} from "../schemas/edits.ts";
import { type ConfigEdit, configEditSchema } from "../schemas/health.ts";
import { closedObject, listOf } from "../schemas/named.ts";
import { callerOf } from "../session.ts";
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

const BASE = Type.String({
  minLength: 1,
  maxLength: 64,
  description: "`digest` of the file that it is meant for: a file that was changed meanwhile is not overwritten.",
  examples: ["7f3a91c2d0e4"],
});

const getConfigFile = operation({
  operationId: "getConfigFile",
  summary: "The configuration file as it stands",
  tags: TAGS,
  response: { 200: jsonContent("The file, with its secrets hidden.", configFileSchema.ref) },
  problems: [409],
});

const putConfigFile = operation({
  operationId: "putConfigFile",
  summary: "Put another text in place of the configuration file",
  description:
    "It is checked first, with its expectations, and put in place as a reload is; the text before is kept in the history.",
  tags: TAGS,
  body: closedObject(
    {
      text: Type.String({
        maxLength: 300_000,
        description: "The whole file; its hidden parts stand as `getConfigFile` shows them.",
      }),
      base: BASE,
    },
    { examples: [{ text: "answers: { https: nodata }\n", base: "7f3a91c2d0e4" }] },
  ),
  response: { 200: jsonContent("It is in force.", appliedEditSchema.ref) },
  problems: [409, 502],
});

const editConfig = operation({
  operationId: "editConfig",
  summary: "See what an edit of the configuration would do, or apply it",
  description:
    "With `edit` and `base`: its lines, what check and expectations say, and a ticket; what it would have changed of the last day's queries follows within 20 seconds (`getConfigEdit`). With `ticket` and `apply`: check and expectations are asked once more, and the file is written and put in place. Comments and layout stay.",
  tags: TAGS,
  body: Type.Union(
    [
      // The validator of requests knows no references.
      closedObject({ edit: Type.Unsafe<ConfigEdit>(configEditSchema.schema), base: BASE }),
      closedObject({ ticket: Type.String({ minLength: 1, maxLength: 100 }), apply: Type.Literal(true) }),
    ],
    { examples: [{ edit: { kind: "pattern", rule: "ads", pattern: "!app.example.cn" }, base: "7f3a91c2d0e4" }] },
  ),
  response: {
    200: jsonContent("What it would do, or that it is done.", Type.Union([editPreviewSchema.ref, appliedEditSchema.ref])),
  },
  problems: [404, 409, 502],
});

const getConfigEdit = operation({
  operationId: "getConfigEdit",
  summary: "An edit that may be applied, with what it would change",
  tags: TAGS,
  params: closedObject({
    ticket: Type.String({ minLength: 1, maxLength: 100, description: "`ticket` of the edit.", examples: ["gkY0b2ZQwzX1c3Vr"] }),
  }),
  response: { 200: jsonContent("The edit.", editPreviewSchema.ref) },
  problems: [404],
});

const restoreConfig = operation({
  operationId: "restoreConfig",
  summary: "Put a text of the history in place again",
  description: "Checked and put in place as an edit is. Restoring `previous` of an edit undoes it, byte by byte.",
  tags: TAGS,
  params: closedObject({ version: VERSION }),
  body: closedObject({ base: BASE }, { examples: [{ base: "7f3a91c2d0e4" }] }),
  response: { 200: jsonContent("It is in force.", appliedEditSchema.ref) },
  problems: [404, 409, 502],
});

const listPauses = operation({
  operationId: "listPauses",
  summary: "Rules that are paused",
  tags: TAGS,
  response: { 200: jsonContent("The pauses.", listOf(pauseSchema)) },
});

const pauseRules = operation({
  operationId: "pauseRules",
  summary: "Pass rules that answer here over for a while",
  description:
    "From the next query on, until the time is over or the server is restarted. Answers that clients hold meanwhile stay with them.",
  tags: TAGS,
  body: closedObject(
    {
      rules: Type.Optional(
        Type.Array(Type.String({ maxLength: 200 }), {
          maxItems: 100,
          description: "All that answer here where nothing is said.",
        }),
      ),
      client: Type.Optional(
        Type.String({ maxLength: 100, description: "An address, a network or a client id; everybody where nothing is said." }),
      ),
      minutes: Type.Integer({ minimum: 1, maximum: 1440 }),
    },
    { examples: [{ rules: ["ads"], client: "10.0.7.12", minutes: 10 }] },
  ),
  response: { 200: jsonContent("The pause.", pauseSchema.ref) },
  problems: [409],
});

const endPause = operation({
  operationId: "endPause",
  summary: "End a pause",
  tags: TAGS,
  params: closedObject({
    id: Type.String({ minLength: 1, maxLength: 100, description: "`id` of the pause.", examples: ["2f9k3x1"] }),
  }),
  response: { 204: Type.Unsafe<undefined>({ description: "It is over.", type: "null" }) },
  problems: [404, 409, 415],
});

export function historyRoutes(api: Api, { control }: ApiParts): void {
  api.get("/config/file", { schema: getConfigFile }, () => control().configFile());
  api.put("/config/file", { schema: putConfigFile }, ({ body: { text, base } }) => control().putConfigFile(text, base));
  api.post("/config/edits", { schema: editConfig }, (request): Promise<EditPreview | AppliedEdit> => {
    const { body } = request;
    const caller = callerOf(request);
    return "ticket" in body ? control().applyEdit(body.ticket, caller) : control().previewEdit(body, caller);
  });
  api.get("/config/edits/:ticket", { schema: getConfigEdit }, async (request) =>
    control().editTicket(request.params.ticket, callerOf(request)),
  );
  api.get("/pause", { schema: listPauses }, async () => control().pauses());
  api.post("/pause", { schema: pauseRules }, ({ body: { rules = [], client = null, minutes } }) =>
    control().pause({ rules, client, forMs: minutes * 60_000 }),
  );
  api.delete("/pause/:id", { schema: endPause }, async ({ params: { id } }, reply) => {
    if (!(await control().endPause(id))) throw new HttpProblem(404, `there is no pause ${id}, or not any more`);
    return reply.code(204).send(undefined);
  });
  api.post("/history/:version/restore", { schema: restoreConfig }, ({ params: { version }, body: { base } }) =>
    control().restoreConfig(version, base),
  );
  api.get("/history", { schema: listHistory }, () => control().history());
  api.get("/history/:before/diff/:after", { schema: diffHistory }, ({ params: { before, after } }) =>
    control().historyDiff(before, after),
  );
}

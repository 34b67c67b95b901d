import { Type } from "typebox";
import { jsonContent, operation } from "../openapi.ts";
import { invalid } from "../problem.ts";
import { troublePageSchema, troubleSchema } from "../schemas/health.ts";
import { closedObject, oneOf } from "../schemas/named.ts";
import type { Api, ApiParts } from "../types.ts";
import { momentOf, PAGING } from "./parameters.ts";

const TAGS = ["problems"] as const;

const listProblems = operation({
  operationId: "listProblems",
  summary: "What goes wrong again and again, as one problem each",
  description:
    "The open first, and a standing one for each part of the server that is not well. Queries of one cause, one culprit and names under one suffix are one problem, told of from three queries or two names on; many suffixes in little time are one as well. At most 500 are kept.",
  tags: TAGS,
  querystring: closedObject({
    state: Type.Optional(oneOf(["open", "quiet", "muted", "fixed", "cameBack"], { description: "Those in this state alone." })),
    client: Type.Optional(Type.String({ maxLength: 100, description: "An address or a client id that it hurts, such as `tv`." })),
    ...PAGING,
  }),
  response: { 200: jsonContent("A page of problems.", troublePageSchema.ref) },
});

const changeProblem = operation({
  operationId: "changeProblem",
  summary: "Mute a problem, open it again, or call it fixed",
  description: "A problem that is called fixed and comes back is told of as such.",
  tags: TAGS,
  params: closedObject({
    id: Type.String({ minLength: 1, maxLength: 2000, description: "`id` of the problem.", examples: ["v1|group|overseas|"] }),
  }),
  body: closedObject(
    {
      state: oneOf(["muted", "open", "fixed"]),
      until: Type.Optional(
        Type.String({
          maxLength: 40,
          description: "Until when it is muted: ISO 8601, or milliseconds since 1970; a week where nothing is said.",
        }),
      ),
    },
    { examples: [{ state: "muted", until: "2027-01-01T00:00Z" }] },
  ),
  response: { 200: jsonContent("The problem as it is now.", troubleSchema.ref) },
  problems: [404],
});

const WEEK_MS = 7 * 86_400_000;

export function problemRoutes(api: Api, { control, clock }: ApiParts): void {
  api.get("/problems", { schema: listProblems }, ({ query }) => {
    const { state = null, client = null, limit = 100, cursor = null } = query;
    return control().problems({ state, client, limit, cursor });
  });

  api.put("/problems/:id", { schema: changeProblem }, ({ params: { id }, body: { state, until } }) => {
    const nowMs = clock.wallMs();
    const untilMs = until === undefined ? nowMs + WEEK_MS : momentOf("until", until, nowMs);
    if (state === "muted" && untilMs <= nowMs) throw invalid([{ parameter: "until", reason: "lies in the past" }]);
    return control().changeProblem(id, { state, untilMs });
  });
}

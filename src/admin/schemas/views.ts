import { Type } from "typebox";
import type {
  CacheSegmentView,
  CacheView,
  ConfigCheck,
  ConfigProblem,
  ConfigView,
  HostView,
  ListSourceView,
  ListView,
  Readiness,
  UpstreamGroup,
  UpstreamMember,
  VersionView,
  WhatIf,
  WhatIfChange,
  WhatIfOutcome,
} from "../control.ts";
import { CLOSED, named, nullable, oneOf } from "./named.ts";

const COUNT = Type.Integer({ minimum: 0 });
const INSTANT = Type.String({ examples: ["2026-11-21T21:03:11.482Z"] });

export const upstreamMemberSchema = named<UpstreamMember>("UpstreamMember").as(
  Type.Object(
    {
      server: Type.String({
        description: "As it is written, but `***` for what may be a key in the URL of a DoH server.",
        examples: ["tls://8.8.8.8"],
      }),
      well: Type.Boolean(),
      latencyMs: nullable(Type.Number({ description: "What it takes to answer; null: not known yet." })),
      questions: COUNT,
      failures: COUNT,
      lastFailure: nullable(
        Type.Object(
          {
            reason: Type.String({
              description:
                "Such as `timeout`, or `refused` where the connection was; an rcode such as `REFUSED` where that came.",
              examples: ["timeout"],
            }),
            time: INSTANT,
          },
          CLOSED,
        ),
      ),
      inFlight: COUNT,
    },
    CLOSED,
  ),
);

export const upstreamGroupSchema = named<UpstreamGroup>("UpstreamGroup").as(
  Type.Object(
    {
      name: Type.String({ examples: ["domestic"] }),
      strategy: Type.String({ examples: ["fastest"] }),
      fallback: nullable(Type.String({ description: "The group that is asked when every member has failed." })),
      well: Type.Boolean({ description: "Whether any member is well." }),
      inFlight: COUNT,
      breaches: Type.Integer({ minimum: 0, description: "Questions that `never` kept from this group." }),
      members: Type.Array(upstreamMemberSchema.ref),
    },
    CLOSED,
  ),
);

export const listSourceSchema = named<ListSourceView>("ListSource").as(
  Type.Object(
    {
      source: Type.String({ description: "A file, or an address and perhaps a category." }),
      servedFrom: oneOf(["file", "copy", "seed", "nothing"], {
        description: "`copy`: the last good download; `seed`: what stands in until there is one.",
      }),
      entries: COUNT,
      bytes: COUNT,
      sha256: nullable(Type.String()),
      changed: nullable(Type.String({ description: "When it was last changed or downloaded; null: not known." })),
      checked: nullable(Type.String({ description: "When it was last known to be the newest." })),
      problem: nullable(Type.String()),
      downloadProblem: nullable(
        Type.Object(
          {
            reason: Type.String(),
            held: Type.Boolean({ description: "Whether a download was put aside because it looked wrong." }),
            since: INSTANT,
          },
          CLOSED,
        ),
      ),
      warningCount: COUNT,
      warnings: Type.Array(Type.Object({ line: COUNT, reason: Type.String() }, CLOSED), { description: "The first of them." }),
    },
    CLOSED,
  ),
);

export const listViewSchema = named<ListView>("List").as(
  Type.Object(
    {
      name: Type.String({ examples: ["cn"] }),
      kind: oneOf(["domains", "addresses"]),
      size: COUNT,
      sources: Type.Array(listSourceSchema.ref),
    },
    CLOSED,
  ),
);

export const cacheSegmentSchema = named<CacheSegmentView>("CacheSegment").as(
  Type.Object({ entries: COUNT, bytes: COUNT, budgetBytes: COUNT, hits: COUNT, evictions: COUNT }, CLOSED),
);

export const cacheViewSchema = named<CacheView>("CacheStats").as(
  Type.Object({ hits: COUNT, misses: COUNT, positive: cacheSegmentSchema.ref, negative: cacheSegmentSchema.ref }, CLOSED),
);

export const hostViewSchema = named<HostView>("Host").as(
  Type.Object(
    {
      name: Type.String({ description: "As it would be written.", examples: ["*.apps.lan"] }),
      addresses: Type.Array(Type.String(), { examples: [["10.0.0.6", "fd00::6"]] }),
      cname: nullable(Type.String()),
      others: oneOf(["nodata", "forward"], { description: "What becomes of types that the record says nothing of." }),
      https: nullable(Type.Object({ alpn: Type.Array(Type.String()), port: nullable(Type.Integer()) }, CLOSED)),
      source: Type.String({ description: "Where it stands: a file, `hosts.records`, or `data/hosts.yaml`." }),
      line: COUNT,
      own: Type.Boolean({ description: "Whether it was put there by this API." }),
    },
    CLOSED,
  ),
);

export const configViewSchema = named<ConfigView>("Config").as(
  Type.Object(
    {
      path: nullable(Type.String({ description: "The file; null: the defaults alone are in force." })),
      version: Type.String(),
      since: Type.String({ description: "Since when it is in force." }),
      config: Type.Record(Type.String(), Type.Unknown(), { description: "As it would be written in YAML, secrets as `***`." }),
    },
    CLOSED,
  ),
);

export const configProblemSchema = named<ConfigProblem>("ConfigProblem").as(
  Type.Object(
    {
      message: Type.String(),
      line: nullable(Type.Integer({ minimum: 1, description: "null: it concerns no place in the text." })),
      column: nullable(Type.Integer({ minimum: 1 })),
    },
    CLOSED,
  ),
);

export const configCheckSchema = named<ConfigCheck>("ConfigCheck").as(
  Type.Object(
    {
      ok: Type.Boolean({ description: "Whether the server would take it." }),
      problems: Type.Array(configProblemSchema.ref),
      warnings: Type.Array(configProblemSchema.ref),
    },
    CLOSED,
  ),
);

export const versionViewSchema = named<VersionView>("Version").as(
  Type.Object(
    {
      version: Type.String(),
      since: INSTANT,
      lists: Type.Array(Type.Object({ name: Type.String(), size: COUNT }, CLOSED)),
      missing: Type.Array(Type.String(), { description: "Files and lists whose content is not kept." }),
    },
    CLOSED,
  ),
);

export const readinessSchema = named<Readiness>("Readiness").as(
  Type.Object(
    {
      ready: Type.Boolean({ description: "Whether questions are answered." }),
      problems: Type.Array(Type.String(), { description: "Also trouble that does not keep questions from being answered." }),
    },
    CLOSED,
  ),
);

export const whatIfOutcomeSchema = named<WhatIfOutcome>("WhatIfOutcome").as(
  Type.Object(
    {
      rule: nullable(Type.String()),
      route: nullable(Type.String({ description: "The group asked; null: answered here." })),
      answer: nullable(
        Type.String({ description: "What is answered here: `10.0.0.5`, `CNAME nas.lan`, `nodata`, `nxdomain`, …" }),
      ),
      action: Type.String({ description: "As in a query record." }),
    },
    CLOSED,
  ),
);

export const whatIfChangeSchema = named<WhatIfChange>("WhatIfChange").as(
  Type.Object(
    {
      before: whatIfOutcomeSchema.ref,
      after: whatIfOutcomeSchema.ref,
      queries: COUNT,
      names: Type.Array(Type.Object({ name: Type.String(), type: Type.String(), queries: COUNT }, CLOSED), {
        description: "The names with the most queries.",
      }),
    },
    CLOSED,
  ),
);

export const whatIfSchema = named<WhatIf>("WhatIf").as(
  Type.Object(
    {
      queries: Type.Integer({ minimum: 0, description: "Queries that were looked at." }),
      changed: Type.Integer({ minimum: 0, description: "Those that would go otherwise." }),
      truncated: Type.Boolean({ description: "Whether there were more queries than are looked at." }),
      changes: Type.Array(whatIfChangeSchema.ref, { description: "Most queries first." }),
      notes: Type.Array(Type.String(), { description: "What makes it less than exact, one sentence each." }),
    },
    CLOSED,
  ),
);

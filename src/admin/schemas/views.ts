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
import { CLOSED, named, oneOf, orNull } from "./named.ts";

const COUNT = Type.Integer({ minimum: 0 });
const INSTANT = Type.String({ examples: ["2026-11-21T21:03:11.482Z"] });

export const upstreamMember = named<UpstreamMember>("UpstreamMember").as(
  Type.Object(
    {
      server: Type.String({
        description: "As it is written, but `***` for what may be a key in the URL of a DoH server.",
        examples: ["tls://8.8.8.8"],
      }),
      well: Type.Boolean(),
      latencyMs: orNull(Type.Number({ description: "What it takes to answer; null: not known yet." })),
      questions: COUNT,
      failures: COUNT,
      lastFailure: orNull(
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

export const upstreamGroup = named<UpstreamGroup>("UpstreamGroup").as(
  Type.Object(
    {
      name: Type.String({ examples: ["domestic"] }),
      strategy: Type.String({ examples: ["fastest"] }),
      fallback: orNull(Type.String({ description: "The group that is asked when every member has failed." })),
      well: Type.Boolean({ description: "Whether any member is well." }),
      inFlight: COUNT,
      breaches: Type.Integer({ minimum: 0, description: "Questions that `never` kept from this group." }),
      members: Type.Array(upstreamMember.ref),
    },
    CLOSED,
  ),
);

export const listSource = named<ListSourceView>("ListSource").as(
  Type.Object(
    {
      source: Type.String({ description: "A file, or an address and perhaps a category." }),
      servedFrom: oneOf(["file", "copy", "seed", "nothing"], {
        description: "`copy`: the last good download; `seed`: what stands in until there is one.",
      }),
      entries: COUNT,
      bytes: COUNT,
      sha256: orNull(Type.String()),
      changed: orNull(Type.String({ description: "When it was last changed or downloaded; null: not known." })),
      checked: orNull(Type.String({ description: "When it was last known to be the newest." })),
      problem: orNull(Type.String()),
      downloadProblem: orNull(
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

export const listView = named<ListView>("List").as(
  Type.Object(
    {
      name: Type.String({ examples: ["cn"] }),
      kind: oneOf(["domains", "addresses"]),
      size: COUNT,
      sources: Type.Array(listSource.ref),
    },
    CLOSED,
  ),
);

export const cacheSegment = named<CacheSegmentView>("CacheSegment").as(
  Type.Object({ entries: COUNT, bytes: COUNT, budgetBytes: COUNT, hits: COUNT, evictions: COUNT }, CLOSED),
);

export const cacheView = named<CacheView>("CacheStats").as(
  Type.Object({ hits: COUNT, misses: COUNT, positive: cacheSegment.ref, negative: cacheSegment.ref }, CLOSED),
);

export const hostView = named<HostView>("Host").as(
  Type.Object(
    {
      name: Type.String({ description: "As it would be written.", examples: ["*.apps.lan"] }),
      addresses: Type.Array(Type.String(), { examples: [["10.0.0.6", "fd00::6"]] }),
      cname: orNull(Type.String()),
      others: oneOf(["nodata", "forward"], { description: "What becomes of types that the record says nothing of." }),
      https: orNull(Type.Object({ alpn: Type.Array(Type.String()), port: orNull(Type.Integer()) }, CLOSED)),
      source: Type.String({ description: "Where it stands: a file, `hosts.records`, or `data/hosts.yaml`." }),
      line: COUNT,
      own: Type.Boolean({ description: "Whether it was put there by this API." }),
    },
    CLOSED,
  ),
);

export const configView = named<ConfigView>("Config").as(
  Type.Object(
    {
      path: orNull(Type.String({ description: "The file; null: the defaults alone are in force." })),
      version: Type.String(),
      since: Type.String({ description: "Since when it is in force." }),
      config: Type.Record(Type.String(), Type.Unknown(), { description: "As it would be written in YAML, secrets as `***`." }),
    },
    CLOSED,
  ),
);

export const configProblem = named<ConfigProblem>("ConfigProblem").as(
  Type.Object(
    {
      message: Type.String(),
      line: orNull(Type.Integer({ minimum: 1, description: "null: it concerns no place in the text." })),
      column: orNull(Type.Integer({ minimum: 1 })),
    },
    CLOSED,
  ),
);

export const configCheck = named<ConfigCheck>("ConfigCheck").as(
  Type.Object(
    {
      ok: Type.Boolean({ description: "Whether the server would take it." }),
      problems: Type.Array(configProblem.ref),
      warnings: Type.Array(configProblem.ref),
    },
    CLOSED,
  ),
);

export const versionView = named<VersionView>("Version").as(
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

export const readiness = named<Readiness>("Readiness").as(
  Type.Object(
    {
      ready: Type.Boolean({ description: "Whether questions are answered." }),
      problems: Type.Array(Type.String(), { description: "Also trouble that does not keep questions from being answered." }),
    },
    CLOSED,
  ),
);

export const whatIfOutcome = named<WhatIfOutcome>("WhatIfOutcome").as(
  Type.Object(
    {
      rule: orNull(Type.String()),
      route: orNull(Type.String({ description: "The group asked; null: answered here." })),
      answer: orNull(Type.String({ description: "What is answered here: `10.0.0.5`, `CNAME nas.lan`, `nodata`, `nxdomain`, …" })),
      action: Type.String({ description: "As in a query record." }),
    },
    CLOSED,
  ),
);

export const whatIfChange = named<WhatIfChange>("WhatIfChange").as(
  Type.Object(
    {
      before: whatIfOutcome.ref,
      after: whatIfOutcome.ref,
      queries: COUNT,
      names: Type.Array(Type.Object({ name: Type.String(), type: Type.String(), queries: COUNT }, CLOSED), {
        description: "The names with the most queries.",
      }),
    },
    CLOSED,
  ),
);

export const whatIf = named<WhatIf>("WhatIf").as(
  Type.Object(
    {
      queries: Type.Integer({ minimum: 0, description: "Queries that were looked at." }),
      changed: Type.Integer({ minimum: 0, description: "Those that would go otherwise." }),
      truncated: Type.Boolean({ description: "Whether there were more queries than are looked at." }),
      changes: Type.Array(whatIfChange.ref, { description: "Most queries first." }),
      notes: Type.Array(Type.String(), { description: "What makes it less than exact, one sentence each." }),
    },
    CLOSED,
  ),
);

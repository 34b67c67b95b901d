import { Type } from "typebox";
import { closedObject, type NamedSchema, namedObject, nullable, oneOf, saidSchema, type ValueOf } from "./named.ts";

const COUNT = Type.Integer({ minimum: 0 });
const INSTANT = Type.String({ examples: ["2026-11-21T21:03:11.482Z"] });

const upstreamMemberSchema = namedObject("UpstreamMember", null, {
  server: Type.String({
    description: "As it is written, but `***` for what may be a key in the URL of a DoH server.",
    examples: ["tls://8.8.8.8"],
  }),
  well: Type.Boolean(),
  latencyMs: nullable(Type.Number({ description: "What it takes to answer; null: not known yet." })),
  questions: COUNT,
  failures: COUNT,
  lastFailure: nullable(
    closedObject({
      reason: Type.String({
        description: "Such as `timeout`, or `refused` where the connection was; an rcode such as `REFUSED` where that came.",
        examples: ["timeout"],
      }),
      time: INSTANT,
    }),
  ),
  inFlight: COUNT,
});

export const upstreamGroupSchema = namedObject("UpstreamGroup", null, {
  name: Type.String({ examples: ["domestic"] }),
  strategy: Type.String({ examples: ["fastest"] }),
  side: oneOf(["local", "near", "far"], {
    description:
      "`near`: the first group, and the near sides of comparisons; `local`: another one whose servers all have addresses of a home network.",
  }),
  fallback: nullable(Type.String({ description: "The group that is asked when every member has failed." })),
  well: Type.Boolean({ description: "Whether any member is well." }),
  inFlight: COUNT,
  breaches: Type.Integer({ minimum: 0, description: "Questions that `never` kept from this group." }),
  members: Type.Array(upstreamMemberSchema.ref),
});

export type UpstreamGroup = ValueOf<typeof upstreamGroupSchema>;

const listSourceSchema = namedObject("ListSource", null, {
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
    closedObject({
      reason: Type.String(),
      held: Type.Boolean({ description: "Whether a download was put aside because it looked wrong." }),
      since: INSTANT,
    }),
  ),
  warningCount: COUNT,
  warnings: Type.Array(closedObject({ line: COUNT, reason: Type.String() }), { description: "The first of them." }),
});

export const listViewSchema = namedObject("List", null, {
  name: Type.String({ examples: ["cn"] }),
  kind: oneOf(["domains", "addresses"]),
  size: COUNT,
  sources: Type.Array(listSourceSchema.ref),
});

export type ListView = ValueOf<typeof listViewSchema>;

export const listLinesSchema = namedObject("ListLines", "Some lines of a source of a list.", {
  list: Type.String({ examples: ["ads"] }),
  source: Type.String({ description: "A file, or an address." }),
  lines: Type.Array(closedObject({ number: Type.Integer({ minimum: 1 }), text: Type.String() }), {
    description: "In the order of the file; long ones are cut.",
  }),
});

export type ListLines = ValueOf<typeof listLinesSchema>;

const cacheSegmentSchema = namedObject("CacheSegment", null, {
  entries: COUNT,
  bytes: COUNT,
  budgetBytes: COUNT,
  hits: COUNT,
  evictions: COUNT,
});

export const cacheViewSchema = namedObject("CacheStats", null, {
  hits: COUNT,
  misses: COUNT,
  positive: cacheSegmentSchema.ref,
  negative: cacheSegmentSchema.ref,
});

export type CacheView = ValueOf<typeof cacheViewSchema>;

export const hostViewSchema = namedObject("Host", null, {
  name: Type.String({ description: "As it would be written.", examples: ["*.apps.lan"] }),
  addresses: Type.Array(Type.String(), { examples: [["10.0.0.6", "fd00::6"]] }),
  cname: nullable(Type.String()),
  others: oneOf(["nodata", "forward"], {
    description:
      "What becomes of types that the record says nothing of. A record of nothing but `forward` takes the name out of the table.",
  }),
  a: oneOf(["nodata", "forward"], { description: "What becomes of A where there is no IPv4 address." }),
  aaaa: oneOf(["nodata", "forward"], { description: "What becomes of AAAA where there is no IPv6 address." }),
  https: nullable(closedObject({ alpn: Type.Array(Type.String()), port: nullable(Type.Integer()) })),
  source: Type.String({ description: "Where it stands: a file, `hosts.records`, or `data/hosts.yaml`." }),
  line: COUNT,
  own: Type.Boolean({ description: "Whether it was put there by this API." }),
  hidden: Type.Boolean({ description: "Whether this API hides it: it stands in the configuration and is not answered." }),
});

export type HostView = ValueOf<typeof hostViewSchema>;

const routerListSchema = namedObject("RouterList", null, {
  list: Type.String({ description: "The address list of the router." }),
  rules: Type.Array(Type.String(), { description: "The rules whose answers go there." }),
  entries: COUNT,
});

export const routerViewSchema = namedObject("Router", "What is done at the router of section `routeros`.", {
  dryRun: Type.Boolean({ description: "Whether the router is told nothing." }),
  problem: nullable(Type.String({ description: "Why the router takes no entries; null: it takes them." })),
  queued: Type.Integer({ minimum: 0, description: "Entries that wait to be made or renewed." }),
  counts: Type.Record(Type.String(), COUNT, {
    description:
      "Since the start: entries `added`, `refreshed`, `present` by somebody else, `failed` and `dropped`; replies `held`, and those sent `late`, before their entries were there.",
  }),
  lists: Type.Array(routerListSchema.ref),
});

export type RouterView = ValueOf<typeof routerViewSchema>;

export const deviceViewSchema = namedObject("Device", null, {
  address: Type.String({ examples: ["10.0.0.7"] }),
  name: nullable(Type.String({ description: "In the form of a client id.", examples: ["living-room-tv"] })),
  mac: nullable(Type.String({ examples: ["aa:bb:cc:dd:ee:ff"] })),
  source: Type.String({ description: "The lease file, or `router`." }),
});

export type DeviceView = ValueOf<typeof deviceViewSchema>;

export const configViewSchema = namedObject("Config", null, {
  path: nullable(Type.String({ description: "The file; null: the defaults alone are in force." })),
  version: Type.String(),
  since: Type.String({ description: "Since when it is in force." }),
  config: Type.Record(Type.String(), Type.Unknown(), { description: "As it would be written in YAML, secrets as `***`." }),
});

export type ConfigView = ValueOf<typeof configViewSchema>;

const configProblemSchema = namedObject("ConfigProblem", null, {
  message: Type.String({ examples: ["`udpp` is no key of `listen`"] }),
  key: Type.String({ description: "Path in the tree, such as `rules[2].types`; empty: it concerns no key." }),
  fix: nullable(Type.String({ description: "What to do about it, as an order.", examples: ["write `udp`"] })),
  line: nullable(Type.Integer({ minimum: 1, description: "null: it concerns no place in the text." })),
  column: nullable(Type.Integer({ minimum: 1 })),
});

export type ConfigProblem = ValueOf<typeof configProblemSchema>;

export const configCheckSchema = namedObject("ConfigCheck", null, {
  ok: Type.Boolean({ description: "Whether the server would take it." }),
  problems: Type.Array(configProblemSchema.ref),
  warnings: Type.Array(configProblemSchema.ref),
});

export type ConfigCheck = ValueOf<typeof configCheckSchema>;

export const versionViewSchema = namedObject("Version", null, {
  version: Type.String(),
  since: INSTANT,
  lists: Type.Array(closedObject({ name: Type.String(), size: COUNT })),
  missing: Type.Array(Type.String(), { description: "Files and lists whose content is not kept." }),
});

export type VersionView = ValueOf<typeof versionViewSchema>;

export const readinessSchema = namedObject("Readiness", null, {
  ready: Type.Boolean({ description: "Whether questions are answered." }),
  problems: Type.Array(Type.String(), { description: "Also trouble that does not keep questions from being answered." }),
});

export type Readiness = ValueOf<typeof readinessSchema>;

const whatIfOutcomeSchema = namedObject("WhatIfOutcome", null, {
  rule: nullable(Type.String()),
  route: nullable(Type.String({ description: "The group asked; null: answered here." })),
  answer: nullable(Type.String({ description: "What is answered here: `10.0.0.5`, `CNAME nas.lan`, `nodata`, `nxdomain`, …" })),
  action: Type.String({ description: "As in a query record." }),
});

export type WhatIfOutcome = ValueOf<typeof whatIfOutcomeSchema>;

const whatIfChangeSchema = namedObject("WhatIfChange", null, {
  before: whatIfOutcomeSchema.ref,
  after: whatIfOutcomeSchema.ref,
  queries: COUNT,
  names: Type.Array(closedObject({ name: Type.String(), type: Type.String(), queries: COUNT }), {
    description: "The names with the most queries.",
  }),
});

export type WhatIfChange = ValueOf<typeof whatIfChangeSchema>;

export const whatIfSchema = namedObject("WhatIf", null, {
  queries: Type.Integer({ minimum: 0, description: "Queries that were looked at." }),
  changed: Type.Integer({ minimum: 0, description: "Those that would go otherwise." }),
  truncated: Type.Boolean({ description: "Whether there were more queries than are looked at." }),
  changes: Type.Array(whatIfChangeSchema.ref, { description: "Most queries first." }),
  notes: Type.Array(saidSchema.ref, { description: "What makes it less than exact." }),
});

export type WhatIf = ValueOf<typeof whatIfSchema>;

const DATE_TIME = Type.String({ format: "date-time", examples: ["2026-11-21T21:03:00.000Z"] });

const COUNTS = Type.Record(Type.String(), COUNT);

const countSchema = namedObject("Count", null, { key: Type.String(), count: COUNT });

const percentilesSchema = namedObject("Percentiles", "In microseconds.", {
  p50: Type.Number(),
  p90: Type.Number(),
  p99: Type.Number(),
});

const sampleSchema = namedObject("Sample", null, {
  at: DATE_TIME,
  total: COUNT,
  blocked: Type.Integer({ minimum: 0, description: "Those with action `block` or `drop`." }),
  cached: Type.Integer({ minimum: 0, description: "Stale answers too." }),
  failed: Type.Integer({ minimum: 0, description: "Ended in a failure, or SERVFAIL was passed on." }),
  outcomes: closedObject(
    { cache: COUNT, local: COUNT, rule: COUNT, near: COUNT, far: COUNT, stale: COUNT, failed: COUNT, refused: COUNT },
    {
      description:
        "Each query once. `local`: the hosts table, a special name, a group of side `local`; `rule`: answered by a rule, or by a type that is switched off; `near`, `far`: by the side of the group.",
    },
  ),
  p50Us: Type.Number(),
  p99Us: Type.Number(),
});

const logStateSchema = namedObject("LogState", "How the query log is doing.", {
  state: oneOf(["off", "well", "failing"]),
  fault: nullable(closedObject({ reason: Type.String(), since: DATE_TIME })),
  stored: Type.Integer({ minimum: 0, description: "Records since the start." }),
  dropped: Type.Integer({ minimum: 0, description: "Records lost since the start." }),
  waiting: Type.Integer({ minimum: 0, description: "Records that are yet to be stored." }),
  rows: Type.Integer({ minimum: 0, description: "Records in the store." }),
  bytes: COUNT,
  oldest: nullable(DATE_TIME),
});

/** How the query log is doing: `LogStatus` with its times written out. */
export type LogState = ValueOf<typeof logStateSchema>;

const gapSchema = namedObject("Gap", "A stretch of time of which the log knows nothing, or not everything.", {
  from: DATE_TIME,
  to: DATE_TIME,
  lost: Type.Integer({
    minimum: 0,
    description: "Records that were lost, as when the disk was full; 0: the server, or its log, was not running.",
  }),
});

const GAPS = Type.Array(gapSchema.ref, { description: "Oldest first. Silence there does not mean that nothing was asked." });

export const statisticsSchema = namedObject("Statistics", "What was asked in a period, in whole minutes.", {
  from: DATE_TIME,
  to: DATE_TIME,
  stepSeconds: Type.Number({ description: "The length of one sample of `series`." }),
  total: COUNT,
  bySource: COUNTS,
  byRcode: Type.Record(Type.String(), COUNT, { description: "`none`: nothing was sent." }),
  byType: COUNTS,
  byAction: COUNTS,
  byTransport: COUNTS,
  topNames: Type.Array(countSchema.ref),
  topBlocked: Type.Array(countSchema.ref),
  topFailing: Type.Array(countSchema.ref),
  topClients: Type.Array(countSchema.ref),
  topRules: Type.Array(countSchema.ref),
  topUpstreams: Type.Array(countSchema.ref),
  latencyUs: nullable(percentilesSchema.ref),
  upstreamLatencyUs: nullable(percentilesSchema.ref),
  series: Type.Array(sampleSchema.ref),
  gaps: GAPS,
  log: logStateSchema.ref,
});

/** What was asked in a period: `Summary` with its times written out. */
export type Statistics = ValueOf<typeof statisticsSchema>;

export const volumeSchema = namedObject("Volume", "How many records fit, in whole minutes.", {
  stepSeconds: Type.Number({ description: "The length of one sample." }),
  samples: Type.Array(closedObject({ at: DATE_TIME, total: COUNT, failed: COUNT }), {
    description: "Every step of the period. `failed`: ended in a failure, or SERVFAIL was passed on.",
  }),
  gaps: GAPS,
  complete: Type.Boolean({
    description: "Whether everything is counted; else the time was used up, and steps before `countedFrom` are missing.",
  }),
  countedFrom: DATE_TIME,
});

export const VIEW_SCHEMAS: readonly NamedSchema[] = [
  volumeSchema,
  whatIfSchema,
  whatIfChangeSchema,
  whatIfOutcomeSchema,
  countSchema,
  percentilesSchema,
  sampleSchema,
  gapSchema,
  logStateSchema,
  statisticsSchema,
  upstreamGroupSchema,
  upstreamMemberSchema,
  listViewSchema,
  listLinesSchema,
  listSourceSchema,
  cacheViewSchema,
  cacheSegmentSchema,
  hostViewSchema,
  routerViewSchema,
  routerListSchema,
  deviceViewSchema,
  configViewSchema,
  configCheckSchema,
  configProblemSchema,
  versionViewSchema,
  readinessSchema,
];

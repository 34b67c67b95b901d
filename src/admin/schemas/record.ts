import { type Static, type TObject, Type } from "typebox";
import {
  closedObject,
  type Immutable,
  type NamedSchema,
  named,
  namedObject,
  nullable,
  oneOf,
  saidSchema,
  schemaReference,
  type ValueOf,
} from "./named.ts";

const traceMatchSchema = namedObject("TraceMatch", "Where the pattern stands that a question matched.", {
  list: nullable(Type.String({ description: "The list; null: the pattern is written in the rule itself." })),
  source: Type.String({
    description: "The file or address that the pattern was read from.",
    examples: ["rules/cn-domains.txt"],
  }),
  line: Type.Integer({ minimum: 0, description: "The line of that source, from 1." }),
  pattern: Type.String({ examples: ["taobao.com"] }),
});

const traceStepSchema = named(
  "TraceStep",
  Type.Union(
    [
      closedObject(
        {
          kind: Type.Literal("hosts"),
          pattern: Type.String({ examples: ["*.apps.lan"] }),
          source: Type.String(),
          line: Type.Integer({ minimum: 0 }),
        },
        {
          description:
            "The static table has the name. It decides, unless further steps follow: then it leaves this type to the rules.",
        },
      ),
      closedObject(
        { kind: Type.Literal("special"), zone: Type.String({ examples: ["home.arpa"] }) },
        { description: "The name lies in a special zone: only a pattern within that zone lets it out." },
      ),
      closedObject(
        {
          kind: Type.Literal("rule"),
          rule: Type.String({ examples: ["split"] }),
          outcome: oneOf(["decides", "modifies", "closed", "types", "when", "clients", "domains", "excepted", "longest"], {
            description:
              "`decides`, `modifies`; `closed`: it would decide, but by no pattern within the special zone. All others name the condition that did not hold.",
          }),
          match: nullable(traceMatchSchema.ref),
          when: Type.Optional(
            closedObject(
              {
                hours: Type.String({ examples: ["21:00-07:00 Asia/Shanghai"] }),
                time: Type.String({ examples: ["14:10"] }),
              },
              { description: "With `when`: the hours of the rule, and what the clock showed there." },
            ),
          ),
        },
        { description: "A rule that was tried." },
      ),
      closedObject(
        {
          kind: Type.Literal("kept"),
          because: Type.Union([oneOf(["hosts", "special"]), closedObject({ rule: Type.String() })]),
        },
        { description: "NXDOMAIN was not given, because of the static table, a special name, or this rule." },
      ),
      closedObject(
        { kind: Type.Literal("first-group"), group: Type.String() },
        { description: "No rule decided: the first group of upstreams was asked." },
      ),
      closedObject(
        { kind: Type.Literal("alias"), target: Type.String({ examples: ["nas.lan"] }) },
        { description: "The static table has an alias; what follows is about its target." },
      ),
      closedObject(
        {
          kind: Type.Literal("compared"),
          side: oneOf(["near", "far"]),
          near: nullable(
            Type.String({ description: "What the near answer came to; null: there was none.", examples: ["foreign"] }),
          ),
          by: oneOf(["comparison", "verdict", "default", "failure"], {
            description:
              "`comparison`: both sides were weighed. `verdict`: one is held. `default`: nothing is known of the name, and the type is not judged. `failure`: the far group failed.",
          }),
        },
        { description: "How a comparison chose between its sides." },
      ),
    ],
    { description: "One thing that was looked at on the way to a decision." },
  ),
);

const attemptSchema = namedObject("Attempt", "One server that was asked on behalf of a query.", {
  group: nullable(Type.String({ examples: ["overseas"] })),
  server: Type.String({ examples: ["https://1.1.1.1/dns-query"] }),
  transport: oneOf(["udp", "tcp", "tls", "https"]),
  startMs: Type.Integer({
    description:
      "When it was begun, in milliseconds after the query came; negative: an earlier query began it. 0 in records of older versions.",
  }),
  ms: Type.Number({ description: "How long it took, in milliseconds." }),
  rcode: nullable(Type.String({ description: "Of its answer; null: none came." })),
  failure: nullable(
    Type.String({
      description: `Why no answer came; null: one came, or was still awaited. \`timeout\`; \`aborted\`: another was quicker; \`refused\`: nobody listens \
there; \`network\`: the connection broke, or could not be made; \`tls\`: certificate or handshake; \`proxy\`; \`bootstrap\`: the server's own name could not be \
looked up; \`malformed\`: what came is not DNS, or answers another question; \`http\`: a status other than 200; \`barred\`: a limit, or the question came \
from there; \`forbidden\`: \`never\` of the group; \`exhausted\`: every member failed; \`crowded\`: too many questions wait; \`limited\`: \`maxQps\` or another limit of ours; \`closed\`: a reload took it away.`,
      examples: ["timeout"],
    }),
  ),
});

export const queryRecordSchema = namedObject("QueryRecord", "One query, however it ended.", {
  id: Type.Integer({
    minimum: 0,
    description:
      "Unique, and rising unless the clock is set back by more than a minute. Also the id of the event on the live stream.",
    examples: [1_838_382_071_277_568],
  }),
  time: Type.String({ format: "date-time", description: "When the query came.", examples: ["2026-11-21T21:03:11.482Z"] }),
  client: Type.String({
    description: "Its address, as much of it as `log.queries.clients` lets be kept.",
    examples: ["10.0.7.12"],
  }),
  clientId: nullable(Type.String({ description: "The id in the DoH path; null: none.", examples: ["tv"] })),
  transport: oneOf(["udp", "tcp", "dot", "doh"]),
  http: nullable(oneOf(["1.0", "1.1", "2"])),
  method: nullable(oneOf(["GET", "POST"])),
  name: Type.String({
    description: "Lower case, without the final dot; `.` for the root; empty: the message had no readable question.",
    examples: ["www.example.com"],
  }),
  type: Type.String({ examples: ["HTTPS"] }),
  rcode: nullable(Type.String({ description: "Of the reply; null: none was sent.", examples: ["NOERROR"] })),
  answers: Type.Array(Type.String(), {
    description: "The answer section as it was sent, each record as `TTL TYPE data`.",
    examples: [["60 A 192.0.2.7"]],
  }),
  source: oneOf(["hosts", "special", "rule", "cache", "stale", "upstream", "failure", "refused"], {
    description:
      "Where the answer came from. `special`: made here, for a special name, an ANY, or a question that would go back where it came from.",
  }),
  action: Type.String({
    description:
      "What was done: `none`, `block`, `type65:nodata`, `nxdomain:guarded`, `void:nodata`, `compare:unproven`, `loop`, …",
    examples: ["type65:nodata"],
  }),
  rule: nullable(Type.String({ description: "The rule that decided; null: none did." })),
  list: nullable(Type.String({ description: "The list by which that rule matched." })),
  line: nullable(Type.Integer({ minimum: 0, description: "The line of that list, from 1." })),
  route: nullable(Type.String({ description: "The group that the answer belongs to; null: it was made here." })),
  upstream: nullable(Type.String({ description: "The server whose answer was given; null: none was asked." })),
  attempts: Type.Array(attemptSchema.ref, { description: "Every server that was asked, in order." }),
  negativeTtl: nullable(Type.Integer({ minimum: 0, description: "For how many seconds this negative answer may be held." })),
  durationUs: Type.Number({ minimum: 0, description: "From the message read to the reply made, in microseconds." }),
  size: Type.Integer({ minimum: 0, description: "Of the reply, in bytes; 0: nothing was sent." }),
  ede: Type.Array(Type.String(), {
    description: "Extended DNS errors as sent (RFC 8914).",
    examples: [["15 blocked: rule ads"]],
  }),
  edits: Type.Array(Type.String(), { description: "What was changed in the answer on its way." }),
  trace: nullable(
    Type.Array(traceStepSchema.ref, {
      description:
        "Everything that was looked at on the way to the decision. `getQuery` works it out anew, under the version of the time; null: in lists of records, and where that version is not kept any more.",
    }),
  ),
  version: Type.String({
    description: "The version of configuration, hosts and lists it was decided under; see `listVersions`.",
  }),
});

export const queryPageSchema = namedObject("QueryPage", null, {
  records: Type.Array(queryRecordSchema.ref, {
    description: "Newest first. Fewer than `limit`, even none, where searching further would have taken too long.",
  }),
  cursor: nullable(
    Type.String({ description: "Give it as `cursor` for the next page, with the same filters; null: there are no more." }),
  ),
});

export const cachedAnswerSchema = namedObject("CachedAnswer", "An answer that the cache holds.", {
  name: Type.String({ examples: ["www.example.com"] }),
  type: Type.String({ examples: ["A"] }),
  route: Type.String({ description: "The group it came from." }),
  dnssecOk: Type.Boolean({ description: "Whether it is for questions with DO." }),
  checkingDisabled: Type.Boolean({ description: "Whether it is for questions with CD." }),
  subnet: nullable(Type.String({ description: "The client subnet it was asked for; null: it is for everybody." })),
  outcome: oneOf(["positive", "nodata", "nxdomain", "bare", "failure"]),
  rcode: Type.String(),
  answers: Type.Array(Type.String()),
  ageSeconds: Type.Number({ minimum: 0 }),
  remainingSeconds: Type.Number({ description: "How long it is still fresh; negative: for so long it has been stale." }),
  hits: Type.Integer({ minimum: 0 }),
  volatile: Type.Boolean({ description: "Whether it is never stale, prefetched or persisted." }),
  made: Type.Boolean({ description: "Whether it is not an upstream's word but ours, for a guarded NXDOMAIN." }),
  bytes: Type.Integer({ minimum: 0 }),
});

export type CachedAnswer = ValueOf<typeof cachedAnswerSchema>;

const explainedDecisionSchema = namedObject("ExplainedDecision", null, {
  kind: oneOf(["reply", "forward", "compare", "drop"]),
  rule: nullable(Type.String({ examples: ["split"] })),
  route: nullable(Type.String({ description: "The group that is asked; null: it is answered here." })),
  near: nullable(Type.String({ description: "Of a comparison: the group at home." })),
  far: nullable(Type.String({ description: "Of a comparison: the other group." })),
  first: nullable(
    oneOf(["near", "far"], { description: "Of a comparison: `near` asks both together; `far` asks near only where needed." }),
  ),
  answer: nullable(Type.String({ description: "What is answered here: `10.0.0.5`, `CNAME nas.lan`, `nodata`, `nxdomain`, …" })),
  action: Type.String({ description: "As in a query record." }),
  settings: Type.Record(Type.String(), Type.Unknown(), {
    description: "The modifiers in force, as they would be written in the rule.",
  }),
});

export type ExplainedDecision = ValueOf<typeof explainedDecisionSchema>;

const explainedVerdictSchema = namedObject("ExplainedVerdict", "What an earlier comparison of this name found.", {
  side: oneOf(["near", "far"]),
  near: Type.String({ description: "What the near answer came to: kept, foreign, void, empty, failed, silent." }),
  type: Type.String(),
  ageSeconds: Type.Number({ minimum: 0 }),
});

export type ExplainedVerdict = ValueOf<typeof explainedVerdictSchema>;

const explainedOutcomeSchema = namedObject("ExplainedOutcome", "What came of the question when it was really asked.", {
  rcode: nullable(Type.String()),
  source: Type.String(),
  action: Type.String(),
  answers: Type.Array(Type.String()),
  negativeTtl: nullable(Type.Integer({ minimum: 0 })),
  ede: Type.Array(Type.String()),
  edits: Type.Array(Type.String()),
  attempts: Type.Array(attemptSchema.ref),
  durationUs: Type.Number({ minimum: 0 }),
});

export type ExplainedOutcome = ValueOf<typeof explainedOutcomeSchema>;

const EXPLAINED_FIELDS = {
  question: closedObject({ name: Type.String(), type: Type.String(), client: Type.String(), clientId: nullable(Type.String()) }),
  version: Type.String({ description: "The version of configuration, hosts and lists it holds for." }),
  decision: explainedDecisionSchema.ref,
  trace: Type.Array(traceStepSchema.ref, { description: "Every rule tried, in order, and why it did or did not match." }),
  cache: Type.Array(cachedAnswerSchema.ref, { description: "What the cache holds of the name on this route." }),
  verdict: nullable(explainedVerdictSchema.ref),
  summary: Type.Array(saidSchema.ref, { description: "What happens, in some sentences that are read one after the other." }),
  notes: Type.Array(saidSchema.ref, { description: "What else could change what the client gets." }),
  outcome: nullable(explainedOutcomeSchema.ref),
};

export interface Explained extends Immutable<Static<TObject<typeof EXPLAINED_FIELDS>>> {
  /** The explanation of the target of an alias; null where the answer is no alias of the hosts table. */
  readonly target: Explained | null;
}

export const explainedSchema: NamedSchema<Explained> = named(
  "Explained",
  Type.Unsafe<Explained>(
    closedObject(
      { ...EXPLAINED_FIELDS, target: nullable(schemaReference<Explained>("Explained")) },
      { description: "What becomes of a question, and why." },
    ),
  ),
);

export const RECORD_SCHEMAS: readonly NamedSchema[] = [
  saidSchema,
  queryRecordSchema,
  attemptSchema,
  traceStepSchema,
  traceMatchSchema,
  queryPageSchema,
  explainedSchema,
  explainedDecisionSchema,
  explainedVerdictSchema,
  explainedOutcomeSchema,
  cachedAnswerSchema,
];

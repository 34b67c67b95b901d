import { Type } from "typebox";
import {
  closedObject,
  listOf,
  type NamedSchema,
  named,
  namedObject,
  nullable,
  oneOf,
  saidSchema,
  type ValueOf,
} from "./named.ts";

const INSTANT = Type.String({ format: "date-time", examples: ["2026-11-21T21:03:11.482Z"] });

const STATE = oneOf(["well", "care", "bad", "unknown"], {
  description: "`care`: it works, and somebody should look. `bad`: it does not work. `unknown`: nobody knows yet.",
});

const healthItemSchema = namedObject("HealthItem", "One part of the server, and how it is doing.", {
  kind: oneOf(["group", "list", "certificate", "router", "expectations", "log", "pause"]),
  name: Type.String({
    description: "Of the group or list; empty where there is one of the kind, `settings` for those of the router.",
    examples: ["overseas"],
  }),
  state: STATE,
  said: saidSchema.ref,
  since: Type.String({
    format: "date-time",
    description: "Since when it has this state.",
    examples: ["2026-11-21T20:58:00.000Z"],
  }),
  problem: nullable(Type.String({ description: "`id` of its problem; null: it has none.", examples: ["v1|group|overseas|"] })),
});

export type HealthItem = ValueOf<typeof healthItemSchema>;

export const healthSchema = namedObject("Health", "How the server is doing.", {
  state: STATE,
  since: INSTANT,
  items: Type.Array(healthItemSchema.ref, { description: "Worst first." }),
});

export type Health = ValueOf<typeof healthSchema>;

const INTEGER = Type.Integer({ minimum: 0 });
const COUNTS = Type.Array(closedObject({ key: Type.String(), count: INTEGER }), {
  description: "The most frequent, most first.",
});

/** One edit of the configuration, as data. */
export const configEditSchema = named(
  "ConfigEdit",
  Type.Union(
    [
      closedObject(
        {
          kind: Type.Literal("pattern"),
          rule: Type.String({ minLength: 1, maxLength: 200, examples: ["ads"] }),
          pattern: Type.String({ minLength: 1, maxLength: 1100, examples: ["!app.example.cn"] }),
        },
        { description: "Add a pattern to the domains of a rule; `!` before it excepts." },
      ),
      closedObject(
        {
          kind: Type.Literal("rule"),
          before: nullable(Type.String({ maxLength: 200, description: "The rule that it goes before; null: at the end." })),
          rule: Type.Record(Type.String(), Type.Unknown(), { description: "As it would be written in YAML." }),
        },
        { description: "Add a rule." },
      ),
      closedObject(
        {
          kind: Type.Literal("host"),
          name: Type.String({ minLength: 1, maxLength: 1100 }),
          record: Type.Unknown({ description: "As it would be written in `hosts.records`: an address, or fields." }),
        },
        { description: "Set a name of `hosts.records`." },
      ),
      closedObject(
        {
          kind: Type.Literal("set"),
          path: Type.Array(Type.Union([Type.String({ maxLength: 200 }), Type.Integer({ minimum: 0 })]), {
            minItems: 1,
            maxItems: 10,
          }),
          value: Type.Unknown({ description: "null: the key is taken away." }),
        },
        { description: "Set a value at a path, such as `[upstreams, overseas, fallback]`." },
      ),
      closedObject(
        { kind: Type.Literal("text"), text: Type.String({ maxLength: 300_000 }) },
        { description: "Put another text in place; its hidden parts stand as `getConfigFile` shows them." },
      ),
    ],
    { description: "One change of the configuration file." },
  ),
);

export type ConfigEdit = ValueOf<typeof configEditSchema>;

const problemFixSchema = namedObject("ProblemFix", "Something that may mend a problem.", {
  id: Type.String({ examples: ["except"] }),
  title: saidSchema.ref,
  kind: oneOf(["edit", "host", "flush", "refresh", "pause", "router"]),
  edit: nullable(configEditSchema.ref),
});

export type ProblemFix = ValueOf<typeof problemFixSchema>;

export const troubleSchema = namedObject("Trouble", "What goes wrong again and again, as one.", {
  id: Type.String({ examples: ["v1|insisted|rule:ads|example.cn"] }),
  cause: Type.String({
    description:
      "`never`, `loop`, `rate`, `access`, `fault`, `upstream:FAILURE` (as in attempts, and `servfail`), `unproven`, `emptied` (a name that exists has no address), `insisted` (a client asks for a blocked name ten times in five minutes), `vanished` (a name that had an answer this week does not exist), or `standing`: a part of the server is not well.",
    examples: ["insisted"],
  }),
  suffix: Type.String({ description: "All its names are, or are below, this name.", examples: ["app.example.cn"] }),
  culprit: closedObject({
    kind: oneOf(["rule", "group", "list", "client", "certificate", "router", "expectations", "log", "fenliu"]),
    name: Type.String({ examples: ["ads"] }),
    list: nullable(Type.String()),
    line: nullable(Type.Integer({ minimum: 0 })),
  }),
  state: oneOf(["open", "quiet", "muted", "fixed", "cameBack"], {
    description: "`quiet`: no query for half an hour; a day later it is gone.",
  }),
  mutedUntil: nullable(INSTANT),
  why: saidSchema.ref,
  firstSeen: INSTANT,
  lastSeen: INSTANT,
  queries: INTEGER,
  names: COUNTS,
  nameCount: Type.Integer({ minimum: 0, description: "100 at most are counted." }),
  clients: COUNTS,
  clientCount: INTEGER,
  series: Type.Array(INTEGER, { description: "Queries of each of the last 24 hours, the present one last." }),
  shared: Type.Array(closedObject({ field: Type.String(), value: Type.String(), share: Type.Number(), usual: Type.Number() }), {
    description: "What its queries have far more often than queries usually do. Shares are from 0 to 1.",
  }),
  began: nullable(
    closedObject(
      {
        version: Type.String({ description: "Of the configuration." }),
        secondsBefore: INTEGER,
        changedLines: INTEGER,
        list: nullable(Type.String({ description: "The list whose content was changed; null: it was the configuration." })),
      },
      { description: "A configuration that came into force, or other content of a list, ten minutes before, or less." },
    ),
  ),
  newest: nullable(Type.Integer({ minimum: 0, description: "`id` of its newest query; null: it is about no query." })),
  fixes: Type.Array(problemFixSchema.ref, { description: "The likeliest first." }),
});

export type Trouble = ValueOf<typeof troubleSchema>;

export const troublePageSchema = namedObject("TroublePage", null, {
  problems: listOf(troubleSchema),
  cursor: nullable(Type.String({ description: "For the next page; null: there is none." })),
  searched: closedObject(
    { queries: INTEGER, complete: Type.Boolean() },
    { description: "How many queries of the last day were looked at; whether all of them were recorded." },
  ),
});

export type TroublePage = ValueOf<typeof troublePageSchema>;

export const HEALTH_SCHEMAS: readonly NamedSchema[] = [
  healthSchema,
  healthItemSchema,
  troubleSchema,
  troublePageSchema,
  problemFixSchema,
  configEditSchema,
];

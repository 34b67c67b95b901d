import type { ExplainRequest } from "../admin/control.ts";
import type { Explained } from "../admin/schemas/record.ts";
import { nameText } from "../dns/name.ts";
import { typeName } from "../dns/types.ts";
import { formatDuration } from "../lib/duration.ts";
import type { TraceStep } from "../log/record.ts";
import { queryForTarget } from "../resolve/alias.ts";
import { type Decision, MAX_ALIASES } from "../rules/decision.ts";
import type { RuleOptions } from "../rules/options.ts";
import type { Policy } from "../server/policy.ts";
import type { ServerState } from "../server/state.ts";
import {
  groupsOf,
  type HypotheticalQuery,
  hypotheticalQuery,
  type LiveState,
  NOTHING_KNOWN,
  predict,
  stateOf,
} from "./explain-live.ts";
import { summaryOf } from "./explain-summary.ts";
import { traceOf } from "./records.ts";

/** What decisions are explained by. */
type Grounds = Pick<Policy, "decider" | "egress" | "inputs" | "version">;

/**
 * What would become of the question now, and why. Nobody is asked, and nothing is counted.
 * @throws ControlError `invalid`
 */
export function explain(site: ServerState, request: Omit<ExplainRequest, "resolve" | "version">): Explained {
  return explainBy(site.policy, hypotheticalQuery(request), site);
}

/** @param live null = no server is running, or the decisions are of the past: nothing is known of cache, verdicts and upstreams. */
export function explainBy(grounds: Grounds, subject: HypotheticalQuery, live: LiveState | null): Explained {
  return explainAlias(grounds, subject, { live, aliases: 0 });
}

interface Walk {
  readonly live: LiveState | null;
  /** How many aliases of the hosts table led here. */
  readonly aliases: number;
}

function explainAlias(grounds: Grounds, subject: HypotheticalQuery, { live, aliases }: Walk): Explained {
  const { query, client } = subject;
  const { decision, steps } = grounds.decider.explain(query, client);
  const outlook = predict(grounds, { question: query, asker: client, decision });
  const state = live === null ? NOTHING_KNOWN : stateOf(live, { subject, decision, outlook });
  const trace = traceOf(steps);
  const known = { ...outlook, ...state.known };
  const setter = modifierOrigin(known.action, grounds.inputs.rules, trace);
  const next = targetOf(subject, decision);
  const target = aliases < MAX_ALIASES ? next : null;
  const explained = {
    question: { name: nameText(query.name), type: typeName(query.type), client: client.address, clientId: client.clientId },
    version: grounds.version,
    decision: { ...known, settings: settingsOf(decision) },
    trace,
    cache: state.cache,
    verdict: state.verdict,
    target: target === null ? null : explainAlias(grounds, target, { live, aliases: aliases + 1 }),
    notes: [
      ...forbiddenNotes(grounds, subject, decision),
      ...(setter === null || known.answer !== null ? [] : [`${known.action} is as ${setter} wants it.`]),
      ...(target === next
        ? []
        : [
            `It is the target of ${MAX_ALIASES} aliases of the hosts table already: no more are followed, and the answer is SERVFAIL.`,
          ]),
      ...state.notes,
    ],
    outcome: null,
  };
  return {
    ...explained,
    summary: summaryOf(explained, { group: groupsOf(decision)[0] ?? null, setter, holding: state.holding }),
  };
}

function targetOf({ query, client }: HypotheticalQuery, decision: Decision): HypotheticalQuery | null {
  if (decision.kind !== "reply" || decision.answer.kind !== "alias") return null;
  return { query: queryForTarget(query, decision.answer.target), client };
}

/** The groups that the rules chose, and that must never get the question. */
function forbiddenNotes({ egress }: Grounds, { query, client }: HypotheticalQuery, decision: Decision): string[] {
  return groupsOf(decision).flatMap((group) => {
    const reason = egress.forbids(group, query, client);
    return reason === null ? [] : [`\`never\` of group ${group} forbids it (${reason}): nothing is sent there.`];
  });
}

/** The modifier that an action comes from; null where it comes from none. */
function modifierOf(action: string): "ipv4" | "ipv6" | "https" | null {
  const [kind] = action.split(":");
  if (kind === "ipv4" || kind === "ipv6") return kind;
  return kind === "type64" || kind === "type65" ? "https" : null;
}

/** Who says what the action does: `rule quiet`, or section `answers` where no rule did. Of one modifier the first setting wins. */
function modifierOrigin(action: string, rules: readonly RuleOptions[], trace: readonly TraceStep[]): string | null {
  const modifier = modifierOf(action);
  if (modifier === null) return null;
  const matching = trace.flatMap((step) => (step.kind === "rule" && HITS.has(step.outcome) ? [step.rule] : []));
  const setter = matching.find((name) => rules.find((rule) => rule.name === name)?.modifiers[modifier] !== undefined);
  return setter === undefined ? "section `answers`" : `rule ${setter}`;
}

const HITS: ReadonlySet<string> = new Set(["decides", "modifies", "closed"]);

/** The modifiers in force, as they would be written in a rule. `ecs` is left out where it is the group's affair. */
function settingsOf({ context }: Decision): Readonly<Record<string, unknown>> {
  const { shaping, stale, ecs, rebinding, log } = context.settings;
  const { https, ipv6, ipv4, ttl, negative } = shaping;
  return {
    https,
    ipv6,
    ipv4,
    ttl: { min: written(ttl.minSeconds), max: written(ttl.maxSeconds) },
    negative: {
      min: written(negative.minSeconds),
      max: written(negative.maxSeconds),
      block: written(negative.blockSeconds),
      bare: written(negative.bareSeconds),
      failure: written(negative.failureSeconds),
    },
    stale,
    ...(ecs === null ? {} : { ecs }),
    rebinding: rebinding ?? shaping.rebinding,
    log,
  };
}

function written(seconds: number): string {
  return formatDuration(seconds * 1000);
}

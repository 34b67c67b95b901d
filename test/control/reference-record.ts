import type { TtlLimits } from "../../src/answers/options.ts";
import { lifetimeSeconds } from "../../src/cache/lifetime.ts";
import { traceOf } from "../../src/control/records.ts";
import { type Answer, outcomeOf, ttlAt } from "../../src/dns/answer.ts";
import { type Name, nameText, plainName } from "../../src/dns/name.ts";
import { isRejection, type Query, type Rejection } from "../../src/dns/query.ts";
import { RCODE, rcodeName, typeName } from "../../src/dns/types.ts";
import { uint16 } from "../../src/dns/wire.ts";
import type { QueryLogOptions } from "../../src/log/options.ts";
import { type AttemptRecord, clientShown, type QueryRecord, type TraceStep } from "../../src/log/record.ts";
import type { RecordIds } from "../../src/log/schema.ts";
import { type Sent, sentOf } from "../../src/log/sent.ts";
import { SOA_MADE } from "../../src/resolve/forward.ts";
import type { Resolution } from "../../src/resolve/types.ts";
import type { Decider } from "../../src/rules/decider.ts";
import { type Decision, MAX_ALIASES } from "../../src/rules/decision.ts";
import { describeMatch } from "../../src/rules/rule.ts";
import { type QueryEvent, undecidedEnding } from "../../src/server/query-event.ts";
import type { Attempt } from "../../src/upstreams/upstream.ts";

/** What records are made with. */
interface RecordTerms {
  readonly ids: Pick<RecordIds, "next">;
  readonly clients: QueryLogOptions["clients"];
  /** What is to be added to a time of `Clock.now` for milliseconds since 1970. */
  readonly wallOffsetMs: number;
}

/** The record of a query, as plainly as it can be made: what the entry in the ring must come to. */
export function buildRecord(noted: QueryEvent, { ids, clients, wallOffsetMs }: RecordTerms): QueryRecord {
  const { state, client, parsed, resolution, rendered, startedMs, endedMs } = noted;
  const sent = rendered === null ? NOTHING_SENT : sentOf(rendered.wire);
  const arrivedWallMs = Math.round(startedMs + wallOffsetMs);
  const question = questionOf(parsed);
  const place = resolution === null ? null : listPlaceOf(resolution);
  const undecided = resolution === null ? undecidedEnding(noted) : null;
  // Spelled out: this is made for every query, and an object put together from others takes several times as long.
  return {
    id: ids.next(arrivedWallMs),
    time: new Date(arrivedWallMs).toISOString(),
    client: clientShown(client.address, clients),
    clientId: clients === "none" ? null : client.clientId,
    transport: client.transport,
    http: client.http,
    method: client.method,
    name: question.name,
    type: question.type,
    rcode: rendered === null ? null : sent.rcode,
    answers: sent.answers,
    source: resolution?.source ?? (undecided === "fault" ? "failure" : "refused"),
    action: resolution?.action ?? undecided ?? "none",
    rule: resolution?.decision.context.rule ?? null,
    list: place?.list ?? null,
    line: place?.line ?? null,
    route: resolution?.route ?? null,
    upstream: resolution === null ? null : upstreamOf(resolution),
    attempts: resolution?.attempts.map((attempt) => attemptOf(attempt, startedMs)) ?? [],
    negativeTtl: resolution === null ? null : negativeTtlOf(resolution, sent),
    durationUs: Math.round((endedMs - startedMs) * 1000),
    size: rendered?.wire.length ?? 0,
    ede: sent.ede,
    edits: editsOf(resolution, sent.truncated),
    trace: traceOfQuery(noted),
    version: state.version,
  };
}

const NOTHING_SENT: Sent = { rcode: "", truncated: false, answers: [], soaSeconds: null, ede: [] };

/** The way to the decision, found once more: decisions are pure, so it is the same. Empty where the rules were not asked. */
function traceOfQuery({ state, client, parsed, resolution }: QueryEvent): TraceStep[] {
  if (isRejection(parsed) || resolution === null) return [];
  return traceOfDecided(state.resolver.decider, { query: parsed, client, resolution });
}

function traceOfDecided(
  decider: Decider,
  { query, client, resolution }: Pick<QueryEvent, "client"> & { readonly query: Query; readonly resolution: Resolution },
): TraceStep[] {
  const { decision, steps } = decider.explain(query, client);
  const trace = traceOf(steps);
  let alias = aliasOf(decision);
  for (let count = 0; alias !== null && count < MAX_ALIASES; count++) {
    const target = decider.explain({ name: alias, type: query.type, class: query.class }, client);
    trace.push({ kind: "alias", target: nameText(alias) }, ...traceOf(target.steps));
    alias = aliasOf(target.decision);
  }
  if (resolution.comparison !== undefined) {
    const { side, near, by } = resolution.comparison;
    trace.push({ kind: "compared", side, near, by });
  }
  return trace;
}

function aliasOf(decision: Decision): Name | null {
  return decision.kind === "reply" && decision.answer.kind === "alias" ? decision.answer.target : null;
}

function questionOf(parsed: Query | Rejection): Pick<QueryRecord, "name" | "type"> {
  if (!isRejection(parsed)) return { name: nameText(parsed.name), type: typeName(parsed.type) };
  const { questionWire } = parsed;
  if (questionWire === null) return { name: "", type: "" };
  const nameStop = questionWire.length - 4;
  return { name: nameText(plainName(questionWire, 0, nameStop)), type: typeName(uint16(questionWire, nameStop)) };
}

/** Where in a list the pattern stands that the rule matched by; null = in no list. */
function listPlaceOf({ decision }: Resolution): { readonly list: string; readonly line: number } | null {
  if (decision.context.match === null) return null;
  const { list, line } = describeMatch(decision.context.match);
  return list === null ? null : { list, line };
}

/** Of what was asked the last that gave a good answer; where none did, the last that said anything, which is then what failed. */
function upstreamOf({ source, route, attempts }: Resolution): string | null {
  if (route === null || source === "cache" || source === "stale") return null;
  const good = attempts.findLast(({ rcode }) => rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN);
  return (good ?? attempts.findLast(({ rcode }) => rcode !== null))?.server ?? null;
}

/** As the log shows it; times to a microsecond. */
function attemptOf(
  { group, server, transport, startedMs, elapsedMs, rcode, failure }: Attempt,
  queryStartedMs: number,
): AttemptRecord {
  return {
    group,
    server,
    transport,
    startMs: Math.round(startedMs - queryStartedMs),
    ms: Math.round(elapsedMs * 1000) / 1000,
    rcode: rcode === null ? null : rcodeName(rcode),
    failure,
  };
}

function negativeTtlOf({ answer }: Resolution, { soaSeconds }: Sent): number | null {
  if (answer === null) return null;
  const outcome = outcomeOf(answer);
  return outcome === "nodata" || outcome === "nxdomain" || outcome === "nodataWithoutSoa" ? soaSeconds : null;
}

/** What was changed in an answer on its way, in words; null = there was none. `truncated` = of the reply as sent. */
function editsOf(resolution: Resolution | null, truncated: boolean): readonly string[] {
  const edits =
    resolution === null ? [] : [...(resolution.edits ?? []), ...actionEdits(resolution.action), ...ttlEdits(resolution)];
  if (truncated) edits.push("truncated");
  return edits;
}

function actionEdits(action: string): string[] {
  if (action === "nxdomain:guarded") return ["made NXDOMAIN NODATA"];
  return action === "rebinding:nodata" ? ["left out addresses at home"] : [];
}

function ttlEdits({ answer, ttl, decision, edits = [] }: Resolution): string[] {
  if (answer === null) return [];
  switch (ttl.kind) {
    case "age":
      return positiveEdits(answer, ttl.limits);
    case "negative":
      // The SOA is ours then, and says what it was made to.
      return edits.includes(SOA_MADE) ? [] : negativeEdits(answer, lifetimeSeconds(answer, decision.context.settings.shaping));
    case "stale":
      return [`set the TTL to ${ttl.ttlSeconds} s`];
    default:
      return [];
  }
}

function positiveEdits({ wire, ttlOffsets, answerRecords }: Answer, { minSeconds, maxSeconds }: TtlLimits): string[] {
  let lowest = maxSeconds;
  let highest = minSeconds;
  for (let index = 0; index < answerRecords; index++) {
    const ttlSeconds = ttlAt(wire, ttlOffsets[index] ?? 0);
    lowest = Math.min(lowest, ttlSeconds);
    highest = Math.max(highest, ttlSeconds);
  }
  return [
    ...(lowest < minSeconds ? [`raised TTLs to ${minSeconds} s`] : []),
    ...(highest > maxSeconds ? [`lowered TTLs to ${maxSeconds} s`] : []),
  ];
}

function negativeEdits({ soa, lowestTtlSeconds }: Answer, lifeSeconds: number): string[] {
  if (soa === null) return [];
  const saidSeconds = Math.min(soa.ttlSeconds, soa.minimumSeconds, lowestTtlSeconds ?? Number.POSITIVE_INFINITY);
  if (saidSeconds === lifeSeconds) return [];
  return [`${saidSeconds < lifeSeconds ? "raised" : "lowered"} the negative TTL from ${saidSeconds} s to ${lifeSeconds} s`];
}

import { outcomeOf } from "../dns/answer.ts";
import { type Name, nameText, plainName } from "../dns/name.ts";
import { isRejection, type Query, type Rejection } from "../dns/query.ts";
import { RCODE, rcodeName, typeName } from "../dns/types.ts";
import { uint16 } from "../dns/wire.ts";
import type { QueryLogOptions } from "../log/options.ts";
import { type AttemptRecord, clientShown, type QueryRecord, type TraceStep } from "../log/record.ts";
import type { RecordIds } from "../log/record-ids.ts";
import { type Noted, undecidedEnding } from "../noted.ts";
import { MAX_ALIASES } from "../resolve/alias.ts";
import type { Resolution } from "../resolve/types.ts";
import type { Decider } from "../rules/decider.ts";
import type { Decision } from "../rules/decision.ts";
import { describeMatch } from "../rules/rule.ts";
import type { Attempt } from "../upstreams/upstream.ts";
import { editsOf } from "./record-of-edits.ts";
import { type Sent, sentOf } from "./record-of-sent.ts";
import { traceOf } from "./trace-of.ts";

/** What records are made with. */
export interface RecordTerms {
  readonly ids: Pick<RecordIds, "next">;
  readonly clients: QueryLogOptions["clients"];
  /** What is to be added to a time of `Clock.now` for milliseconds since 1970. */
  readonly wallOffsetMs: number;
}

/** The record of a query, whether a rule wants one or not. */
export function recordOf(noted: Noted, { ids, clients, wallOffsetMs }: RecordTerms): QueryRecord {
  const { site, client, parsed, resolution, rendered, startedMs, endedMs } = noted;
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
    rule: resolution?.decision.rule ?? null,
    list: place?.list ?? null,
    line: place?.line ?? null,
    route: resolution?.route ?? null,
    upstream: resolution === null ? null : upstreamOf(resolution),
    attempts: resolution?.attempts.map(attemptOf) ?? [],
    negativeTtl: resolution === null ? null : negativeTtlOf(resolution, sent),
    durationUs: Math.round((endedMs - startedMs) * 1000),
    size: rendered?.wire.length ?? 0,
    ede: sent.ede,
    edits: editsOf(resolution, sent.truncated),
    trace: traceOfQuery(noted),
    version: site.version,
  };
}

const NOTHING_SENT: Sent = { rcode: "", truncated: false, answers: [], soaSeconds: null, ede: [] };

/** The way to the decision, found once more: decisions are pure, so it is the same. Empty where the rules were not asked. */
function traceOfQuery({ site, client, parsed, resolution }: Noted): TraceStep[] {
  if (isRejection(parsed) || resolution === null) return [];
  return traceOfDecided(site.resolver.decider, { query: parsed, client, resolution });
}

function traceOfDecided(
  decider: Decider,
  { query, client, resolution }: Pick<Noted, "client"> & { readonly query: Query; readonly resolution: Resolution },
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
  if (decision.match === null) return null;
  const { list, line } = describeMatch(decision.match);
  return list === null ? null : { list, line };
}

/** Of what was asked the last that gave a good answer; where none did, the last that said anything, which is then what failed. */
function upstreamOf({ source, route, attempts }: Resolution): string | null {
  if (route === null || source === "cache" || source === "stale") return null;
  const good = attempts.findLast(({ rcode }) => rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN);
  return (good ?? attempts.findLast(({ rcode }) => rcode !== null))?.server ?? null;
}

/** As the log shows it; times to a microsecond. */
export function attemptOf({ group, server, transport, elapsedMs, rcode, failure }: Attempt): AttemptRecord {
  return {
    group,
    server,
    transport,
    ms: Math.round(elapsedMs * 1000) / 1000,
    rcode: rcode === null ? null : rcodeName(rcode),
    failure,
  };
}

function negativeTtlOf({ answer }: Resolution, { soaSeconds }: Sent): number | null {
  if (answer === null) return null;
  const outcome = outcomeOf(answer);
  return outcome === "nodata" || outcome === "nxdomain" || outcome === "bare" ? soaSeconds : null;
}

import type { TtlLimits } from "../answers/options.ts";
import { lifetimeSeconds } from "../cache/lifetime.ts";
import { type Answer, outcomeOf, ttlAt } from "../dns/answer.ts";
import { type Name, nameFromText, nameText, plainName } from "../dns/name.ts";
import { isRejection, type Query, type Rejection } from "../dns/query.ts";
import { CLASS, typeNumber } from "../dns/types.ts";
import { uint16 } from "../dns/wire.ts";
import { shownUrl } from "../lib/text.ts";
import { EntryReader } from "../log/entries.ts";
import type { QueryFeed } from "../log/feed.ts";
import type { QueryLogOptions } from "../log/options.ts";
import { clientShown, type QueryRecord, type TraceStep } from "../log/record.ts";
import {
  ATTEMPT_TRANSPORTS,
  ATTEMPT_WORDS,
  COMPARED_BY,
  ENTRY,
  EXTRA,
  FLAGS,
  HTTP_VERSIONS,
  KIND,
  METHODS,
  NO_RCODE,
  QueryRing,
  SIDES,
  SOURCES,
  TextTable,
  TRANSPORTS,
  TTL_EDITS,
} from "../log/ring.ts";
import { decodeRow, type FoundRecord, storedRowOf } from "../log/rows.ts";
import { type RecordIds, wallMsOf } from "../log/schema.ts";
import { SOA_MADE } from "../resolve/forward.ts";
import type { Resolution } from "../resolve/types.ts";
import type { Decider, ExplanationStep } from "../rules/decider.ts";
import { type Decision, MAX_ALIASES } from "../rules/decision.ts";
import { type QueryEvent, undecidedEnding } from "../server/query-event.ts";
import type { Attempt } from "../upstreams/upstream.ts";

/** What entries are written with. */
export interface EntryTerms {
  readonly ids: Pick<RecordIds, "next">;
  readonly clients: QueryLogOptions["clients"];
  /** What is to be added to a time of `Clock.now` for milliseconds since 1970. */
  readonly wallOffsetMs: number;
}

/** Addresses whose shortened forms are remembered. */
const MAX_SHOWN = 1024;

/**
 * Writes the entry of a query into a ring (`log/ring.ts`): on the way of every query, so nothing is put into words, and nothing is made that is not needed.
 * Only what a rare query has takes more: attempts, edits, a comparison.
 */
export class EntryWriter {
  readonly #ring: QueryRing;
  readonly #texts: TextTable;
  readonly #shown = new Map<string, string>();
  #shownAs: QueryLogOptions["clients"] = "full";
  /** What `describe` found: the words `ENTRY.flags` to `ENTRY.editTo`. */
  readonly #described = new Int32Array(ENTRY.editTo - ENTRY.flags + 1);
  /** What `#findTtlEdit` found. */
  #editFrom = 0;
  #editTo = 0;

  constructor({ ring, texts }: Pick<QueryFeed, "ring" | "texts">) {
    this.#ring = ring;
    this.#texts = texts;
  }

  /** @returns whether there was room. */
  write(event: QueryEvent, { ids, clients, wallOffsetMs }: EntryTerms): boolean {
    const { client, parsed, resolution, rendered, startedMs, endedMs } = event;
    const name = nameOf(parsed);
    const address = clients === "full" ? client.address : this.#clientShown(client.address, clients);
    const clientId = clients === "none" || client.clientId === null ? "" : client.clientId;
    const reply = rendered?.wire ?? NO_BYTES;
    const described = this.describe(event);
    const extraWords = resolution === null ? 0 : extraWordsOf(resolution);
    const bytes = (name?.length ?? 0) + address.length + clientId.length + reply.length;
    // Entries have an even length.
    const length = (ENTRY.words + extraWords + ((bytes + 3) >> 2) + 1) & ~1;
    const at = this.#ring.reserve(length);
    if (at < 0) return false;
    const arrivedWallMs = Math.round(startedMs + wallOffsetMs);
    const id = ids.next(arrivedWallMs);
    const { words } = this.#ring;
    words[at + ENTRY.length] = length;
    words[at + ENTRY.kind] = KIND.query;
    words[at + ENTRY.idHigh] = id / 2 ** 32;
    words[at + ENTRY.idLow] = id;
    words[at + ENTRY.lagMs] = wallMsOf(id) - arrivedWallMs;
    words[at + ENTRY.durationUs] = Math.min(0xffff_ffff, Math.round((endedMs - startedMs) * 1000));
    for (let word = 0; word < described.length; word++) words[at + ENTRY.flags + word] = described[word] ?? 0;
    words[at + ENTRY.nameAndClientBytes] = (name?.length ?? 0) | (address.length << 16);
    words[at + ENTRY.clientIdBytesAndExtraWords] = clientId.length | (extraWords << 16);
    words[at + ENTRY.replyBytes] = reply.length;
    words[at + ENTRY.repeatSerial] = 0;
    words[at + ENTRY.clientSerial] = 0;
    if (extraWords > 0 && resolution !== null) this.#writeExtras(at + ENTRY.words, resolution, startedMs);
    let position = (at + ENTRY.words + extraWords) * 4;
    if (name !== null) position = this.#writeText(position, name);
    position = this.#writeText(position, address);
    position = this.#writeText(position, clientId);
    this.#ring.bytes.set(reply, position);
    // By now every text that the entry bears the number of is in the table of texts.
    this.#ring.publish(length);
    return true;
  }

  /**
   * The words `ENTRY.flags` to `ENTRY.editTo` of an entry: what a repetition of the same reply has in common with it. Valid until the next call.
   */
  describe(event: QueryEvent): Int32Array {
    const { state, client, parsed, resolution, rendered } = event;
    const texts = this.#texts;
    const undecided = resolution === null ? undecidedEnding(event) : null;
    const match = resolution?.decision.context.match ?? null;
    const list = texts.numberOf(match === null ? null : match.set.list);
    const source = resolution?.source ?? (undecided === "fault" ? "failure" : "refused");
    const ttlEdit = resolution === null ? 0 : this.#findTtlEdit(resolution);
    const words = this.#described;
    words[0] =
      (TRANSPORTS.indexOf(client.transport) << FLAGS.transport.shift) |
      (HTTP_VERSIONS.indexOf(client.http) << FLAGS.http.shift) |
      (METHODS.indexOf(client.method) << FLAGS.method.shift) |
      (SOURCES.indexOf(source) << FLAGS.source.shift) |
      (ttlEdit << FLAGS.ttlEdit.shift) |
      (rendered === null ? 0 : FLAGS.sent) |
      (isNegative(resolution?.answer ?? null) ? FLAGS.negative : 0) |
      (nameOf(parsed) === null ? 0 : FLAGS.question);
    words[ENTRY.type - ENTRY.flags] = typeOf(parsed);
    words[ENTRY.action - ENTRY.flags] = texts.numberOf(resolution?.action ?? undecided);
    words[ENTRY.rule - ENTRY.flags] = texts.numberOf(resolution?.decision.context.rule ?? null);
    words[ENTRY.list - ENTRY.flags] = list;
    words[ENTRY.line - ENTRY.flags] = match === null || list === 0 ? -1 : match.set.lineOf(match.found);
    words[ENTRY.route - ENTRY.flags] = texts.numberOf(resolution?.route ?? null);
    words[ENTRY.version - ENTRY.flags] = texts.numberOf(state.version);
    words[ENTRY.editFrom - ENTRY.flags] = this.#editFrom;
    words[ENTRY.editTo - ENTRY.flags] = this.#editTo;
    return words;
  }

  /** Texts of one byte a character: short ones are written quicker so than by a call into the runtime. */
  #writeText(start: number, text: string): number {
    const { bytes } = this.#ring;
    for (let index = 0; index < text.length; index++) bytes[start + index] = text.charCodeAt(index);
    return start + text.length;
  }

  #clientShown(address: string, clients: QueryLogOptions["clients"]): string {
    if (clients !== this.#shownAs || this.#shown.size >= MAX_SHOWN) this.#shown.clear();
    this.#shownAs = clients;
    let shown = this.#shown.get(address);
    if (shown === undefined) {
      shown = clientShown(address, clients);
      this.#shown.set(address, shown);
    }
    return shown;
  }

  #writeExtras(start: number, { attempts, edits = NO_TEXTS, comparison }: Resolution, queryStartedMs: number): void {
    const { words } = this.#ring;
    let at = start;
    for (const attempt of attempts.slice(0, MAX_ATTEMPTS)) {
      this.#writeAttempt(at, attempt, queryStartedMs);
      at += ATTEMPT_WORDS;
    }
    for (const edit of edits) {
      words[at++] = EXTRA.edit;
      words[at++] = this.#texts.numberOf(edit);
    }
    if (comparison === undefined) return;
    words[at++] = EXTRA.comparison | (SIDES.indexOf(comparison.side) << 8) | (COMPARED_BY.indexOf(comparison.by) << 16);
    words[at++] = this.#texts.numberOf(comparison.near);
  }

  #writeAttempt(
    at: number,
    { group, server, transport, startedMs, elapsedMs, rcode, failure }: Attempt,
    queryStartedMs: number,
  ): void {
    const { words } = this.#ring;
    words[at] = EXTRA.attempt | (ATTEMPT_TRANSPORTS.indexOf(transport) << 8) | ((rcode ?? NO_RCODE) << 16);
    words[at + 1] = this.#texts.numberOf(group);
    words[at + 2] = this.#texts.numberOf(server);
    words[at + 3] = this.#texts.numberOf(failure);
    words[at + 4] = Math.min(0xffff_ffff, Math.round(elapsedMs * 1000));
    words[at + 5] = Math.round(startedMs - queryStartedMs);
  }

  /** Finds what becomes of the TTLs. @returns a place in `TTL_EDITS`. */
  #findTtlEdit({ answer, ttl, decision, edits = NO_TEXTS }: Resolution): number {
    if (answer === null) return TTL_EDIT.none;
    switch (ttl.kind) {
      case "age":
        return this.#findPositiveEdit(answer, ttl.limits);
      case "negative":
        // The SOA is ours then, and says what it was made to.
        return edits.includes(SOA_MADE)
          ? TTL_EDIT.none
          : this.#findNegativeEdit(answer, lifetimeSeconds(answer, decision.context.settings.shaping));
      case "stale":
        this.#editTo = ttl.ttlSeconds;
        return TTL_EDIT.stale;
      default:
        return TTL_EDIT.none;
    }
  }

  #findPositiveEdit({ wire, ttlOffsets, answerRecords }: Answer, { minSeconds, maxSeconds }: TtlLimits): number {
    let lowest = maxSeconds;
    let highest = minSeconds;
    for (let index = 0; index < answerRecords; index++) {
      const ttlSeconds = ttlAt(wire, ttlOffsets[index] ?? 0);
      if (ttlSeconds < lowest) lowest = ttlSeconds;
      if (ttlSeconds > highest) highest = ttlSeconds;
    }
    if (lowest >= minSeconds && highest <= maxSeconds) return TTL_EDIT.none;
    this.#editFrom = minSeconds;
    this.#editTo = highest > maxSeconds ? maxSeconds : minSeconds;
    if (lowest >= minSeconds) return TTL_EDIT.lowered;
    return highest > maxSeconds ? TTL_EDIT.both : TTL_EDIT.raised;
  }

  #findNegativeEdit({ soa, lowestTtlSeconds }: Answer, lifeSeconds: number): number {
    if (soa === null) return TTL_EDIT.none;
    const saidSeconds = Math.min(soa.ttlSeconds, soa.minimumSeconds, lowestTtlSeconds ?? Number.POSITIVE_INFINITY);
    if (saidSeconds === lifeSeconds) return TTL_EDIT.none;
    this.#editFrom = saidSeconds;
    this.#editTo = lifeSeconds;
    return TTL_EDIT.negative;
  }
}

const NO_BYTES = new Uint8Array(0);
const NO_TEXTS: readonly string[] = [];

/** More servers than any group asks: the number of extra words has sixteen bits. */
const MAX_ATTEMPTS = 1000;

const TTL_EDIT = {
  none: TTL_EDITS.indexOf("none"),
  raised: TTL_EDITS.indexOf("raised"),
  lowered: TTL_EDITS.indexOf("lowered"),
  both: TTL_EDITS.indexOf("both"),
  negative: TTL_EDITS.indexOf("negative"),
  stale: TTL_EDITS.indexOf("stale"),
} as const;

function extraWordsOf({ attempts, edits = NO_TEXTS, comparison }: Resolution): number {
  return Math.min(MAX_ATTEMPTS, attempts.length) * ATTEMPT_WORDS + edits.length * 2 + (comparison === undefined ? 0 : 2);
}

/** As in `Name`; null where the message has no readable question. */
function nameOf(parsed: Query | Rejection): string | null {
  if (!isRejection(parsed)) return parsed.name;
  const { questionWire } = parsed;
  return questionWire === null ? null : plainName(questionWire, 0, questionWire.length - 4);
}

function typeOf(parsed: Query | Rejection): number {
  if (!isRejection(parsed)) return parsed.type;
  return parsed.questionWire === null ? 0 : uint16(parsed.questionWire, parsed.questionWire.length - 4);
}

function isNegative(answer: Answer | null): boolean {
  if (answer === null) return false;
  const outcome = outcomeOf(answer);
  return outcome === "nodata" || outcome === "nxdomain" || outcome === "nodataWithoutSoa";
}

/** Enough for the largest reply with any number of attempts. */
const ONE_ENTRY_BYTES = 256 * 1024;

/** The record of one query, as the log would show it, but for its id and trace. */
export function recordOf(event: QueryEvent): QueryRecord {
  const ring = new QueryRing(ONE_ENTRY_BYTES);
  const texts = new TextTable();
  new EntryWriter({ ring, texts }).write(event, { ids: { next: () => 0 }, clients: "full", wallOffsetMs: 0 });
  const [row] = ring.spans(0, ring.written).flatMap((span) => new EntryReader(texts).rows(span));
  if (row === undefined) throw new Error("an entry that cannot be read");
  return decodeRow(storedRowOf(row)).record;
}

/**
 * The way to the decision of a record, found once more: decisions are pure, so it is the same. null where it comes out otherwise, because the log keeps
 * less of the client than rules look at.
 */
export function traceOfRecord(policyDecider: Decider, { record, compared }: FoundRecord): readonly TraceStep[] | null {
  const decider = policyDecider.at(Date.parse(record.time));
  const name = nameFromText(record.name);
  const type = typeNumber(record.type);
  if (name === null || type === null) return [];
  const client = { address: record.client.split("/")[0] ?? "", clientId: record.clientId };
  const { decision, steps } = decider.explain({ name, type, class: CLASS.IN }, client);
  const trace = traceOf(steps);
  let last = decision;
  for (let alias = aliasOf(last), count = 0; alias !== null && count < MAX_ALIASES; count++) {
    const target = decider.explain({ name: alias, type, class: CLASS.IN }, client);
    trace.push({ kind: "alias", target: nameText(alias) }, ...traceOf(target.steps));
    last = target.decision;
    alias = aliasOf(last);
  }
  if (record.rule !== decision.context.rule && record.rule !== last.context.rule) return null;
  return compared === null ? trace : [...trace, compared];
}

function aliasOf(decision: Decision): Name | null {
  return decision.kind === "reply" && decision.answer.kind === "alias" ? decision.answer.target : null;
}

/** What was looked at on the way to a decision, as the log shows it and explanations do. */
export function traceOf(steps: readonly ExplanationStep[]): TraceStep[] {
  return steps.map((step) => {
    if (step.kind === "special") return { kind: "special", zone: nameText(step.zone) };
    if (step.kind !== "rule" || step.match === null) return step;
    return { ...step, match: { ...step.match, source: shownUrl(step.match.source) } };
  });
}

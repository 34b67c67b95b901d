import { lifetimeSeconds, undisturbedMs } from "../cache/lifetime.ts";
import { addressFromText, withoutZone } from "../dns/address.ts";
import { type Answer, outcomeOf, ttlAt } from "../dns/answer.ts";
import { isRejection, type Query } from "../dns/query.ts";
import { CLASS, RCODE } from "../dns/types.ts";
import type { Client } from "../lib/client.ts";
import type { HandlerReply } from "../listen/types.ts";
import type { QueryLogOptions } from "../log/options.ts";
import { clientShown } from "../log/record.ts";
import { ALL_MINUTES, CHANNELS, channelOf, HEADER, ROW_BYTES, SHAPE } from "../replies/layout.ts";
import { type ReaderBooks, type ReaderClock, ReplyReader } from "../replies/reader.ts";
import { type RepeatableReply, ReplyTable } from "../replies/table.ts";
import { BINDING_TYPES, canBeEdited } from "../resolve/filters.ts";
import type { Resolution } from "../resolve/types.ts";
import { preferenceFor } from "../rules/decider.ts";
import type { ForwardDecision } from "../rules/decision.ts";
import type { SteadySpan } from "../rules/schedule.ts";
import type { AnswerFeed, QueryEvent, ReplyPublisher } from "../server/query-event.ts";
import type { ServerState } from "../server/state.ts";
import type { Counters } from "../stats/counters.ts";
import type { EntryWriter } from "./records.ts";

/** Client addresses whose class is remembered; then all are forgotten. */
const MAX_CLIENTS = 4096;

/** Bytes of an OPT record without options. */
const OPT_BYTES = 11;

const MINUTE_MS = 60_000;

/** The value of an SOA that always says what is left of a negative answer's life. */
const NO_LIMIT = 0xffff_ffff;

interface PublishingParts {
  readonly counters: Counters;
  readonly writer: Pick<EntryWriter, "describe">;
  /** How the log shows clients. */
  readonly clients: () => QueryLogOptions["clients"];
  readonly clock: ReaderClock;
  /** Where the main thread counts and records what it repeats. */
  readonly books: ReaderBooks;
  /** Of the table; absent = new. */
  readonly memory?: SharedArrayBuffer | undefined;
}

/** A client whose replies may be repeated. */
interface KnownClient {
  /** 0 = every query is answered in full. */
  readonly class: number;
  /** What the reader knows the client by; -1 = the table has no room for it. */
  readonly place: number;
}

const UNREPEATED: KnownClient = { class: 0, place: -1 };

/**
 * Decides which replies may be repeated, keeps their table true, and repeats those to queries over streams; the thread of UDP repeats the others. A reply
 * is published where it follows from one entry of the cache, the configuration and the class of the client alone, for as long as a router that is told of
 * answers has its addresses; everything else is answered in full.
 */
export class RepeatedReplies implements ReplyPublisher {
  readonly table: ReplyTable;
  readonly #parts: PublishingParts;
  /** Repeats what comes over streams. */
  readonly #reader: ReplyReader;
  readonly #room = new Uint8Array(2 * ROW_BYTES);
  /** By address. */
  readonly #clients = new Map<string, KnownClient>();
  /** Numbers are never given again: the thread may still be at work on a query of before. */
  readonly #classes = new Map<string, number>();
  #lastClass = 0;
  #droppedBefore = 0;
  #state: ServerState | null = null;
  /** Within it decisions do not change, by the clock on the wall; null = they never do. */
  #span: SteadySpan | null = null;
  /** Rules whose answers a router is told of. */
  #fedRules: ReadonlySet<string> = new Set();

  constructor(parts: PublishingParts) {
    this.#parts = parts;
    this.table = new ReplyTable(parts.memory);
    this.#reader = new ReplyReader(this.table.memory, parts.books, parts.clock);
  }

  /** Answers come from this state from now on: nothing is repeated of what was said before. */
  use(state: ServerState): void {
    if (this.#state !== null) this.#state.access.onChange = () => {};
    this.#state = state;
    this.#fedRules = new Set(state.config.routeros?.addressLists.map(({ rule }) => rule));
    state.access.onChange = () => this.forgetClients();
    state.shared.cache.copies = this.table;
    this.#classes.clear();
    this.table.clear();
    this.forgetClients();
    this.#renew(state);
  }

  /** Ends every repetition: the router has lost addresses, and each answer is to be noted again. */
  withdrawAll(): void {
    if (this.#state !== null) this.#renew(this.#state);
  }

  /** Ends every repetition: rules with hours may decide otherwise now. */
  #renew({ resolver: { decider, clock } }: ServerState): void {
    this.#span = decider.hasHours ? decider.steadyAround(clock.wallMs()) : null;
    this.table.renew(
      this.#span === null ? ALL_MINUTES : { from: this.#span.fromMs / MINUTE_MS, until: this.#span.untilMs / MINUTE_MS },
    );
  }

  /** Whether all that was decided since the query came holds on. */
  #isSteady(state: ServerState, startedMs: number): boolean {
    if (this.#span === null) return true;
    const { clock } = state.resolver;
    const wallMs = clock.wallMs();
    if (!isWithin(wallMs, this.#span)) this.#renew(state);
    return isWithin(wallMs - (clock.now() - startedMs), this.#span);
  }

  /** Clients are looked at anew: who may ask has changed, or what is known of devices, or how the log shows clients. */
  forgetClients(): void {
    this.#clients.clear();
    this.table.forgetClients();
  }

  /** Counts all repetitions up to now. */
  settle(): void {
    const { counters } = this.#parts;
    this.table.settleAll();
    counters.addCacheDurations(this.table.takeDurations());
    const dropped = Atomics.load(this.table.header, HEADER.logDropped);
    counters.recordsDropped += (dropped - this.#droppedBefore) >>> 0;
    this.#droppedBefore = dropped;
  }

  repeat(message: Uint8Array, client: Client): HandlerReply | null {
    if (client.clientId !== null) return null;
    const place = this.#clients.get(client.address)?.place ?? -1;
    const channel = channelOf(client);
    if (place < 0 || channel < 0 || message.length > ROW_BYTES) return null;
    const reader = this.#reader;
    const room = this.#room;
    reader.channel = channel;
    reader.readClocks();
    room.set(message);
    const length = reader.answer(room, 0, message.length, place);
    if (length === 0) return null;
    // From the pool: an ArrayBuffer of its own would cost more than all else here.
    const wire = Buffer.allocUnsafe(length);
    for (let index = 0; index < length; index++) wire[index] = room[index] ?? 0;
    return { wire, maxAgeSeconds: reader.maxAgeSeconds };
  }

  offer(event: QueryEvent, feed: AnswerFeed | null): void {
    const { state, client, parsed, admission, resolution } = event;
    if (state !== this.#state || admission !== "admitted" || isRejection(parsed) || resolution === null) return;
    const { class: clientClass } = this.#clients.get(client.address) ?? this.#classify(state, client);
    if (clientClass === 0 || channelOf(client) < 0 || !this.#isSteady(state, event.startedMs)) return;
    const reply = this.#repeatable(event, { query: parsed, resolution, clientClass, feed });
    if (reply !== null && resolution.held != null) this.table.publish(resolution.held.entry, reply);
  }

  #classify({ access, resolver }: ServerState, client: Client): KnownClient {
    if (this.#clients.size >= MAX_CLIENTS) this.forgetClients();
    const known = this.#classOf(access, resolver, client);
    this.#clients.set(client.address, known);
    return known;
  }

  #classOf(access: ServerState["access"], { decider }: ServerState["resolver"], client: Client): KnownClient {
    const address = client.address.includes("%") ? null : addressFromText(withoutZone(client.address));
    if (address === null || !access.isUnlimited(client.address)) return UNREPEATED;
    const clientClass = this.#numberOf(decider.clientClass(client));
    const shownAs = this.#parts.clients();
    // A client without an id of its own has the name of its device.
    const clientId = shownAs === "none" ? "" : (client.clientId ?? "");
    const shown = { address: clientShown(client.address, shownAs), clientId };
    return { class: clientClass, place: this.table.addClient(mapped(address), clientClass, shown) };
  }

  #numberOf(conditions: string): number {
    const known = this.#classes.get(conditions);
    if (known !== undefined) return known;
    this.#lastClass++;
    this.#classes.set(conditions, this.#lastClass);
    return this.#lastClass;
  }

  #repeatable(event: QueryEvent, asked: AskedQuery): RepeatableReply | null {
    const { state, client, rendered } = event;
    const { query, resolution, clientClass, feed } = asked;
    const { held, answer, decision, route } = resolution;
    const { resolver } = state;
    if (held == null || answer !== held.answer || rendered === null || route === null || decision.kind !== "forward") return null;
    if (!isPlain(resolution, answer) || query.class !== CLASS.IN || query.clientSubnet !== null) return null;
    if (BINDING_TYPES.has(query.type) && canBeEdited(answer)) return null;
    // Then the reply also follows from that for the other family.
    if (preferenceFor(resolver, { query, client, decision }) !== null) return null;
    if (rendered.wire.length !== answer.wire.length + (query.edns === null ? 0 : OPT_BYTES)) return null;
    if (!resolver.cache.isHeld(held.entry)) return null;
    const { rule, settings } = decision.context;
    const { shaping, log } = settings;
    const isFed = rule !== null && this.#fedRules.has(rule);
    const fedUntilMs = isFed ? (feed?.repeatableUntilMs(rule, answer) ?? 0) : Number.POSITIVE_INFINITY;
    const usableMs = Math.min(undisturbedMs(held, shaping, resolver.prefetch), fedUntilMs - held.storedAtMs);
    if (resolver.clock.now() - held.storedAtMs >= usableMs) return null;
    const { counters, writer } = this.#parts;
    return {
      name: query.name,
      type: query.type,
      shape: shapeOf(query),
      clientClass,
      wire: rendered.wire,
      ...agingOf(answer, decision, held.storedAtMs),
      usableMs,
      log: resolver.decider.changesLog && !log ? null : writer.describe(event),
      tally: (channel, uses) => {
        const transport = CHANNELS[channel]?.transport ?? client.transport;
        counters.countRepeats({ transport, rcode: RCODE.NOERROR, rule, route }, uses);
        resolver.cache.noteUses(held.entry, uses);
      },
    };
  }
}

function isWithin(wallMs: number, { fromMs, untilMs }: SteadySpan): boolean {
  return wallMs >= fromMs && wallMs < untilMs;
}

interface AskedQuery {
  readonly query: Query;
  readonly resolution: Resolution;
  readonly clientClass: number;
  readonly feed: AnswerFeed | null;
}

/** Whether the answer is sent as it is held but for its TTLs: an answer with records, or NODATA with the upstream's own SOA. */
function isPlain({ source, action, extendedErrors, edits, subnetScope, comparison }: Resolution, answer: Answer): boolean {
  const outcome = outcomeOf(answer);
  return (
    source === "cache" &&
    action === "none" &&
    (outcome === "positive" || outcome === "nodata") &&
    extendedErrors.length === 0 &&
    edits === undefined &&
    subnetScope === undefined &&
    comparison === undefined
  );
}

/** What `editTtls` of `answers/render.ts` does, as values that are lowered from second to second. */
function agingOf(
  answer: Answer,
  { context }: ForwardDecision,
  storedAtMs: number,
): Pick<RepeatableReply, "ttls" | "answerTtls" | "isNegative" | "lifeSeconds" | "storedAtMs"> {
  const { shaping } = context.settings;
  const isNegative = outcomeOf(answer) !== "positive";
  const lifeSeconds = lifetimeSeconds(answer, shaping);
  const said = Array.from(answer.ttlOffsets, (offset) => ({ offset, seconds: ttlAt(answer.wire, offset) }));
  if (!isNegative) {
    const { minSeconds, maxSeconds } = shaping.ttl;
    const ttls = said.map(({ offset, seconds }) => ({ offset, seconds: Math.min(maxSeconds, Math.max(minSeconds, seconds)) }));
    return { ttls, answerTtls: answer.answerRecords, isNegative, lifeSeconds, storedAtMs };
  }
  const { soa, signed } = answer;
  const own = soa === null || signed ? [] : [soa.ttlOffset, soa.minimumOffset].map((offset) => ({ offset, seconds: NO_LIMIT }));
  return { ttls: [...said, ...own], answerTtls: 0, isNegative, lifeSeconds, storedAtMs };
}

function shapeOf({ edns, dnssecOk, checkingDisabled, authenticData }: Query): number {
  return (
    (edns === null ? 0 : SHAPE.edns) |
    (dnssecOk ? SHAPE.dnssecOk : 0) |
    (checkingDisabled ? SHAPE.checkingDisabled : 0) |
    (authenticData ? SHAPE.authenticData : 0)
  );
}

/** An IPv4 address as an IPv4-mapped one. */
function mapped(address: Uint8Array): Uint8Array {
  if (address.length === 16) return address;
  const bytes = new Uint8Array(16);
  bytes.set([0xff, 0xff], 10);
  bytes.set(address, 12);
  return bytes;
}

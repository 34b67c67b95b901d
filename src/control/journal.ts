import { isDeepStrictEqual } from "node:util";
import type { Config } from "../config/types.ts";
import { isRejection } from "../dns/query.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { OperationsLog } from "../log/operations.ts";
import type { QueryLogOptions } from "../log/options.ts";
import { QueryLog } from "../log/query-log.ts";
import type { QueryRecord } from "../log/record.ts";
import { RecordIds } from "../log/record-ids.ts";
import type { LogEvent } from "../log/writer.ts";
import { MAX_ALIASES } from "../rules/decision.ts";
import { type QueryEvent, type QueryObserver, rcodeSent, undecidedEnding } from "../server/query-event.ts";
import { Counters } from "../stats/counters.ts";
import { buildRecord } from "./records.ts";

/** Where records go. Must return at once, and never throws. */
interface RecordSink {
  append(records: readonly QueryRecord[]): void;
}

/** Queries that may wait for their records: at 20,000 a second four fifths of a second. */
const RING_SLOTS = 16_384;

/** What their replies may take together: a flood of large ones must not fill the memory. */
const RING_BYTES = 32 * 1024 * 1024;

/** How long the first waits, so that there is more than one to do. */
const GATHER_MS = 20;

/** Records are made so many at a time, which takes some 0.3 ms, and for no longer than this; in between, answers have their turn. */
const SLICE_RECORDS = 64;
const SLICE_MS = 1;
const PAUSE_MS = 1;

/**
 * Counts every query, and makes a record of it where one is wanted: later, a few at a time, so that no answer waits for it. Queries come in
 * faster than records can be made only for a while; then records are dropped and counted.
 */
export class QueryRecorder implements QueryObserver {
  readonly counters = new Counters();
  readonly #clock: Clock;
  readonly #report: (error: unknown) => void;
  readonly #ids = new RecordIds();
  readonly #ring = new Ring<QueryEvent>(RING_SLOTS);
  readonly #followers = new Set<(record: QueryRecord) => void>();
  /** null = nobody keeps records; `later` = they wait for one to be ready. */
  #sink: RecordSink | "later" | null = null;
  #clients: QueryLogOptions["clients"] = "full";
  #ringBytes = 0;
  #timer: Timer | null = null;

  /** @param report told of faults of ours in making records. */
  constructor(clock: Clock, report: (error: unknown) => void) {
    this.#clock = clock;
    this.#report = report;
  }

  /** From now on records go there; null = nobody keeps them. What waits goes where it was to go, but with no more of its client than `clients` says. */
  use(sink: RecordSink | null, clients: QueryLogOptions["clients"]): void {
    this.#clients = clients;
    if (sink === this.#sink) return;
    this.flush();
    this.#sink = sink;
    if (this.#ring.size > 0) this.#timer ??= this.#clock.setTimer(() => this.#drain(), PAUSE_MS);
  }

  /** Lets queries wait for a sink that is not ready yet: until `use` no record is made. */
  hold(clients: QueryLogOptions["clients"]): void {
    this.use(null, clients);
    this.#sink = "later";
  }

  /** Rules and groups are counted apart from now on as this configuration names them. */
  expect({ rules, upstreams }: Pick<Config, "rules" | "upstreams">): void {
    this.counters.rules.use(rules.filter(({ action }) => action !== null).map(({ name }) => name));
    this.counters.groups.use(upstreams.groups.map(({ name }) => name));
  }

  observe(noted: QueryEvent): void {
    this.counters.count(noted, rcodeSent(noted), noted.resolution === null ? undecidedEnding(noted) : null);
    if (this.#sink === null && this.#followers.size === 0) return;
    // Most of what a rule keeps out; the rest is found when the record would be made.
    if (noted.resolution?.decision.context.settings.log === false) return;
    const octets = noted.rendered?.wire.length ?? 0;
    if (this.#ringBytes + octets > RING_BYTES || !this.#ring.put(noted)) {
      this.counters.recordsDropped++;
      return;
    }
    this.#ringBytes += octets;
    this.#timer ??= this.#clock.setTimer(() => this.#drain(), GATHER_MS);
  }

  /** Calls back with every record from now on; a callback must not throw and must return at once. @returns what ends it. */
  follow(told: (record: QueryRecord) => void): () => void {
    // A function of its own, so that the same callback may follow twice.
    const follower = (record: QueryRecord): void => told(record);
    this.#followers.add(follower);
    return () => void this.#followers.delete(follower);
  }

  /** Makes all records that wait, at once, unless they wait for a sink. */
  flush(): void {
    if (this.#sink === "later") return;
    this.#timer?.cancel();
    this.#timer = null;
    while (this.#ring.size > 0) this.#slice(Number.POSITIVE_INFINITY);
  }

  /**
   * Makes records that wait, for about a millisecond: so that who has just been answered finds the query in the log, where not more come than
   * can be made.
   */
  catchUp(): void {
    if (this.#sink !== "later") this.#slice(this.#clock.now() + SLICE_MS);
  }

  #drain(): void {
    this.#timer = null;
    if (this.#sink === "later") return;
    this.#slice(this.#clock.now() + SLICE_MS);
    if (this.#ring.size > 0) this.#timer = this.#clock.setTimer(() => this.#drain(), PAUSE_MS);
  }

  #slice(untilMs: number): void {
    const wallOffsetMs = this.#clock.wallMs() - this.#clock.now();
    const records: QueryRecord[] = [];
    for (let count = 0; count < SLICE_RECORDS && this.#clock.now() <= untilMs; count++) {
      const noted = this.#ring.take();
      if (noted === null) break;
      this.#ringBytes -= noted.rendered?.wire.length ?? 0;
      const record = this.#record(noted, wallOffsetMs);
      if (record !== null) records.push(record);
    }
    if (records.length === 0) return;
    if (this.#sink !== null && this.#sink !== "later") this.#sink.append(records);
    for (const follower of this.#followers) for (const record of records) follower(record);
  }

  #record(noted: QueryEvent, wallOffsetMs: number): QueryRecord | null {
    try {
      if (isExcludedFromLog(noted)) return null;
      return buildRecord(noted, { ids: this.#ids, clients: this.#clients, wallOffsetMs });
    } catch (error) {
      // A bug, in what nobody waits for: one record is worth less than the server.
      this.counters.recordsDropped++;
      this.#report(error);
      return null;
    }
  }
}

/** The oldest come out first. What does not fit is not taken: nothing that waits is displaced. */
export class Ring<Item> {
  readonly #slots: (Item | null)[];
  readonly #mask: number;
  #first = 0;
  #next = 0;

  /** @param capacity a power of two. */
  constructor(capacity: number) {
    if (capacity < 1 || (capacity & (capacity - 1)) !== 0) throw new Error(`${capacity} is no power of two`);
    this.#slots = new Array<Item | null>(capacity).fill(null);
    this.#mask = capacity - 1;
  }

  /** @returns false where it is full. */
  put(item: Item): boolean {
    if (this.#next - this.#first > this.#mask) return false;
    this.#slots[this.#next & this.#mask] = item;
    this.#next++;
    return true;
  }

  /** null = it is empty. */
  take(): Item | null {
    if (this.#first === this.#next) return null;
    const slot = this.#first & this.#mask;
    const item = this.#slots[slot] ?? null;
    this.#slots[slot] = null;
    this.#first++;
    return item;
  }

  get size(): number {
    return this.#next - this.#first;
  }
}

interface RecordKeepingParts {
  readonly journal: QueryRecorder;
  readonly clock: Clock;
  readonly log: OperationsLog;
}

/** The query log that the configuration wants, filled by the journal. */
export class RecordKeeping {
  readonly #parts: RecordKeepingParts;
  #options: QueryLogOptions;
  #log: QueryLog;

  private constructor(parts: RecordKeepingParts, options: QueryLogOptions, log: QueryLog) {
    this.#parts = parts;
    this.#options = options;
    this.#log = log;
  }

  /** A store that is out of order is told, and tried again: this never fails. The journal may be held until then. */
  static async open(options: QueryLogOptions, parts: RecordKeepingParts): Promise<RecordKeeping> {
    return new RecordKeeping(parts, options, await openLog(options, parts));
  }

  get queryLog(): QueryLog {
    return this.#log;
  }

  /** Goes by other options. The store stays open where nothing about it has changed. */
  async change(options: QueryLogOptions): Promise<void> {
    const before = this.#options;
    this.#options = options;
    const { journal } = this.#parts;
    if (isDeepStrictEqual({ ...options, clients: before.clients }, before)) {
      journal.use(sinkOf(options, this.#log), options.clients);
      return;
    }
    // The new one may be the same file, which must not have two writers.
    journal.hold(options.clients);
    await this.#log.close();
    this.#log = await openLog(options, this.#parts);
  }

  /** What waits is recorded first. May be called again. */
  async close(): Promise<void> {
    this.#parts.journal.use(null, this.#options.clients);
    await this.#log.close();
  }
}

async function openLog(options: QueryLogOptions, { journal, clock, log }: RecordKeepingParts): Promise<QueryLog> {
  const queryLog = await QueryLog.open(options, { clock, report: (event) => tell(log, event) });
  journal.use(sinkOf(options, queryLog), options.clients);
  return queryLog;
}

function sinkOf({ enabled }: QueryLogOptions, log: QueryLog): QueryLog | null {
  return enabled ? log : null;
}

function tell(log: OperationsLog, event: LogEvent): void {
  switch (event.kind) {
    case "failing":
      log.error({ file: event.file, reason: event.reason }, "queries are answered, but cannot be recorded");
      return;
    case "well":
      log.info({ file: event.file, dropped: event.dropped }, "queries are recorded again");
      return;
    case "lost":
      log.warn({ file: event.file, queries: event.records }, "the query log was closed before these could be recorded");
      return;
    case "renewed":
      log.warn({ file: event.file, aside: event.aside }, "the query log was damaged: it was put aside, and a new one begun");
      return;
    case "refused":
      log.error({ reason: event.reason }, "a query could not be recorded: please report it");
      return;
    default:
      unreachable(event);
  }
}

/**
 * Whether a rule keeps the query out of the log. A rule about the target of an alias of the hosts table keeps out what leads there as well: the
 * record would tell of the target.
 */
function isExcludedFromLog({ state, client, parsed, admission, resolution }: QueryEvent): boolean {
  if (isRejection(parsed)) return false;
  // With a fault of ours nothing is asked a second time.
  if (resolution === null && admission === "admitted") return false;
  const { decider } = state.resolver;
  // Who is turned away meets no rule before.
  let decision = resolution?.decision ?? decider.decide(parsed, client);
  for (let aliases = 0; decision.context.settings.log && aliases < MAX_ALIASES; aliases++) {
    if (decision.kind !== "reply" || decision.answer.kind !== "alias") return false;
    decision = decider.decide({ ...parsed, name: decision.answer.target }, client);
  }
  return !decision.context.settings.log;
}

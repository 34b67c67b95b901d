import { isDeepStrictEqual } from "node:util";
import type { Config } from "../config/types.ts";
import { isRejection } from "../dns/query.ts";
import { RCODE } from "../dns/types.ts";
import type { Clock } from "../lib/clock.ts";
import { explainWriteError } from "../lib/files.ts";
import { unreachable } from "../lib/unreachable.ts";
import { QueryFeed, type ThreadCall } from "../log/feed.ts";
import type { OperationsLog } from "../log/operations.ts";
import type { QueryLogOptions } from "../log/options.ts";
import { QueryLog } from "../log/query-log.ts";
import { RecordIds } from "../log/schema.ts";
import type { LogEvent } from "../log/writer.ts";
import { HEADER, LOG_CALL } from "../replies/layout.ts";
import { MAX_ALIASES } from "../rules/decision.ts";
import { type QueryEvent, type QueryObserver, undecidedEnding } from "../server/query-event.ts";
import { Counters } from "../stats/counters.ts";
import { EntryWriter } from "./records.ts";
import { RepeatedReplies } from "./replies.ts";

/** How long the difference between the two clocks is taken as it was: clocks are set seldom. */
const CLOCK_MS = 1000;

/**
 * Counts every query, and writes the entry of each that is to be recorded into the feed of the query log. The rules that exclude queries and
 * `log.queries.clients` are applied before. What finds no room is dropped and counted.
 */
export class QueryRecorder implements QueryObserver {
  readonly feed: QueryFeed;
  readonly #clock: Clock;
  readonly #report: (error: unknown) => void;
  readonly #writer: EntryWriter;
  readonly #terms: { readonly ids: RecordIds; clients: QueryLogOptions["clients"]; wallOffsetMs: number };
  readonly #counters = new Counters();
  #isStored = false;
  /** null = every query is answered in full. */
  #replies: RepeatedReplies | null = null;
  /** When `wallOffsetMs` was found. */
  #offsetAtMs = Number.NEGATIVE_INFINITY;

  /** @param report told of faults of ours in writing entries. */
  constructor(clock: Clock, report: (error: unknown) => void, feed = new QueryFeed()) {
    this.#clock = clock;
    this.#report = report;
    this.feed = feed;
    this.#writer = new EntryWriter(feed);
    this.#terms = { ids: new RecordIds(), clients: "full", wallOffsetMs: 0 };
  }

  /** What was counted up to now. */
  get counters(): Counters {
    this.#replies?.settle();
    return this.#counters;
  }

  /** Lets replies be repeated, by this thread and another one: each counts and records what it answers. To be called once. @param memory see `ReplyTable`. */
  openReplies(memory?: SharedArrayBuffer): RepeatedReplies {
    const terms = this.#terms;
    const counters = this.#counters;
    const { feed } = this;
    const clock = this.#clock;
    const replies = new RepeatedReplies({
      memory,
      counters,
      writer: this.#writer,
      clients: () => terms.clients,
      clock: { now: clock.now, wallOffsetMs: () => clock.wallMs() - clock.now() },
      books: {
        ring: feed.ring,
        ids: terms.ids,
        count: (durationMs) => counters.countCacheDuration(durationMs),
        recorded(hasRoom) {
          if (hasRoom) feed.published();
          else counters.recordsDropped++;
        },
      },
    });
    const { header } = replies.table;
    this.feed.use({
      written: () => Atomics.load(header, HEADER.logWritten),
      await: (call) => void Atomics.store(header, HEADER.logAwaited, LOG_CALLS[call]),
    });
    this.feed.followers.onChange = () => this.#tellThread();
    this.#replies = replies;
    this.#tellThread();
    return replies;
  }

  /** Goes by these options from the next query on. Entries wait in the feed where the log is not open yet. */
  use({ enabled, clients }: Pick<QueryLogOptions, "enabled" | "clients">): void {
    this.#isStored = enabled;
    const showsOthers = clients !== this.#terms.clients;
    this.#terms.clients = clients;
    if (showsOthers) this.#replies?.forgetClients();
    this.#tellThread();
  }

  /** Rules and groups are counted apart from now on as this configuration names them. */
  expect({ rules, upstreams }: Pick<Config, "rules" | "upstreams">): void {
    this.#replies?.settle();
    this.#counters.rules.use(rules.filter(({ action }) => action !== null).map(({ name }) => name));
    this.#counters.groups.use(upstreams.groups.map(({ name }) => name));
  }

  observe(event: QueryEvent): void {
    this.#counters.count(event, rcodeSent(event), event.resolution === null ? undecidedEnding(event) : null);
    if (!this.#isWanted()) return;
    try {
      if (isExcludedFromLog(event)) return;
      if (event.endedMs - this.#offsetAtMs > CLOCK_MS) this.#readClocks(event.endedMs);
      if (this.#writer.write(event, this.#terms)) this.feed.published();
      else this.#counters.recordsDropped++;
    } catch (error) {
      // A bug, in what nobody waits for: one record is worth less than the answer.
      this.#counters.recordsDropped++;
      this.#report(error);
    }
  }

  #isWanted(): boolean {
    return this.#isStored || this.feed.followers.size > 0;
  }

  #tellThread(): void {
    if (this.#replies !== null) Atomics.store(this.#replies.table.header, HEADER.logWanted, this.#isWanted() ? 1 : 0);
  }

  #readClocks(nowMs: number): void {
    this.#offsetAtMs = nowMs;
    this.#terms.wallOffsetMs = this.#clock.wallMs() - this.#clock.now();
  }
}

const LOG_CALLS: Readonly<Record<ThreadCall, number>> = {
  never: LOG_CALL.none,
  "when there is something": LOG_CALL.any,
  "when it is half full": LOG_CALL.halfFull,
};

interface RecordKeepingParts {
  readonly recorder: QueryRecorder;
  readonly clock: Clock;
  readonly log: OperationsLog;
}

/** The query log that the configuration wants, filled by the recorder. */
export class RecordKeeping {
  readonly #parts: RecordKeepingParts;
  #options: QueryLogOptions;
  #log: QueryLog;

  private constructor(parts: RecordKeepingParts, options: QueryLogOptions, log: QueryLog) {
    this.#parts = parts;
    this.#options = options;
    this.#log = log;
  }

  /** A store that is out of order is told, and tried again: this never fails. The recorder may be used before. */
  static async open(options: QueryLogOptions, parts: RecordKeepingParts): Promise<RecordKeeping> {
    parts.recorder.use(options);
    return new RecordKeeping(parts, options, await openLog(options, parts));
  }

  get queryLog(): QueryLog {
    return this.#log;
  }

  /** Goes by other options. The store stays open where nothing about it has changed. */
  async change(options: QueryLogOptions): Promise<void> {
    const before = this.#options;
    this.#options = options;
    this.#parts.recorder.use(options);
    if (isDeepStrictEqual({ ...options, clients: before.clients }, before)) return;
    // The new one may be the same file, which must not have two writers. Entries wait in the feed meanwhile.
    await this.#log.close();
    this.#log = await openLog(options, this.#parts);
  }

  /** What waits is recorded first. May be called again. @param patienceMs see `Writer.close`. */
  async close(patienceMs?: number): Promise<void> {
    await this.#log.close(patienceMs);
  }
}

function openLog(options: QueryLogOptions, { recorder, clock, log }: RecordKeepingParts): Promise<QueryLog> {
  const { feed } = recorder;
  const refused = () => recorder.counters.recordsDropped;
  return QueryLog.open(options, { clock, feed, report: (event) => tell(log, event), refused });
}

function tell(log: OperationsLog, event: LogEvent): void {
  switch (event.kind) {
    case "failing":
      log.error({ file: event.file, reason: explainWriteError(event.reason) }, "queries are answered, but cannot be recorded");
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
  if (!decider.changesLog) return false;
  // Who is turned away meets no rule before.
  let decision = resolution?.decision ?? decider.decide(parsed, client);
  for (let aliases = 0; decision.context.settings.log && aliases < MAX_ALIASES; aliases++) {
    if (decision.kind !== "reply" || decision.answer.kind !== "alias") return false;
    decision = decider.decide({ ...parsed, name: decision.answer.target }, client);
  }
  return !decision.context.settings.log;
}

/** The rcode of the reply; null = nothing was sent. */
function rcodeSent({ parsed, admission, rendered }: QueryEvent): number | null {
  if (rendered === null) return null;
  // BADVERS does not fit into the header's four bits: its upper bits are in the OPT record (RFC 6891 §6.1.3).
  if (admission === "admitted" && isRejection(parsed) && parsed.rejected === RCODE.BADVERS) return RCODE.BADVERS;
  return (rendered.wire[3] ?? 0) & 15;
}

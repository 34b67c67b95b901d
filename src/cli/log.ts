import { setTimeout } from "node:timers/promises";
import { Type } from "typebox";
import { named, nullable } from "../admin/schemas/named.ts";
import { queryPageSchema, queryRecordSchema } from "../admin/schemas/record.ts";
import { type LogState, statisticsSchema } from "../admin/schemas/views.ts";
import { systemClock } from "../lib/clock.ts";
import { unreachable } from "../lib/unreachable.ts";
import { FILTER_PARAMETERS, type Page, parseFilter } from "../log/filter.ts";
import type { QueryRecord } from "../log/record.ts";
import { firstIdAt } from "../log/schema.ts";
import { localTime, recordDetails } from "../log/text.ts";
import { localMoment, parseMoment } from "../log/time.ts";
import { type ApiClient, ApiGone, ApiRefusal, ApiSilent, ApiUnreachable, type ServerEvent, withApi } from "./api-client.ts";
import { EXIT, type Terminal, UsageError } from "./invocation.ts";
import { dayText, RecordTable } from "./record-table.ts";
import type { Invocation } from "./run.ts";

/** Records asked for at a time. */
const PAGE = 1000;

/**
 * `fenliu log [FIELD=VALUE…] [--limit N] [--follow] [--full]`: queries of the running server, the newest last; a word without `=` is a name.
 * `fenliu log ID`: all that is known of one.
 */
export async function logCommand(invocation: Invocation, terminal: Terminal): Promise<number> {
  const { words } = invocation;
  const [only] = words;
  if (words.length === 1 && only !== undefined && /^\d{10,}$/.test(only))
    return withApi(invocation, terminal, (api) => one(api, only, { invocation, terminal }));
  const nowMs = systemClock.wallMs();
  const query = logFilter(words, nowMs);
  if (invocation.follow && query.some(([field]) => field === "to")) throw new UsageError("`to` is an end, and --follow has none");
  return withApi(invocation, terminal, (api) =>
    invocation.follow ? follow(api, { query, nowMs }, { invocation, terminal }) : search(api, query, { invocation, terminal }),
  );
}

async function search(api: ApiClient, query: readonly Parameter[], { invocation, terminal }: Surroundings): Promise<number> {
  const { records, mayBeMore } = await past(api, { query, limit: invocation.limit ?? 100 });
  showAll(records, new RecordPrinter(invocation, terminal));
  if (records.length === 0 && terminal.interactive) terminal.err("fenliu: no query of the log fits\n");
  // Who looks for what was long ago must not take the newest for all there was.
  if (mayBeMore && invocation.limit === null)
    terminal.err(
      `fenliu: these are the newest ${records.length}, and there may be more: --limit N shows more, \`to\` older ones\n`,
    );
  await tellOfLosses(api, terminal);
  return EXIT.ok;
}

/** Until the user ends it. */
async function follow(api: ApiClient, { query, nowMs }: Wish, { invocation, terminal }: Surroundings): Promise<number> {
  const ending = new AbortController();
  const { signal } = ending;
  void terminal.untilStopped().then(() => ending.abort());
  const printer = new RecordPrinter(invocation, terminal);
  const begunId = firstIdAt(nowMs);
  try {
    const limit = invocation.limit ?? (query.some(isFrom) ? 100 : 10);
    const records = await pastOrNothing(api, { query, limit, signal }, terminal);
    showAll(records ?? [], printer);
    await tellOfLosses(api, terminal, signal);
    // What came while the past was read must not be missed, nor shown twice.
    const after = records === null ? null : (records[0]?.id ?? begunId);
    const coming = query.filter((parameter) => !isFrom(parameter));
    for await (const live of liveRecords(api, { query: coming, after, begunId, signal, wait })) {
      if (live.kind === "record") printer.show(live.record);
      else terminal.err(`fenliu: ${noticeOf(live)}\n`);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return EXIT.ok;
}

/** @param records newest first. */
function showAll(records: readonly QueryRecord[], printer: RecordPrinter): void {
  printer.begin();
  for (const record of records.toReversed()) printer.show(record);
}

interface Wish {
  readonly query: readonly Parameter[];
  /** When it was made, in milliseconds since 1970. */
  readonly nowMs: number;
}

/** What is to come is after any beginning. */
function isFrom([field]: Parameter): boolean {
  return field === "from";
}

interface Surroundings {
  readonly invocation: Invocation;
  readonly terminal: Terminal;
}

async function one(api: ApiClient, id: string, { invocation, terminal }: Surroundings): Promise<number> {
  const record = await api.read(queryRecordSchema, `queries/${id}`).catch(async (error: unknown) => {
    // It may be one of those that are missing.
    if (error instanceof ApiRefusal && error.status === 404) await tellOfLosses(api, terminal);
    throw error;
  });
  terminal.out(invocation.json ? `${JSON.stringify(record, null, 2)}\n` : `${recordDetails(record).join("\n")}\n`);
  return EXIT.ok;
}

interface Wanted {
  readonly query: readonly Parameter[];
  readonly limit: number;
  readonly signal?: AbortSignal;
}

interface Past {
  /** Newest first. */
  readonly records: readonly QueryRecord[];
  readonly mayBeMore: boolean;
}

async function past(api: ApiClient, { query, limit, ...signal }: Wanted): Promise<Past> {
  const records: QueryRecord[] = [];
  let cursor: string | null = null;
  do {
    const page = {
      ...signal,
      query: [
        ...query,
        ["limit", String(Math.min(PAGE, limit - records.length))] as const,
        ...(cursor === null ? [] : [["cursor", cursor] as const]),
      ],
    };
    const answer: Page = await api.read(queryPageSchema, "queries", page);
    records.push(...answer.records);
    cursor = answer.cursor;
  } while (cursor !== null && records.length < limit);
  return { records, mayBeMore: cursor !== null };
}

/** What comes can be followed where nothing is kept, or the store is out of order: null, and the terminal has been told. */
async function pastOrNothing(api: ApiClient, wanted: Wanted, terminal: Terminal): Promise<Past["records"] | null> {
  try {
    return (await past(api, wanted)).records;
  } catch (error) {
    if (!(error instanceof ApiRefusal) || error.status !== 503) throw error;
    terminal.err(`fenliu: ${error.message}; only what comes is shown\n`);
    return null;
  }
}

function noticeOf(live: Exclude<LiveEvent, { kind: "record" }>): string {
  switch (live.kind) {
    case "left out":
      return live.records === null
        ? "queries may be missing here, because they came while nobody listened: without --follow those that are stored are shown"
        : `left out here, because they came faster than they were read: ${live.records}`;
    case "lost":
      return `${live.reason}; waiting until it answers again`;
    case "back":
      return "it answers again";
    default:
      return unreachable(live);
  }
}

/** A timer that keeps the process alive, and ends early when the signal aborts. */
async function wait(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal }).catch(() => {});
}

/** Tells where the log lacks queries that were answered: its store fails, or was too slow. What is shown must not be taken for all there was. */
async function tellOfLosses(api: ApiClient, terminal: Terminal, signal?: AbortSignal): Promise<void> {
  for (const loss of lossesOf(await stateOf(api, signal))) terminal.err(`fenliu: ${loss}\n`);
}

/** What is shown is right without it. */
const STATE_MS = 5000;

/** null where it is not to be had. */
async function stateOf(api: ApiClient, signal: AbortSignal | undefined): Promise<LogState | null> {
  try {
    const query = [["from", "1m"] as const, ["top", "1"] as const];
    const deadline = AbortSignal.timeout(STATE_MS);
    const until = signal === undefined ? deadline : AbortSignal.any([deadline, signal]);
    const { log } = await api.read(statisticsSchema, "stats", { query, signal: until });
    return log;
  } catch (error) {
    // Whoever asks has been told so by the search before, or is by what comes next.
    if (error instanceof ApiRefusal || error instanceof ApiUnreachable) return null;
    throw error;
  }
}

function lossesOf(state: LogState | null): readonly string[] {
  if (state === null) return [];
  const { fault, waiting, dropped } = state;
  const failing = fault === null ? [] : [failureText(fault, waiting)];
  const lost =
    dropped === 0
      ? []
      : [`${queries(dropped)} since the server's start could not be recorded, and ${dropped === 1 ? "is" : "are"} missing here`];
  return [...failing, ...lost];
}

function failureText({ reason, since }: { readonly reason: string; readonly since: string }, waiting: number): string {
  const held = waiting === 0 ? "" : `; ${queries(waiting)} wait${waiting === 1 ? "s" : ""} for it`;
  return `the query log stores nothing since ${localTime(since)}: ${reason}${held}`;
}

function queries(count: number): string {
  return count === 1 ? "one query" : `${count} queries`;
}

interface LiveRequest {
  readonly query: readonly Parameter[];
  /** Id of the last record that is known: what came after it comes first. null = nothing is known of the past. */
  readonly after: number | null;
  /** As ids are made: what came after this is wanted, should the stream break off before any record. */
  readonly begunId: number;
  readonly signal: AbortSignal;
  /** Resolves after so many milliseconds, or once the signal aborts. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

export type LiveEvent =
  | { readonly kind: "record"; readonly record: QueryRecord }
  /** Records that the server left out; null = nobody knows how many, or whether any. */
  | { readonly kind: "left out"; readonly records: number | null }
  /** The stream broke off, and is tried again until it is there. */
  | { readonly kind: "lost"; readonly reason: string }
  | { readonly kind: "back" };

/** Between tries to connect again: doubled each time. */
const RETRY_MS = { first: 500, last: 10_000 } as const;

/**
 * Records as they come, until the signal aborts. A stream that breaks off, because the server is restarted, goes on behind the last record.
 * @throws ApiUnreachable, ApiRefusal where the first connection fails; later only where what answers is no server of this version, or where the fault is
 * of the request.
 */
export async function* liveRecords(api: ApiClient, request: LiveRequest): AsyncGenerator<LiveEvent> {
  const { begunId, signal } = request;
  let last = request.after;
  let events: AsyncGenerator<ServerEvent> | null = await connected(api, request, last);
  while (events !== null) {
    try {
      for await (const event of events) {
        const live = liveOf(api, event);
        if (live.kind === "record") last = live.record.id;
        yield live;
      }
      return;
    } catch (error) {
      if (!(error instanceof ApiGone)) throw error;
      yield { kind: "lost", reason: error.message };
    }
    events = await connectedAgain(api, request, last ?? begunId);
    if (!signal.aborted) yield { kind: "back" };
  }
}

/** null where the signal aborts before. */
async function connectedAgain(api: ApiClient, request: LiveRequest, after: number): Promise<AsyncGenerator<ServerEvent> | null> {
  for (let waitMs: number = RETRY_MS.first; ; waitMs = Math.min(2 * waitMs, RETRY_MS.last)) {
    await request.wait(waitMs, request.signal);
    if (request.signal.aborted) return null;
    try {
      return await connected(api, request, after);
    } catch (error) {
      if (!mayPass(error)) throw error;
    }
  }
}

function connected(api: ApiClient, { query, signal }: LiveRequest, after: number | null): Promise<AsyncGenerator<ServerEvent>> {
  return api.stream("queries/stream", { query, signal, ...(after === null ? {} : { lastEventId: String(after) }) });
}

/** A server that is starting, or has no place at the moment, perhaps because it counts the connection that broke off still (429). */
function mayPass(error: unknown): boolean {
  if (error instanceof ApiRefusal) return error.status === 429 || error.status >= 500;
  return error instanceof ApiSilent || error instanceof ApiGone;
}

function liveOf(api: ApiClient, { event, data }: ServerEvent): LiveEvent {
  if (event === "dropped") return { kind: "left out", records: api.parse(leftOut, data).records };
  return { kind: "record", record: api.parse(queryRecordSchema, data) };
}

const leftOut = named("LeftOut", Type.Object({ records: nullable(Type.Integer()) }));

type Parameter = readonly [field: string, value: string];

/**
 * What the API is to be asked, of the words of `fenliu log`: `FIELD=VALUE`, or a name. They mean what they mean there, but that times without a zone are
 * those of this machine, as the times it shows.
 * @throws UsageError with everything that is wrong.
 */
export function logFilter(words: readonly string[], nowMs: number): readonly Parameter[] {
  const given = words.map(parameterOf);
  const from = textOf(given, "from");
  const fromMs = localMoment(from, { nowMs, afterMs: null });
  const toMs = localMoment(textOf(given, "to"), { nowMs, afterMs: fromMs ?? parseMoment(from, nowMs) });
  const local: Readonly<Record<string, number | null>> = { from: fromMs, to: toMs };
  const parameters = given.map(([field, value]): Parameter => {
    const moment = local[field] ?? null;
    return [field, moment === null ? value : new Date(moment).toISOString()];
  });
  const parsed = parseFilter(parameters, nowMs);
  if (parsed.kind === "bad")
    throw new UsageError(parsed.problems.map(({ parameter, reason }) => `${parameter}: ${withLocalTimes(reason)}`).join("\n"));
  return parameters;
}

/** The API knows no times of this machine. */
function withLocalTimes(reason: string): string {
  return reason.replace(" is no time: ", " is no time: 21:03, 11-21 21:03, 2026-11-21T21:03 where this machine is, ");
}

function parameterOf(word: string): Parameter {
  const [, field = "name", value = ""] = /^(?:(\w+)=)?(.*)$/s.exec(word) ?? [];
  if (!FILTER_PARAMETERS.some((known) => known === field))
    throw new UsageError(`\`${field}\` is no field of the log; there are ${FILTER_PARAMETERS.join(", ")}`);
  if (value === "") throw new UsageError(`\`${word}\`: a value is missing`);
  return [field, value];
}

function textOf(parameters: readonly Parameter[], wanted: string): string {
  const [, value = ""] = parameters.find(([field]) => field === wanted) ?? [];
  return value;
}

/** Writes records one by one: as JSON, in full, or as the lines of a table that fits the terminal, also when that becomes wider or narrower. */
export class RecordPrinter {
  readonly #terminal: Terminal;
  readonly #json: boolean;
  readonly #full: boolean;
  #cells: number | null = null;
  #table: RecordTable | null = null;
  #day = "";

  constructor({ json, full }: Pick<Invocation, "json" | "full">, terminal: Terminal) {
    this.#terminal = terminal;
    this.#json = json;
    this.#full = full;
  }

  /** Writes what stands above the first record. */
  begin(): void {
    if (!this.#json && !this.#full) this.#fittingTable();
  }

  show(record: QueryRecord): void {
    if (this.#json) this.#write(JSON.stringify(record));
    // A blank line ends each, because it is some lines long.
    else if (this.#full) this.#write(`${recordDetails(record).join("\n")}\n`);
    else this.#showLine(record);
  }

  #showLine(record: QueryRecord): void {
    const table = this.#fittingTable();
    const day = dayText(record);
    if (table.lacksDay && day !== this.#day) this.#write(day);
    this.#day = day;
    this.#write(table.line(record));
  }

  #fittingTable(): RecordTable {
    const { cells, colors, interactive } = this.#terminal;
    if (this.#table !== null && cells === this.#cells) return this.#table;
    this.#cells = cells;
    const table = new RecordTable({ cells, color: colors });
    this.#table = table;
    if (interactive) {
      if (table.leftOut.length > 0)
        this.#terminal.err(`fenliu: no room for ${table.leftOut.join(", ")}: a wider terminal or --full shows all\n`);
      this.#write(table.heading());
    }
    return table;
  }

  #write(line: string): void {
    this.#terminal.out(`${line}\n`);
  }
}

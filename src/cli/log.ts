import { setTimeout } from "node:timers/promises";
import { Type } from "typebox";
import { named, nullable } from "../admin/schemas/named.ts";
import { queryPageSchema, queryRecordSchema } from "../admin/schemas/record.ts";
import { type LogState, statisticsSchema } from "../admin/schemas/views.ts";
import type { Config } from "../config/types.ts";
import { systemClock } from "../lib/clock.ts";
import { unreachable } from "../lib/unreachable.ts";
import { FILTER_PARAMETERS, type Page, parseFilter } from "../log/filter.ts";
import type { QueryRecord } from "../log/record.ts";
import { firstIdAt } from "../log/schema.ts";
import { localTime, recordDetails } from "../log/text.ts";
import { localMoment, parseMoment } from "../log/time.ts";
import { type ApiClient, ApiGone, ApiRefusal, ApiSilent, ApiUnreachable, type ServerEvent, withApi } from "./api-client.ts";
import { type Command, EXIT, type Invocation, stopSignal, type Terminal, UsageError } from "./invocation.ts";
import { dayText, RecordTable } from "./record-table.ts";
import { isStoredLog, storedRecords, withStoredLog } from "./stored-log.ts";

/** Records asked for at a time. */
const PAGE = 1000;

export const logCommand: Command = {
  usage: `  fenliu log [FIELD=VALUE…] [--limit N] [--follow] [--full]
                                   what was asked, the newest last; a word without = is a name
  fenliu log ID                    all that is known of one query
`,
  help: `All fields must hold. One that is given several times means any of its values; ! before a value means none of those.

  name        this name and all below it; full:NAME it alone; * for any characters; /a regular expression/
  client      an address, a prefix such as 10.0.7.0/24, or a client id
  type        a mnemonic such as HTTPS, or TYPE65, or 65
  rcode       a mnemonic such as NXDOMAIN; none where nothing was sent
  rule        the rule that decided
  upstream    a group, or a server
  source      hosts, special, rule, cache, stale, upstream, failure or refused
  action      what was done, such as block or type65:*
  answer      an address, or other data that was answered
  minMs       no faster than this, in milliseconds
  from, to    21:03, 11-21 21:03 or 2026-11-21T21:03 where this machine is, as times are shown here; 2026-11-21T21:03Z; or 1h for an hour ago

  -n, --limit N       at most so many, the newest: 100, or 10 with --follow, where nothing is said
  -f, --follow        go on with what comes, until Ctrl-C, also when the server is restarted
                      (\`from\` goes with it, and \`to\` does not)
      --full          of each query all that is known
                      (without it a terminal is shown what has room in a line; … stands for what was cut out of a text)

  fenliu log www.example.com from=21:00 to=21:10 --full
  fenliu log 'rcode=!NOERROR' client=192.168.88.20 --follow
`,
  options: ["config", "json", "limit", "follow", "full"],
  run: log,
};

/** Shows queries of the running server, the newest last, or all that is known of one query. */
async function log(invocation: Invocation, terminal: Terminal): Promise<number> {
  const { words, json = false } = invocation;
  const limit = parseLimit(invocation.limit);
  const [only] = words;
  if (words.length === 1 && only !== undefined && /^\d{10,}$/.test(only))
    return withApi(invocation, terminal, (api, config) => showOne(api, only, { config, json, terminal }));
  const nowMs = systemClock.wallMs();
  const query = logFilter(words, nowMs);
  const follows = invocation.follow === true;
  if (follows && query.some(([field]) => field === "to")) throw new UsageError("`to` is an end, and --follow has none");
  const withTraces = invocation.full === true && !json;
  const search = { query, limit, nowMs, withTraces, printer: new RecordPrinter(invocation, terminal), terminal };
  return withApi(invocation, terminal, (api, config) => (follows ? follow(api, search) : showPast(api, config, search)));
}

/** Records shown at once. All of them are in memory, because the newest come first and are shown last. */
const MAX_RECORDS = 100_000;

/** null where the user names no limit. @throws UsageError */
function parseLimit(text: string | undefined): number | null {
  if (text === undefined) return null;
  const count = /^\d{1,6}$/.test(text) ? Number(text) : 0;
  if (count < 1 || count > MAX_RECORDS)
    throw new UsageError(`--limit takes a number from 1 to ${MAX_RECORDS}; for more there is /api/v1/queries/export`);
  return count;
}

interface Search {
  readonly query: readonly Parameter[];
  /** null = the user names none. */
  readonly limit: number | null;
  /** When the command began, in milliseconds since 1970. */
  readonly nowMs: number;
  /** Whether records are shown with their traces, which lists of records do not have. */
  readonly withTraces: boolean;
  readonly printer: RecordPrinter;
  readonly terminal: Terminal;
}

async function showPast(api: ApiClient, config: Config, search: Search): Promise<number> {
  const { query, limit, nowMs, printer, terminal } = search;
  let isStopped = false;
  const wanted = { query, limit: limit ?? 100 };
  const { records, mayBeMore } = await fetchPast(api, wanted).catch((error: unknown) => {
    const parsed = parseFilter(query, nowMs);
    if (!isStoredLog(error, config) || parsed.kind === "bad") throw error;
    isStopped = true;
    return withStoredLog(config, (store) => storedRecords(store, { api, filter: parsed.filter, limit: wanted.limit }));
  });
  showAll(isStopped ? records : await fetchTraces(api, records, search), printer);
  if (isStopped) terminal.err(STOPPED);
  if (records.length === 0)
    terminal.err(
      "fenliu: no query of the log fits; a word is a whole name with those below it, and `name=*word*` finds a part of one\n",
    );
  // A user who looks for an old query must not take the newest records for all records.
  if (mayBeMore && limit === null)
    terminal.err(
      `fenliu: these are the newest ${records.length}, and there may be more: --limit N shows more, \`to\` older ones\n`,
    );
  if (!isStopped) await reportLosses(api, terminal);
  return EXIT.ok;
}

const STOPPED = "fenliu: no server answers: this is what it had stored before\n";

/** Shows past records, then the records that come, until the user ends the command. */
async function follow(api: ApiClient, search: Search): Promise<number> {
  const { query, limit, nowMs, printer, terminal } = search;
  const signal = stopSignal(terminal);
  const begunId = firstIdAt(nowMs);
  try {
    const wanted = { query, limit: limit ?? (query.some(isFrom) ? 100 : 10), signal };
    const records = await fetchPastIfStored(api, wanted, terminal);
    showAll(await fetchTraces(api, records ?? [], search, signal), printer);
    await reportLosses(api, terminal, signal);
    // Records that came while the past was read must be shown, and once.
    const after = records === null ? null : (records[0]?.id ?? begunId);
    const coming = query.filter((parameter) => !isFrom(parameter));
    for await (const live of liveRecords(api, { query: coming, after, begunId, signal, wait })) {
      if (live.kind === "record")
        for (const record of await fetchTraces(api, [live.record], search, signal)) printer.show(record);
      else terminal.err(`fenliu: ${noticeOf(live)}\n`);
    }
  } catch (error) {
    if (!signal.aborted) throw error;
  }
  return EXIT.ok;
}

/** The records, with their traces if those are wanted. A record that cannot be read by its id, because it is not stored, stays without. */
async function fetchTraces(
  api: ApiClient,
  records: readonly QueryRecord[],
  { withTraces }: Pick<Search, "withTraces">,
  signal?: AbortSignal,
): Promise<readonly QueryRecord[]> {
  if (!withTraces) return records;
  const whole: QueryRecord[] = [];
  for (const record of records) {
    const reading = api.read(queryRecordSchema, `queries/${record.id}`, signal === undefined ? {} : { signal });
    whole.push(
      await reading.catch((error: unknown) => {
        if (error instanceof ApiRefusal) return record;
        throw error;
      }),
    );
  }
  return whole;
}

/** @param records newest first. */
function showAll(records: readonly QueryRecord[], printer: RecordPrinter): void {
  printer.begin();
  for (const record of records.toReversed()) printer.show(record);
}

/** `from` does not limit the records that come. */
function isFrom([field]: Parameter): boolean {
  return field === "from";
}

interface Output {
  readonly config: Config;
  readonly json: boolean;
  readonly terminal: Terminal;
}

async function showOne(api: ApiClient, id: string, { config, json, terminal }: Output): Promise<number> {
  const record = await api.read(queryRecordSchema, `queries/${id}`).catch(async (error: unknown) => {
    if (isStoredLog(error, config)) {
      const found = await withStoredLog(config, (store) => store.get(Number(id)));
      if (found === null) throw new ApiSilent(`no server answers, and its log has no query ${id}`);
      terminal.err(STOPPED);
      return found.record;
    }
    // The record may be one that was lost.
    if (error instanceof ApiRefusal && error.status === 404) await reportLosses(api, terminal);
    throw error;
  });
  terminal.out(json ? `${JSON.stringify(record, null, 2)}\n` : `${recordDetails(record).join("\n")}\n`);
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

export async function fetchPast(api: ApiClient, { query, limit, ...signal }: Wanted): Promise<Past> {
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

/** null where nothing is stored, or the store fails: records that come can still be followed. The terminal shows why. */
async function fetchPastIfStored(api: ApiClient, wanted: Wanted, terminal: Terminal): Promise<Past["records"] | null> {
  try {
    return (await fetchPast(api, wanted)).records;
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

/** Keeps the process alive meanwhile. Ends early when the signal aborts. */
async function wait(ms: number, signal: AbortSignal): Promise<void> {
  await setTimeout(ms, undefined, { signal }).catch(() => {});
}

/** Warns where the log lacks answered queries, because its store fails or was too slow. */
async function reportLosses(api: ApiClient, terminal: Terminal, signal?: AbortSignal): Promise<void> {
  for (const loss of lossesOf(await fetchLogState(api, signal))) terminal.err(`fenliu: ${loss}\n`);
}

/** The records are right without the state of the log, so the command waits only so long. */
const STATE_MS = 5000;

/** null where the server does not give the state. */
async function fetchLogState(api: ApiClient, signal: AbortSignal | undefined): Promise<LogState | null> {
  try {
    const query = [["from", "1m"] as const, ["top", "1"] as const];
    const deadline = AbortSignal.timeout(STATE_MS);
    const until = signal === undefined ? deadline : AbortSignal.any([deadline, signal]);
    const { log } = await api.read(statisticsSchema, "stats", { query, signal: until });
    return log;
  } catch (error) {
    // The search before, or the next call, reports the same failure.
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
  /** Id of the last record shown; later records come first. null = the past is not known. */
  readonly after: number | null;
  /** The lowest id of records that came after the command began: where the stream breaks off before any record, it goes on from there. */
  readonly begunId: number;
  readonly signal: AbortSignal;
  /** Resolves after so many milliseconds, or once the signal aborts. */
  readonly wait: (ms: number, signal: AbortSignal) => Promise<void>;
}

export type LiveEvent =
  | { readonly kind: "record"; readonly record: QueryRecord }
  /** Records that the server left out; null = the number is not known, and may be zero. */
  | { readonly kind: "left out"; readonly records: number | null }
  /** The stream broke off. The connection is tried again until the server answers. */
  | { readonly kind: "lost"; readonly reason: string }
  | { readonly kind: "back" };

/** Pause before the next try to connect, doubled each time. */
const RETRY_MS = { first: 500, last: 10_000 } as const;

/**
 * Records as they come, until the signal aborts. After the stream breaks off, for example at a restart of the server, it goes on after the last record.
 * @throws ApiUnreachable, ApiRefusal where the first connection fails; later only where a server of another version answers, or refuses the request.
 */
export async function* liveRecords(api: ApiClient, request: LiveRequest): AsyncGenerator<LiveEvent> {
  const { begunId, signal } = request;
  let last = request.after;
  let events: AsyncGenerator<ServerEvent> | null = await connect(api, request, last);
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
    events = await reconnect(api, request, last ?? begunId);
    if (!signal.aborted) yield { kind: "back" };
  }
}

/** null where the signal aborts first. */
async function reconnect(api: ApiClient, request: LiveRequest, after: number): Promise<AsyncGenerator<ServerEvent> | null> {
  for (let waitMs: number = RETRY_MS.first; ; waitMs = Math.min(2 * waitMs, RETRY_MS.last)) {
    await request.wait(waitMs, request.signal);
    if (request.signal.aborted) return null;
    try {
      return await connect(api, request, after);
    } catch (error) {
      if (!isTemporary(error)) throw error;
    }
  }
}

function connect(api: ApiClient, { query, signal }: LiveRequest, after: number | null): Promise<AsyncGenerator<ServerEvent>> {
  return api.stream("queries/stream", { query, signal, ...(after === null ? {} : { lastEventId: String(after) }) });
}

/** Whether a later try may succeed: the server is starting, or still counts the connection that broke off (429). */
function isTemporary(error: unknown): boolean {
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
 * Turns the words of `fenliu log` (`FIELD=VALUE`, or a name) into parameters of the API. Times without a zone are local, as the times in the output are.
 * @throws UsageError with every fault.
 */
export function logFilter(words: readonly string[], nowMs: number): readonly Parameter[] {
  const parameters = words.map(parameterOf);
  const from = valueOfField(parameters, "from");
  const fromMs = localMoment(from, { nowMs, afterMs: null });
  const toMs = localMoment(valueOfField(parameters, "to"), { nowMs, afterMs: fromMs ?? parseMoment(from, nowMs) });
  const local: Readonly<Record<string, number | null>> = { from: fromMs, to: toMs };
  const utc = parameters.map(([field, value]): Parameter => {
    const moment = local[field] ?? null;
    return [field, moment === null ? value : new Date(moment).toISOString()];
  });
  const parsed = parseFilter(utc, nowMs);
  if (parsed.kind === "bad")
    throw new UsageError(parsed.problems.map(({ parameter, reason }) => `${parameter}: ${withLocalTimes(reason)}`).join("\n"));
  return utc;
}

/** The API knows no local times, so its message does not name them. */
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

function valueOfField(parameters: readonly Parameter[], wanted: string): string {
  const [, value = ""] = parameters.find(([field]) => field === wanted) ?? [];
  return value;
}

/** Writes records: as JSON, in full, or as lines of a table that fits the terminal, whose width may change meanwhile. */
export class RecordPrinter {
  readonly #terminal: Terminal;
  readonly #json: boolean;
  readonly #full: boolean;
  #cells: number | null = null;
  #table: RecordTable | null = null;
  #day = "";

  constructor({ json = false, full = false }: Pick<Invocation, "json" | "full">, terminal: Terminal) {
    this.#terminal = terminal;
    this.#json = json;
    this.#full = full;
  }

  /** Writes the heading. */
  begin(): void {
    if (!this.#json && !this.#full) this.#currentTable();
  }

  show(record: QueryRecord): void {
    if (this.#json) this.#write(JSON.stringify(record));
    // A blank line divides the records, which are several lines long.
    else if (this.#full) this.#write(`${recordDetails(record).join("\n")}\n`);
    else this.#showLine(record);
  }

  #showLine(record: QueryRecord): void {
    const table = this.#currentTable();
    const day = dayText(record);
    if (table.lacksDay && day !== this.#day) this.#write(day);
    this.#day = day;
    this.#write(table.line(record));
  }

  #currentTable(): RecordTable {
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

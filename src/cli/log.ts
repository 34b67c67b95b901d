import { setTimeout } from "node:timers/promises";
import { queryPage, queryRecord } from "../admin/schemas/record.ts";
import { systemClock } from "../lib/clock.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { Page } from "../log/filter.ts";
import type { QueryRecord } from "../log/record.ts";
import { firstIdAt } from "../log/schema.ts";
import { recordDetails } from "../log/text.ts";
import { type ApiClient, ApiRefusal } from "./api-client.ts";
import { type Live, liveRecords } from "./live-records.ts";
import { logFilter, type Parameter } from "./log-filter.ts";
import { tellOfLosses } from "./log-losses.ts";
import { RecordPrinter } from "./record-printer.ts";
import type { Invocation } from "./run.ts";
import { EXIT, type Terminal, UsageError } from "./terminal.ts";
import { withApi } from "./with-api.ts";

/** Records asked for at a time. */
const PAGE = 1000;

/**
 * `fenliu log [FIELD=VALUE…] [--limit N] [--follow] [--full]`: queries of the running server, the newest last; a word without `=` is a name.
 * `fenliu log ID`: all that is known of one.
 */
export async function log(invocation: Invocation, terminal: Terminal): Promise<number> {
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
  const record = await api.read(queryRecord, `queries/${id}`).catch(async (error: unknown) => {
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
    const answer: Page = await api.read(queryPage, "queries", page);
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

function noticeOf(live: Exclude<Live, { kind: "record" }>): string {
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

import { queryPage, queryRecord } from "../admin/schemas/record.ts";
import { systemClock } from "../clock.ts";
import type { QueryRecord } from "../log/record.ts";
import type { Page } from "../log/search.ts";
import { lineHeading, recordDetails, recordLine } from "../log/text.ts";
import { type ApiClient, ApiRefusal } from "./api-client.ts";
import { logFilter, type Parameter } from "./log-filter.ts";
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
  const { words, follow, limit } = invocation;
  const [only] = words;
  if (words.length === 1 && only !== undefined && /^\d{10,}$/.test(only))
    return withApi(invocation, terminal, (api) => one(api, only, { invocation, terminal }));
  const query = logFilter(words, systemClock.wallMs());
  if (follow && query.some(([field]) => field === "to")) throw new UsageError("`to` is an end, and --follow has none");
  return withApi(invocation, terminal, async (api) => {
    // What comes while the past is read must not be missed, nor shown twice.
    const wanted = { query, limit: limit ?? (follow && !query.some(isFrom) ? 10 : 100) };
    const { records: shown, mayBeMore } = await (follow ? pastOrNothing(api, wanted, terminal) : past(api, wanted));
    const printer = new Printer(invocation, terminal);
    printer.heading();
    for (const record of shown.toReversed()) printer.show(record);
    if (!follow && shown.length === 0 && terminal.interactive) terminal.err("fenliu: no query of the log fits\n");
    // Who looks for what was long ago must not take the newest for all there was.
    if (!follow && mayBeMore && limit === null)
      terminal.err(
        `fenliu: these are the newest ${shown.length}, and there may be more: --limit N shows more, \`to\` older ones\n`,
      );
    return follow
      ? await live(api, {
          query: query.filter((parameter) => !isFrom(parameter)),
          after: shown[0]?.id ?? null,
          printer,
          terminal,
        })
      : EXIT.ok;
  });
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
  const record = await api.read(queryRecord, `queries/${id}`);
  terminal.out(invocation.json ? `${JSON.stringify(record, null, 2)}\n` : `${recordDetails(record).join("\n")}\n`);
  return EXIT.ok;
}

interface Wanted {
  readonly query: readonly Parameter[];
  readonly limit: number;
}

interface Past {
  /** Newest first. */
  readonly records: readonly QueryRecord[];
  readonly mayBeMore: boolean;
}

async function past(api: ApiClient, { query, limit }: Wanted): Promise<Past> {
  const records: QueryRecord[] = [];
  let cursor: string | null = null;
  do {
    const page = {
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

/** What comes can be followed where nothing is kept, or the store is out of order. */
async function pastOrNothing(api: ApiClient, wanted: Wanted, terminal: Terminal): Promise<Past> {
  try {
    return await past(api, wanted);
  } catch (error) {
    if (!(error instanceof ApiRefusal) || error.status !== 503) throw error;
    terminal.err(`fenliu: ${error.message}; only what comes is shown\n`);
    return { records: [], mayBeMore: false };
  }
}

interface Following {
  readonly query: readonly Parameter[];
  readonly after: number | null;
  readonly printer: Printer;
  readonly terminal: Terminal;
}

/** Until the user ends it. */
async function live(api: ApiClient, { query, after, printer, terminal }: Following): Promise<number> {
  const ending = new AbortController();
  void terminal.untilStopped().then(() => ending.abort());
  const request = { query, signal: ending.signal, ...(after === null ? {} : { lastEventId: String(after) }) };
  for await (const { event, data } of api.events("queries/stream", request)) {
    if (event === "dropped") terminal.err(`(records left out, because they came faster than they were read: ${data})\n`);
    else printer.show(api.parse(queryRecord, data));
  }
  return EXIT.ok;
}

class Printer {
  readonly #terminal: Terminal;
  readonly #json: boolean;
  readonly #full: boolean;

  constructor({ json, full }: Invocation, terminal: Terminal) {
    this.#terminal = terminal;
    this.#json = json;
    this.#full = full;
  }

  heading(): void {
    const isTable = !this.#json && !this.#full;
    if (isTable && this.#terminal.interactive) this.#terminal.out(`${lineHeading({ color: this.#terminal.colors })}\n`);
  }

  show(record: QueryRecord): void {
    this.#terminal.out(`${this.#text(record)}\n`);
  }

  #text(record: QueryRecord): string {
    if (this.#json) return JSON.stringify(record);
    // A blank line ends each, because it is some lines long.
    return this.#full ? `${recordDetails(record).join("\n")}\n` : recordLine(record, { color: this.#terminal.colors });
  }
}

import { queryPage, queryRecord } from "../admin/schemas/record.ts";
import { FILTER_PARAMETERS } from "../log/filter.ts";
import type { QueryRecord } from "../log/record.ts";
import type { Page } from "../log/search.ts";
import { lineHeading, recordDetails, recordLine } from "../log/text.ts";
import { type ApiClient, ApiRefusal } from "./api-client.ts";
import type { Invocation } from "./run.ts";
import { EXIT, type Terminal, UsageError } from "./terminal.ts";
import { withApi } from "./with-api.ts";

/** Records asked for at a time. */
const PAGE = 1000;

/**
 * `fenliu log [FIELD=VALUE…] [--limit N] [--follow]`: queries of the running server, the newest last; a word without `=` is a name.
 * `fenliu log ID`: all that is known of one.
 */
export async function log(invocation: Invocation, terminal: Terminal): Promise<number> {
  const { words, follow, limit } = invocation;
  const [only] = words;
  if (words.length === 1 && only !== undefined && /^\d{10,}$/.test(only))
    return withApi(invocation, terminal, (api) => one(api, only, { invocation, terminal }));
  const query = words.map(parameterOf);
  return withApi(invocation, terminal, async (api) => {
    // What comes while the past is read must not be missed, nor shown twice.
    const wanted = { query, limit: follow && limit === null ? 10 : (limit ?? 100) };
    const shown = await (follow ? pastOrNothing(api, wanted, terminal) : past(api, wanted));
    const printer = new Printer(invocation, terminal);
    printer.heading();
    for (const record of shown.toReversed()) printer.line(record);
    return follow ? await live(api, { query, after: shown[0]?.id ?? null, printer, terminal }) : EXIT.ok;
  });
}

function parameterOf(word: string): readonly [string, string] {
  const [, field = "name", value = ""] = /^(?:(\w+)=)?(.*)$/s.exec(word) ?? [];
  if (!FILTER_PARAMETERS.some((known) => known === field))
    throw new UsageError(`\`${field}\` is no field of the log; there are ${FILTER_PARAMETERS.join(", ")}`);
  if (value === "") throw new UsageError(`\`${word}\`: a value is missing`);
  return [field, value];
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
  readonly query: readonly (readonly [string, string])[];
  readonly limit: number;
}

/** Newest first. */
async function past(api: ApiClient, { query, limit }: Wanted): Promise<QueryRecord[]> {
  const records: QueryRecord[] = [];
  for (let cursor: string | null = null; records.length < limit; ) {
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
    if (cursor === null) break;
  }
  return records;
}

/** What comes can be followed where nothing is kept, or the store is out of order. */
async function pastOrNothing(api: ApiClient, wanted: Wanted, terminal: Terminal): Promise<QueryRecord[]> {
  try {
    return await past(api, wanted);
  } catch (error) {
    if (!(error instanceof ApiRefusal) || error.status !== 503) throw error;
    terminal.err(`fenliu: ${error.message}; only what comes is shown\n`);
    return [];
  }
}

interface Following {
  readonly query: readonly (readonly [string, string])[];
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
    else printer.line(api.parse(queryRecord, data));
  }
  return EXIT.ok;
}

class Printer {
  readonly #terminal: Terminal;
  readonly #json: boolean;

  constructor({ json }: Invocation, terminal: Terminal) {
    this.#terminal = terminal;
    this.#json = json;
  }

  heading(): void {
    if (!this.#json && this.#terminal.interactive) this.#terminal.out(`${lineHeading({ color: this.#terminal.colors })}\n`);
  }

  line(record: QueryRecord): void {
    const text = this.#json ? JSON.stringify(record) : recordLine(record, { color: this.#terminal.colors });
    this.#terminal.out(`${text}\n`);
  }
}

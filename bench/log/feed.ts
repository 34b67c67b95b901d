import { systemClock } from "../../src/lib/clock.ts";
import { QueryLog } from "../../src/log/query-log.ts";
import { RecordIds } from "../../src/log/record-ids.ts";
import { QuerySource } from "./rows.ts";

export const RECORDS_PER_SECOND = 20_000;

/** As a journal hands them on: so many at once, as soon as there are so many. */
const BATCH_RECORDS = 64;
const TICK_MS = 1;

/** Different records that are added again and again under new ids, so that making them costs nothing. */
const RECORDS = 50_048;

/** Adds records to a log at a steady rate. */
export class Feed {
  readonly log: QueryLog;
  readonly #ids = new RecordIds();
  readonly #records = Array.from({ length: RECORDS }, (_, index) => SOURCE.next((Date.now() - RECORDS + index) * 1024));
  #timer: NodeJS.Timeout | null = null;

  private constructor(log: QueryLog) {
    this.log = log;
  }

  /** @param path of a file that is made. */
  static async open(path: string): Promise<Feed> {
    return new Feed(
      await QueryLog.open(
        { enabled: true, store: path, keepMs: 7 * 86_400_000, maxRows: 5_000_000, clients: "full" },
        { clock: systemClock, report: (event) => console.error(event) },
      ),
    );
  }

  begin(): void {
    const startMs = performance.now();
    let added = 0;
    this.#timer = setInterval(() => {
      const due = ((performance.now() - startMs) / 1000) * RECORDS_PER_SECOND;
      for (; added + BATCH_RECORDS <= due; added += BATCH_RECORDS) this.#add(added % RECORDS);
    }, TICK_MS);
  }

  end(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  #add(from: number): void {
    const wallMs = Date.now();
    const time = new Date(wallMs).toISOString();
    const batch = this.#records.slice(from, from + BATCH_RECORDS);
    this.log.append(batch.map((record) => ({ ...record, id: this.#ids.next(wallMs), time })));
  }
}

const SOURCE = new QuerySource({ names: 20_000, clients: 40, seed: 2 });

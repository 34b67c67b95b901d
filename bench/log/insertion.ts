import { once } from "node:events";
import { monitorEventLoopDelay } from "node:perf_hooks";
import { Worker } from "node:worker_threads";
import { systemClock } from "../../src/clock.ts";
import { handlerFor } from "../../src/handler.ts";
import { openListeners } from "../../src/listen/listeners.ts";
import { NOWHERE } from "../../src/listen/nowhere.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { QueryLog } from "../../src/log/query-log.ts";
import { RecordIds } from "../../src/log/record-ids.ts";
import { NO_NOTES } from "../../src/noted.ts";
import { closeSite } from "../../src/site.ts";
import { filledSite } from "../micro/site.ts";
import { percentile } from "../statistics.ts";
import { zoneOf } from "../zone.ts";
import type { Order } from "./asker.ts";
import { QuerySource } from "./rows.ts";

export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Questions without an answer. */
  readonly lost: number;
  /** How late the main thread's event loop was, at the 99th percentile. */
  readonly loopP99Ms: number;
}

export interface InsertionRound {
  readonly busy: Latency;
  readonly quiet: Latency;
  readonly storedPerSecond: number;
  readonly dropped: number;
}

const RECORDS_PER_SECOND = 20_000;
const TICK_MS = 5;
const ORDER: Order = { seconds: 8, perSecond: 1000 };

/** Different records that are added again and again under new ids, so that making them costs nothing. */
const RECORDS = 50_000;

/**
 * How long a server in this process takes to answer from its cache, by turns while records are added to a log and while none are. The server keeps no
 * journal: what is seen is the log alone.
 */
export async function insertionRounds(path: string, rounds: number): Promise<readonly InsertionRound[]> {
  const { site, messages } = await filledSite(zoneOf(1000));
  const log = operationsLog("error", (line) => process.stderr.write(line), false);
  const handler = handlerFor({ site, journal: NO_NOTES }, log);
  const listen = { ...NOWHERE, dns: [{ address: "127.0.0.1", port: 0 }] };
  const listeners = await openListeners({ listen, tls: null, trustedProxies: [] }, handler, { clock: systemClock });
  const queries = await QueryLog.open(
    { enabled: true, store: path, keepMs: 7 * 86_400_000, maxRows: 5_000_000, clients: "full" },
    { clock: systemClock, report: (event) => console.error(event) },
  );
  const asker = new Worker(new URL("./asker.ts", import.meta.url), {
    workerData: { port: listeners.bound.dns[0]?.port, messages },
  });
  const feed = new Feed(queries);
  const done: InsertionRound[] = [];
  await latency(asker);
  for (let round = 0; round < rounds; round++) {
    const quiet = await latency(asker);
    const before = queries.status();
    const startMs = performance.now();
    feed.begin();
    const busy = await latency(asker);
    feed.end();
    const { stored, dropped } = queries.status();
    const seconds = (performance.now() - startMs) / 1000;
    done.push({ busy, quiet, storedPerSecond: (stored - before.stored) / seconds, dropped: dropped - before.dropped });
  }
  await asker.terminate();
  await queries.close();
  await listeners.close(0);
  await closeSite(site, null);
  return done;
}

async function latency(asker: Worker): Promise<Latency> {
  const loop = monitorEventLoopDelay({ resolution: 1 });
  loop.enable();
  asker.postMessage(ORDER);
  const times: readonly number[] = (await once(asker, "message"))[0];
  loop.disable();
  return {
    p50Ms: percentile(times, 0.5),
    p99Ms: percentile(times, 0.99),
    lost: ORDER.seconds * ORDER.perSecond - times.length,
    loopP99Ms: loop.percentile(99) / 1e6,
  };
}

/** Adds records to a log at a steady rate, as a journal does: some every few milliseconds. */
class Feed {
  readonly #log: QueryLog;
  readonly #ids = new RecordIds();
  readonly #records = Array.from({ length: RECORDS }, (_, index) => SOURCE.next((Date.now() - RECORDS + index) * 1024));
  #timer: NodeJS.Timeout | null = null;

  constructor(log: QueryLog) {
    this.#log = log;
  }

  begin(): void {
    const startMs = performance.now();
    let added = 0;
    this.#timer = setInterval(() => {
      const due = Math.floor(((performance.now() - startMs) / 1000) * RECORDS_PER_SECOND);
      const wallMs = Date.now();
      const time = new Date(wallMs).toISOString();
      const batch = this.#records.slice(added % RECORDS, (added % RECORDS) + due - added);
      added += batch.length;
      this.#log.append(batch.map((record) => ({ ...record, id: this.#ids.next(wallMs), time })));
    }, TICK_MS);
  }

  end(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }
}

const SOURCE = new QuerySource({ names: 20_000, clients: 40, seed: 2 });

import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { systemClock } from "../../src/lib/clock.ts";
import { openListeners } from "../../src/listen/listeners.ts";
import { operationsLog } from "../../src/log/operations.ts";
import { handlerFor, waitingQueries } from "../../src/server/pipeline.ts";
import { closeState } from "../../src/server/state.ts";
import { NOWHERE } from "../../test/support/nowhere.ts";
import { filledSite } from "../micro/site.ts";
import { percentile } from "../statistics.ts";
import { zoneOf } from "../zone.ts";
import type { Asked, Order } from "./asker.ts";
import { Feed } from "./feed.ts";
import { setApart } from "./processors.ts";

export interface Latency {
  readonly p50Ms: number;
  readonly p99Ms: number;
  /** Questions without an answer. */
  readonly lost: number;
}

export interface InsertionRound {
  /** While nothing is added. */
  readonly quiet: Latency;
  /** While another process adds records to a log of its own: what the machine makes of so much work. */
  readonly elsewhere: Latency;
  /** While this process, which answers, adds them. */
  readonly adding: Latency;
  readonly storedPerSecond: number;
  readonly dropped: number;
}

const ORDER: Order = { seconds: 8, perSecond: 1000 };

export interface Insertion {
  /** Where logs are made. */
  readonly folder: string;
  readonly rounds: number;
  /** Whether who asks, the thread that answers, and all else have processors of their own (`canBeApart`). Cannot be undone. */
  readonly apart: boolean;
}

/**
 * How long a server in this process takes to answer from its cache, by turns while records are added to a log and while none are. The server keeps no
 * journal: what is seen is the log alone. A round before the first warms everything up.
 */
export async function insertionRounds({ folder, rounds, apart }: Insertion): Promise<readonly InsertionRound[]> {
  const { site, messages } = await filledSite(zoneOf(1000));
  const log = operationsLog("error", (line) => process.stderr.write(line), false);
  const handler = handlerFor({ state: site, recorder: { observe: () => {} }, waiting: waitingQueries() }, log);
  const listen = { ...NOWHERE, dns: [{ address: "127.0.0.1", port: 0 }] };
  const listeners = await openListeners({ listen, tls: null, trustedProxies: [] }, handler, { clock: systemClock });
  const asker = started(new URL("./asker.ts", import.meta.url));
  asker.send({ port: listeners.bound.dns[0]?.port ?? 0, messages } satisfies Asked);
  const adder = started(new URL("./adder.ts", import.meta.url), join(folder, `elsewhere-${apart}.db`));
  await once(adder, "message");
  const feed = await Feed.open(join(folder, `here-${apart}.db`));
  if (apart) setApart({ answering: process.pid, asking: asker.pid, others: [adder.pid] });
  const done: InsertionRound[] = [];
  for (let round = -1; round < rounds; round++) {
    const made = await insertionRound(asker, adder, feed);
    if (round >= 0) done.push(made);
  }
  for (const child of [asker, adder]) child.disconnect();
  await feed.log.close();
  await listeners.close(0);
  await closeState(site, null);
  return done;
}

async function insertionRound(asker: ChildProcess, adder: ChildProcess, feed: Feed): Promise<InsertionRound> {
  const quiet = await latency(asker);
  adder.send("begin");
  const elsewhere = await latency(asker);
  adder.send("end");
  const before = { ...feed.log.status(), dropped: feed.dropped };
  const startMs = performance.now();
  feed.begin();
  const adding = await latency(asker);
  feed.end();
  const { stored } = feed.log.status();
  const seconds = (performance.now() - startMs) / 1000;
  return {
    quiet,
    elsewhere,
    adding,
    storedPerSecond: (stored - before.stored) / seconds,
    dropped: feed.dropped - before.dropped,
  };
}

async function latency(asker: ChildProcess): Promise<Latency> {
  asker.send(ORDER);
  const times: readonly number[] = (await once(asker, "message"))[0];
  return {
    p50Ms: percentile(times, 0.5),
    p99Ms: percentile(times, 0.99),
    lost: ORDER.seconds * ORDER.perSecond - times.length,
  };
}

function started(module: URL, ...args: string[]): ChildProcess {
  return fork(module, args, { serialization: "advanced" });
}

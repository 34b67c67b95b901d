import { systemClock } from "../../src/lib/clock.ts";
import { QueryFeed } from "../../src/log/feed.ts";
import { QueryLog } from "../../src/log/query-log.ts";
import { ENTRY, nextEntry, type QueryRing } from "../../src/log/ring.ts";
import { RecordIds } from "../../src/log/schema.ts";
import { append } from "../../test/log/entries.ts";
import { QuerySource } from "./rows.ts";

export const RECORDS_PER_SECOND = 20_000;

const TICK_MS = 1;

/** Different queries that are written again and again under new ids, so that making them costs nothing. */
const RECORDS = 20_000;

/** Writes entries at a steady rate into the feed of a log. */
export class Feed {
  readonly log: QueryLog;
  readonly #feed: QueryFeed;
  readonly #ids = new RecordIds();
  readonly #entries: readonly Int32Array[];
  #timer: NodeJS.Timeout | null = null;
  /** Entries for which there was no room. */
  dropped = 0;

  private constructor(log: QueryLog, feed: QueryFeed, entries: readonly Int32Array[]) {
    this.log = log;
    this.#feed = feed;
    this.#entries = entries;
  }

  /** @param path of a file that is made. */
  static async open(path: string): Promise<Feed> {
    const feed = new QueryFeed();
    const entries = madeEntries(feed);
    const log = await QueryLog.open(
      { enabled: true, store: path, keepMs: 7 * 86_400_000, maxRows: 5_000_000, clients: "full" },
      { clock: systemClock, feed, report: (event) => console.error(event), refused: () => 0 },
    );
    return new Feed(log, feed, entries);
  }

  begin(): void {
    const startMs = performance.now();
    let added = 0;
    this.#timer = setInterval(() => {
      const due = ((performance.now() - startMs) / 1000) * RECORDS_PER_SECOND;
      for (; added < due; added++) this.#add(added % RECORDS);
    }, TICK_MS);
  }

  end(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
  }

  #add(place: number): void {
    const { ring } = this.#feed;
    const entry = this.#entries[place] ?? new Int32Array();
    const at = ring.reserve(entry.length);
    if (at < 0) {
      this.dropped++;
      return;
    }
    const id = this.#ids.next(Date.now());
    ring.words.set(entry, at);
    ring.words[at + ENTRY.idHigh] = id / 2 ** 32;
    ring.words[at + ENTRY.idLow] = id;
    ring.publish(entry.length);
    this.#feed.published();
  }
}

/** The words of entries, made by way of the ring, which is empty afterwards. */
function madeEntries(feed: QueryFeed): readonly Int32Array[] {
  const source = new QuerySource({ names: 20_000, clients: 40, seed: 2 });
  return Array.from({ length: RECORDS }, (_, index) => {
    append(feed, [source.next((Date.now() - RECORDS + index) * 1024)]);
    feed.settled++;
    return takenEntry(feed.ring);
  });
}

function takenEntry(ring: QueryRing): Int32Array {
  const [span] = ring.spans(ring.taken, ring.written).slice(-1);
  if (span === undefined) throw new Error("an entry that was not written");
  const words = new Int32Array(span.words.subarray(span.from, nextEntry(span, span.from)));
  ring.release(ring.written);
  return words;
}

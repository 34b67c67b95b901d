import type { EntryReader } from "./entries.ts";
import { SeenRows } from "./problems.ts";
import { ENTRY, type EntrySpan, entryId, KIND, nextEntry, type RingWalk } from "./ring.ts";
import type { Row, RowBatch } from "./rows.ts";

/** Entries of one transaction: some milliseconds. */
const BATCH_ENTRIES = 4096;

/** The queries of some entries. */
export class EntryBatch implements RowBatch {
  readonly ids: number[] = [];
  /** The rows that were made. */
  readonly seen = new SeenRows();
  readonly #reader: EntryReader;
  readonly #spans: EntrySpan[] = [];
  /** The words at which entries begin. */
  readonly #places: number[] = [];

  constructor(reader: EntryReader) {
    this.#reader = reader;
  }

  /** Takes in all queries of a span. */
  add(span: EntrySpan): void {
    for (let at = span.from; at < span.to; at = nextEntry(span, at)) {
      if (span.words[at + ENTRY.kind] !== KIND.query) continue;
      this.ids.push(entryId(span.words, at));
      this.#spans.push(span);
      this.#places.push(at);
    }
  }

  rowAt(place: number): Row | null {
    const [span, at] = [this.#spans[place], this.#places[place]];
    const row = span === undefined || at === undefined ? null : this.#reader.row(span, at);
    if (row !== null) this.seen.add(row);
    return row;
  }
}

/** The next entries of all rings in the order of their ids, as far as they stand in it. */
export function takeBatch(walks: readonly RingWalk[], reader: EntryReader): EntryBatch {
  const batch = new EntryBatch(reader);
  while (batch.ids.length < BATCH_ENTRIES) {
    const [first, second] = walks.toSorted((left, right) => left.nextId - right.nextId);
    const taken = first?.take(BATCH_ENTRIES - batch.ids.length, second?.nextId ?? Number.POSITIVE_INFINITY) ?? null;
    if (taken === null) break;
    batch.add(taken.span);
  }
  return batch;
}

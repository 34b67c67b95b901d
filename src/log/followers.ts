import type { QueryFilter } from "./filter.ts";
import { compileFilter } from "./filter-tests.ts";
import type { QueryRecord, RecordText } from "./record.ts";

/** Told of records as they are made: the newest of those that fit, oldest first, and how many were left out before them. Must not throw. */
export type LiveListener = (records: readonly RecordText[], leftOut: number) => void;

/** Those who follow what is recorded. Lives in the main thread; the log's thread gets `list` with each call, and filters. */
export class Followers {
  readonly #all = new Map<number, { readonly filter: QueryFilter; readonly listener: LiveListener }>();
  /** Called when the first one comes. */
  onFirst: () => void = () => {};
  /** Called when one has come or gone. */
  onChange: () => void = () => {};
  #last = 0;

  get size(): number {
    return this.#all.size;
  }

  /** @returns what ends it. */
  add(filter: QueryFilter, listener: LiveListener): () => void {
    const id = ++this.#last;
    if (this.#all.size === 0) this.onFirst();
    this.#all.set(id, { filter, listener });
    this.onChange();
    return () => {
      this.#all.delete(id);
      this.onChange();
    };
  }

  list(): readonly FollowerRequest[] {
    return Array.from(this.#all, ([id, { filter }]) => ({ id, filter }));
  }

  deliver({ records, parts }: LiveEvents): void {
    for (const { follower, indexes, leftOut } of parts)
      this.#all.get(follower)?.listener(
        indexes.flatMap((index) => records[index] ?? []),
        leftOut,
      );
  }
}

export interface FollowerRequest {
  readonly id: number;
  readonly filter: QueryFilter;
}

/** What followers are told, each record once. */
export interface LiveEvents {
  readonly records: readonly RecordText[];
  readonly parts: readonly {
    readonly follower: number;
    /** Places in `records`. */
    readonly indexes: readonly number[];
    readonly leftOut: number;
  }[];
}

export const NO_EVENTS: LiveEvents = { records: [], parts: [] };

/** Records that one follower is told at a time: more than people or pages read. */
const MAX_AT_ONCE = 1000;

/** In the log's thread: finds what followers are to be told. Filters are compiled once. */
export class LiveFilters {
  readonly #compiled = new Map<number, (record: QueryRecord) => boolean>();

  eventsFor(followers: readonly FollowerRequest[], made: readonly QueryRecord[]): LiveEvents {
    for (const id of this.#compiled.keys()) if (followers.every((follower) => follower.id !== id)) this.#compiled.delete(id);
    const records: RecordText[] = [];
    const places = new Map<QueryRecord, number>();
    const placeOf = (record: QueryRecord): number => {
      const known = places.get(record);
      if (known !== undefined) return known;
      places.set(record, records.length);
      return records.push(encodeRecord(record)) - 1;
    };
    const parts = followers.map(({ id, filter }) => {
      const fitting = made.filter(this.#compile(id, filter));
      const told = fitting.slice(-MAX_AT_ONCE);
      return { follower: id, indexes: told.map(placeOf), leftOut: fitting.length - told.length };
    });
    return { records, parts: parts.filter(({ indexes }) => indexes.length > 0) };
  }

  #compile(id: number, filter: QueryFilter): (record: QueryRecord) => boolean {
    const known = this.#compiled.get(id);
    if (known !== undefined) return known;
    const compiled = compileFilter(filter);
    this.#compiled.set(id, compiled);
    return compiled;
  }
}

export function encodeRecord(record: QueryRecord): RecordText {
  return { id: record.id, json: JSON.stringify(record) };
}

import { TokenBucket } from "../lib/token-bucket.ts";
import type { QueryFilter } from "./filter.ts";
import { compileFilter } from "./filter-tests.ts";
import type { QueryRecord, RecordText } from "./record.ts";

/** Told of records as they are made: the newest of those that fit, oldest first, and how many were left out before them. Must not throw. */
export type LiveListener = (records: readonly RecordText[], leftOut: number) => void;

/** Those who follow what is recorded. Lives in the main thread; the log's thread gets `list` with each call, and filters. */
export class Followers {
  readonly #all = new Map<number, Omit<FollowerRequest, "id"> & { readonly listener: LiveListener }>();
  /** Called when the first one comes. */
  onFirst: () => void = () => {};
  /** Called when one has come or gone. */
  onChange: () => void = () => {};
  #last = 0;

  get size(): number {
    return this.#all.size;
  }

  /** @param perSecond records that are told at most; the others are counted as left out. @returns what ends it. */
  add(filter: QueryFilter, listener: LiveListener, perSecond: number | null = null): () => void {
    const id = ++this.#last;
    if (this.#all.size === 0) this.onFirst();
    this.#all.set(id, { filter, listener, perSecond });
    this.onChange();
    return () => {
      this.#all.delete(id);
      this.onChange();
    };
  }

  list(): readonly FollowerRequest[] {
    return Array.from(this.#all, ([id, { filter, perSecond }]) => ({ id, filter, perSecond }));
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
  /** null = no limit. */
  readonly perSecond: number | null;
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

interface LiveFilter {
  readonly fits: (record: QueryRecord) => boolean;
  /** Records that may be told now; null = any number. */
  readonly budget: TokenBucket | null;
}

/** In the log's thread: finds what followers are to be told. Filters are compiled once; records that nobody is told are never made into text. */
export class LiveFilters {
  readonly #compiled = new Map<number, LiveFilter>();

  /** @param nowMs of a clock that only goes forward. */
  eventsFor(followers: readonly FollowerRequest[], made: readonly QueryRecord[], nowMs: number): LiveEvents {
    for (const id of this.#compiled.keys()) if (followers.every((follower) => follower.id !== id)) this.#compiled.delete(id);
    const records: RecordText[] = [];
    const places = new Map<QueryRecord, number>();
    const placeOf = (record: QueryRecord): number => {
      const known = places.get(record);
      if (known !== undefined) return known;
      places.set(record, records.length);
      return records.push(encodeRecord(record)) - 1;
    };
    const parts = followers.map((follower) => {
      const { fits, budget } = this.#compile(follower, nowMs);
      const fitting = made.filter(fits);
      const most = Math.min(MAX_AT_ONCE, fitting.length);
      const told = fitting.slice(fitting.length - (budget === null ? most : takeUpTo(budget, most, nowMs)));
      return { follower: follower.id, indexes: told.map(placeOf), leftOut: fitting.length - told.length };
    });
    return { records, parts: parts.filter(({ indexes, leftOut }) => indexes.length + leftOut > 0) };
  }

  #compile({ id, filter, perSecond }: FollowerRequest, nowMs: number): LiveFilter {
    const known = this.#compiled.get(id);
    if (known !== undefined) return known;
    const budget = perSecond === null ? null : new TokenBucket({ perSecond, burst: perSecond }, nowMs);
    const compiled = { fits: compileFilter(filter), budget };
    this.#compiled.set(id, compiled);
    return compiled;
  }
}

function takeUpTo(budget: TokenBucket, most: number, nowMs: number): number {
  let taken = 0;
  while (taken < most && budget.take(nowMs)) taken++;
  return taken;
}

export function encodeRecord(record: QueryRecord): RecordText {
  return { id: record.id, json: JSON.stringify(record) };
}

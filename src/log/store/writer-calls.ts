import type { Fault } from "./fault.ts";
import type { Chunk } from "./packed-records.ts";
import type { StoreOptions, StoreState } from "./store.ts";

/** What the thread that adds rows can be asked. */
export type WriterCalls = {
  /** Opens the store, after closing it if it was open. `aside` is where the file of before was put. */
  readonly open: {
    readonly argument: { readonly options: StoreOptions; readonly clearing: Clearing; readonly wallMs: number };
    readonly result: Outcome<{ readonly aside: string | null }>;
  };
  readonly insert: {
    readonly argument: readonly Chunk[];
    readonly result: Outcome<{ readonly refused: number; readonly why: string | null; readonly due: boolean }>;
  };
  /** One piece of upkeep at this time, as for `Store.tidy`; `due`: there may be more. */
  readonly tidy: { readonly argument: number | null; readonly result: Outcome<{ readonly due: boolean }> };
  readonly close: { readonly argument: null; readonly result: null };
};

/**
 * What is done with the files that are there before a store is opened: nothing; the file is put out of the way, this word in its new name;
 * or the write-ahead log is removed, because it belongs to a file that is gone.
 */
export type Clearing = "none" | "damaged" | "outdated" | "moved";

/** What came of a call, and the state of the store after it. */
export type Outcome<T> = { readonly fault: Fault } | ({ readonly fault: null; readonly state: StoreState } & T);

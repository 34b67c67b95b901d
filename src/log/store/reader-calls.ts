import type { QueryRecord } from "../record.ts";
import type { Page, PageRequest, QueryFilter } from "../search.ts";
import type { Summary, SummaryRequest } from "../summary.ts";
import type { Fault } from "./fault.ts";

/** What the thread that reads can be asked. */
export type ReaderCalls = {
  readonly search: { readonly argument: PageRequest; readonly result: Read<Page> };
  readonly get: { readonly argument: number; readonly result: Read<QueryRecord | null> };
  /** The next batch of a reading, which the first call begins; null = there are no more. */
  readonly next: {
    readonly argument: { readonly reading: number; readonly begin: QueryFilter | null };
    readonly result: Read<readonly QueryRecord[] | null>;
  };
  /** Forgets a reading. */
  readonly end: { readonly argument: number; readonly result: null };
  readonly summary: { readonly argument: SummaryRequest; readonly result: Read<Summary> };
  readonly versions: { readonly argument: null; readonly result: Read<readonly string[]> };
};

/** What was read, or why nothing was: the store's fault, or the caller's. */
export type Read<T> =
  | { readonly kind: "value"; readonly value: T }
  | { readonly kind: "fault"; readonly fault: Fault }
  | { readonly kind: "invalid"; readonly reason: string };

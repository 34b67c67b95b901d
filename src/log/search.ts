import type { QueryRecord } from "./record.ts";

/** Which records are wanted: within the time, and every condition holds. Made by `parseFilter` of what a user wrote. */
export interface QueryFilter {
  /**
   * Milliseconds since 1970, this one included; null = the oldest there is. Times are those of the ids, when records were made: a query that waited
   * for its answer came a little earlier.
   */
  readonly fromMs: number | null;
  /** This one not included; null = the newest there is. */
  readonly toMs: number | null;
  readonly conditions: readonly Condition[];
}

/** One field, and what it may be. */
export interface Condition {
  readonly field: FilterField;
  /** Whether none of `anyOf` may fit, instead of one. */
  readonly negated: boolean;
  readonly anyOf: readonly Matcher[];
}

export type FilterField = "name" | "client" | "type" | "rcode" | "rule" | "upstream" | "source" | "action" | "answer" | "minMs";

export type Matcher =
  | { readonly kind: "equals"; readonly text: string }
  /** The name and everything below it. */
  | { readonly kind: "within"; readonly text: string }
  /** `*` stands for any number of characters. */
  | { readonly kind: "glob"; readonly text: string }
  /** Bounded: refused by `parseFilter` where it could take more than linear time. */
  | { readonly kind: "regexp"; readonly text: string }
  /** An address within a prefix. */
  | { readonly kind: "prefix"; readonly text: string }
  | { readonly kind: "atLeast"; readonly number: number };

/** Newest first. */
export interface Page {
  /** As many as were wanted, or fewer, even none, where looking further would have taken too long: `cursor` says whether there may be more. */
  readonly records: readonly QueryRecord[];
  /** Where the next page begins; it stays right while records are added. null = there are no more. */
  readonly cursor: string | null;
}

export interface PageRequest {
  readonly filter: QueryFilter;
  /** 1 to 1,000. */
  readonly limit: number;
  readonly cursor: string | null;
}

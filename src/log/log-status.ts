/** How the query log is doing, for `/readyz`, the metrics and the API. */
export interface LogStatus {
  /** `off`: not wanted. `well`: records are stored. `failing`: they are not; see `fault`. */
  readonly state: "off" | "well" | "failing";
  /** What keeps it from storing, and since when; null = nothing. */
  readonly fault: { readonly reason: string; readonly sinceWallMs: number } | null;
  /** Since the start. */
  readonly stored: number;
  /** Records lost because the store was too slow, full or failing, since the start. */
  readonly dropped: number;
  /** Waiting to be stored. */
  readonly waiting: number;
  /** In the store, all days together; as of the last change. */
  readonly rows: number;
  readonly bytes: number;
  /** Of the oldest record in the store; null = it is empty. */
  readonly oldestWallMs: number | null;
}

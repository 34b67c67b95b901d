/** Ids of one millisecond. */
const PER_MS = 1024;

/** Gives ids for records: see `QueryRecord.id`. They rise also when the wall clock is set back, or gives more than 1,024 in a millisecond. */
export class RecordIds {
  #last = 0;

  next(wallMs: number): number {
    this.#last = Math.max(this.#last + 1, Math.floor(wallMs) * PER_MS);
    return this.#last;
  }
}

/** A line that was not used, and why. */
export interface Warning {
  readonly line: number;
  readonly reason: string;
}

/** Warnings of one source that are kept whole; further ones are counted. */
const MAX_KEPT_WARNINGS = 20;

/** Counts the lines of one source that could not be used. */
export class WarningLog {
  #count = 0;
  readonly #first: Warning[] = [];

  add(line: number, reason: string): void {
    this.#count++;
    if (this.#first.length < MAX_KEPT_WARNINGS) this.#first.push({ line, reason });
  }

  get count(): number {
    return this.#count;
  }

  get first(): readonly Warning[] {
    return this.#first;
  }
}

/** Bytes that are not of the format they were taken for, or contradict themselves; the message says what a person should know. */
export class MalformedFile extends Error {}

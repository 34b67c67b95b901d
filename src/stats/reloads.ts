/** How reloads of the configuration ended, and since when the one in force is. */
export class Reloads {
  readonly #wallMs: () => number;
  #succeeded = 0;
  #failed = 0;
  #sinceWallMs: number;
  #lastSucceeded = true;

  constructor(wallMs: () => number) {
    this.#wallMs = wallMs;
    this.#sinceWallMs = wallMs();
  }

  succeeded(): void {
    this.#succeeded++;
    this.#lastSucceeded = true;
    this.#sinceWallMs = this.#wallMs();
  }

  failed(): void {
    this.#failed++;
    this.#lastSucceeded = false;
  }

  read(): ReloadStats {
    return {
      succeeded: this.#succeeded,
      failed: this.#failed,
      sinceWallMs: this.#sinceWallMs,
      lastSucceeded: this.#lastSucceeded,
    };
  }
}

export interface ReloadStats {
  readonly succeeded: number;
  readonly failed: number;
  /** When the configuration in force was put in place, in milliseconds since 1970. */
  readonly sinceWallMs: number;
  /** Of the last try, the start included. */
  readonly lastSucceeded: boolean;
}

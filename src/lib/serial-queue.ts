/** Runs tasks one after the other, in the order in which they were added. A task that fails does not stop the next one. */
export class SerialQueue {
  #last: Promise<unknown> = Promise.resolve();
  #pending = 0;

  /** Tasks that wait or run. */
  get pending(): number {
    return this.#pending;
  }

  /** Resolves or rejects as the task does; the caller handles a rejection. */
  add<Result>(task: () => Promise<Result>): Promise<Result> {
    this.#pending++;
    const done = this.#last.then(task).finally(() => this.#pending--);
    this.#last = done.catch(() => {});
    return done;
  }

  /** Resolves when the tasks added so far have ended, whether or not they failed. */
  async idle(): Promise<void> {
    await this.#last;
  }
}

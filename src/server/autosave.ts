import type { Clock, Timer } from "../lib/clock.ts";
import { writeFault } from "../lib/files.ts";
import { SerialQueue } from "../lib/serial-queue.ts";
import type { OperationsLog } from "../log/operations.ts";

/** How often the file is written while the server runs: a crash or power cut loses at most the changes of this time. */
const SAVE_MS = 15 * 60_000;

/** A collection in memory that a file keeps across restarts. */
export interface SavedCollection {
  /** For the log, such as `cache`. */
  readonly name: string;
  readonly path: string;
  /** Fills the collection from the file. A damaged or missing file is no error. */
  readonly load: () => Promise<{ readonly restored: number; readonly problem: string | null }>;
  /** May reject with the system's error. */
  readonly save: () => Promise<unknown>;
}

/** Writes a collection to its file every quarter of an hour and at the end. Faults of the file are logged and nothing more. */
export class Autosave {
  readonly #collection: SavedCollection;
  readonly #clock: Clock;
  readonly #log: OperationsLog;
  #timer: Timer;
  readonly #saves = new SerialQueue();
  #stopped = false;
  #closed: Promise<void> | null = null;

  constructor(collection: SavedCollection, { clock, log }: { readonly clock: Clock; readonly log: OperationsLog }) {
    this.#collection = collection;
    this.#clock = clock;
    this.#log = log;
    this.#timer = this.#schedule();
  }

  /** Reads the file. To be called before the first query. */
  async load(): Promise<void> {
    const { name, path: file, load } = this.#collection;
    const { restored, problem } = await load();
    if (problem !== null) this.#log.warn({ file, restored }, `${name}: ${problem}`);
    else this.#log.debug({ file, restored }, `${name}: read`);
  }

  /** Writes the file now: another process is about to read it. */
  save(): Promise<void> {
    return this.#save();
  }

  /** Begins no further save, so that another `Autosave` can take over the file. Resolves when the last save has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer.cancel();
    await this.#saves.idle();
  }

  /** Writes the file one last time. May be called again. */
  close(): Promise<void> {
    this.#closed ??= this.stop().then(() => this.#save());
    return this.#closed;
  }

  #schedule(): Timer {
    const saveAndSchedule = async () => {
      await this.#save();
      if (!this.#stopped) this.#timer = this.#schedule();
    };
    return this.#clock.setTimer(() => void saveAndSchedule(), SAVE_MS);
  }

  #save(): Promise<void> {
    const { name, path: file, save } = this.#collection;
    return this.#saves.add(async () => {
      await save().catch((error: unknown) => this.#log.warn({ file, ...writeFault(error) }, `${name}: it could not be written`));
    });
  }
}

import type { Clock, Timer } from "../lib/clock.ts";
import { SerialQueue } from "../lib/serial-queue.ts";
import type { OperationsLog } from "../log/operations.ts";

/** How often a file is written while the server runs: what a crash or a power cut loses at the most. */
const SAVE_MS = 15 * 60_000;

interface KeeperSurroundings {
  readonly clock: Clock;
  readonly log: OperationsLog;
}

/** Something in memory that a file keeps across restarts. */
export interface Kept {
  /** For the log: `cache`. */
  readonly name: string;
  readonly path: string;
  /** Fills it from the file; a file that is damaged, or not there, is no error. */
  readonly load: () => Promise<{ readonly restored: number; readonly problem: string | null }>;
  /** May reject with the system's error. */
  readonly save: () => Promise<unknown>;
}

/** Keeps something in its file, so that a restart does not begin with an empty house. A fault of the file is logged, and no more. */
export class Autosave {
  readonly #kept: Kept;
  readonly #surroundings: KeeperSurroundings;
  #timer: Timer | null = null;
  readonly #saves = new SerialQueue();
  #stopped = false;
  #closed: Promise<void> | null = null;

  private constructor(kept: Kept, surroundings: KeeperSurroundings) {
    this.#kept = kept;
    this.#surroundings = surroundings;
    this.#schedule();
  }

  /** Reads the file. To be called before the first query. */
  static async open(kept: Kept, surroundings: KeeperSurroundings): Promise<Autosave> {
    const { log } = surroundings;
    const { name, path: file } = kept;
    const { restored, problem } = await kept.load();
    if (problem !== null) log.warn({ file, restored }, `${name}: ${problem}`);
    else log.debug({ file, restored }, `${name}: read`);
    return new Autosave(kept, surroundings);
  }

  /** Writes the file now. */
  save(): Promise<void> {
    return this.#saves.add(() => this.#write());
  }

  /** Leaves the file to whoever goes on with it: what is being written is written, and nothing more. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#timer?.cancel();
    await this.#saves.idle();
  }

  /** Writes the file one last time. May be called again. */
  close(): Promise<void> {
    this.#closed ??= this.stop().then(() => this.save());
    return this.#closed;
  }

  #schedule(): void {
    this.#timer = this.#surroundings.clock.setTimer(() => void this.#saveAndSchedule(), SAVE_MS);
  }

  async #saveAndSchedule(): Promise<void> {
    await this.save();
    if (!this.#stopped) this.#schedule();
  }

  async #write(): Promise<void> {
    const { name, path: file } = this.#kept;
    try {
      await this.#kept.save();
    } catch (error) {
      this.#surroundings.log.warn({ file, err: error }, `${name}: it could not be written`);
    }
  }
}

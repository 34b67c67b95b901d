import type { AnswerCache } from "./cache/answer-cache.ts";
import { loadCache, saveCache } from "./cache/cache-file.ts";
import type { Limits } from "./cache/lifetime.ts";
import type { Clock, Timer } from "./clock.ts";
import type { OperationsLog } from "./log/operations.ts";

/** How often the cache is written while the server runs: what a crash or a power cut loses at the most. */
const SAVE_MS = 15 * 60_000;

export interface KeeperSurroundings {
  readonly clock: Clock;
  readonly log: OperationsLog;
  /** Those of section `answers`. */
  readonly limits: Limits;
}

/** Keeps the cache's positive answers in a file, so that a restart does not begin with an empty house. A fault of the file is logged, and no more. */
export class CacheKeeper {
  readonly #cache: AnswerCache;
  readonly #path: string;
  readonly #surroundings: KeeperSurroundings;
  #timer: Timer | null = null;
  #closed: Promise<void> | null = null;

  private constructor(cache: AnswerCache, path: string, surroundings: KeeperSurroundings) {
    this.#cache = cache;
    this.#path = path;
    this.#surroundings = surroundings;
    this.#schedule();
  }

  /** Fills the cache from the file. To be called before the first query. */
  static async open(cache: AnswerCache, path: string, surroundings: KeeperSurroundings): Promise<CacheKeeper> {
    const { log, clock, limits } = surroundings;
    const { restored, problem } = await loadCache(cache, path, { clock, limits });
    if (problem !== null) log.warn({ file: path, restored }, `cache: ${problem}`);
    else log.debug({ file: path, restored }, "cache: read");
    return new CacheKeeper(cache, path, surroundings);
  }

  /** Writes the cache one last time. May be called again. */
  close(): Promise<void> {
    this.#closed ??= this.#close();
    return this.#closed;
  }

  async #close(): Promise<void> {
    this.#timer?.cancel();
    await this.#save();
  }

  #schedule(): void {
    this.#timer = this.#surroundings.clock.setTimer(() => void this.#saveAndSchedule(), SAVE_MS);
  }

  async #saveAndSchedule(): Promise<void> {
    await this.#save();
    if (this.#closed === null) this.#schedule();
  }

  async #save(): Promise<void> {
    try {
      await saveCache(this.#cache, this.#path);
    } catch (error) {
      this.#surroundings.log.warn({ file: this.#path, err: error }, "cache: it could not be written");
    }
  }
}

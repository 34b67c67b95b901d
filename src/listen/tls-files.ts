import { type FSWatcher, watch } from "node:fs";
import { readFile } from "node:fs/promises";
import { dirname } from "node:path";
import { createSecureContext } from "node:tls";
import type { Clock, Timer } from "../lib/clock.ts";
import { errorText } from "../lib/text.ts";
import type { TlsOptions } from "./options.ts";

/** A certificate chain and its private key, in PEM. */
export interface KeyPair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** A renewal writes several files, or moves links about; they are read once this is over. */
const SETTLE_MS = 500;

/** Where the file system reports no changes (network mounts, too few inotify watches), they are found by looking. */
const REREAD_MS = 60_000;

/** Told of every change of the files' content, never of one that leaves it equal. */
export interface KeyPairChanges {
  readonly changed: (pair: KeyPair) => void;
  /** What the files hold now cannot be used; the old pair serves on. */
  readonly refused: (reason: string) => void;
}

/** The files of section `tls`, read again when they change. */
export class TlsFiles {
  readonly #options: TlsOptions;
  readonly #clock: Clock;
  readonly #changes: KeyPairChanges;
  readonly #watchers: readonly FSWatcher[];
  #current: KeyPair;
  #refusedReason: string | null = null;
  #timer: Timer;
  #settling = false;
  #closed = false;

  /** @throws Error when a file cannot be read or the two do not belong together. */
  static async open(options: TlsOptions, clock: Clock, changes: KeyPairChanges): Promise<TlsFiles> {
    return new TlsFiles(options, await readKeyPair(options), { clock, changes });
  }

  private constructor(options: TlsOptions, pair: KeyPair, outside: { readonly clock: Clock; readonly changes: KeyPairChanges }) {
    this.#options = options;
    this.#current = pair;
    this.#clock = outside.clock;
    this.#changes = outside.changes;
    this.#timer = this.#rereadAfter(REREAD_MS);
    // Directories, not the files: a file replaced by renaming is another one, which a watch on the old never sees.
    const directories = new Set([dirname(options.cert), dirname(options.key)]);
    this.#watchers = [...directories].flatMap((directory) => this.#watchDirectory(directory));
  }

  get current(): KeyPair {
    return this.#current;
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer.cancel();
    for (const watcher of this.#watchers) watcher.close();
  }

  #watchDirectory(directory: string): FSWatcher[] {
    try {
      const watcher = watch(directory, { persistent: false }, () => this.#settle());
      watcher.on("error", () => watcher.close());
      return [watcher];
    } catch {
      return [];
    }
  }

  #settle(): void {
    if (this.#settling || this.#closed) return;
    this.#settling = true;
    this.#timer.cancel();
    this.#timer = this.#rereadAfter(SETTLE_MS);
  }

  #rereadAfter(delayMs: number): Timer {
    return this.#clock.setTimer(() => void this.#reread(), delayMs);
  }

  async #reread(): Promise<void> {
    this.#settling = false;
    try {
      const pair = await readKeyPair(this.#options);
      if (this.#closed) return;
      this.#refusedReason = null;
      if (!pair.cert.equals(this.#current.cert) || !pair.key.equals(this.#current.key)) {
        this.#current = pair;
        this.#changes.changed(pair);
      }
    } catch (error) {
      const reason = errorText(error);
      if (!this.#closed && reason !== this.#refusedReason) this.#changes.refused(reason);
      this.#refusedReason = reason;
    }
    if (!this.#closed && !this.#settling) this.#timer = this.#rereadAfter(REREAD_MS);
  }
}

async function readKeyPair(options: TlsOptions): Promise<KeyPair> {
  const pair = { cert: await readFile(options.cert), key: await readFile(options.key) };
  try {
    createSecureContext(pair);
  } catch (error) {
    throw new Error(`${options.cert} and ${options.key} cannot be used: ${errorText(error)}`);
  }
  return pair;
}

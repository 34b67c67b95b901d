import { dirname, join } from "node:path";
import type { Clock } from "../lib/clock.ts";
import { copiesOf } from "../lists/cache.ts";
import type { OperationsLog } from "../log/operations.ts";
import type { QueryLog } from "../log/query-log.ts";
import type { Site } from "../site.ts";
import { Versions } from "./versions.ts";

export interface VersionKeepingParts {
  /** The one that records go to at the moment. */
  readonly queryLog: () => Pick<QueryLog, "versions">;
  readonly clock: Clock;
  readonly log: OperationsLog;
}

/** The versions of the sites that are put in place, beside the query log that refers to them. */
export class VersionKeeping {
  readonly #parts: VersionKeepingParts;
  #kept: { readonly folder: string; readonly versions: Versions } | null = null;
  #keepMs = 0;
  /** Those of folders that are not used any more. */
  #ending: Promise<unknown> = Promise.resolve();

  constructor(parts: VersionKeepingParts) {
    this.#parts = parts;
  }

  /** null = the configuration wants no records, so there is nothing to keep them for. */
  get versions(): Versions | null {
    return this.#kept?.versions ?? null;
  }

  /** Records are of this site's version from now on. Returns at once; what is to be written is written later. */
  use({ config, decisions }: Pick<Site, "config" | "decisions">): void {
    const { enabled, store, keepMs } = config.log.queries;
    const folder = enabled ? join(dirname(store), "versions") : null;
    this.#keepMs = keepMs;
    if (folder !== (this.#kept?.folder ?? null)) this.#moveTo(folder);
    this.versions?.put({ decisions, copies: copiesOf(config) });
  }

  /** May be called again. */
  async close(): Promise<void> {
    this.#moveTo(null);
    await this.#ending;
  }

  #moveTo(folder: string | null): void {
    if (this.#kept !== null) this.#ending = Promise.all([this.#ending, this.#kept.versions.close()]);
    this.#kept = folder === null ? null : { folder, versions: this.#open(folder) };
  }

  #open(folder: string): Versions {
    const { queryLog, clock, log } = this.#parts;
    return new Versions({ folder, keepMs: () => this.#keepMs, inUse: () => queryLog().versions(), clock, log });
  }
}

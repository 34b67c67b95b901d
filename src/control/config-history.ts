import { createHash } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { ControlError } from "../admin/control.ts";
import type { ConfigDiff, HistoryEntry } from "../admin/schemas/edits.ts";
import type { Config } from "../config/types.ts";
import { dataFolder, isMissingFile, replaceFile, writeFault } from "../lib/files.ts";
import { countChangedLines, diffLines } from "../lib/line-diff.ts";
import { SerialQueue } from "../lib/serial-queue.ts";
import type { OperationsLog } from "../log/operations.ts";
import type { ServerState } from "../server/state.ts";
import { withHiddenSecrets } from "./config-secrets.ts";
import type { ConfigChange } from "./problems.ts";
import { timeText } from "./views.ts";

/** Texts that are kept; the oldest goes first. */
const MAX_ENTRIES = 100;

interface Entry {
  /** Digest of the text. */
  readonly version: string;
  readonly sinceWallMs: number;
  untilWallMs: number | null;
  /** Of the policies that this text came to, the newest last: a new list makes another one. */
  policies: string[];
  lists: { readonly name: string; readonly size: number }[];
  /** When lists got other content under this text, oldest first; older versions noted none. */
  listChanges?: ListChange[];
  /** Lines that differ from the text before; null = there was none. */
  readonly changedLines: number | null;
}

interface ListChange {
  readonly list: string;
  readonly atWallMs: number;
}

/**
 * Keeps the text of every configuration file that served: `data/history/VERSION.yaml` and an index beside them, for their user alone, because texts have
 * secrets. A write that fails is logged, and costs the text.
 */
export class ConfigHistory {
  readonly #log: OperationsLog;
  readonly #wallMs: () => number;
  readonly #queue = new SerialQueue();
  #folder: string | null = null;
  #entries: Entry[] = [];
  #lastText: string | null = null;
  /** Digests of what each list was read from, of the last state; null = there was none yet. */
  #lastContents: ReadonlyMap<string, string> | null = null;

  constructor({ log, wallMs }: { readonly log: OperationsLog; readonly wallMs: () => number }) {
    this.#log = log;
    this.#wallMs = wallMs;
  }

  /** Notes that this state serves from now on. Returns at once; the write follows. */
  use({ config, policy }: Pick<ServerState, "config" | "policy">): void {
    if (config.path === null) return;
    const atWallMs = this.#wallMs();
    const status = policy.lists.status();
    const lists = status.map(({ name, size }) => ({ name, size }));
    const contents = new Map(status.map(({ name, sources }) => [name, sources.map(({ sha256 }) => sha256).join()]));
    const folder = join(dataFolder(config), "history");
    void this.#queue
      .add(() => this.#note({ config, folder, atWallMs, policy: policy.version, lists, contents }))
      .catch((error: unknown) => this.#log.warn(writeFault(error), "the history of the configuration could not be written"));
  }

  /** Keeps a text that is about to be replaced, also one that never served. @throws the error of the system */
  async keep(text: string): Promise<void> {
    const version = configVersion(text);
    await this.#queue.add(async () => {
      if (this.#folder === null || this.#entryOf(version) !== undefined) return;
      await replaceFile(join(this.#folder, `${version}.yaml`), text);
      const atWallMs = this.#wallMs();
      const entry = { version, sinceWallMs: atWallMs, untilWallMs: atWallMs, policies: [], lists: [], changedLines: null };
      // The present one stays the last.
      this.#entries.splice(-1, 0, entry);
    });
  }

  /** The texts that served, the present one first. */
  async list(): Promise<readonly HistoryEntry[]> {
    await this.#queue.idle();
    return this.#entries.toReversed().map(({ sinceWallMs, untilWallMs, ...entry }, index) => ({
      version: entry.version,
      since: timeText(sinceWallMs),
      until: untilWallMs === null ? null : timeText(untilWallMs),
      current: index === 0,
      changedLines: entry.changedLines,
      policies: [...entry.policies],
      lists: [...entry.lists],
    }));
  }

  /** @throws ControlError `missing` if a text is not kept. */
  async diff(before: string, after: string): Promise<ConfigDiff> {
    const [one, other] = [await this.text(before), await this.text(after)];
    const sizes = (version: string) => this.#entryOf(version)?.lists ?? [];
    const names = new Set([...sizes(before), ...sizes(after)].map(({ name }) => name));
    const sizeOf = (version: string, list: string) => sizes(version).find(({ name }) => name === list)?.size ?? null;
    return {
      lines: diffLines(withHiddenSecrets(one).text, withHiddenSecrets(other).text),
      lists: [...names]
        .map((name) => ({ name, before: sizeOf(before, name), after: sizeOf(after, name) }))
        .filter((list) => list.before !== list.after),
    };
  }

  /** @throws ControlError `missing` */
  async text(version: string): Promise<string> {
    await this.#queue.idle();
    const folder = this.#folder;
    if (folder === null || this.#entryOf(version) === undefined)
      throw new ControlError("missing", `configuration ${version} is not kept, or not any more`);
    try {
      return await readFile(join(folder, `${version}.yaml`), "utf8");
    } catch (error) {
      if (isMissingFile(error)) throw new ControlError("missing", `the text of configuration ${version} is gone`);
      throw error;
    }
  }

  /** The last change before this time: a configuration that replaced another one, or other content of a list (of this list, where one is named). */
  changeBefore(wallMs: number, list: string | null): ConfigChange | null {
    const changes = this.#entries.flatMap(({ version, sinceWallMs, changedLines, listChanges = [] }): ConfigChange[] => [
      ...(changedLines === null ? [] : [{ version, sinceWallMs, changedLines, list: null }]),
      ...listChanges
        .filter((change) => list === null || change.list === list)
        .map((change) => ({ version, sinceWallMs: change.atWallMs, changedLines: 0, list: change.list })),
    ]);
    return changes.findLast(({ sinceWallMs }) => sinceWallMs <= wallMs) ?? null;
  }

  /** Until when a configuration was in force, in milliseconds since 1970; null = it is so still, or is not known. */
  lastInForce(version: string): number | null {
    return this.#entryOf(version)?.untilWallMs ?? null;
  }

  /** Ends what is being written. */
  async close(): Promise<void> {
    await this.#queue.idle();
  }

  #entryOf(version: string): Entry | undefined {
    return this.#entries.findLast((entry) => entry.version === version);
  }

  async #note({ config, folder, atWallMs, policy, lists, contents }: NotedState): Promise<void> {
    if (folder !== this.#folder) await this.#open(folder);
    const version = configVersion(config.text);
    const last = this.#entries.at(-1);
    const before = this.#lastContents;
    this.#lastContents = contents;
    if (last?.version === version) {
      last.lists = lists;
      const changed = [...contents].filter(([name, content]) => before !== null && before.get(name) !== content);
      const changes = changed.map(([list]) => ({ list, atWallMs }));
      last.listChanges = [...(last.listChanges ?? []), ...changes].slice(-MAX_ENTRIES);
      if (last.policies.at(-1) !== policy) last.policies = [...last.policies, policy].slice(-MAX_ENTRIES);
      else if (this.#lastText !== null) return;
    } else {
      if (last !== undefined) last.untilWallMs = atWallMs;
      const changedLines = this.#lastText === null ? null : countChangedLines(this.#lastText, config.text);
      this.#entries.push({ version, sinceWallMs: atWallMs, untilWallMs: null, policies: [policy], lists, changedLines });
      await replaceFile(join(folder, `${version}.yaml`), config.text);
    }
    this.#lastText = config.text;
    for (const gone of this.#entries.splice(0, this.#entries.length - MAX_ENTRIES))
      if (this.#entryOf(gone.version) === undefined) await rm(join(folder, `${gone.version}.yaml`), { force: true });
    await replaceFile(join(folder, "index.json"), `${JSON.stringify(this.#entries, null, 1)}\n`);
  }

  async #open(folder: string): Promise<void> {
    this.#folder = folder;
    this.#lastText = null;
    try {
      // The file is ours.
      this.#entries = JSON.parse(await readFile(join(folder, "index.json"), "utf8")) as Entry[];
      const last = this.#entries.at(-1);
      if (last !== undefined) this.#lastText = await readFile(join(folder, `${last.version}.yaml`), "utf8");
    } catch (error) {
      if (!isMissingFile(error)) this.#log.warn({ folder }, "the history of the configuration cannot be read, and begins anew");
      if (this.#lastText === null) this.#entries = [];
    }
  }
}

interface NotedState {
  readonly config: Config;
  readonly folder: string;
  readonly atWallMs: number;
  readonly policy: string;
  readonly lists: Entry["lists"];
  readonly contents: ReadonlyMap<string, string>;
}

/** A short digest of the text of a configuration. */
export function configVersion(text: string): string {
  return createHash("sha256").update(text).digest("hex").slice(0, 12);
}

import { randomBytes } from "node:crypto";
import { readFile, realpath, stat } from "node:fs/promises";
import { ControlError } from "../admin/control.ts";
import type { AppliedEdit, ConfigFile, EditPreview } from "../admin/schemas/edits.ts";
import type { ConfigEdit } from "../admin/schemas/health.ts";
import type { WhatIf } from "../admin/schemas/views.ts";
import { type ConfigResult, loadConfig } from "../config/load.ts";
import type { Config } from "../config/types.ts";
import type { Clock } from "../lib/clock.ts";
import { explainWriteError, isMissingFile, replaceFile } from "../lib/files.ts";
import { diffLines } from "../lib/line-diff.ts";
import { say } from "../lib/said.ts";
import { SerialQueue } from "../lib/serial-queue.ts";
import { errorText } from "../lib/text.ts";
import { checkReloadable } from "../server/preflight.ts";
import { type ConfigHistory, configVersion } from "./config-history.ts";
import { withHiddenSecrets, withSecrets } from "./config-secrets.ts";
import { assessDraft, type Drafts } from "./drafts.ts";
import { editYaml } from "./edit-yaml.ts";

interface ConfigEditsParts {
  readonly clock: Clock;
  readonly config: () => Config;
  readonly drafts: Pick<Drafts, "use">;
  readonly history: Pick<ConfigHistory, "keep" | "text">;
  /** Over the logged queries of the last day; null = there is no log. */
  readonly whatIf: (text: string, signal: AbortSignal) => Promise<WhatIf | null>;
  /** @throws ControlError `refused`; then the configuration before serves on. */
  readonly reload: (config: Config) => Promise<void>;
}

/** A ticket may be used so long. */
const TICKET_MS = 600_000;
const MAX_TICKETS = 16;

/** An edit that may be applied. */
interface Ticket {
  readonly id: string;
  /** Who asked for it: nobody else may use it. */
  readonly caller: string;
  /** Of the file that it was made for. */
  readonly base: string;
  readonly text: string;
  readonly endsMs: number;
  preview: EditPreview;
  /** Ends its what-if; null = none was begun, or it was interrupted. */
  whatIf: AbortController | null;
}

/**
 * Edits of the configuration file. An edit is shown first, with its lines, what the check and the expectations say of it and what it would have changed, and
 * applied by its ticket. It never overwrites a file that was changed meanwhile, and the text before is kept in the history.
 */
export class ConfigEdits {
  readonly #parts: ConfigEditsParts;
  readonly #tickets = new Map<string, Ticket>();
  /** Writes of the file, one after the other. */
  readonly #writes = new SerialQueue();

  constructor(parts: ConfigEditsParts) {
    this.#parts = parts;
  }

  async file(): Promise<ConfigFile> {
    const { path, text } = await this.#read();
    const digest = configVersion(text);
    return { path, digest, text: withHiddenSecrets(text).text, inForce: digest === configVersion(this.#parts.config().text) };
  }

  /** The text that an edit makes of the file as it stands. @throws ControlError */
  async textAfter(edit: ConfigEdit): Promise<string> {
    return edited((await this.#read()).text, edit);
  }

  /** @param base `digest` of the file that the edit is meant for. */
  async preview(edit: ConfigEdit, base: string, caller: string): Promise<EditPreview> {
    // Drafts are used one after the other. What the caller's edits before this one would change is compared when somebody asks for it again.
    for (const ticket of this.#tickets.values()) if (ticket.caller === caller) interruptWhatIf(ticket);
    const { text: before } = await this.#read();
    checkBase(before, base);
    const text = edited(before, edit);
    const { check, expect, isReloadable } = await this.#assess(text);
    const diff = diffLines(withHiddenSecrets(before).text, withHiddenSecrets(text).text);
    const mayApply = check.ok && isReloadable && expect.broken.length === 0 && text !== before;
    const ticket = mayApply ? randomBytes(12).toString("base64url") : null;
    const preview: EditPreview = { diff, check, expect, whatIf: null, whatIfDone: ticket === null, ticket };
    const endsMs = this.#parts.clock.now() + TICKET_MS;
    if (ticket !== null) this.#issue({ id: ticket, caller, base, text, preview, endsMs, whatIf: null });
    return preview;
  }

  /** @throws ControlError `missing` */
  ticket(id: string, caller: string): EditPreview {
    const ticket = this.#ticket(id, caller);
    this.#beginWhatIf(ticket);
    return ticket.preview;
  }

  /** Checks the edit once more, writes the file and puts it in place. @throws ControlError; then the file is as before. */
  apply(id: string, caller: string): Promise<AppliedEdit> {
    const { base, text } = this.#ticket(id, caller);
    return this.#writes.add(async () => {
      const applied = await this.#write(text, base);
      this.#tickets.delete(id);
      return applied;
    });
  }

  /** Puts another text in place at once. */
  replace(edit: ConfigEdit, base: string): Promise<AppliedEdit> {
    return this.#writes.add(async () => this.#write(edited((await this.#read()).text, edit), base));
  }

  /** Puts a text of the history in place again. */
  restore(version: string, base: string): Promise<AppliedEdit> {
    return this.#writes.add(async () => this.#write(await this.#parts.history.text(version), base));
  }

  #issue(ticket: Ticket): void {
    const nowMs = this.#parts.clock.now();
    for (const old of this.#tickets.values()) {
      if (old.endsMs > nowMs && this.#tickets.size < MAX_TICKETS) continue;
      interruptWhatIf(old);
      this.#tickets.delete(old.id);
    }
    this.#tickets.set(ticket.id, ticket);
    this.#beginWhatIf(ticket);
  }

  #beginWhatIf(ticket: Ticket): void {
    if (ticket.preview.whatIfDone || ticket.whatIf !== null) return;
    const ending = new AbortController();
    ticket.whatIf = ending;
    const finish = (whatIf: WhatIf | null): void => {
      if (!ending.signal.aborted) ticket.preview = { ...ticket.preview, whatIf, whatIfDone: true };
    };
    // A what-if that fails leaves the edit without one.
    void this.#parts.whatIf(ticket.text, ending.signal).then(finish, () => finish(null));
  }

  #ticket(id: string, caller: string): Ticket {
    const ticket = this.#tickets.get(id);
    if (ticket === undefined || ticket.caller !== caller || ticket.endsMs <= this.#parts.clock.now())
      throw new ControlError("missing", "there is no such ticket of yours, or not any more: ask for the edit again");
    return ticket;
  }

  async #write(text: string, base: string): Promise<AppliedEdit> {
    const { path, text: before } = await this.#read();
    checkBase(before, base);
    const { check, expect, isReloadable } = await this.#assess(text);
    const faults = [...check.problems.map(({ message }) => message), ...expect.broken.map((broken) => broken.text)];
    if (faults.length > 0) throw new ControlError("refused", ...faults);
    if (!isReloadable) throw new ControlError("refused", ...check.warnings.map(({ message }) => message));
    await this.#parts.history.keep(before);
    // Somebody may have saved the file while it was checked.
    checkBase((await this.#read()).text, base);
    const put = await fileWriter(path);
    await put(text);
    try {
      const read = loadConfig(path);
      if (read.kind === "invalid") throw new ControlError("refused", ...read.problems.map(({ message }) => message));
      await this.#parts.reload(read.config);
    } catch (error) {
      if ((await this.#read()).text === text) await put(before);
      throw error;
    }
    return { version: configVersion(text), previous: configVersion(before) };
  }

  #assess(text: string) {
    const inForce = this.#parts.config();
    return this.#parts.drafts.use({ text, path: inForce.path }, async (read: ConfigResult) => {
      const { check, expectations } = await assessDraft(read, inForce);
      const messages = new Set(expectations.failures);
      const problems = check.problems.filter(({ message }) => !messages.has(message));
      const broken = expectations.failures.map((reason) => say("edit.broken", { reason }));
      return {
        check: { ...check, ok: problems.length === 0, problems },
        expect: { total: expectations.total, held: expectations.total - broken.length, broken },
        isReloadable: read.kind === "ok" && checkReloadable(read.config, inForce) === null,
      };
    });
  }

  async #read(): Promise<{ readonly path: string; readonly text: string }> {
    const { path } = this.#parts.config();
    if (path === null) throw new ControlError("refused", "there is no configuration file: the defaults are in force");
    try {
      return { path, text: await readFile(path, "utf8") };
    } catch (error) {
      const reason = isMissingFile(error) ? "it is gone" : errorText(error);
      throw new ControlError("refused", `${path} cannot be read: ${reason}`);
    }
  }
}

function interruptWhatIf(ticket: Ticket): void {
  ticket.whatIf?.abort();
  ticket.whatIf = null;
}

function edited(text: string, edit: ConfigEdit): string {
  return edit.kind === "text" ? withSecrets(edit.text, withHiddenSecrets(text)) : editYaml(text, edit);
}

function checkBase(text: string, base: string): void {
  if (configVersion(text) === base) return;
  throw new ControlError("refused", "the file was changed meanwhile: look at it, and ask for the edit again");
}

/** Replaces the file in one step, with the mode it has; a link stays a link. */
async function fileWriter(path: string): Promise<(text: string) => Promise<void>> {
  const target = await realpath(path);
  const mode = (await stat(target)).mode & 0o777;
  return async (text) => {
    try {
      await replaceFile(target, text, { mode });
    } catch (error) {
      throw new ControlError("failed", `${path} cannot be written: ${explainWriteError(errorText(error))}`);
    }
  };
}

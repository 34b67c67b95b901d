import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { join } from "node:path";

/** What one test file has about it: a folder of its own, and the programs that end with it. */
export class Scene {
  /** Not below TMPDIR: nsd takes no long path for its socket, nginx none with a space. */
  readonly folder = mkdtempSync("/tmp/fenliu-clients-");
  readonly #closing: (() => Promise<unknown>)[] = [];
  readonly #starting: Promise<unknown>[] = [];

  /** A new folder below the scene's own. */
  subfolder(name: string): string {
    const path = join(this.folder, name);
    mkdirSync(path);
    return path;
  }

  /** Has a program that is starting stopped with the scene. */
  async add<Program extends { stop(): Promise<unknown> }>(starting: Promise<Program>): Promise<Program> {
    this.#starting.push(starting);
    const program = await starting;
    this.defer(() => program.stop());
    return program;
  }

  defer(close: () => Promise<unknown>): void {
    this.#closing.unshift(close);
  }

  /** Stops everything, what came last first; also what is still starting because another program failed to. */
  async close(): Promise<void> {
    await Promise.allSettled(this.#starting);
    for (const close of this.#closing.splice(0)) await close();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

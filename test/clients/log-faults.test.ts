import { closeSync, mkdirSync, openSync, readdirSync, rmdirSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { open } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import type { ApiClient } from "../admin/support/api-client.ts";
import { allRecords, apiOf, recordsOf } from "./api.ts";
import { dig } from "./clients.ts";
import { type FenliuProcess, fenliuCommand, startFenliu } from "./fenliu.ts";
import { eventually, projectRoot, run, start } from "./processes.ts";
import { Scene } from "./scene.ts";
import { type Answering, SteadyAsker } from "./steady-asker.ts";

const scene = new Scene();
afterAll(() => scene.close());

const FAILING = "queries are answered, but cannot be recorded";
const WELL = "queries are recorded again";

/** Between looks at the API, which allows 50 requests a second. */
const LOOK_MS = 150;

function config(store: string): string {
  return `
listen: { dns: ["127.0.0.1:0"], http: [], admin: "127.0.0.1:0" }
upstreams: { nobody: { servers: ["127.0.0.1:1"] } }
hosts: { records: { nas.lan: 10.0.0.5 } }
cache: { file: null }
log: { queries: { store: ${JSON.stringify(store)} } }
`;
}

describe("while queries arrive", () => {
  let fenliu: FenliuProcess;
  let api: ApiClient;

  beforeAll(async () => {
    fenliu = await scene.add(startFenliu(scene.folder, config(join(scene.subfolder("first"), "queries.db"))));
    api = apiOf(fenliu);
  });

  /** A trial whose store in this folder has some queries. */
  async function recordingTrial(name: string): Promise<{ readonly trial: Trial; readonly path: string }> {
    const path = join(scene.subfolder(name), "queries.db");
    const trial = await Trial.begin(fenliu, api, path);
    await trial.recorded();
    return { trial, path };
  }

  test("a full disk: reported once, visible everywhere, and nothing is lost when there is room again", async ({ skip }) => {
    const disk = scene.subfolder("full");
    if (!(await mounted(disk, "8m"))) skip(CANNOT_MOUNT);
    const trial = await Trial.begin(fenliu, api, join(disk, "queries.db"));
    await trial.recorded();
    await fill(join(disk, "ballast"));
    await trial.fails("the disk is full", "make room on the disk");
    rmSync(join(disk, "ballast"));
    await trial.recovers();
    await trial.lostNothing();
  });

  test("a disk that is read-only", async ({ skip }) => {
    const disk = scene.subfolder("readonly");
    if (!(await mounted(disk, "8m"))) skip(CANNOT_MOUNT);
    await run("mount", ["-o", "remount,ro", disk]);
    const trial = await Trial.begin(fenliu, api, join(disk, "queries.db"));
    await trial.fails("the file cannot be opened", "give user ");
    await run("mount", ["-o", "remount,rw", disk]);
    await trial.recovers();
    await trial.lostNothing();
  });

  test("a directory at the path of the file", async () => {
    const path = join(scene.subfolder("taken"), "queries.db");
    mkdirSync(path);
    const trial = await Trial.begin(fenliu, api, path);
    await trial.fails("the file cannot be opened", "give user ");
    rmdirSync(path);
    await trial.recovers();
    await trial.lostNothing();
  });

  test("another process that locks the file", async () => {
    const { trial, path } = await recordingTrial("locked");
    const holder = await start(process.execPath, [join(projectRoot, "test/log/lock-holder.ts"), path], /locked/);
    onTestFinished(() => void holder.stop("SIGKILL"));
    await trial.fails("another process holds a lock on the file");
    await holder.stop("SIGKILL");
    await trial.recovers();
    await trial.lostNothing();
  });

  test("the file is deleted while it is open: a new file begins", async () => {
    const { trial, path } = await recordingTrial("deleted");
    rmSync(path);
    await trial.told(FAILING, "the file was deleted or replaced while it was open");
    await trial.recovers();
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect((await recordsOf(api, "name=nas.lan")).length).toBeGreaterThan(0);
  });

  test("the file is overwritten while it is open: it is quarantined, and a new file begins", async () => {
    const { trial, path } = await recordingTrial("damaged");
    overwrite(path);
    overwrite(`${path}-wal`);
    await trial.told(FAILING, /the file is (damaged|no database)/);
    await trial.told("the query log was damaged: it was put aside, and a new one begun", path);
    await trial.recovers();
    expect((await recordsOf(api, "name=nas.lan")).length).toBeGreaterThan(0);
    const asides = readdirSync(dirname(path)).filter((name) => /^queries\.db\.damaged-\d{4}-\d\d-\d\dT\d{6}Z$/.test(name));
    expect(asides).toHaveLength(1);
    expect(statSync(join(dirname(path), asides[0] ?? "")).mode & 0o777).toBe(0o600);
  });
});

/** One faulty store, with a client that must not notice the fault. */
class Trial {
  readonly #fenliu: FenliuProcess;
  readonly #api: ApiClient;
  readonly #asker: SteadyAsker;
  readonly #before: number;
  #answering: Answering | null = null;

  private constructor(parts: {
    readonly fenliu: FenliuProcess;
    readonly api: ApiClient;
    readonly asker: SteadyAsker;
    readonly before: number;
  }) {
    this.#fenliu = parts.fenliu;
    this.#api = parts.api;
    this.#asker = parts.asker;
    this.#before = parts.before;
  }

  /** Makes the server log into this file, and begins to send queries. */
  static async begin(fenliu: FenliuProcess, api: ApiClient, store: string): Promise<Trial> {
    const before = fenliu.output().length;
    writeFileSync(join(scene.folder, "fenliu.yaml"), config(store));
    fenliu.signal("SIGHUP");
    await eventually(async () => (fenliu.output().slice(before).includes('"msg":"reloaded"') ? true : null));
    const asker = await SteadyAsker.open(fenliu.ports.dns, "nas.lan", "10.0.0.5");
    return new Trial({ fenliu, api, asker, before });
  }

  /** Waits until some queries are in the store. */
  async recorded(): Promise<void> {
    await eventually(async () => {
      await sleep(LOOK_MS);
      return (await recordsOf(this.#api, "name=nas.lan")).length > 100 ? true : null;
    });
  }

  /**
   * Waits until the fault shows, and sees that it does so in every place, and stays there, and that queries are answered meanwhile.
   * @param fix how what the operator is told to do begins; absent = there is nothing to be told.
   */
  async fails(reason: string, fix?: string): Promise<void> {
    const readiness = await eventually(async () => {
      await this.#look();
      const response = await this.#api.get("/readyz");
      return JSON.stringify(response.body).includes("query log") ? response : null;
    });
    // The server stays ready, because queries are answered.
    expect(readiness).toMatchObject({ status: 200, body: { problems: [`the query log stores nothing: ${reason}`] } });
    for (let look = 0; look < 10; look++) await this.#look();
    await this.#asker.goesOn();
    expect(this.#messages(WELL)).toEqual([]);
    const { body } = await this.#api.get("/metrics");
    expect(body).toMatch(/^fenliu_log_up 0$/m);
    expect(this.#messages(FAILING)).toMatchObject([
      { level: 50, reason: fix === undefined ? reason : expect.stringContaining(`${reason}; fix: ${fix}`) },
    ]);
  }

  /** Waits until the operator has been told this, and sees that it was once. */
  async told(message: string, says: string | RegExp): Promise<void> {
    await eventually(async () => {
      await this.#look();
      return this.#messages(message).length > 0 ? true : null;
    });
    const texts = this.#messages(message).map((line) => JSON.stringify(line));
    expect(texts).toEqual([expect.stringMatching(says)]);
  }

  /** Waits until queries are recorded again; then no query was lost all the time, and nothing was told twice. */
  async recovers(): Promise<void> {
    await eventually(async () => {
      await this.#look();
      return this.#messages(WELL).length > 0 ? true : null;
    }, RETRY_LIMIT_MS);
    const { body } = await this.#api.get("/readyz");
    expect(JSON.stringify(body)).not.toContain("query log");
    expect((await this.#api.get("/metrics")).body).toMatch(/^fenliu_log_up 1$/m);
    this.#answering = await this.#asker.end();
    expect(this.#answering.wrong).toBe(0);
    expect(this.#messages(FAILING)).toHaveLength(1);
    expect(this.#messages(WELL)).toMatchObject([{ level: 30, dropped: 0 }]);
  }

  /** Every query that was asked is in the store, those of the time of the fault too. */
  async lostNothing(): Promise<void> {
    await this.#look();
    expect((await allRecords(this.#api)).filter(({ name }) => name === "nas.lan")).toHaveLength(this.#answering?.asked ?? -1);
  }

  /** A search has what waits stored first. */
  async #look(): Promise<void> {
    await sleep(LOOK_MS);
    await this.#api.get("/api/v1/queries?limit=1");
  }

  #messages(message: string): readonly Readonly<Record<string, unknown>>[] {
    const lines = this.#fenliu.output().slice(this.#before).split("\n").slice(0, -1);
    return lines.map((line) => JSON.parse(line)).filter(({ msg }) => msg === message);
  }
}

/** After a fault the store is tried after 1, 2, 4, 8 seconds. */
const RETRY_LIMIT_MS = 20_000;

test("after repeated kills during writes, every record that could be read before can be read", async () => {
  const folder = scene.subfolder("killed");
  const store = join(folder, "queries.db");
  const seen = new Set<number>();
  for (let round = 0; round < KILLS; round++) {
    const fenliu = await startFenliu(folder, config(store));
    const api = apiOf(fenliu);
    expect(missingFrom(await allRecords(api), seen)).toEqual([]);
    const asker = await SteadyAsker.open(fenliu.ports.dns, "nas.lan", "10.0.0.5");
    const dying = sleep(400 + Math.random() * 400).then(() => fenliu.stop("SIGKILL"));
    // Each search has what waits stored first, so that the end comes while something is written.
    for (let alive = true; alive; ) {
      const found = await recordsOf(api, "name=nas.lan").catch(() => null);
      for (const { id } of found ?? []) seen.add(id);
      alive = found !== null;
    }
    await dying;
    void asker.end();
    expect(fenliu.output()).not.toContain(FAILING);
  }
  expect(seen.size).toBeGreaterThan(KILLS);
  const fenliu = await startFenliu(folder, config(store));
  expect(missingFrom(await allRecords(apiOf(fenliu)), seen)).toEqual([]);
  await fenliu.stop();
  const database = new DatabaseSync(store, { readOnly: true });
  expect(database.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
  database.close();
});

const KILLS = 4;

function missingFrom(records: readonly { readonly id: number }[], ids: ReadonlySet<number>): number[] {
  return [...ids.difference(new Set(records.map(({ id }) => id)))];
}

test("private files can be read only by their user, for any umask", async () => {
  const folder = scene.subfolder("modes");
  const file = join(folder, "fenliu.yaml");
  writeFileSync(join(folder, "ads.txt"), "ads.example\n");
  const more = 'lists: { ads: { domains: [ads.txt] } }\nrules: [{ name: ads, domains: "list:ads", answer: nodata }]\n';
  writeFileSync(file, `${config("data/queries.db")}${more}`);
  const fenliu = await scene.add(start("sh", ["-c", 'umask 0; exec "$@"', "sh", ...fenliuCommand(file)], /Fenliu is answering/));
  const port = (kind: string) => Number(new RegExp(`"${kind}":"127.0.0.1:(\\d+)`).exec(fenliu.output())?.[1]);
  expect((await dig(port("dns"), "ads.example")).status).toBe("NOERROR");
  const api = apiOf({ ports: { dns: 0, dns6: 0, tls: 0, https: 0, http: 0, admin: port("admin") } });
  expect(await recordsOf(api, "name=ads.example")).toHaveLength(1);
  expect(await api.get("/api/v1/versions")).toMatchObject({ body: [{ missing: [] }] });
  const entries = readdirSync(join(folder, "data"), { recursive: true, withFileTypes: true });
  const modes = entries.map((entry) => {
    const mode = statSync(join(entry.parentPath, entry.name)).mode & 0o777;
    return `${entry.isDirectory() ? "folder" : "file"} ${mode.toString(8)}`;
  });
  // The store with its two companions, the versions with their contents, and the texts of the configuration.
  expect(modes.toSorted()).toEqual([...Array(8).fill("file 600"), ...Array(3).fill("folder 700")]);
});

const CANNOT_MOUNT = "no file system can be mounted here: that takes root, outside most containers";

/** Mounts a file system in memory there, until the scene ends; false where that is not permitted. */
async function mounted(folder: string, size: string): Promise<boolean> {
  const { status } = await run("mount", ["-t", "tmpfs", "-o", `size=${size}`, "tmpfs", folder]);
  if (status === 0) scene.defer(() => run("umount", ["-l", folder]));
  return status === 0;
}

/** Takes all room that a file system has left. */
async function fill(path: string): Promise<void> {
  const file = await open(path, "w");
  const block = Buffer.alloc(4096);
  try {
    for (;;) await file.write(block);
  } catch (error) {
    expect(error).toMatchObject({ code: "ENOSPC" });
  } finally {
    await file.close();
  }
}

/** Writes nonsense over all of a file. */
function overwrite(path: string): void {
  const file = openSync(path, "r+");
  const { size } = statSync(path);
  writeSync(file, Buffer.alloc(size, 0x5a), 0, size, 0);
  closeSync(file);
}

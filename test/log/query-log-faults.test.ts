import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { DatabaseSync } from "node:sqlite";
import { fileURLToPath } from "node:url";
import { describe, expect, onTestFinished, test } from "vitest";
import { allParts } from "../../src/log/maintenance.ts";
import { Reader } from "../../src/log/reader.ts";
import type { LogEvent } from "../../src/log/writer.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { directory } from "../support/files.ts";
import { isThorough } from "../support/properties.ts";
import { EVERYTHING, found, type Opened, opened, records } from "./opened.ts";
import { canMount, fill, smallDisk } from "./small-disk.ts";
import { partRecords } from "./store/opened-store.ts";

/** Lets the next try after a fault begin, and waits for what is reported of it. */
async function afterRetry({ clock, events }: Opened, waitMs = 1000): Promise<LogEvent> {
  await clock.advance(waitMs);
  return events.next();
}

describe("a store that cannot be written", () => {
  test("an impossible path is reported once, and logging begins by itself once the path is free", async () => {
    const path = join(directory(), "queries.db");
    mkdirSync(path);
    const site = await opened(path);
    const { log, append, events, clock } = site;
    expect(await events.next()).toMatchObject({ kind: "failing", file: path, reason: "the file cannot be opened" });
    append(records(10));
    await expect(log.get(1)).rejects.toMatchObject({
      kind: "unavailable",
      message: expect.stringMatching(/^the query log cannot be read: /),
    });
    expect(log.status()).toMatchObject({
      state: "failing",
      fault: { reason: "the file cannot be opened" },
      waiting: 10,
      stored: 0,
    });
    for (const waitMs of [1000, 2000, 4000]) await retried(site, waitMs);
    expect(events.pending).toEqual([]);
    rmdirSync(path);
    expect(await afterRetry(site, 8000)).toEqual({ kind: "well", file: path, dropped: 0 });
    expect(await found(log)).toBe(10);
    expect(log.status()).toMatchObject({ state: "well", fault: null });
    expect(clock.now()).toBe(15_000);
  });

  // A disk without room is a small one mounted here, which only root may do; without that it could only be pretended.
  test.skipIf(!canMount())(
    "a disk without room: what is stored is still found, and logging resumes when there is room",
    async () => {
      const folder = smallDisk("2m");
      const site = await opened(join(folder, "queries.db"));
      const { log, append, events } = site;
      append(records(1000));
      expect(await found(log)).toBe(1000);
      fill(join(folder, "ballast"));
      let added = 1000;
      for (; events.pending.length === 0; added += 1000) {
        append(records(1000, added));
        await log.get(1);
      }
      expect(await events.next()).toMatchObject({ kind: "failing", reason: "the disk is full" });
      const stored = await found(log);
      expect(stored).toBe(log.status().stored);
      expect(stored + log.status().waiting).toBe(added);
      await retried(site, 1000);
      expect(events.pending).toEqual([]);
      rmSync(join(folder, "ballast"));
      expect(await afterRetry(site, 2000)).toMatchObject({ kind: "well", dropped: 0 });
      expect(await found(log)).toBe(added);
    },
  );

  // Neither do modes keep root from writing: a disk that is mounted read-only does, and mounting wants root.
  test.skipIf(!canMount())("a file that becomes read-only: what is stored is still found, and logging resumes", async () => {
    const folder = smallDisk("8m");
    const site = await opened(join(folder, "queries.db"));
    const { log, append, events } = site;
    append(records(100));
    await log.close();
    execFileSync("/bin/mount", ["-o", "remount,ro", folder]);
    const again = await opened(join(folder, "queries.db"));
    expect(events.pending).toEqual([]);
    expect(await again.events.next()).toMatchObject({
      kind: "failing",
      reason: expect.stringMatching(/cannot be (written|opened)/),
    });
    again.append(records(100, 100));
    expect(await found(again.log)).toBe(100);
    execFileSync("/bin/mount", ["-o", "remount,rw", folder]);
    expect(await afterRetry(again)).toMatchObject({ kind: "well" });
    expect(await found(again.log)).toBe(200);
  });

  test("a file that cannot be opened for another reason is not read without its write-ahead log, and not taken for damaged", async () => {
    const { log, append, path } = await opened();
    append(records(10));
    expect(await found(log)).toBe(10);
    await log.close();
    mkdirSync(`${path}-wal`);
    const damages: unknown[] = [];
    const reader = new Reader(path, { clock: fakeClock(), damaged: (fault) => damages.push(fault) });
    onTestFinished(() => reader.close());
    await expect(reader.get(1)).rejects.toMatchObject({ kind: "unavailable" });
    rmdirSync(`${path}-wal`);
    expect(await reader.search({ filter: EVERYTHING, limit: 100, cursor: null })).toMatchObject({ records: { length: 10 } });
    expect(damages).toEqual([]);
  });

  test("while another process holds a lock, no record is lost", async () => {
    const site = await opened();
    const { log, append, events, path } = site;
    append(records(10));
    expect(await found(log)).toBe(10);
    const holder = await locking(path);
    append(records(10, 10));
    expect(await found(log)).toBe(10);
    expect(await events.next()).toMatchObject({ kind: "failing", reason: "another process holds a lock on the file" });
    // Those of the records that wait are not known.
    await expect(log.versions()).rejects.toThrow("wait to be stored");
    holder.stdin?.end();
    await once(holder, "exit");
    expect(await afterRetry(site)).toMatchObject({ kind: "well", dropped: 0 });
    expect(await found(log)).toBe(20);
    expect(await log.versions()).toEqual(["7f3a91c2"]);
  });

  test("records that cannot be stored at closing are reported", async () => {
    const { log, append, events, path } = await opened();
    append(records(10));
    expect(await found(log)).toBe(10);
    await locking(path);
    append(records(10, 10));
    expect(await found(log)).toBe(10);
    expect(await events.next()).toMatchObject({ kind: "failing" });
    await log.close();
    expect(events.pending).toEqual([{ kind: "lost", file: path, records: 10 }]);
    expect(log.status()).toMatchObject({ stored: 10, dropped: 10, waiting: 0 });
  });

  test("a log that is closed with patience waits for the end of the lock, and stores all", async () => {
    const { log, append, events, clock, path } = await opened();
    append(records(10));
    expect(await found(log)).toBe(10);
    const holder = await locking(path);
    append(records(10, 10));
    const closed = log.close(30_000);
    expect(await events.next()).toMatchObject({ kind: "failing" });
    holder.stdin?.end();
    await once(holder, "exit");
    await clock.advance(1000);
    await closed;
    expect(events.pending.filter(({ kind }) => kind === "lost")).toEqual([]);
    expect(await found((await opened(path)).log)).toBe(20);
  });

  test("a lock at the start delays the log alone", async () => {
    const first = await opened();
    await first.log.close();
    const holder = await locking(first.path);
    const site = await opened(first.path);
    expect(await site.events.next()).toMatchObject({ kind: "failing", reason: "another process holds a lock on the file" });
    holder.stdin?.end();
    await once(holder, "exit");
    expect(await afterRetry(site)).toMatchObject({ kind: "well" });
  });
});

describe("a file that goes away", () => {
  test("a database deleted while open is replaced by a new one at once", async () => {
    const { log, append, events, path } = await opened();
    append(records(10));
    expect(await found(log)).toBe(10);
    rmSync(path);
    append(records(10, 10));
    expect(await found(log)).toBe(10);
    expect(await events.next()).toMatchObject({ kind: "failing", reason: "the file was deleted or replaced while it was open" });
    expect(await events.next()).toMatchObject({ kind: "well", dropped: 0 });
    expect(log.status()).toMatchObject({ state: "well", rows: 10, stored: 20 });
  });

  test("a folder deleted while the database is open is made anew, with the database", async () => {
    const site = await opened(join(directory(), "data", "queries.db"));
    const { log, append, events, path } = site;
    append(records(10));
    expect(await found(log)).toBe(10);
    rmSync(dirname(path), { recursive: true });
    append(records(10, 10));
    expect(await found(log)).toBe(10);
    expect([await events.next(), await events.next()]).toMatchObject([{ kind: "failing" }, { kind: "well" }]);
  });

  test("an older copy put in the place of the database is used, and not mixed with the replaced file", async () => {
    const { log, append, path } = await opened();
    append(records(10));
    expect(await found(log)).toBe(10);
    const copy = `${path}.copy`;
    new DatabaseSync(path).exec(`VACUUM INTO '${copy}'`);
    append(records(3000, 10));
    expect(await found(log)).toBe(3010);
    renameSync(copy, path);
    append(records(5, 5000));
    expect(await found(log)).toBe(15);
    expect(integrity(path)).toBe("ok");
  });
});

describe("a damaged file", () => {
  test("a file that is no database is quarantined, and a new database begins", async () => {
    const path = join(directory(), "queries.db");
    writeFileSync(path, "a letter to my aunt\n".repeat(1000));
    const { log, append, events } = await opened(path);
    expect(await events.next()).toMatchObject({ kind: "failing", reason: "the file is no database" });
    const renewed = await events.next();
    expect(renewed).toMatchObject({
      kind: "renewed",
      file: path,
      aside: expect.stringMatching(/queries\.db\.damaged-2026-11-21T210311Z$/),
    });
    expect(await events.next()).toMatchObject({ kind: "well" });
    expect(readFileSync(renewed.kind === "renewed" ? renewed.aside : "", "utf8")).toContain("aunt");
    append(records(10));
    expect(await found(log)).toBe(10);
  });

  test("damage found at the start quarantines the file", async () => {
    const path = await closedLog();
    overwrite(path, 4096);
    await expectRenewal(await opened(path));
    expect(integrity(path)).toBe("ok");
  });

  test("damage found by a search fails the search, and logging goes on in a new file", async () => {
    const path = await closedLog();
    const again = await opened(path);
    const { size } = statSync(path);
    overwrite(path, size / 2, 4096 * 20);
    await expect(found(again.log)).rejects.toMatchObject({ kind: "unavailable" });
    await expectRenewal(again);
  });

  test("damage that an export comes upon late is found all the same", async () => {
    const path = await closedLog();
    const database = new DatabaseSync(path);
    // The names of the oldest records.
    database.exec("UPDATE columns_20261121 SET data = zeroblob(100) WHERE place = 17");
    database.close();
    const damages: unknown[] = [];
    const slice = { budgetMs: 1000, stepRows: 500 };
    const reader = new Reader(path, { clock: fakeClock(), damaged: (fault) => damages.push(fault), slice });
    onTestFinished(() => reader.close());
    let slices = 0;
    const reading = async () => {
      for await (const text of reader.read(EVERYTHING, "ndjson", new AbortController().signal)) slices += Math.sign(text.length);
    };
    await expect(reading()).rejects.toMatchObject({ kind: "unavailable" });
    expect(slices).toBeGreaterThan(0);
    expect(damages).toMatchObject([{ kind: "damaged" }]);
  });

  test("at most two quarantined files are kept", async () => {
    const path = join(directory(), "queries.db");
    for (let round = 0; round < 4; round++) {
      writeFileSync(path, "no database".repeat(1000));
      const { log, events, clock } = await opened(path);
      await events.next();
      expect(await events.next()).toMatchObject({ kind: "renewed" });
      await log.close();
      await clock.advance(1000);
      for (const name of readdirSync(dirname(path)).filter((name) => name.includes(".damaged-2026")))
        renameSync(join(dirname(path), name), join(dirname(path), name.replace("2026", `202${round}`)));
    }
    expect(readdirSync(dirname(path)).filter((name) => name.includes(".damaged-"))).toHaveLength(2);
  });

  test("a database of another program is never touched", async () => {
    const path = join(directory(), "queries.db");
    const other = new DatabaseSync(path);
    onTestFinished(() => other.close());
    other.exec("CREATE TABLE recipes (name TEXT)");
    const before = readFileSync(path);
    const { log, append, events } = await opened(path);
    expect(await events.next()).toMatchObject({ kind: "failing", reason: "the file is a database of another program" });
    append(records(10));
    await log.get(1).catch(() => null);
    await log.close();
    expect(other.prepare("SELECT count(*) AS tables FROM sqlite_schema").get()).toEqual({ tables: 1 });
    expect(readFileSync(path).equals(before)).toBe(true);
  });
});

/** The path of a log with many records, which is closed. */
async function closedLog(): Promise<string> {
  const { log, append, path } = await opened();
  append(records(20_000));
  expect(await found(log)).toBe(20_000);
  await log.close();
  return path;
}

/** Expects that the damage is reported and that a new file takes records. */
async function expectRenewal({ log, append, events }: Opened): Promise<void> {
  expect([await events.next(), await events.next(), await events.next()]).toMatchObject([
    { kind: "failing", reason: "the file is damaged" },
    { kind: "renewed" },
    { kind: "well" },
  ]);
  append(records(10));
  expect(await found(log)).toBe(10);
}

describe("a process that is killed", () => {
  test("after any number of kills the file is whole and every record in it can be read", async () => {
    const path = join(directory(), "queries.db");
    let rows = 0;
    const rounds = isThorough ? 8 : 3;
    for (let round = 0; round < rounds; round++) {
      const child = spawn(process.execPath, [fileURLToPath(new URL("./appender.ts", import.meta.url)), path], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      const [first] = await once(child.stdout, "data");
      expect(String(first)).toBe("adding\n");
      await new Promise((resolve) => setTimeout(resolve, Math.random() * 150));
      child.kill("SIGKILL");
      await once(child, "exit");
      const database = new DatabaseSync(path);
      expect(database.prepare("PRAGMA integrity_check").get()).toEqual({ integrity_check: "ok" });
      rows = 0;
      for (const part of allParts(database)) {
        const stored = partRecords(database, part.key);
        expect(stored).toHaveLength(part.rows);
        for (const record of stored) expect(record).toMatchObject({ rule: "split", line: 4711 });
        const counted = database.prepare(`SELECT sum(count) AS count FROM kind_minutes_${part.key}`).get();
        expect(counted).toEqual({ count: part.rows });
        rows += part.rows;
      }
      database.close();
    }
    expect(rows).toBeGreaterThanOrEqual(rounds * 300);
    const { log } = await opened(path, { wallMs: Date.now() });
    expect((await log.search({ filter: EVERYTHING, limit: 1000, cursor: null })).records).toHaveLength(Math.min(1000, rows));
  });
});

/** Waits until a further try after a fault has failed as well. */
async function retried({ clock, log }: Opened, waitMs: number): Promise<void> {
  await clock.advance(waitMs);
  // The next call of the thread is answered after the try.
  await log.get(1).catch(() => null);
  expect(log.status().state).toBe("failing");
}

async function locking(path: string): Promise<ChildProcess> {
  const holder = spawn(process.execPath, [fileURLToPath(new URL("./lock-holder.ts", import.meta.url)), path], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  onTestFinished(() => {
    holder.kill();
  });
  await once(holder.stdout, "data");
  return holder;
}

/** Writes nonsense over a file, to its end or so many bytes. */
function overwrite(path: string, offset: number, length = statSync(path).size - offset): void {
  const file = openSync(path, "r+");
  writeSync(file, Buffer.alloc(length, 0x5a), 0, length, offset);
  closeSync(file);
}

function integrity(path: string): unknown {
  const database = new DatabaseSync(path);
  onTestFinished(() => database.close());
  return database.prepare("PRAGMA integrity_check").get()?.["integrity_check"];
}

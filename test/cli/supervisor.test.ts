import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { Supervisor } from "../../src/cli/supervisor.ts";
import { fakeClock } from "../support/fake-clock.ts";
import { directory } from "../support/files.ts";

/** A `systemd-notify` that records its arguments. */
function recorder() {
  const folder = directory();
  const file = join(folder, "told");
  writeFileSync(file, "");
  writeFileSync(join(folder, "systemd-notify"), `#!/bin/sh\necho "$NOTIFY_SOCKET $*" >> ${file}\n`);
  chmodSync(join(folder, "systemd-notify"), 0o755);
  return { PATH: `${folder}:${process.env["PATH"]}`, told: () => readFileSync(file, "utf8").trim().split("\n") };
}

test("systemd is told when the server answers, and three times in the time of its watchdog that it still turns", async () => {
  const { PATH, told } = recorder();
  const clock = fakeClock();
  const failures: string[] = [];
  const supervisor = new Supervisor(
    { PATH, NOTIFY_SOCKET: "/run/n", WATCHDOG_USEC: "60000000" },
    (reason) => failures.push(reason),
    clock,
  );
  const isHeard = supervisor.noteReady();
  const line = (state: string) => `/run/n --pid=${process.pid} ${state}`;
  await expect.poll(told).toEqual([line("READY=1")]);
  expect(await isHeard).toBe(true);
  await clock.advance(19_000);
  await clock.advance(1000);
  await expect.poll(told).toEqual([line("READY=1"), line("WATCHDOG=1")]);
  await supervisor.close();
  await clock.advance(60_000);
  expect(told()).toHaveLength(2);
  expect(failures).toEqual([]);
});

test("without a supervisor nothing is told, and one that cannot be told is reported", async () => {
  const { PATH, told } = recorder();
  const failures: string[] = [];
  const onFailure = (reason: string) => failures.push(reason);
  expect(await new Supervisor({ PATH }, onFailure).noteReady()).toBe(false);
  expect(await new Supervisor({ PATH: "/nowhere", NOTIFY_SOCKET: "/run/n" }, onFailure).noteReady()).toBe(false);
  expect(failures).toEqual([expect.stringContaining("ENOENT")]);
  expect(told()).toEqual([""]);
});

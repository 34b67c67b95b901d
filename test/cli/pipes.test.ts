import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { closeSync, existsSync, openSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

const start = fileURLToPath(new URL("../../start.mjs", import.meta.url));

test("a reader that closes the pipe ends a command without a complaint", async () => {
  // Node itself complains of some environments, such as one with both NO_COLOR and FORCE_COLOR.
  const child = spawn(process.execPath, [start, "--help"], { stdio: ["ignore", "pipe", "pipe"], env: {} });
  child.stdout.destroy();
  let told = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    told += text;
  });
  const [code] = await once(child, "close");
  expect({ code, told }).toEqual({ code: 0, told: "" });
});

// Only Linux has a device that is always full.
test.skipIf(!existsSync("/dev/full"))("a full disk behind stdout is reported and a failure", () => {
  const full = openSync("/dev/full", "w");
  const { status, stderr } = spawnSync(process.execPath, [start, "--help"], {
    stdio: ["ignore", full, "pipe"],
    env: {},
    encoding: "utf8",
  });
  closeSync(full);
  expect(status).toBe(1);
  expect(stderr).toMatch(/^fenliu: what is printed cannot be written: .*ENOSPC.*\n$/);
});

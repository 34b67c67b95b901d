import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

test("who does not read on ends a command without a complaint", async () => {
  const start = fileURLToPath(new URL("../../start.mjs", import.meta.url));
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

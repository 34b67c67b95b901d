// `npm test`: every check that needs nothing but Node and npm, in one run, closing on a line that counts the tests.

import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const scratch = mkdtempSync(join(tmpdir(), "fenliu-test-"));
const report = join(scratch, "report.json");

const checks = [
  ["tsc", ["--noEmit"]],
  ["biome", ["check", "--error-on-warnings", "."]],
  ["oxlint", ["--type-aware", "--deny-warnings", "src", "test", "bench", "tools"]],
  ["knip", []],
];

try {
  for (const [command, args] of checks) run(command, args);
  const status = spawnSync(
    "vitest",
    ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...process.argv.slice(2)],
    {
      stdio: "inherit",
      shell: process.platform === "win32",
    },
  ).status;
  const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, "utf8"));
  console.log(`\n${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped`);
  process.exitCode = status ?? 1;
} finally {
  rmSync(scratch, { recursive: true });
}

function run(command, args) {
  console.log(`> ${command} ${args.join(" ")}`);
  const { status } = spawnSync(command, args, { stdio: "inherit", shell: process.platform === "win32" });
  if (status === 0) return;
  console.error(`${command} found faults; the tests were not run.`);
  console.log("0 passed, 1 failed");
  process.exit(1);
}

// `npm test`: every check and test that needs nothing but Node and npm. `npm test -- ROOM`: the tests of one folder of test/, without the checks.
// `node tools/test.mjs clients`: the suites that need Debian's clients and servers. Each closes on a line that counts the tests.

import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const CHECKS = [
  "tsc --noEmit",
  "tsc --noEmit -p web/tsconfig.json",
  "node tools/house.ts",
  "biome check --error-on-warnings .",
  "oxlint --type-aware --deny-warnings src test bench tools web",
  "knip --no-progress",
  // What tests alone use belongs to the tests.
  "knip --no-progress --production",
];

const [suite, ...rest] = process.argv.slice(2);
process.exitCode =
  suite === "clients" ? runTests(["--config", "vitest.clients.config.ts", ...rest]) : runAll(process.argv.slice(2));

function runAll(args) {
  if (args.length > 0) return runTests(args.map((arg) => (existsSync(join("test", arg)) ? `test/${arg}/` : arg)));
  for (const check of CHECKS) {
    console.log(`> ${check}`);
    const [command = "", ...options] = check.split(" ");
    if (run(command, options) === 0) continue;
    console.log(`\n${command} found faults; the tests were not run.\n0 passed, 1 failed`);
    return 1;
  }
  return runTests([]);
}

function runTests(args) {
  const scratch = mkdtempSync(join(tmpdir(), "fenliu-test-"));
  const report = join(scratch, "report.json");
  try {
    const status = run("vitest", ["run", "--reporter=default", "--reporter=json", `--outputFile.json=${report}`, ...args]);
    const { numPassedTests, numFailedTests, numPendingTests } = JSON.parse(readFileSync(report, "utf8"));
    console.log(`\n${numPassedTests} passed, ${numFailedTests} failed, ${numPendingTests} skipped`);
    return status;
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function run(command, args) {
  return spawnSync(command, args, { stdio: "inherit", shell: process.platform === "win32" }).status ?? 1;
}

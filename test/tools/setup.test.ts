import { spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, test } from "vitest";
import { directory } from "../support/files.ts";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const START = "--omit=dev --include=optional";
const ALL = "--include=dev --include=optional";

/** A checkout with an npm that writes down what it is told, and installs an empty package of development where it is told to. */
let tree: string;
let log: string;

beforeEach(() => {
  tree = directory();
  log = join(tree, "log");
  mkdirSync(join(tree, "tools"));
  cpSync(join(ROOT, "tools/setup.mjs"), join(tree, "tools/setup.mjs"));
  writeFileSync(join(tree, "package.json"), '{ "devDependencies": { "checker": "1.0.0" } }');
  writeFileSync(join(tree, "package-lock.json"), "{}");
  npm("");
});

function npm(ending: string): void {
  writeFileSync(
    join(tree, "npm.cjs"),
    `const { appendFileSync, mkdirSync } = require("node:fs");
appendFileSync("log", process.argv.slice(2).join(" ") + "\\n");
${ending}
mkdirSync("node_modules", { recursive: true });
if (process.argv.includes("--include=dev")) mkdirSync("node_modules/checker", { recursive: true });
`,
  );
}

/** Runs the set-up, and gives the kinds of packages that npm was told to install, if it was called. */
function setUp(...args: readonly string[]): string | null {
  rmSync(log, { force: true });
  const env = { ...process.env, npm_execpath: join(tree, "npm.cjs") };
  spawnSync(process.execPath, [join(tree, "tools/setup.mjs"), ...args], { env });
  if (!existsSync(log)) return null;
  const [, kinds = ""] = /^install --no-save --ignore-scripts (.*) --loglevel=error\n$/.exec(readFileSync(log, "utf8")) ?? [];
  return kinds;
}

describe("the set-up before a start", () => {
  test("installs once what a start needs, and no packages of development", () => {
    expect(setUp()).toBe(START);
    expect(setUp()).toBe(null);
  });

  test("leaves the packages of development where they are", () => {
    setUp("all");
    expect(setUp()).toBe(null);
  });

  test("keeps them also where another lock came", () => {
    setUp("all");
    writeFileSync(join(tree, "package-lock.json"), '{ "lockfileVersion": 3 }');
    expect(setUp()).toBe(ALL);
    expect(setUp("all")).toBe(null);
  });

  test("keeps those that somebody installed by hand", () => {
    mkdirSync(join(tree, "node_modules/checker"), { recursive: true });
    expect(setUp()).toBe(ALL);
  });

  test("installs again after an installation that failed", () => {
    npm("process.exit(1);");
    expect(setUp()).toBe(START);
    npm("");
    expect(setUp()).toBe(START);
    expect(setUp()).toBe(null);
  });
});

test("the set-up before tests adds the packages of development to those of a start", () => {
  setUp();
  expect(setUp("all")).toBe(ALL);
  expect(setUp("all")).toBe(null);
});

test("an installation of everything that failed does not make a start install everything", () => {
  setUp();
  npm("process.exit(1);");
  setUp("all");
  npm("");
  expect(setUp()).toBe(START);
});

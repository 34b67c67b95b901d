import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** A checkout whose program prints one line. */
let tree: string;

beforeEach(() => {
  tree = mkdtempSync(join(tmpdir(), "fenliu-start-"));
  for (const file of [
    "start.mjs",
    "tools/build.mjs",
    "tools/build-web.mjs",
    "tsconfig.json",
    "package.json",
    "package-lock.json",
  ])
    cpSync(join(ROOT, file), join(tree, file));
  symlinkSync(join(ROOT, "node_modules"), join(tree, "node_modules"));
  cpSync(join(ROOT, "web/index.html"), join(tree, "web/index.html"));
  mkdirSync(join(tree, "web/style"));
  writeFileSync(join(tree, "web/main.tsx"), "document.title = 'first';\n");
  writeFileSync(join(tree, "web/style/base.css"), "p { margin: 0 }\n");
  mkdirSync(join(tree, "src"));
  writeSource('const said: string = "first";\nprocess.stdout.write(said);\n');
});

afterEach(() => rmSync(tree, { recursive: true }));

function writeSource(text: string): void {
  writeFileSync(join(tree, "src/main.ts"), text);
}

function start(): { readonly out: string; readonly err: string } {
  const { stdout, stderr } = spawnSync(process.execPath, ["start.mjs"], { cwd: tree, encoding: "utf8" });
  return { out: stdout, err: stderr };
}

describe("a start from a checkout", () => {
  test("compiles the sources, and what was compiled runs", () => {
    expect(start().out).toBe("first");
    expect(existsSync(join(tree, "dist/server/main.js"))).toBe(true);
  });

  test("never runs a compiled file that is older than its source", () => {
    start();
    writeSource('const said: string = "second";\nprocess.stdout.write(said);\n');
    expect(start().out).toBe("second");
  });

  test("never runs a compiled file whose source was changed and has its size and date of before", () => {
    const { atime, mtime } = statSync(join(tree, "src/main.ts"));
    start();
    writeSource('const said: string = "fifth";\nprocess.stdout.write(said);\n');
    utimesSync(join(tree, "src/main.ts"), atime, mtime);
    expect(start().out).toBe("fifth");
  });

  test("compiles nothing anew where a source has another date alone", () => {
    start();
    const compiled = statSync(join(tree, "dist")).ino;
    utimesSync(join(tree, "src/main.ts"), 1, 1);
    for (let turn = 0; turn < 2; turn++) expect(start().out).toBe("first");
    expect(statSync(join(tree, "dist")).ino).toBe(compiled);
  });

  test("without a bundler runs the sources by stripping their types, and says why", () => {
    rmSync(join(tree, "node_modules"));
    const { out, err } = start();
    expect(out).toBe("first");
    expect(err).toContain("dist/ cannot be made: Cannot find module 'esbuild'");
  });

  test("says at which line a source cannot be read", () => {
    writeSource("const said = ;\n");
    expect(start().err).toContain("main.ts:1:13: ERROR");
  });

  test("leaves nothing beside dist", () => {
    start();
    start();
    expect(readdirSync(tree).filter((name) => name.startsWith(".dist"))).toEqual([]);
  });
});

test("a start without sources runs the compiled files alone", () => {
  start();
  for (const folder of ["src", "tools", "node_modules"]) rmSync(join(tree, folder), { recursive: true });
  expect(start().out).toBe("first");
});

describe("the allocator of the C library", () => {
  /** What a shell's command sets of it, where `node` prints its environment. */
  function settings(command: string, env: Readonly<Record<string, string>> = {}): string[] {
    const bin = join(tree, "bin");
    mkdirSync(bin, { recursive: true });
    cpSync(join(ROOT, "tools/launcher.sh"), join(bin, "fenliu"));
    writeFileSync(join(bin, "node"), "#!/bin/sh\nenv\n");
    for (const name of ["node", "fenliu"]) chmodSync(join(bin, name), 0o755);
    const PATH = `${bin}:${process.env["PATH"]}`;
    const { stdout } = spawnSync("sh", ["-c", command], { cwd: tree, encoding: "utf8", env: { PATH, ...env } });
    return stdout
      .split("\n")
      .filter((line) => line.startsWith("MALLOC_"))
      .toSorted();
  }
  const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));

  test("is told by the launcher and by `npm start` alike to keep few arenas", () => {
    expect(settings("exec bin/fenliu")).toContain("MALLOC_ARENA_MAX=2");
    expect(settings(scripts.start)).toEqual(settings("exec bin/fenliu"));
  });

  test("is left as the operator has set it", () => {
    const env = { MALLOC_ARENA_MAX: "7", MALLOC_TRIM_THRESHOLD_: "9" };
    for (const command of ["exec bin/fenliu", scripts.start])
      expect(settings(command, env)).toEqual(["MALLOC_ARENA_MAX=7", "MALLOC_TRIM_THRESHOLD_=9"]);
  });
});

// Installs what is missing, before `npm start` and `npm test`. Plain JavaScript without dependencies, for any Node that has npm:
// the Node that Fenliu runs on is itself one of the packages installed here.
//
// `node tools/setup.mjs`: what a start needs. `node tools/setup.mjs all`: what checks and tests need besides (devDependencies).
// A start needs more than the server does: the runtime, and what dist/ is made with. These are the optionalDependencies, because an image and an
// archive leave them out, and because a start goes on, from the sources, where a registry lacks a compiler for its platform.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, "node_modules");
/** Says what was installed: the digest of the lock, the platform, and `start` or `all`. */
const stampFile = join(modules, ".fenliu-setup");

const lock = createHash("sha256")
  .update(readFileSync(join(root, "package-lock.json")))
  .digest("hex");
const platform = `${process.platform}-${process.arch}`;

// A start takes nothing away from who develops, whoever installed it.
const { devDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const develops = Object.keys(devDependencies).some((name) => existsSync(join(modules, name)));
const wanted = process.argv[2] === "all" || develops ? "all" : "start";
const stamp = `${lock} ${platform} ${wanted}\n`;

if (!existsSync(stampFile) || readFileSync(stampFile, "utf8") !== stamp) {
  process.stderr.write("Fenliu: installing packages (once, about a quarter of a minute) …\n");
  // What breaks off halfway is not what the stamp says.
  rmSync(stampFile, { force: true });
  install();
  writeFileSync(stampFile, stamp);
}

function install() {
  const npm = process.env.npm_execpath;
  const [command, first] = npm?.endsWith("js") ? [process.execPath, [npm]] : ["npm", []];
  // `npm ci` refuses a lock that was written where a registry lacked some optional platform package, hence `install` with `--no-save`.
  const kinds = [wanted === "all" ? "--include=dev" : "--omit=dev", "--include=optional"];
  const args = ["install", "--no-save", "--ignore-scripts", ...kinds, "--loglevel=error"];
  const { status, error } = spawnSync(command, [...first, ...args], {
    cwd: root,
    stdio: ["ignore", 2, 2],
    shell: command === "npm" && process.platform === "win32",
  });
  if (status === 0) return;
  process.stderr.write(`Fenliu: npm ${args.join(" ")} failed${error ? `: ${error.message}` : ""}; nothing was started.\n`);
  process.exit(1);
}

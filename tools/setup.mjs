// Installs what is missing, before `npm start` and `npm test`. Plain JavaScript without dependencies, for any Node that has npm:
// the Node that Fenliu runs on is itself one of the packages installed here (optionalDependencies).

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const modules = join(root, "node_modules");
const stampFile = join(modules, ".fenliu-setup");

// `npm ci` refuses a lock that was written where a registry lacked some optional platform package, hence `install` with `--no-save`.
const INSTALL = ["install", "--no-save", "--ignore-scripts", "--include=dev", "--include=optional", "--loglevel=error"];

const lock = createHash("sha256")
  .update(readFileSync(join(root, "package-lock.json")))
  .digest("hex");
const stamp = `${lock} ${process.platform}-${process.arch}\n`;

if (!existsSync(stampFile) || readFileSync(stampFile, "utf8") !== stamp) {
  process.stderr.write("Fenliu: installing packages (once, about a quarter of a minute) …\n");
  install();
  writeFileSync(stampFile, stamp);
}

function install() {
  const npm = process.env.npm_execpath;
  const [command, first] = npm?.endsWith("js") ? [process.execPath, [npm]] : ["npm", []];
  const { status, error } = spawnSync(command, [...first, ...INSTALL], {
    cwd: root,
    stdio: ["ignore", 2, 2],
    shell: command === "npm" && process.platform === "win32",
  });
  if (status === 0) return;
  process.stderr.write(`Fenliu: npm ${INSTALL.join(" ")} failed${error ? `: ${error.message}` : ""}; nothing was started.\n`);
  process.exit(1);
}

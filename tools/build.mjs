// Keeps dist/ what src/ and web/ say: `start.mjs` asks before it runs, wherever sources lie beside it. Plain JavaScript, for it runs before anything is built.
//
// dist/ bears the digest of what it was made of. Where the digest differs, it is made anew beside its place and moved there, so that a start that
// breaks off, or a second one at the same time, never leaves half of it. Compiled files cost 40 MiB and 100 ms less than stripping types at each start,
// and a few large ones 80 ms less than each source and each file of a package by itself. Types are checked by `npm test`.
// It also bears what the system said of the sizes and times of those files: while it says the same, nobody reads them.

import { createHash } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { buildWeb } from "./build-web.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, "dist");
const STAMP = ".sources";
const TIMES = ".times";

/** All that dist/ is made of, in the order of its names. */
function sourcePaths() {
  const sources = ["src", "web"].flatMap((room) =>
    readdirSync(join(root, room), { recursive: true, encoding: "utf8" }).map((path) => join(room, path)),
  );
  return [
    "tsconfig.json",
    "package-lock.json",
    "tools/build.mjs",
    "tools/build-web.mjs",
    ...sources.filter((path) => /\.(tsx?|css|html|svg)$/.test(path)).sort((a, b) => (a < b ? -1 : 1)),
  ];
}

/** The digest of all that dist/ is made of. */
function digestOf(paths) {
  const digest = createHash("sha256");
  for (const path of paths)
    digest
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update("\0");
  return digest.digest("hex");
}

/** Sizes and times of files. Nobody can set the time of the last change to a file. */
function timesOf(paths) {
  return paths
    .map((path) => {
      const { ino, size, mtimeMs, ctimeMs } = statSync(join(root, path));
      return `${path} ${ino} ${size} ${mtimeMs} ${ctimeMs}\n`;
    })
    .join("");
}

function hasStamp(name, text) {
  const stamp = join(dist, name);
  return existsSync(stamp) && readFileSync(stamp, "utf8") === text;
}

/** Makes dist/ anew where the sources have changed. @returns whether it is up to date now. */
export function build() {
  const paths = sourcePaths();
  // Before they are read: what changes meanwhile has another time at the next start.
  const times = timesOf(paths);
  if (hasStamp(TIMES, times)) return true;
  const digest = digestOf(paths);
  if (hasStamp(STAMP, digest)) {
    noteTimes(times);
    return true;
  }
  let fresh = null;
  try {
    fresh = mkdtempSync(join(root, ".dist-"));
    bundleServer(join(fresh, "server"));
    buildWeb(root, join(fresh, "web"));
    writeFileSync(join(fresh, STAMP), digest);
    writeFileSync(join(fresh, TIMES), times);
    // A folder for the moment is its owner's alone; a service may run as another user.
    chmodSync(fresh, 0o755);
    replaceDist(fresh);
    return true;
  } catch (error) {
    process.stderr.write(`Fenliu: dist/ cannot be made: ${error instanceof Error ? error.message : String(error)}\n`);
    return false;
  } finally {
    if (fresh !== null) rmSync(fresh, { recursive: true, force: true });
  }
}

/** The programs of threads: `src/` finds each beside itself, by its file name. */
const THREADS = ["log/reader-thread.ts", "log/writer-thread.ts", "listen/udp-thread.ts", "control/draft-thread.ts"];

/**
 * Bundles `src/` and the packages into one folder without folders, as deep as the rooms of `src/` are: what they find by `import.meta.url` lies where it
 * lay. A thread is a file by itself, because it has modules of its own.
 */
function bundleServer(folder) {
  const { buildSync } = createRequire(import.meta.url)("esbuild");
  const options = {
    absWorkingDir: join(root, "src"),
    outdir: folder,
    entryNames: "[name]",
    chunkNames: "[name]-[hash]",
    bundle: true,
    format: "esm",
    platform: "node",
    target: "node24",
    // One reads the files of its page beside itself. The other is CommonJS that is loaded when it is needed: of such a package the bundle would know no names.
    external: ["@fastify/swagger-ui", "undici"],
    // Packages in CommonJS ask for modules of Node with `require`.
    banner: { js: 'import { createRequire as requireFrom } from "node:module"; const require = requireFrom(import.meta.url);' },
    legalComments: "none",
    logLevel: "silent",
  };
  buildSync({ ...options, entryPoints: ["main.ts"], splitting: true });
  for (const thread of THREADS) if (existsSync(join(root, "src", thread))) buildSync({ ...options, entryPoints: [thread] });
}

function noteTimes(times) {
  try {
    writeFileSync(join(dist, TIMES), times);
  } catch {
    // dist/ is another user's: the files are read again the next time.
  }
}

function replaceDist(fresh) {
  const old = mkdtempSync(join(root, ".dist-"));
  if (existsSync(dist)) renameSync(dist, join(old, "dist"));
  renameSync(fresh, dist);
  rmSync(old, { recursive: true, force: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) process.exitCode = build() ? 0 : 1;

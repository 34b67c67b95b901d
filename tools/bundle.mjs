// `node tools/bundle.mjs FOLDER [--platform linux-arm64]`: lays out in FOLDER, which must not exist, a Fenliu that needs nothing but the system's C
// library: the runtime, dist/, production packages, the shipped configuration and rules. The image and the release archive are made of it.

import { spawnSync } from "node:child_process";
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { build } from "./build.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** What a bundle has beside the runtime and the packages. */
const SHIPPED = ["dist", "rules", "docs", "deploy", "fenliu.yaml", "start.mjs", "README.md", "package.json", "package-lock.json"];

export function bundle(folder, platform) {
  const { optionalDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
  const runtime = `node-${platform}`;
  if (optionalDependencies[runtime] === undefined) {
    const runtimes = Object.keys(optionalDependencies).filter((name) => name.startsWith("node-"));
    const known = runtimes.map((name) => name.slice("node-".length));
    throw new Error(`there is no runtime for ${platform}: choose one of ${known.join(", ")}`);
  }
  if (existsSync(folder)) throw new Error(`${folder} is there already`);
  if (!build()) throw new Error("the sources do not compile");
  mkdirSync(folder, { recursive: true });
  for (const name of SHIPPED) if (existsSync(join(ROOT, name))) cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  cpSync(join(ROOT, ".npmrc"), join(folder, ".npmrc"));
  run("npm", ["install", "--no-save", "--ignore-scripts", "--omit=dev", "--omit=optional", "--loglevel=error"], folder);
  for (const left of [".npmrc", "node_modules/.package-lock.json", "dist/.times"]) rmSync(join(folder, left), { force: true });
  mkdirSync(join(folder, "bin"));
  fetchRuntime(`${runtime}@${optionalDependencies[runtime]}`, join(folder, "bin"));
  mkdirSync(join(folder, "lib"));
  if (platform.startsWith("linux-")) fetchLibatomic(platform, join(folder, "lib"));
  cpSync(join(ROOT, "tools/launcher.sh"), join(folder, "bin", "fenliu"));
  for (const name of readdirSync(join(folder, "bin"))) chmodSync(join(folder, "bin", name), 0o755);
}

/** Takes the one binary out of a package of the runtime, whose integrity npm checks. */
function fetchRuntime(name, target) {
  const scratch = mkdtempSync(join(tmpdir(), "fenliu-runtime-"));
  try {
    const archive = run("npm", ["pack", name, "--silent", "--pack-destination", scratch], scratch).trim().split("\n").at(-1);
    run("tar", ["-xzf", join(scratch, archive), "-C", scratch, "package/bin/node"], scratch);
    cpSync(join(scratch, "package/bin/node"), join(target, "node"));
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

/** Debian's names for the architectures of the runtime. */
const ARCHITECTURES = { "linux-x64": ["amd64", "x86_64-linux-gnu"], "linux-arm64": ["arm64", "aarch64-linux-gnu"] };

/** The runtime wants libatomic, which a slim system lacks: of this system, else of Debian's package for the architecture. */
function fetchLibatomic(platform, target) {
  const [architecture, triplet] = ARCHITECTURES[platform];
  const file = "libatomic.so.1";
  const here = [`/usr/lib/${triplet}`, "/usr/lib64", "/usr/lib"]
    .map((folder) => join(folder, file))
    .find((path) => existsSync(path));
  if (platform === `${process.platform}-${process.arch}` && here !== undefined)
    return cpSync(realpathSync(here), join(target, file));
  const scratch = mkdtempSync(join(tmpdir(), "fenliu-library-"));
  try {
    // Lists of its own: those of this system know its own architecture alone, and only its administrator may change them.
    const own = {
      "APT::Architecture": architecture,
      "APT::Architectures": architecture,
      "Dir::State": join(scratch, "state"),
      "Dir::State::status": "/dev/null",
      "Dir::Cache": join(scratch, "cache"),
      // The user that apt would become cannot write here.
      "APT::Sandbox::User": "root",
    };
    for (const folder of ["state/lists/partial", "cache/archives/partial"]) mkdirSync(join(scratch, folder), { recursive: true });
    const options = Object.entries(own).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
    run("apt-get", [...options, "-qq", "update"], scratch);
    run("apt-get", [...options, "-qq", "download", "libatomic1"], scratch);
    const archive = readdirSync(scratch).find((name) => name.endsWith(".deb"));
    run("dpkg-deb", ["-x", archive, "."], scratch);
    cpSync(realpathSync(join(scratch, "usr/lib", triplet, file)), join(target, file));
  } catch (error) {
    throw new Error(`${file} for ${platform} cannot be had: ${error.message}`);
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function run(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8" });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${error?.message ?? stderr}`);
  return stdout;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { platform: { type: "string" } } });
  const [folder] = positionals;
  try {
    if (folder === undefined) throw new Error("usage: node tools/bundle.mjs FOLDER [--platform linux-arm64]");
    const target = resolve(folder);
    const beside = `${target}.partial`;
    rmSync(beside, { recursive: true, force: true });
    if (existsSync(target)) throw new Error(`${target} is there already`);
    bundle(beside, values.platform ?? `${process.platform}-${process.arch}`);
    renameSync(beside, target);
  } catch (error) {
    process.stderr.write(`bundle: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exitCode = 1;
  }
}

// `npm run release [-- --platform linux-arm64 --out FOLDER]`: makes one archive for a platform, its checksum, and the list of what is in it (SBOM,
// CycloneDX). The same commit gives the same bytes: times are the commit's, names are sorted, nobody owns the files.

import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { bundle } from "./bundle.mjs";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
/** Packages that are in no node_modules of the archive, but in its dashboard (`dist/web`). */
const DASHBOARD = ["preact", "@preact/signals", "@preact/signals-core", "uqr"];

const { values } = parseArgs({ options: { platform: { type: "string" }, out: { type: "string" } } });
const platform = values.platform ?? `${process.platform}-${process.arch}`;
const out = resolve(values.out ?? join(ROOT, "release"));
const { version } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
const name = `fenliu-${version}-${platform}`;
const scratch = mkdtempSync(join(tmpdir(), "fenliu-release-"));

try {
  mkdirSync(out, { recursive: true });
  bundle(join(scratch, name), platform);
  const archive = join(out, `${name}.tar.gz`);
  const seconds = process.env["SOURCE_DATE_EPOCH"] ?? run("git", ["log", "-1", "--format=%ct"], ROOT).trim();
  const same = ["--sort=name", `--mtime=@${seconds}`, "--owner=0", "--group=0", "--numeric-owner", "--format=gnu"];
  run("tar", [...same, "--use-compress-program=gzip -n -9", "-cf", archive, name], scratch);
  const digest = createHash("sha256").update(readFileSync(archive)).digest("hex");
  writeFileSync(`${archive}.sha256`, `${digest}  ${basename(archive)}\n`);
  writeFileSync(join(out, `${name}.cdx.json`), billOfMaterials(seconds));
  console.log(`${archive}\nsha256 ${digest}`);
} catch (error) {
  console.error(`release: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
} finally {
  rmSync(scratch, { recursive: true });
}

/** What npm says of the packages that the archive holds, without what differs from run to run. */
function billOfMaterials(seconds) {
  const bill = JSON.parse(run("npm", ["sbom", "--sbom-format=cyclonedx", "--package-lock-only"], ROOT));
  delete bill.serialNumber;
  bill.metadata.timestamp = new Date(Number(seconds) * 1000).toISOString();
  // By the lock, and not by `--omit`: that drops also what production and development both need.
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8"));
  const held = new Set([bill.metadata.component["bom-ref"]]);
  for (const [path, { version, dev, optional, devOptional }] of Object.entries(packages)) {
    const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
    const isInProduction = !(dev || optional || devOptional);
    if (isInProduction || name === `node-${platform}` || DASHBOARD.includes(name)) held.add(`${name}@${version}`);
  }
  bill.components = bill.components.filter((component) => held.has(component["bom-ref"]));
  bill.dependencies = bill.dependencies
    .filter(({ ref }) => held.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((each) => held.has(each)) }));
  return `${JSON.stringify(bill, null, 2)}\n`;
}

function run(command, args, cwd) {
  const { status, stdout, stderr, error } = spawnSync(command, args, { cwd, encoding: "utf8", maxBuffer: 64 * 1024 * 1024 });
  if (status !== 0) throw new Error(`${command} ${args.join(" ")} failed: ${error?.message ?? stderr}`);
  return stdout;
}

#!/usr/bin/env node
// Checks the version before anything that an older Node cannot parse, keeps dist/ up to date where the sources lie beside it, and runs it.

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 24 || (major === 24 && minor < 15)) {
  console.error(`Fenliu needs Node 24.15 or later; this is ${process.version}. \`npm start\` brings one along.`);
  process.exit(1);
}
// A signal ends a process that does not listen for it. What starts now is the newest program already; from there on `serve` listens.
process.on("SIGUSR2", () => {});
const { setFlagsFromString } = await import("node:v8");
// The young generation stays small during the start, which would let it grow to 26 MiB. `serve` lets it grow again, for who really has much to answer.
setFlagsFromString("--semi-space-growth-factor=1");
const { enableCompileCache } = await import("node:module");
enableCompileCache();
const { existsSync } = await import("node:fs");
const beside = (path) => new URL(path, import.meta.url);
// An archive or an image has compiled files alone.
if (existsSync(beside("src/main.ts"))) {
  const { build } = await import("./tools/build.mjs");
  // Sources that cannot be compiled here, for want of the compiler or of a place to write to, still run: Node strips their types.
  await import(build() ? "./dist/server/main.js" : "./src/main.ts");
} else {
  await import("./dist/server/main.js");
}

#!/usr/bin/env node
// Checks the version before anything that an older Node cannot parse: a `.ts` file would stop it at the file's ending.

const [major, minor] = process.versions.node.split(".").map(Number);
if (major < 24 || (major === 24 && minor < 15)) {
  console.error(`Fenliu needs Node 24.15 or later; this is ${process.version}. \`npm start\` brings one along.`);
  process.exit(1);
}
const { enableCompileCache } = await import("node:module");
enableCompileCache();
const { existsSync } = await import("node:fs");
const { fileURLToPath } = await import("node:url");
// The published package carries compiled files, because Node strips no types below node_modules.
const compiled = new URL("dist/main.js", import.meta.url);
await import(existsSync(fileURLToPath(compiled)) ? compiled.href : "./src/main.ts");

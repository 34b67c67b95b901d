// Makes the dashboard of web/: `buildWeb(FOLDER)` puts into FOLDER the shell `index.html` and, in `assets/`, files whose names change with their
// content, each with a `.gz` beside it. Plain JavaScript, for `build.mjs` calls it before anything is built. By itself: `node tools/build-web.mjs FOLDER`.

import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

/** @throws Error with esbuild's own words if the sources cannot be bundled. */
export function buildWeb(root, folder) {
  // Where a checkout has no compiler, the sources still run: `build.mjs` says so.
  const require = createRequire(import.meta.url);
  const { buildSync } = require("esbuild");
  const assets = join(folder, "assets");
  mkdirSync(assets, { recursive: true });
  const { metafile } = buildSync({
    absWorkingDir: join(root, "web"),
    entryPoints: ["main.tsx", "style/base.css"],
    outdir: assets,
    entryNames: "[name]-[hash]",
    chunkNames: "[name]-[hash]",
    assetNames: "[name]-[hash]",
    publicPath: "/assets",
    bundle: true,
    splitting: true,
    format: "esm",
    target: ["chrome123", "safari17.5", "firefox128"],
    jsx: "automatic",
    jsxImportSource: "preact",
    loader: { ".svg": "file" },
    minify: true,
    charset: "utf8",
    legalComments: "none",
    metafile: true,
    logLevel: "silent",
  });
  const outputs = Object.entries(metafile.outputs);
  const made = (entry) => `/assets/${basename(outputs.find(([, { entryPoint }]) => entryPoint === entry)[0])}`;
  const icon = outputs.map(([path]) => basename(path)).find((name) => name.startsWith("well-"));
  const shell = readFileSync(join(root, "web/index.html"), "utf8")
    .replace("style/base.css", made("style/base.css"))
    .replace("main.tsx", made("main.tsx"))
    .replace("icons/well.svg", `/assets/${icon}`);
  writeFileSync(join(folder, "index.html"), shell);
  for (const name of readdirSync(assets))
    writeFileSync(join(assets, `${name}.gz`), gzipSync(readFileSync(join(assets, name)), { level: 9 }));
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const root = dirname(dirname(fileURLToPath(import.meta.url)));
  // The compiler takes names of folders from `web/` on.
  buildWeb(root, process.argv[2] === undefined ? join(root, "dist/web") : resolve(process.argv[2]));
}

// `node tools/image.mjs FOLDER amd64|arm64`: lays out the files of the image, as the Dockerfile copies them to its root.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundle } from "./bundle.mjs";

/** Node's names for what Docker calls TARGETARCH. */
const PLATFORMS = { amd64: "linux-x64", arm64: "linux-arm64" };

const [folder = "", architecture = ""] = process.argv.slice(2);
const platform = PLATFORMS[architecture];
if (folder === "" || platform === undefined) {
  console.error(`usage: node tools/image.mjs FOLDER ${Object.keys(PLATFORMS).join("|")}`);
  process.exit(2);
}
mkdirSync(join(folder, "opt"), { recursive: true });
bundle(join(folder, "opt", "fenliu"), platform);
mkdirSync(join(folder, "etc/fenliu"), { recursive: true });
writeFileSync(join(folder, "etc/fenliu/fenliu.yaml"), configurationOf(readFileSync("fenliu.yaml", "utf8")));

/** The shipped configuration, to serve a house from within a container: on the usual ports, with what is learned where the volume is. */
function configurationOf(shipped) {
  const edits = [
    [
      /^# Fenliu, as shipped.*\n# `npm start` reads.*\n/,
      "# What the image serves where no file is mounted here. Every key and its default: /opt/fenliu/docs/config.md.\n",
    ],
    [/dns: {3}\["127\.0\.0\.1:5053"\].*/, 'dns:   ["0.0.0.0:53"]'],
    [/http: {2}\["127\.0\.0\.1:9053"\]/, 'http:  ["0.0.0.0:9053"]'],
    [/(?<=[[ ])rules\/(?=[a-z-]+\.txt\])/g, "/opt/fenliu/rules/"],
    [/$/, "\ncache: { file: /var/lib/fenliu/cache.db }\nlog: { queries: { store: /var/lib/fenliu/queries.db } }\n"],
  ];
  return edits.reduce((text, [pattern, replacement]) => {
    const edited = text.replace(pattern, replacement);
    if (edited === text) throw new Error(`fenliu.yaml has nothing like ${pattern}`);
    return edited;
  }, shipped);
}

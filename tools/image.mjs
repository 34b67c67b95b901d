// `node tools/image.mjs FOLDER amd64|arm64`: lays out the files of the image, as the Dockerfile copies them to its root.

import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { serviceConfiguration } from "../src/cli/service-configuration.ts";
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
writeFileSync(join(folder, "etc/fenliu/fenliu.yaml"), serviceConfiguration(readFileSync("fenliu.yaml", "utf8"), "/opt/fenliu"));

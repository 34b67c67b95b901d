import { copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";

const FILES = [
  "fullchain.pem",
  "privkey.pem",
  "rules/cn-domains.txt",
  "rules/world-domains.txt",
  "rules/ads.txt",
  "rules/cn-ip.txt",
  "rules/poison.txt",
  "rules/hosts.txt",
  "secrets/routeros",
  "dnsmasq.leases",
];

export interface Site extends Disposable {
  /** Of `fenliu.yaml`, which is the file full.yaml beside this module. */
  readonly path: string;
  readonly directory: string;
}

/** A directory with a configuration that uses every section, and the files that it names. */
export function site(): Site {
  const directory = mkdtempSync(join(tmpdir(), "fenliu-config-"));
  for (const name of FILES) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), "");
  }
  const path = join(directory, "fenliu.yaml");
  copyFileSync(join(import.meta.dirname, "full.yaml"), path);
  return { path, directory, [Symbol.dispose]: () => rmSync(directory, { recursive: true }) };
}

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Document } from "yaml";
import type { Config } from "./config/config.ts";
import { parseOwnHosts } from "./config/own-hosts.ts";
import { dataFolder } from "./data-folder.ts";
import type { HostsProblem } from "./hosts/entries.ts";
import type { HostRecord, OwnHosts } from "./hosts/options.ts";
import { writeWhole } from "./write-whole.ts";

const NO_HOSTS: OwnHosts = { records: [], hidden: [] };

/** Where the names are kept that Fenliu was given while running. */
export function ownHostsPath(config: Pick<Config, "cache" | "path">): string {
  return join(dataFolder(config), "hosts.yaml");
}

/** Never rejects: a file that is not there holds nothing, and one that cannot be read is a problem and left alone. */
export async function readOwnHosts(
  path: string,
): Promise<{ readonly own: OwnHosts; readonly problems: readonly HostsProblem[] }> {
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return { own: NO_HOSTS, problems: [] };
    const reason = error instanceof Error ? error.message : String(error);
    return { own: NO_HOSTS, problems: [{ source: path, line: 0, reason }] };
  }
  const result = parseOwnHosts(text, path);
  if (result.kind === "ok") return { own: result.own, problems: [] };
  return { own: NO_HOSTS, problems: result.problems.map(({ line, message }) => ({ source: path, line, reason: message })) };
}

/** Writes the file anew, in one step. @throws the system's error. */
export async function writeOwnHosts(path: string, own: OwnHosts): Promise<void> {
  // People may look into it, and mend it.
  await writeWhole(path, textOf(own), { mode: 0o644 });
}

const HEADING =
  " Names that Fenliu was given through its API. They win over the configuration; `hidden` names are not there at all.";

function textOf({ records, hidden }: OwnHosts): string {
  const document = new Document({
    records: Object.fromEntries(records.map((record) => [record.name, writtenAs(record)])),
    hidden,
  });
  document.commentBefore = HEADING;
  return document.toString();
}

/** A record as section `hosts.records` has it. */
function writtenAs({ addresses, cname, others, https }: HostRecord): unknown {
  return {
    ...(cname === null ? { address: addresses } : { cname }),
    ...(others === "nodata" ? {} : { others }),
    ...(https === null ? {} : { https: { alpn: https.alpn, ...(https.port === null ? {} : { port: https.port }) } }),
  };
}

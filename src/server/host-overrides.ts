import { join } from "node:path";
import { parseOwnHosts } from "../config/load.ts";
import type { Config } from "../config/types.ts";
import type { HostRecord, OwnHosts } from "../hosts/options.ts";
import type { HostsProblem } from "../hosts/parse.ts";
import { dataFolder, readIfThere, replaceFile } from "../lib/files.ts";
import { errorText } from "../lib/text.ts";

/** Where the names are kept that Fenliu was given while running. */
export function ownHostsPath(config: Pick<Config, "cache" | "path">): string {
  return join(dataFolder(config), "hosts.yaml");
}

/** The names, and the text of the file that holds them; empty where there is none. */
export interface OwnHostsFile {
  readonly own: OwnHosts;
  readonly text: string;
}

const NO_FILE: OwnHostsFile = { own: { records: [], hidden: [] }, text: "" };

/**
 * Never rejects: a file that is not there holds nothing, and one that cannot be read is a problem and left alone.
 * @param known what was read or written before: while the text is the same it is not parsed again, which blocks for a third of a second where there
 * are 10,000 names.
 */
export async function readOwnHosts(
  path: string,
  known = NO_FILE,
): Promise<{ readonly file: OwnHostsFile; readonly problems: readonly HostsProblem[] }> {
  let text: string;
  try {
    const bytes = await readIfThere(path, Number.POSITIVE_INFINITY);
    if (bytes === null) return { file: NO_FILE, problems: [] };
    text = bytes.toString("utf8");
  } catch (error) {
    const reason = errorText(error);
    return { file: NO_FILE, problems: [{ source: path, line: 0, reason }] };
  }
  if (text === known.text) return { file: known, problems: [] };
  const result = parseOwnHosts(text, path);
  if (result.kind === "ok") return { file: { own: result.own, text }, problems: [] };
  return { file: NO_FILE, problems: result.problems.map(({ line, message }) => ({ source: path, line, reason: message })) };
}

/** As `writeOwnHosts` writes them. */
export function ownHostsFile(own: OwnHosts): OwnHostsFile {
  return { own, text: textOf(own) };
}

/** Writes the file anew, in one step. @throws the system's error. */
export async function writeOwnHosts(path: string, { text }: OwnHostsFile): Promise<void> {
  // People may look into it, and mend it.
  await replaceFile(path, text, { mode: 0o644 });
}

const HEADING =
  "# Names that Fenliu was given through its API. They win over the configuration; `hidden` names are not there at all.\n";

/** YAML with a line for each name: JSON is YAML, and written a hundred times as fast. */
function textOf({ records, hidden }: OwnHosts): string {
  const lines = records.map((record) => `  ${JSON.stringify(record.name)}: ${JSON.stringify(writtenAs(record))}\n`);
  return `${HEADING}records:${lines.length === 0 ? " {}\n" : `\n${lines.join("")}`}hidden: ${JSON.stringify(hidden)}\n`;
}

/** A record as section `hosts.records` has it. */
function writtenAs({ addresses, cname, others, https }: HostRecord): unknown {
  return {
    ...(cname === null ? { address: addresses } : { cname }),
    ...(others === "nodata" ? {} : { others }),
    ...(https === null ? {} : { https: { alpn: https.alpn, ...(https.port === null ? {} : { port: https.port }) } }),
  };
}

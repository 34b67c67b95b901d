import { join } from "node:path";
import { parseOwnHosts } from "../config/load.ts";
import type { Config } from "../config/types.ts";
import type { DdnsOptions } from "../ddns/options.ts";
import { nameFromText } from "../dns/name.ts";
import type { HostRecord, OwnHosts } from "../hosts/options.ts";
import type { HostsProblem } from "../hosts/parse.ts";
import { isException } from "../hosts/table.ts";
import { dataFolder, readIfThere, replaceFile } from "../lib/files.ts";
import { errorText } from "../lib/text.ts";

/** Path of the file that keeps the names set through the API or reported. */
export function ownHostsPath(config: Pick<Config, "cache" | "path">): string {
  return join(dataFolder(config), "hosts.yaml");
}

/** Names set through the API or reported, and the text of their file; empty without a file. */
export interface OwnHostsFile {
  readonly own: OwnHosts;
  readonly text: string;
}

const NO_FILE: OwnHostsFile = { own: { records: [], hidden: [] }, text: "" };

/**
 * Reads the file, without reports of names that no token of `ddns` has any more. Never rejects: a missing file holds no names, and a file that cannot be
 * read is a problem.
 * @param known what was read or written before. An equal text is not parsed again: parsing 10,000 names blocks for a third of a second.
 */
export async function readOwnHosts(
  config: Pick<Config, "cache" | "path" | "ddns">,
  known = NO_FILE,
): Promise<{ readonly file: OwnHostsFile; readonly problems: readonly HostsProblem[] }> {
  const path = ownHostsPath(config);
  let text: string;
  try {
    text = (await readIfThere(path, Number.POSITIVE_INFINITY))?.toString("utf8") ?? "";
  } catch (error) {
    return { file: NO_FILE, problems: [{ source: path, line: 0, reason: errorText(error) }] };
  }
  if (text === known.text) return { file: known, problems: [] };
  const result = parseOwnHosts(text, path);
  if (result.kind === "ok") return { file: { own: withTokens(result.own, config.ddns), text }, problems: [] };
  return { file: NO_FILE, problems: result.problems.map(({ line, message }) => ({ source: path, line, reason: message })) };
}

/** Without reports of names that no token has. */
function withTokens({ reported = [], ...own }: OwnHosts, ddns: DdnsOptions): OwnHosts {
  const names = new Set(ddns.tokens.flatMap((token) => token.names.map(nameFromText)));
  return { ...own, reported: reported.filter(({ name }) => names.has(nameFromText(name))) };
}

/** The names with the text that `writeOwnHosts` writes for them. */
export function ownHostsFile(own: OwnHosts): OwnHostsFile {
  return { own, text: textOf(own) };
}

/** Replaces the file in one step. @throws the system's error. */
export async function writeOwnHosts(path: string, { text }: OwnHostsFile): Promise<void> {
  // Readable for everybody: people may look into the file and edit it.
  await replaceFile(path, text, { mode: 0o644 });
}

const HEADING =
  "# Names that Fenliu was given through its API, and names that were reported (section `ddns`). They win over the configuration; `hidden` names are not there at all.\n";

function textOf({ records, reported = [], hidden }: OwnHosts): string {
  const reports = reported.length === 0 ? "" : `reported:${recordsText(reported)}`;
  return `${HEADING}records:${recordsText(records)}${reports}hidden: ${JSON.stringify(hidden)}\n`;
}

/** YAML with one line for each name. The values are JSON, which is YAML too and a hundred times faster to write. */
function recordsText(records: readonly HostRecord[]): string {
  const lines = records.map((record) => `  ${JSON.stringify(record.name)}: ${JSON.stringify(yamlValue(record))}\n`);
  return lines.length === 0 ? " {}\n" : `\n${lines.join("")}`;
}

/** A record in the form of section `hosts.records`. */
function yamlValue(record: HostRecord): unknown {
  if (isException(record)) return { forward: true };
  const { addresses, cname, others, a, aaaa, https } = record;
  return {
    ...(cname !== null ? { cname } : addresses.length > 0 ? { address: addresses } : {}),
    ...(others === "nodata" ? {} : { others }),
    ...(a === undefined ? {} : { a }),
    ...(aaaa === undefined ? {} : { aaaa }),
    ...(https === null ? {} : { https: { alpn: https.alpn, ...(https.port === null ? {} : { port: https.port }) } }),
  };
}

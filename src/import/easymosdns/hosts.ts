import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import { parseDomainName } from "../../config/values.ts";
import { type Bundle, childOf, itemsOf, type Plugin, pathIn, readText, textOf } from "./bundle.ts";
import { type FindingPlace, type Findings, ImportError } from "./findings.ts";

const MAX_HOSTS_BYTES = 8 * 1024 * 1024;
/** What fits in a configuration with room to spare. */
const MAX_NAMES = 8000;
/** Lines of one file that are reported one by one. */
const MAX_REPORTED = 50;

/** Reads the hosts plugins: a pattern, then addresses. Gives the records of section `hosts`: names and `*.` names. */
export function readHosts(
  plugins: readonly Plugin[],
  bundle: Bundle,
  findings: Findings,
): ReadonlyMap<string, readonly string[]> {
  const records = new Map<string, readonly string[]>();
  for (const { args } of plugins) {
    for (const item of [...itemsOf(childOf(args, "hosts")), ...itemsOf(childOf(args, "entries"))]) {
      const written = textOf(item).trim();
      const tag = /^provider:([^:]+)$/.exec(written)?.[1];
      const file = /^(?:ext:|&)(.+)$/.exec(written)?.[1];
      if (tag !== undefined) {
        const provider = bundle.providers.get(tag);
        if (provider === undefined) findings.left(item.place, `\`${written}\`: there is no such data provider`);
        else readFile(provider.path, provider.place, { records, findings });
      } else if (file !== undefined) readFile(pathIn(bundle.directory, file), item.place, { records, findings });
      else readLine(written, item.place, { records, findings });
    }
    for (const item of itemsOf(childOf(args, "files")))
      readFile(pathIn(bundle.directory, textOf(item)), item.place, { records, findings });
  }
  return records;
}

interface Target {
  readonly records: Map<string, readonly string[]>;
  readonly findings: Findings;
}

function readFile(path: string, place: FindingPlace, { records, findings }: Target): void {
  let text: string;
  try {
    text = readText(path, MAX_HOSTS_BYTES, place);
  } catch (error) {
    if (!(error instanceof ImportError)) throw error;
    findings.left(place, `the hosts in ${path}: ${error.message}`);
    return;
  }
  const before = records.size;
  const inFile = new LineReport(findings, path);
  for (const [index, line] of text.split("\n").entries()) {
    const plain = line.replace(/#.*/s, "").trim();
    if (plain === "") continue;
    if (records.size >= MAX_NAMES) {
      findings.left(
        { file: path, line: index + 1 },
        `from here on: more than ${MAX_NAMES} names. Rewrite them as a file in the format of /etc/hosts, and name it in \`hosts.files\``,
      );
      break;
    }
    const problem = addLine(plain, records);
    if (problem !== null) inFile.left(index + 1, problem);
  }
  inFile.end();
  const added = records.size - before;
  if (added > 0)
    findings.changed(
      { file: path, line: 1 },
      `${added} names are in \`hosts.records\`; they exist for every type, and types other than A and AAAA are empty`,
    );
}

function readLine(written: string, place: FindingPlace, { records, findings }: Target): void {
  const problem = addLine(written, records);
  if (problem === null) findings.carried(place, `\`${written}\` is in \`hosts.records\``);
  else findings.left(place, problem);
}

/** @returns why the line is not carried over. */
function addLine(line: string, records: Map<string, readonly string[]>): string | null {
  const [pattern = "", ...addresses] = line.split(/\s+/);
  const [, kind = "full", written = pattern] = /^(full|domain|keyword|regexp):(.*)$/.exec(pattern) ?? [];
  if (kind === "keyword" || kind === "regexp") return `\`${pattern}\`: the hosts table has names and \`*.\` names, no patterns`;
  const name = (/^[\0-\x7f]*$/.test(written) ? written : domainToASCII(written)).toLowerCase().replace(/\.$/, "");
  if (!("value" in parseDomainName(name)))
    return `\`${pattern}\` is no domain name${isIP(pattern) === 0 ? "" : ": here the name comes first"}`;
  const wrong = addresses.find((address) => isIP(address) === 0 || address.includes("%"));
  if (wrong !== undefined) return `\`${pattern}\`: \`${wrong}\` is no address`;
  if (addresses.length === 0) return `\`${pattern}\` has no address`;
  // Of one pattern the last line holds.
  records.set(name, [...new Set(addresses)]);
  // `domain:` is the name and everything below it.
  if (kind === "domain") records.set(`*.${name}`, [...new Set(addresses)]);
  return null;
}

/** Reports the first lines of a file one by one, and counts the others. */
class LineReport {
  readonly #findings: Findings;
  readonly #file: string;
  #count = 0;

  constructor(findings: Findings, file: string) {
    this.#findings = findings;
    this.#file = file;
  }

  left(line: number, what: string): void {
    if (++this.#count <= MAX_REPORTED) this.#findings.left({ file: this.#file, line }, what);
  }

  end(): void {
    const further = this.#count - MAX_REPORTED;
    if (further > 0) this.#findings.left({ file: this.#file, line: 1 }, `${further} further lines`);
  }
}

import { stringify } from "yaml";
import { ControlError, type HostRecordInput, ParameterError } from "../admin/control.ts";
import { parseOwnHosts } from "../config/load.ts";
import type { HostRecord, OwnHosts } from "../hosts/options.ts";
import { type LoadedHosts, readRecords } from "../hosts/parse.ts";
import { type HostsMatch, type HostsTable, parseHostPattern, patternOf } from "../hosts/table.ts";

/** Names that may be put in: each is an object in memory, and all of them are written anew with every change. */
const MAX_OWN_HOSTS = 10_000;

/** The name as the table knows it: `nas.lan` or `*.apps.lan`. @throws ParameterError where it is none. */
export function hostPattern(written: string): string {
  const pattern = parseHostPattern(written);
  if (pattern === null)
    throw new ParameterError({
      parameter: "name",
      reason: `\`${written}\` is no name of a host: write it as in \`nas.lan\` or \`*.apps.lan\``,
    });
  return patternOf(pattern);
}

/** What becomes of the names that were put in, beside those that the configuration has; without effects. */
export type HostsChange = (own: OwnHosts, written: LoadedHosts) => OwnHosts;

export function hostAt(table: HostsTable, pattern: string): HostsMatch | null {
  for (const match of table.entries()) if (match.pattern === pattern) return match;
  return null;
}

/** Reads a record by the same rules as section `hosts.records`. @throws ControlError with every problem. */
export function hostRecord(pattern: string, input: HostRecordInput): HostRecord {
  const result = parseOwnHosts(stringify({ records: { [pattern]: input } }), null);
  if (result.kind === "invalid")
    throw new ControlError("invalid", ...result.problems.map(({ message, fix }) => `${message}: ${fix}`));
  const [record] = result.own.records;
  if (record === undefined) throw new ControlError("invalid", `\`${pattern}\` has neither an address nor a \`cname\``);
  // What would be left out of the table, as it is when it stands in a file, must not be put in.
  const { problems } = readRecords([record]);
  if (problems.length > 0) throw new ControlError("invalid", ...problems.map(({ reason }) => reason));
  return record;
}

/** Puts the record in; it shows again what was hidden. The change throws ControlError where there are too many. */
export function withHost(record: HostRecord): HostsChange {
  return ({ records, hidden }) => {
    const others = records.filter(({ name }) => !isSame(name, record.name));
    if (others.length >= MAX_OWN_HOSTS)
      throw new ControlError("refused", `there are ${MAX_OWN_HOSTS} names already: write further ones into a hosts file`);
    return { records: [...others, record], hidden: hidden.filter((name) => !isSame(name, record.name)) };
  };
}

/** Takes the name away, and hides it where the configuration has it. */
export function withoutHost(pattern: string): HostsChange {
  return ({ records, hidden }, { layers }) => {
    const isWritten = layers.some((layer) => layer.some((entry) => patternOf(entry) === pattern));
    const others = hidden.filter((name) => !isSame(name, pattern));
    return { records: records.filter(({ name }) => !isSame(name, pattern)), hidden: isWritten ? [...others, pattern] : others };
  };
}

function isSame(written: string, pattern: string): boolean {
  const parsed = parseHostPattern(written);
  return parsed !== null && patternOf(parsed) === pattern.toLowerCase();
}

import { stringify } from "yaml";
import { ControlError, type HostRecordInput, ParameterError } from "../admin/control.ts";
import { parseOwnHosts } from "../config/load.ts";
import { mergeFamilies } from "../ddns/update.ts";
import type { HostRecord, OwnHosts } from "../hosts/options.ts";
import { type LoadedHosts, readRecords } from "../hosts/parse.ts";
import { type HostsMatch, HostsTable, parseHostPattern, patternOf } from "../hosts/table.ts";
import type { HostsSource } from "../server/policy.ts";

/** Names that users may add: each is an object in memory, and every change writes all of them. */
const MAX_OWN_HOSTS = 10_000;

/** The name in the form of the table: `nas.lan` or `*.apps.lan`. @throws ParameterError */
export function hostPattern(text: string): string {
  const pattern = parseHostPattern(text);
  if (pattern === null)
    throw new ParameterError({
      parameter: "name",
      reason: `\`${text}\` is no name of a host: write it as in \`nas.lan\` or \`*.apps.lan\``,
    });
  return patternOf(pattern);
}

/** A pure change of the added names. @param configured the names that the configuration has. */
export type HostsChange = (own: OwnHosts, configured: LoadedHosts) => OwnHosts;

export function hostAt(table: HostsTable, pattern: string): HostsMatch | null {
  for (const match of table.entries()) if (match.pattern === pattern) return match;
  return null;
}

/** Parses a record by the rules of section `hosts.records`. @throws ControlError with every problem. */
export function hostRecord(pattern: string, input: HostRecordInput): HostRecord {
  const result = parseOwnHosts(stringify({ records: { [pattern]: input } }), null);
  if (result.kind === "invalid")
    throw new ControlError("invalid", ...result.problems.map(({ message, fix }) => `${message}: ${fix}`));
  const [record] = result.own.records;
  if (record === undefined) throw new ControlError("invalid", `\`${pattern}\` has neither an address nor a \`cname\``);
  // The table leaves out a record with these problems if a file has it; the API refuses such a record.
  const { problems } = readRecords([record]);
  if (problems.length > 0) throw new ControlError("invalid", ...problems.map(({ reason }) => reason));
  return record;
}

/** Adds the record, also where the name was hidden. The change throws ControlError if there are too many names. */
export function withHost(record: HostRecord): HostsChange {
  return ({ records, hidden, ...own }) => {
    const others = records.filter(({ name }) => !isSame(name, record.name));
    if (others.length >= MAX_OWN_HOSTS)
      throw new ControlError("refused", `there are ${MAX_OWN_HOSTS} names already: write further ones into a hosts file`);
    return { ...own, records: [...others, record], hidden: hidden.filter((name) => !isSame(name, record.name)) };
  };
}

/** Adds the addresses that hosts reported, by name; addresses of a family that was not reported stay. */
export function withReports(reports: ReadonlyMap<string, readonly string[]>): HostsChange {
  return ({ reported = [], ...own }) => {
    const others = reported.filter(({ name }) => ![...reports.keys()].some((pattern) => isSame(name, pattern)));
    const renewed = [...reports].map(([name, addresses]): HostRecord => {
      const before = reported.find((record) => isSame(record.name, name))?.addresses ?? [];
      return { name, addresses: mergeFamilies(before, addresses), cname: null, others: "nodata", https: null };
    });
    return { ...own, reported: [...others, ...renewed] };
  };
}

/**
 * Takes back what was set or reported for the name: the name of the configuration is there again. With `hide` the name of the configuration is hidden instead. The
 * change throws ControlError if there is nothing to take back.
 */
export function withoutHost(pattern: string, { hide }: { readonly hide: boolean }): HostsChange {
  return ({ records, reported = [], hidden }, { layers }) => {
    const isConfigured = layers.some((layer) => layer.some((entry) => patternOf(entry) === pattern));
    const otherRecords = records.filter(({ name }) => !isSame(name, pattern));
    const otherReported = reported.filter(({ name }) => !isSame(name, pattern));
    const otherHidden = hidden.filter((name) => !isSame(name, pattern));
    const isSet =
      otherRecords.length < records.length || otherReported.length < reported.length || otherHidden.length < hidden.length;
    if (!hide && !isSet)
      throw new ControlError("refused", `\`${pattern}\` stands in the configuration: \`hide=true\` hides the name there`);
    return {
      records: otherRecords,
      reported: otherReported,
      hidden: hide && isConfigured ? [...otherHidden, pattern] : otherHidden,
    };
  };
}

/** The names of the configuration that are hidden, as the configuration has them. A hidden name that the configuration has no more is left out. */
export function hiddenHosts({ loaded, ownFile }: HostsSource): HostsMatch[] {
  const { hidden } = ownFile.own;
  if (hidden.length === 0) return [];
  const configured = new HostsTable(loaded.layers);
  return hidden.flatMap((name) => hostAt(configured, name.toLowerCase()) ?? []);
}

function isSame(text: string, pattern: string): boolean {
  const parsed = parseHostPattern(text);
  return parsed !== null && patternOf(parsed) === pattern.toLowerCase();
}

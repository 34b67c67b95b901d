import { addressFromText } from "../dns/address.ts";
import { type Name, nameFromText, nameText } from "../dns/name.ts";
import type { HostEntry } from "./hosts-table.ts";
import type { HostRecord } from "./options.ts";

/** Something written that is not in the table, and why. */
export interface HostsProblem {
  readonly source: string;
  /** From 1: the line, or the place among the records; 0 = the source as a whole. */
  readonly line: number;
  readonly reason: string;
}

export interface HostsReading {
  readonly entries: readonly HostEntry[];
  readonly problems: readonly HostsProblem[];
}

/** Problems of one file that are kept; the last of them says how many more there are. */
const MAX_PROBLEMS = 100;

/** What `source` says of entries that come from section `hosts` itself. */
const RECORDS_SOURCE = "hosts.records";

/** What it says of those that were put in while running. */
export const OWN_SOURCE = "data/hosts.yaml";

/** Reads the hosts-file format: an address, then names (`*.` may stand before one), `#` begins a comment. A bad word is a problem; the rest of its line holds. */
export function readHostsFile(text: string, source: string): HostsReading {
  const entries: HostEntry[] = [];
  const problems: HostsProblem[] = [];
  for (const [index, written] of text
    .replace(/^\ufeff/, "")
    .split("\n")
    .entries()) {
    const line = index + 1;
    const [addressWritten, ...names] = written.replace(/#.*/s, "").trim().split(/\s+/);
    if (addressWritten === undefined || addressWritten === "") continue;
    const address = addressFromText(addressWritten);
    if (address === null) problems.push({ source, line, reason: `${shown(addressWritten)} is no address` });
    else if (names.length === 0) problems.push({ source, line, reason: "no name follows the address" });
    else {
      for (const name of names) {
        const owner = ownerOf(name);
        if (owner === null) problems.push({ source, line, reason: `${shown(name)} is no host name` });
        else entries.push({ ...owner, addresses: [address], cname: null, others: "nodata", https: null, source, line });
      }
    }
  }
  return { entries, problems: firstOf(problems, source) };
}

function firstOf(problems: readonly HostsProblem[], source: string): readonly HostsProblem[] {
  if (problems.length <= MAX_PROBLEMS) return problems;
  const further = problems.length - MAX_PROBLEMS;
  return [...problems.slice(0, MAX_PROBLEMS), { source, line: 0, reason: `${further} further problems` }];
}

/** Reads section `hosts.records`, or what is written like it. A record with anything wrong in it is left out whole. */
export function readRecords(records: readonly HostRecord[], source = RECORDS_SOURCE): HostsReading {
  const entries: HostEntry[] = [];
  const problems: HostsProblem[] = [];
  for (const [index, record] of records.entries()) {
    const place = { source, line: index + 1 };
    const entry = entryOf(record);
    if (typeof entry === "string") problems.push({ ...place, reason: entry });
    else entries.push({ ...entry, ...place });
  }
  return { entries, problems };
}

function entryOf(record: HostRecord): Omit<HostEntry, "source" | "line"> | string {
  const owner = ownerOf(record.name);
  if (owner === null) return `${shown(record.name)} is no host name`;
  const addresses: Uint8Array[] = [];
  for (const written of record.addresses) {
    const address = addressFromText(written);
    if (address === null) return `${shown(written)} is no address`;
    addresses.push(address);
  }
  const cname = record.cname === null ? null : nameFromText(record.cname);
  if (cname === null && record.cname !== null) return `${shown(record.cname)} is no name`;
  // RFC 1034 §3.6.2: nothing stands beside a CNAME.
  if (cname !== null && (addresses.length > 0 || record.https !== null))
    return `${record.name} has a CNAME, and other data beside it`;
  if (cname === owner.name && !owner.wildcard) return `${record.name} is its own CNAME`;
  return { ...owner, addresses, cname, others: record.others, https: record.https };
}

function ownerOf(written: string): { readonly name: Name; readonly wildcard: boolean } | null {
  const wildcard = written.startsWith("*.");
  const name = nameFromText(wildcard ? written.slice(2) : written);
  return name === null || !/^[\w-]+(\.[\w-]+)*$/.test(nameText(name)) ? null : { name, wildcard };
}

function shown(written: string): string {
  return JSON.stringify(written.length > 80 ? `${written.slice(0, 80)}…` : written);
}

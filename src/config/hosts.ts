import type { HostRecord, HostsOptions, OwnHosts } from "../hosts/options.ts";
import type { ConfigReader, SourceLocation } from "./reading.ts";
import {
  boolean,
  integer,
  key,
  keyword,
  mapOf,
  mapOr,
  type Named,
  object,
  oneOrMany,
  oneOrMore,
  optional,
  type Parsed,
  type RawOf,
  type Shape,
  text,
  withPlace,
  wordLike,
} from "./shape.ts";
import { seconds } from "./units.ts";
import { address, domainName, parseDomainName, readableFile } from "./values.ts";

const alpn = wordLike(/^[\x21-\x7e]{1,255}$/, "a protocol id such as `h2`", {
  wrong: "`%` is no protocol id",
  fix: "write `h3`, `h2` or `http/1.1`",
});

const NO_ADDRESS = "a name needs an address";
const oneOrMoreAddresses = oneOrMore(address, NO_ADDRESS);

const missing = keyword("nodata", "forward");

const recordMap = object("a map with `address`, `addresses` or `cname`", {
  address: optional(withPlace(oneOrMoreAddresses), "The name's address, or several."),
  addresses: optional(withPlace(oneOrMoreAddresses), "The same as `address`."),
  cname: optional(withPlace(domainName), "The name is an alias of this one."),
  others: key(missing, "Questions for other types: nodata, or forward as the rules say.", "nodata"),
  a: optional(withPlace(missing), "Questions for A where the name has no IPv4 address; by default as `others`."),
  aaaa: optional(withPlace(missing), "Questions for AAAA where the name has no IPv6 address; by default as `others`."),
  forward: optional(withPlace(boolean()), "true: the rules answer for the name, although a wildcard or a file has it."),
  https: optional(
    object("a map with `alpn` and `port`", {
      alpn: key(oneOrMany(alpn), "Protocols of the service, such as h2.", []),
      port: optional(integer(1, 65_535), "Port of the service."),
    }),
    "A record of TYPE65 for the name.",
  ),
});

type RecordMap = RawOf<typeof recordMap>;
type RawRecord = readonly string[] | RecordMap;

const record: Shape<RawRecord> = mapOr(recordMap, oneOrMoreAddresses);

const records: Shape<readonly Named<string, RawRecord>[]> = mapOf("a map from names to addresses", parseHostName, record);

const hostName = text({ expected: "a name", parse: parseHostName });

/** A name, perhaps with `*.` before it. */
function parseHostName(written: string): Parsed<string> {
  const parsed = parseDomainName(written.replace(/^\*\./, ""));
  return "value" in parsed
    ? { value: written }
    : { wrong: `\`${written}\` is no name of a host`, fix: "write it as in `nas.lan` or `*.apps.lan`" };
}

export const hostsShape = object("a map with `files`, `ttl` and `records`", {
  files: key(oneOrMany(readableFile), "Files in the format of /etc/hosts; wildcards are allowed.", []),
  ttl: key(seconds("0s", "1d"), "TTL of the answers.", "60s"),
  records: key(records, "Names and their addresses.", {}),
});

type RawHosts = RawOf<typeof hostsShape>;

/** The file `data/hosts.yaml`: names that were set through the API, or reported. */
export const ownHostsShape = object("a map with `records`, `reported` and `hidden`", {
  records: key(records, "Names and their addresses.", {}),
  reported: key(records, "Names and the addresses that their hosts reported.", {}),
  hidden: key(oneOrMany(hostName), "Names that are not there, whatever else says so.", []),
});

type RawOwnHosts = RawOf<typeof ownHostsShape>;

export function toOwnHosts(raw: RawOwnHosts): OwnHosts {
  return { records: recordsOf(raw.records), reported: recordsOf(raw.reported), hidden: raw.hidden };
}

export function toHostsOptions(raw: RawHosts): HostsOptions {
  return { files: raw.files, ttlSeconds: raw.ttl, records: recordsOf(raw.records) };
}

function recordsOf(named: readonly Named<string, RawRecord>[]): HostRecord[] {
  return named.flatMap(({ name, value }) => (value === undefined ? [] : [recordOf(name, value)]));
}

function recordOf(name: string, raw: RawRecord): HostRecord {
  if (!isMapForm(raw)) return { name, addresses: raw, cname: null, others: "nodata", https: null };
  if (raw.forward?.value === true) return { name, addresses: [], cname: null, others: "forward", https: null };
  const { others, https, a, aaaa } = raw;
  const families = { ...(a === null ? {} : { a: a.value }), ...(aaaa === null ? {} : { aaaa: aaaa.value }) };
  return { name, addresses: addressesOf(raw), cname: raw.cname?.value ?? null, others, https, ...families };
}

export function checkHosts({ records }: Pick<RawHosts, "records">, reader: ConfigReader): void {
  const seen = new Set<string>();
  for (const { name, keyPlace, value } of records) {
    const identity = name.toLowerCase().replace(/\.$/, "");
    if (seen.has(identity))
      reader.fail(keyPlace, `\`${name}\` is here already: letter case does not tell names apart`, "make it one entry");
    seen.add(identity);
    if (value === undefined || !isMapForm(value)) continue;
    checkRecord(name, value, keyPlace, reader);
  }
}

function checkRecord(name: string, record: RecordMap, keyPlace: SourceLocation, reader: ConfigReader): void {
  const { address, addresses, cname, a, aaaa, forward, https } = record;
  const written = addressesOf(record);
  const hasNone = address === null && addresses === null && cname === null;
  if (cname !== null && (address !== null || addresses !== null))
    reader.fail(cname.place, "a name has a `cname` or addresses, not both (RFC 1034 §3.6.2)", "remove one of them");
  if (forward?.value === true && (!hasNone || https !== null || a !== null || aaaa !== null || record.others !== "nodata"))
    reader.fail(forward.place, "`forward: true` leaves the whole name to the rules: nothing stands beside it", "write it alone");
  const families = [
    ["IPv4", a, written.some((text) => !text.includes(":"))],
    ["IPv6", aaaa, written.some((text) => text.includes(":"))],
  ] as const;
  for (const [family, key, hasFamily] of families)
    if (key !== null && (hasFamily || cname !== null))
      reader.fail(
        key.place,
        hasFamily ? `the name has an ${family} address, which answers this type` : "an alias answers every type",
        "remove one of them",
      );
  const opens = forward?.value === true || a?.value === "forward" || aaaa?.value === "forward";
  if (hasNone && !opens && reader.isClean(keyPlace.key))
    reader.fail(keyPlace, `\`${name}\` has neither an address nor a \`cname\``, "add `address:` or `cname:`");
}

function addressesOf({ address, addresses }: RecordMap): readonly string[] {
  return [...(address?.value ?? []), ...(addresses?.value ?? [])];
}

function isMapForm(raw: RawRecord): raw is RecordMap {
  return !Array.isArray(raw);
}

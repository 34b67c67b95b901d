import type { HostRecord, HostsOptions, OwnHosts } from "../hosts/options.ts";
import type { ConfigReader } from "./reading.ts";
import {
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

const recordMap = object("a map with `address`, `addresses` or `cname`", {
  address: optional(withPlace(oneOrMoreAddresses), "The name's address, or several."),
  addresses: optional(withPlace(oneOrMoreAddresses), "The same as `address`."),
  cname: optional(withPlace(domainName), "The name is an alias of this one."),
  others: key(keyword("nodata", "forward"), "Questions for other types: nodata, or forward as the rules say.", "nodata"),
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

/** The file `data/hosts.yaml`: names that were set through the API. */
export const ownHostsShape = object("a map with `records` and `hidden`", {
  records: key(records, "Names and their addresses.", {}),
  hidden: key(oneOrMany(hostName), "Names that are not there, whatever else says so.", []),
});

type RawOwnHosts = RawOf<typeof ownHostsShape>;

export function toOwnHosts(raw: RawOwnHosts): OwnHosts {
  return { records: recordsOf(raw.records), hidden: raw.hidden };
}

export function toHostsOptions(raw: RawHosts): HostsOptions {
  return { files: raw.files, ttlSeconds: raw.ttl, records: recordsOf(raw.records) };
}

function recordsOf(named: readonly Named<string, RawRecord>[]): HostRecord[] {
  return named.flatMap(({ name, value }) => (value === undefined ? [] : [recordOf(name, value)]));
}

function recordOf(name: string, raw: RawRecord): HostRecord {
  if (!isMapForm(raw)) return { name, addresses: raw, cname: null, others: "nodata", https: null };
  const addresses = [...(raw.address?.value ?? []), ...(raw.addresses?.value ?? [])];
  return { name, addresses, cname: raw.cname?.value ?? null, others: raw.others, https: raw.https };
}

export function checkHosts({ records }: Pick<RawHosts, "records">, reader: ConfigReader): void {
  const seen = new Set<string>();
  for (const { name, keyPlace, value } of records) {
    const identity = name.toLowerCase().replace(/\.$/, "");
    if (seen.has(identity))
      reader.fail(keyPlace, `\`${name}\` is here already: letter case does not tell names apart`, "make it one entry");
    seen.add(identity);
    if (value === undefined || !isMapForm(value)) continue;
    const { address, addresses, cname } = value;
    if (cname !== null && (address !== null || addresses !== null))
      reader.fail(cname.place, "a name has a `cname` or addresses, not both (RFC 1034 §3.6.2)", "remove one of them");
    if (cname === null && address === null && addresses === null && reader.isClean(keyPlace.key))
      reader.fail(keyPlace, `\`${name}\` has neither an address nor a \`cname\``, "add `address:` or `cname:`");
  }
}

function isMapForm(raw: RawRecord): raw is RecordMap {
  return !Array.isArray(raw);
}

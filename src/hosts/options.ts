/** One name of section `hosts` with its data. */
export interface HostRecord {
  /** As written: a name, or `*.` and a name. */
  readonly name: string;
  /** IP literals; empty where `cname` is set. */
  readonly addresses: readonly string[];
  readonly cname: string | null;
  /** The answer to questions for other types. A record with nothing but `forward` takes its names out of the table. */
  readonly others: Missing;
  /** The answer to questions for A where the name has no IPv4 address; absent = as `others`. */
  readonly a?: Missing;
  /** The same of AAAA and IPv6. */
  readonly aaaa?: Missing;
  /** A TYPE65 record of the name's own. */
  readonly https: { readonly alpn: readonly string[]; readonly port: number | null } | null;
}

/** What is answered where a name has no record of a type: an empty answer, or what the rules say. */
export type Missing = "nodata" | "forward";

/** Section `hosts`. */
export interface HostsOptions {
  /** Absolute paths of files in the hosts-file format. */
  readonly files: readonly string[];
  readonly ttlSeconds: number;
  /** In file order. */
  readonly records: readonly HostRecord[];
}

/** Names that were set or hidden through the API, or reported by their hosts. They take precedence over the configuration. */
export interface OwnHosts {
  readonly records: readonly HostRecord[];
  /** Names with the addresses that their hosts reported; `records` go before them. Absent = none. */
  readonly reported?: readonly HostRecord[];
  /** Names or wildcards that are hidden in every other source. */
  readonly hidden: readonly string[];
}

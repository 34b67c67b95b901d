/** What one name of section `hosts` stands for. */
export interface HostRecord {
  /** As written: a name, or `*.` before one. */
  readonly name: string;
  /** IP literals; empty where `cname` is set. */
  readonly addresses: readonly string[];
  readonly cname: string | null;
  /** What questions for other types get. */
  readonly others: "nodata" | "forward";
  /** A TYPE65 record of the name's own. */
  readonly https: { readonly alpn: readonly string[]; readonly port: number | null } | null;
}

/** Section `hosts`. */
export interface HostsOptions {
  /** Absolute paths of files in the hosts-file format. */
  readonly files: readonly string[];
  readonly ttlSeconds: number;
  /** In file order. */
  readonly records: readonly HostRecord[];
}

/** What was put into the table and taken from it while running. It wins over the rest. */
export interface OwnHosts {
  readonly records: readonly HostRecord[];
  /** Names, or `*.` before one, that are hidden wherever else they stand. */
  readonly hidden: readonly string[];
}

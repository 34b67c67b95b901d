import type { AccessOptions } from "../access/options.ts";
import type { AdminOptions, ClusterOptions } from "../admin/options.ts";
import type { AnswersOptions } from "../answers/options.ts";
import type { CacheOptions } from "../cache/options.ts";
import type { DdnsOptions } from "../ddns/options.ts";
import type { DevicesOptions } from "../devices/options.ts";
import type { HostsOptions } from "../hosts/options.ts";
import type { ListenOptions, TlsOptions } from "../listen/options.ts";
import type { ListOptions } from "../lists/options.ts";
import type { LogOptions } from "../log/options.ts";
import type { RouterosOptions } from "../routeros/options.ts";
import type { Expectation, RuleOptions, SpecialOptions } from "../rules/options.ts";
import type { UpstreamsOptions } from "../upstreams/options.ts";

/** The whole configuration, checked and complete: with all defaults, durations in ms or seconds, sizes in bytes, absolute paths. */
export interface Config {
  /** Absolute path of the file; null = defaults alone. */
  readonly path: string | null;
  /** The text of the file; empty without a file. */
  readonly text: string;
  readonly listen: ListenOptions;
  readonly tls: TlsOptions | null;
  readonly trustedProxies: readonly string[];
  readonly upstreams: UpstreamsOptions;
  readonly lists: readonly ListOptions[];
  /** Addresses, CIDRs and `list:NAME`. */
  readonly poison: readonly string[];
  readonly bogus: readonly string[];
  readonly rules: readonly RuleOptions[];
  readonly answers: AnswersOptions;
  readonly special: SpecialOptions;
  readonly hosts: HostsOptions;
  readonly cache: CacheOptions;
  readonly log: LogOptions;
  readonly admin: AdminOptions;
  readonly access: AccessOptions;
  readonly devices: DevicesOptions;
  readonly ddns: DdnsOptions;
  readonly routeros: RouterosOptions | null;
  readonly cluster: ClusterOptions | null;
  readonly expect: readonly Expectation[];
}

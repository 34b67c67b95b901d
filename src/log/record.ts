import { isIPv4, isIPv6 } from "node:net";
import ipaddr from "ipaddr.js";
import { withoutZone } from "../dns/address.ts";
import type { HttpVersion, Transport } from "../lib/client.ts";
import type { QueryLogOptions } from "./options.ts";

/**
 * One query as the log keeps it and the API shows it: flat, JSON as it stands, the same keys in every record. There is one for every
 * message of a client's that a header could be read of, however it ended; what is itself a response is no query.
 */
export interface QueryRecord {
  /**
   * Unique, and rising unless the clock is set back by more than a minute: milliseconds since 1970 times 1024 plus a counter, so that newest first is
   * highest first. Stays below 2^53 until the year 2248.
   */
  readonly id: number;
  /** When it came, in UTC: `2026-11-21T21:03:11.482Z`. */
  readonly time: string;
  /** As `log.queries.clients` allows: the address, its /24 or /48, or empty. */
  readonly client: string;
  /** The id in the DoH path; null = none, or `log.queries.clients` is `none`. */
  readonly clientId: string | null;
  readonly transport: Transport;
  /** null but for DoH. */
  readonly http: HttpVersion | null;
  /** Of the HTTP request; null but for DoH. */
  readonly method: "GET" | "POST" | null;
  /** In presentation form, lower case, without the final dot; `.` for the root, empty where the message has no readable question. */
  readonly name: string;
  /** Mnemonic or `TYPE123`; empty where the message has no readable question. */
  readonly type: string;
  /** Mnemonic of what was sent; null where nothing was. */
  readonly rcode: string | null;
  /** The records of the answer section as sent, each as `TTL TYPE data`, in their order; of a long answer the first, and how many more there were. */
  readonly answers: readonly string[];
  /** Where the answer came from; `refused` for what no rule was asked about: malformed, forbidden, over the rate. */
  readonly source: RecordSource;
  /** What was done: `none`, `block`, `type65:nodata`, `nxdomain:guarded`, `compare:unproven`, `loop`, `never`, `drop`, `malformed`, `unsupported`, `access`, `rate`, `shed`, `fault`, … */
  readonly action: string;
  /** The rule that decided; null where none did. */
  readonly rule: string | null;
  /** The list by which that rule matched; null = none, or a pattern written in the rule. */
  readonly list: string | null;
  /** The line of the list, from 1. */
  readonly line: number | null;
  /** The group that the answer is of, or that was asked in vain; null where it was made here. */
  readonly route: string | null;
  /** The server whose answer was given, or whose failure; null where none was asked or said anything, and for answers that were held. */
  readonly upstream: string | null;
  readonly attempts: readonly AttemptRecord[];
  /** How long a negative answer may be held, in seconds, as sent; null for all others. */
  readonly negativeTtl: number | null;
  /** From the whole message read to the reply made, in microseconds. */
  readonly durationUs: number;
  /** Of the reply, in bytes; 0 where nothing was sent. */
  readonly size: number;
  /** Extended errors as sent (RFC 8914): `15 (Blocked): rule ads`. */
  readonly ede: readonly string[];
  /** What was changed in the answer on its way, in words: TTLs brought within limits, parameters or records left out, an SOA made. */
  readonly edits: readonly string[];
  /**
   * Everything that was looked at on the way to the decision. It is worked out anew for `GET /queries/{id}`, under the version of the time; null in
   * lists of records, and where that version is gone. Records of older stores bear theirs.
   */
  readonly trace: readonly TraceStep[] | null;
  /** The version of configuration, hosts and lists it was decided under. */
  readonly version: string;
}

/** A record as it leaves the log's threads: whoever passes it on need not read it. */
export interface RecordText {
  readonly id: number;
  readonly json: string;
}

export type RecordSource = "hosts" | "special" | "rule" | "cache" | "stale" | "upstream" | "failure" | "refused";

/** One server asked on behalf of the query. */
export interface AttemptRecord {
  readonly group: string | null;
  readonly server: string;
  readonly transport: "udp" | "tcp" | "tls" | "https";
  /** When it was begun, in whole milliseconds after the query came; negative where an earlier query began it. */
  readonly startMs: number;
  /** How long it took. */
  readonly ms: number;
  /** null where no answer came. */
  readonly rcode: string | null;
  /** Why not; null where one came, or was still awaited. */
  readonly failure: string | null;
}

/** One thing that was looked at on the way to a decision, JSON as it stands: the same in the log, in explanations and on the command line. */
export type TraceStep =
  /** The static table has the name. It decided, unless further steps follow: then it leaves this type to the rules. */
  | { readonly kind: "hosts"; readonly pattern: string; readonly source: string; readonly line: number }
  /** The name lies in a special zone: only a pattern within the zone lets it out. */
  | { readonly kind: "special"; readonly zone: string }
  | {
      readonly kind: "rule";
      readonly rule: string;
      /**
       * `decides`, `modifies`; `closed`: it would decide, but by no pattern within the special zone. All others say which condition did not
       * hold: `types`, `when`, `clients`, `domains`, `excepted`, `longest`.
       */
      readonly outcome: "decides" | "modifies" | "closed" | "types" | "when" | "clients" | "domains" | "excepted" | "longest";
      /** What it matched by; null for a miss, and for a rule without patterns. */
      readonly match: TraceMatch | null;
      /** Of `when`: the hours of the rule, such as `21:00-07:00 Asia/Shanghai`, and what the clock showed there. */
      readonly when?: { readonly hours: string; readonly time: string };
    }
  /** NXDOMAIN was not given, because of the static table, a special name, or this rule. */
  | { readonly kind: "kept"; readonly because: "hosts" | "special" | { readonly rule: string } }
  /** No rule decided. */
  | { readonly kind: "first-group"; readonly group: string }
  /** The static table has an alias; what follows is about its target. In records only. */
  | { readonly kind: "alias"; readonly target: string }
  /** How a comparison chose between its sides. In records only. */
  | {
      readonly kind: "compared";
      readonly side: "near" | "far";
      /** What the near answer came to, now or when the verdict was found: `kept`, `foreign`, `void`, `empty`, `failed`, `silent`; null = there was none. */
      readonly near: string | null;
      /**
       * `comparison`: both were weighed. `verdict`: one is held. `default`: nothing is known of the name, and the type is not judged.
       * `failure`: the far group failed, so this is the best that was left.
       */
      readonly by: "comparison" | "verdict" | "default" | "failure";
    };

/** Where a pattern stands. */
export interface TraceMatch {
  /** null = written in the rule. */
  readonly list: string | null;
  readonly source: string;
  readonly line: number;
  readonly pattern: string;
}

/** How the query log is doing, for `/readyz`, the metrics and the API. */
export interface LogStatus {
  /** `off`: not wanted. `well`: records are stored. `failing`: they are not; see `fault`. */
  readonly state: "off" | "well" | "failing";
  /** What keeps it from storing, and since when; null = nothing. */
  readonly fault: { readonly reason: string; readonly sinceWallMs: number } | null;
  /** Since the start. */
  readonly stored: number;
  /** Records lost because the store was too slow, full or failing, since the start. */
  readonly dropped: number;
  /** Waiting to be stored. */
  readonly waiting: number;
  /** In the store, all days together; as of the last change. */
  readonly rows: number;
  readonly bytes: number;
  /** Of the oldest record in the store; null = it is empty. */
  readonly oldestWallMs: number | null;
}

/**
 * What the log shows of a client's address, as `log.queries.clients` allows: all of it, its /24 or /48 (`192.168.88.0/24`, `2001:db8:1::/48`;
 * the zone of a link-local address goes), or nothing. What is no address is shown in full or not at all.
 */
export function clientShown(address: string, clients: QueryLogOptions["clients"]): string {
  if (clients === "full") return address;
  if (clients === "none") return "";
  if (isIPv4(address)) return `${address.slice(0, address.lastIndexOf("."))}.0/24`;
  const bare = withoutZone(address);
  return isIPv6(bare) ? `${ipaddr.IPv6.networkAddressFromCIDR(`${bare}/48`).toString()}/48` : "";
}

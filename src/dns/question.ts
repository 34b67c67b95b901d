import type { ClientSubnet } from "./edns.ts";
import type { Name } from "./name.ts";

/** What is asked, as upstreams and the cache see it: everything that may change the answer, and nothing else. */
export interface Question {
  readonly name: Name;
  readonly type: number;
  readonly class: number;
  /** DO: send the signatures too (RFC 3225). */
  readonly dnssecOk: boolean;
  /** CD: do not validate (RFC 4035 §3.2.2). */
  readonly checkingDisabled: boolean;
  /** The subnet to send along (RFC 7871); null = none. */
  readonly clientSubnet: ClientSubnet | null;
}

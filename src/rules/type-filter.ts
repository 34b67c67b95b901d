import type { Shaping } from "../answers/options.ts";
import { TYPE } from "../dns/types.ts";

export type FilterAction =
  | "type64:nodata"
  | "type65:nodata"
  | "ipv6:nodata"
  | "ipv4:nodata"
  /** Whether these two apply is known only when the other family is. */
  | "ipv6:prefer-ipv4"
  | "ipv4:prefer-ipv6";

/**
 * Whether a question that would be forwarded is answered by NODATA because its type is switched off, and under which name
 * the log shows it. The SOA's owner is the name asked; it is never NXDOMAIN, which would speak for the other types too (RFC 2308 §5).
 */
export function typeFilter(shaping: Shaping, type: number): FilterAction | null {
  switch (type) {
    case TYPE.A:
      return shaping.ipv4 === "nodata" ? "ipv4:nodata" : null;
    case TYPE.AAAA:
      return shaping.ipv6 === "nodata" ? "ipv6:nodata" : null;
    case TYPE.SVCB:
      return shaping.https === "nodata" ? "type64:nodata" : null;
    case TYPE.HTTPS:
      return shaping.https === "nodata" ? "type65:nodata" : null;
    default:
      return null;
  }
}

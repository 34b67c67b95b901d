import type { Name } from "../dns/name.ts";
import { TYPE } from "../dns/types.ts";
import type { HostsMatch, HostsTable } from "../hosts/table.ts";
import type { LocalAnswer } from "./decision.ts";
import { httpsData } from "./https-data.ts";

export interface HostsTtls {
  readonly positiveSeconds: number;
  readonly negativeSeconds: number;
}

/** What the static table answers to a question of class IN; null where it holds nothing, or leaves the type to others. */
export function hostsAnswer(
  hosts: HostsTable,
  { name, type }: { readonly name: Name; readonly type: number },
  ttls: HostsTtls,
): LocalAnswer | null {
  const match = hosts.lookup(name);
  if (match !== null) return matchAnswer(match, { name, type }, ttls);
  const pointer = hosts.pointer(name);
  if (pointer === null) return null;
  if (type === TYPE.PTR) return { kind: "pointer", target: pointer.target, ttlSeconds: ttls.positiveSeconds };
  return withoutRecord({ name, type }, ttls);
}

function matchAnswer(
  match: HostsMatch,
  asked: { readonly name: Name; readonly type: number },
  ttls: HostsTtls,
): LocalAnswer | null {
  const ttlSeconds = ttls.positiveSeconds;
  const { type } = asked;
  if (type === TYPE.ANY) return { kind: "minimal-any", ttlSeconds };
  // RFC 1034 §3.6.2: beside a CNAME there is nothing else.
  if (match.cname !== null) return { kind: "alias", target: match.cname, ttlSeconds };
  if (type === TYPE.A || type === TYPE.AAAA) {
    const octets = type === TYPE.A ? 4 : 16;
    const addresses = match.addresses.filter(({ length }) => length === octets);
    if (addresses.length > 0) return { kind: "addresses", addresses, ttlSeconds };
  }
  if (type === TYPE.HTTPS && match.https !== null) return { kind: "https", data: httpsData(match.https), ttlSeconds };
  return match.others === "forward" ? null : withoutRecord(asked, ttls);
}

function withoutRecord({ name, type }: { readonly name: Name; readonly type: number }, ttls: HostsTtls): LocalAnswer {
  if (type === TYPE.ANY) return { kind: "minimal-any", ttlSeconds: ttls.positiveSeconds };
  return { kind: "nodata", soaOwner: name, ttlSeconds: ttls.negativeSeconds };
}

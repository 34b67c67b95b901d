import { type Name, nameOfLabels } from "./name.ts";

/** The name under which the PTR of an address stands: in in-addr.arpa for 4 octets (RFC 1035 §3.5), in ip6.arpa for 16 (RFC 3596 §2.5). */
export function reverseName(address: Uint8Array): Name {
  const labels =
    address.length === 4 ? [...address].reverse().map(String) : Buffer.from(address).toString("hex").split("").reverse();
  const name = nameOfLabels([...labels, address.length === 4 ? "in-addr" : "ip6", "arpa"]);
  if (name === null) throw new Error(`an address has 4 or 16 octets, not ${address.length}`);
  return name;
}

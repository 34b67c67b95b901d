import { addressFromText } from "../../dns/address.ts";
import type { DomainLineReader } from "../domain-set-builder.ts";
import { spanText, startsWith, withoutComment, words } from "../span.ts";

/** Names that hosts files carry for the machine itself, and that no list of others' names means. */
const OWN_NAMES = new Set([
  "localhost",
  "localhost.localdomain",
  "local",
  "broadcasthost",
  "ip6-localhost",
  "ip6-loopback",
  "ip6-localnet",
  "ip6-mcastprefix",
  "ip6-allnodes",
  "ip6-allrouters",
  "ip6-allhosts",
  "0.0.0.0",
]);

/** `0.0.0.0 name name2`: each name stands for itself alone, as in the hosts file of an operating system. */
export const readHostsLine: DomainLineReader = (line, lineNumber, sink) => {
  const content = withoutComment(line);
  const [address, ...names] = words(content);
  if (address === undefined || startsWith(content, "!")) return null;
  // A zone, as in fe80::1%lo0, stands beside names of the machine itself.
  if (addressFromText(spanText(address).replace(/%.*/, "")) === null) return "no address at the beginning";
  if (names.length === 0) return "no name after the address";
  let reason: string | null = null;
  for (const name of names) {
    if (!OWN_NAMES.has(spanText(name).toLowerCase())) reason = sink.name("full", name, lineNumber) ?? reason;
  }
  return reason;
};

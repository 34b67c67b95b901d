import type { DomainLineReader } from "../domain-set-builder.ts";
import { indexOf, spanText, startsWith, trimmed } from "../span.ts";
import { withoutWildcard } from "./plain.ts";

const EQUALS = 0x3d;
const SLASH = 0x2f;

/** Directives of a dnsmasq configuration that are about names: `server=/a/b/192.0.2.1` is about a and b and everything below them. */
const ABOUT_NAMES = new Set(["server", "address", "local", "ipset", "nftset", "rebind-domain-ok"]);
const ABOUT_ADDRESSES = new Set(["bogus-nxdomain", "ignore-address"]);

export const readDnsmasqLine: DomainLineReader = (line, lineNumber, sink) => {
  if (startsWith(line, "#")) return null;
  const equals = indexOf(line, EQUALS);
  const directive = equals < 0 ? "" : spanText(trimmed({ ...line, end: equals }));
  if (ABOUT_ADDRESSES.has(directive)) return "an address, where a domain name belongs";
  if (!ABOUT_NAMES.has(directive)) return "a directive that names no domain";
  const slash = indexOf(line, SLASH);
  if (slash < 0) return "no name between slashes";
  let reason: string | null = null;
  let name = { ...line, start: slash + 1 };
  for (let end = indexOf(name, SLASH); end >= 0; end = indexOf(name, SLASH)) {
    // `//` is dnsmasq's sign for names of a single label and `/#/` that for everything: neither is a name.
    reason = sink.name("suffix", withoutWildcard({ ...name, end }), lineNumber) ?? reason;
    name = { ...line, start: end + 1 };
  }
  return name.start === slash + 1 ? "no name between slashes" : reason;
};

/** The address of a `bogus-nxdomain=` line; null where it is another one. */
export function dnsmasqAddress(line: string): string | null {
  const [, directive = "", address = ""] = /^([\w-]+)\s*=\s*([^\s#]+)/.exec(line) ?? [];
  return ABOUT_ADDRESSES.has(directive) ? address : null;
}

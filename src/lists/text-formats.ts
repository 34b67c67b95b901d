import { type AddressRange, addressFromText, rangeFromText } from "../dns/address.ts";
import type { Sliced } from "../lib/cooperative.ts";
import { readAdguardLine } from "./adguard.ts";
import { indexOf, type Span, skip, spanOf, spanText, splitWords, startsWith, stripComment, trim } from "./span.ts";
import type { DomainLineReader, DomainSink } from "./types.ts";

export const TEXT_FORMATS = ["plain", "dnsmasq", "hosts", "adguard", "clash", "gfwlist"] as const;
export type TextFormat = (typeof TEXT_FORMATS)[number];

/** The reader of a format's lines. With `attributes`, only lines of a plain list that carry all of them count. */
export function lineReader(format: TextFormat, attributes: readonly string[]): DomainLineReader {
  return format === "plain" ? plainLines(attributes) : LINE_READERS[format];
}

const AT = 0x40;
const COLON = 0x3a;

/**
 * One pattern a line. A bare name stands for itself and everything below it, unless it begins with `full:`, `domain:`, `keyword:` or
 * `regexp:`; a leading `.`, `*.` or `+.` changes nothing. Attributes such as `@cn` may follow.
 */
function plainLines(attributes: readonly string[]): DomainLineReader {
  return (line, lineNumber, sink) => {
    const content = stripComment(line);
    if (content.start === content.end || startsWith(content, "//") || startsWith(content, ";")) return null;
    if (startsWith(content, "regexp:")) return readPrefixed(stripAttributes(content, attributes), lineNumber, sink);
    if (attributes.length === 0 && indexOf(content, COLON) < 0 && indexOf(content, AT) < 0) {
      return sink.name("suffix", stripWildcard(content), lineNumber);
    }
    const [pattern = content, ...rest] = splitWords(content);
    if (!rest.every((word) => startsWith(word, "@") || startsWith(word, "&"))) return "more than a name";
    return hasAll(rest, attributes) ? readPrefixed(pattern, lineNumber, sink) : null;
  };
}

/** `.x`, `*.x` and `+.x` become x. */
function stripWildcard(name: Span): Span {
  if (startsWith(name, "*.") || startsWith(name, "+.")) return skip(name, 2);
  return startsWith(name, ".") && name.end - name.start > 1 ? skip(name, 1) : name;
}

function readPrefixed(pattern: Span | null, lineNumber: number, sink: DomainSink): string | null {
  if (pattern === null) return null;
  const colon = indexOf(pattern, COLON);
  if (colon < 0) return sink.name("suffix", stripWildcard(pattern), lineNumber);
  const prefix = spanText({ ...pattern, end: colon });
  const rest = { ...pattern, start: colon + 1 };
  switch (prefix) {
    case "domain":
      return sink.name("suffix", rest, lineNumber);
    case "full":
      return sink.name("full", rest, lineNumber);
    case "keyword":
    case "regexp":
      return sink.text(prefix, spanText(rest), lineNumber);
    case "include":
      return "another file is included, which is not followed";
    default:
      return "not a pattern";
  }
}

/** Cuts the attributes off. An expression may hold spaces and `@`: only its last words can be attributes. null = one of `attributes` is missing. */
function stripAttributes(content: Span, attributes: readonly string[]): Span | null {
  const parts = splitWords(content);
  let count = parts.length;
  while (count > 1 && startsWith(parts[count - 1] ?? content, "@")) count--;
  const end = parts[count - 1]?.end ?? content.end;
  return hasAll(parts.slice(count), attributes) ? { ...content, end } : null;
}

function hasAll(tags: readonly Span[], attributes: readonly string[]): boolean {
  const carried = tags.map((tag) => spanText(skip(tag, 1)).toLowerCase());
  return attributes.every((attribute) => carried.includes(attribute));
}

const EQUALS = 0x3d;
const SLASH = 0x2f;

/** dnsmasq's directives about names: `server=/a/b/192.0.2.1` is about a, b and everything below them. */
const NAME_DIRECTIVES = new Set(["server", "address", "local", "ipset", "nftset", "rebind-domain-ok"]);
const ADDRESS_DIRECTIVES = new Set(["bogus-nxdomain", "ignore-address"]);

const readDnsmasqLine: DomainLineReader = (line, lineNumber, sink) => {
  if (startsWith(line, "#")) return null;
  const equals = indexOf(line, EQUALS);
  const directive = equals < 0 ? "" : spanText(trim({ ...line, end: equals }));
  if (ADDRESS_DIRECTIVES.has(directive)) return "an address, where a domain name belongs";
  if (!NAME_DIRECTIVES.has(directive)) return "a directive that names no domain";
  const slash = indexOf(line, SLASH);
  if (slash < 0) return "no name between slashes";
  let reason: string | null = null;
  let name = { ...line, start: slash + 1 };
  for (let end = indexOf(name, SLASH); end >= 0; end = indexOf(name, SLASH)) {
    // dnsmasq writes `//` for names of one label and `/#/` for everything: the sink refuses both.
    reason = sink.name("suffix", stripWildcard({ ...name, end }), lineNumber) ?? reason;
    name = { ...line, start: end + 1 };
  }
  return name.start === slash + 1 ? "no name between slashes" : reason;
};

/** The address of a line such as `bogus-nxdomain=192.0.2.1`; null for any other line. */
function dnsmasqAddress(line: string): string | null {
  const [, directive = "", address = ""] = /^([\w-]+)\s*=\s*([^\s#]+)/.exec(line) ?? [];
  return ADDRESS_DIRECTIVES.has(directive) ? address : null;
}

/** AdGuard's rules, and lines of a hosts file among them. */
const readAdguardOrHostsLine: DomainLineReader = (line, lineNumber, sink) =>
  addressFromText(spanText(splitWords(line)[0] ?? line)) === null
    ? readAdguardLine(line, lineNumber, sink)
    : readHostsLine(line, lineNumber, sink);

/**
 * AutoProxy rules, as in gfwlist: `||x`, `.x`, `x`, and URLs after `|`; `@@` an exception. The rules choose among URLs. DNS knows the name
 * alone, so a rule about one path counts for its whole host and everything below it.
 */
const readAutoproxyLine: DomainLineReader = (line, lineNumber, sink) => {
  const text = spanText(line);
  if (/^[![]/.test(text)) return null;
  const isException = text.startsWith("@@");
  const rule = isException ? text.slice(2) : text;
  if (/^\/.*\/$/.test(rule)) return "a regular expression about URLs";
  const host = rule.replace(/^\|{0,2}(https?:\/\/)?\.?/, "").replace(/[/:^%].*$/s, "");
  if (host.includes("*")) return "a wildcard within a name";
  if (!host.includes(".") && !rule.startsWith("||")) return "a part of a URL";
  return isException ? sink.exception("suffix", spanOf(host), lineNumber) : sink.name("suffix", spanOf(host), lineNumber);
};

/** Whether the file is an AutoProxy list that is base64 as a whole. */
export function isEncodedAutoproxy(bytes: Buffer): boolean {
  const head = Buffer.from(bytes.toString("latin1", 0, 64).trimStart().slice(0, 16), "base64").toString("latin1");
  return /^\[autoproxy/i.test(head);
}

/** So many bytes are decoded at once: a whole list of 64 MB would hold the thread for a fifth of a second. */
const DECODED_BYTES = 1 << 15;

/** Decodes base64, with whatever stands between its characters. */
export function* decodeBase64(bytes: Buffer): Sliced<Buffer> {
  const decoded = Buffer.allocUnsafe(Math.ceil(bytes.length / 4) * 3);
  let length = 0;
  // Four characters are three bytes.
  let rest = "";
  for (let position = 0; position < bytes.length; position += DECODED_BYTES) {
    if (position > 0) yield;
    const piece = bytes.toString("latin1", position, Math.min(position + DECODED_BYTES, bytes.length));
    const characters = rest + piece.replace(/[^A-Za-z0-9+/_-]+/g, "");
    const whole = characters.length - (characters.length % 4);
    length += decoded.write(characters.slice(0, whole), length, "base64");
    rest = characters.slice(whole);
  }
  length += decoded.write(rest, length, "base64");
  return decoded.subarray(0, length);
}

/**
 * Rule sets of Clash and Surge, as YAML (`payload:` and `- '+.x'`) or as lines: `DOMAIN-SUFFIX,x`, `DOMAIN,x`, `DOMAIN-KEYWORD,x`,
 * `DOMAIN-REGEX,x`. Without a type, `+.x` is x and everything below it, `.x` and `*.x` only what is below (Clash takes `*.x` for one level),
 * and `x` is x alone.
 */
const readClashLine: DomainLineReader = (line, lineNumber, sink) => {
  const text = clashValue(line);
  if (text === null) return null;
  const [type = "", value] = text.split(",", 2).map((part) => part.trim());
  if (value === undefined) {
    const kind = text.startsWith("+.") ? "suffix" : /^\*?\./.test(text) ? "below" : "full";
    return sink.name(kind, stripWildcard(spanOf(text)), lineNumber);
  }
  switch (type.toUpperCase()) {
    case "DOMAIN":
    case "HOST":
      return sink.name("full", spanOf(value), lineNumber);
    case "DOMAIN-SUFFIX":
    case "HOST-SUFFIX":
      return sink.name("suffix", stripWildcard(spanOf(value)), lineNumber);
    case "DOMAIN-KEYWORD":
    case "HOST-KEYWORD":
      return sink.text("keyword", value, lineNumber);
    case "DOMAIN-REGEX":
      // The expression may hold commas.
      return sink.text("regexp", text.slice(text.indexOf(",") + 1).trim(), lineNumber);
    default:
      return isAboutConnections(type) ? ABOUT_CONNECTIONS : "a rule of a type that is not read here";
  }
};

/** Why a rule of Clash is not used that a name alone never matches. */
export const ABOUT_CONNECTIONS = "a rule about addresses or connections, not names";

/** Whether a rule of Clash of this type never matches a name alone. */
export function isAboutConnections(type: string): boolean {
  return /^((SRC-|DST-)?(IP|GEOIP)\b.*|(SRC|DST|IN|PROCESS)-.*|UID|DSCP)$/i.test(type);
}

/** The value of a line without YAML's dash, quotes and comment; null for a comment or the key. */
function clashValue(line: Span): string | null {
  const text = spanText(line);
  if (/^(#|;|\/\/|payload:|---)/.test(text)) return null;
  const item = text.replace(/^-\s+/, "");
  const [, quoted] = /^(?:'([^']*)'|"([^"]*)")/.exec(item)?.filter((part) => part !== undefined) ?? [];
  if (quoted !== undefined) return quoted;
  // Not one expression: it would try every run of spaces from every space of it.
  for (const { index } of item.matchAll(/#|\/\//g)) if (/\s/.test(item[index - 1] ?? "")) return item.slice(0, index).trim();
  return item.trim();
}

/** Names of the machine itself in hosts files: a list of other hosts does not mean them. */
const LOCAL_NAMES = new Set(
  (
    "localhost localhost.localdomain local broadcasthost " +
    "ip6-localhost ip6-loopback ip6-localnet ip6-mcastprefix ip6-allnodes ip6-allrouters ip6-allhosts 0.0.0.0"
  ).split(" "),
);

/** `0.0.0.0 name name2`: each name stands for itself alone, as in the hosts file of an operating system. */
const readHostsLine: DomainLineReader = (line, lineNumber, sink) => {
  const content = stripComment(line);
  const [address, ...names] = splitWords(content);
  if (address === undefined || startsWith(content, "!")) return null;
  // The address may have a zone, as in fe80::1%lo0.
  if (addressFromText(spanText(address).replace(/%.*/, "")) === null) return "no address at the beginning";
  if (names.length === 0) return "no name after the address";
  let reason: string | null = null;
  for (const name of names) {
    if (!LOCAL_NAMES.has(spanText(name).toLowerCase())) reason = sink.name("full", name, lineNumber) ?? reason;
  }
  return reason;
};

const LINE_READERS: Readonly<Record<Exclude<TextFormat, "plain">, DomainLineReader>> = {
  dnsmasq: readDnsmasqLine,
  hosts: readHostsLine,
  adguard: readAdguardOrHostsLine,
  clash: readClashLine,
  gfwlist: readAutoproxyLine,
};

/**
 * Reads a line of an address list: a CIDR, an address, a range `a-b`, `IP-CIDR,x` and the like of Clash and Surge (also as YAML), `bogus-nxdomain=x` of
 * dnsmasq, or a command of ipset or nft that adds one. Returns null for a comment, and a text that says why a line is not used.
 */
export function readAddressLine(line: Span): AddressRange | string | null {
  // Nearly all lines of nearly all lists.
  const plain = rangeFromText(spanText(line));
  if (plain !== null) return plain;
  const text = clashValue(line);
  if (text === null || /^(create|flush|add (table|set)) /.test(text)) return null;
  const written = dnsmasqAddress(text) ?? addedAddress(text) ?? addressPart((text.split(/[#;]/, 1)[0] ?? "").trim());
  return rangeFromText(written) ?? "not an address, CIDR or range";
}

/** `add SET x` of ipset, `add element FAMILY TABLE SET { x }` of nft. */
function addedAddress(text: string): string | null {
  const [, inBraces, alone] = /^add (?:element .*\{\s*([^\s,{}]+)\s*\}|\S+ (\S+).*)$/.exec(text) ?? [];
  return inBraces ?? alone ?? null;
}

function addressPart(text: string): string {
  const [type = "", value] = text.split(",", 2);
  return value !== undefined && /^(src-)?ip6?-cidr6?$/i.test(type.trim()) ? value.trim() : text;
}

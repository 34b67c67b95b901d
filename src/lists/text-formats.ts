import { type AddressRange, addressFromText, rangeFromText } from "../dns/address.ts";
import type { DomainLineReader, DomainSink } from "./domain-set-builder.ts";
import { after, indexOf, type Span, spanOf, spanText, splitWords, startsWith, trimmed, withoutComment } from "./span.ts";

const AT = 0x40;
const COLON = 0x3a;

/**
 * One pattern a line: a bare name stands for itself and everything below, `full:`, `domain:`, `keyword:` and `regexp:` say otherwise, and `@attribute`s may
 * follow. Leading `.`, `*.` and `+.` mean nothing more. With `attributes`, only lines that carry all of them count.
 */
export function plainLines(attributes: readonly string[]): DomainLineReader {
  return (line, lineNumber, sink) => {
    const content = withoutComment(line);
    if (content.start === content.end || startsWith(content, "//") || startsWith(content, ";")) return null;
    if (startsWith(content, "regexp:")) return readPrefixed(regexpAndAttributes(content, attributes), lineNumber, sink);
    if (attributes.length === 0 && indexOf(content, COLON) < 0 && indexOf(content, AT) < 0) {
      return sink.name("suffix", withoutWildcard(content), lineNumber);
    }
    const [pattern = content, ...rest] = splitWords(content);
    if (!rest.every((word) => startsWith(word, "@") || startsWith(word, "&"))) return "more than a name";
    return carriesAll(rest, attributes) ? readPrefixed(pattern, lineNumber, sink) : null;
  };
}

/** `.x`, `*.x` and `+.x` are x: a name's apex goes where the names below it go. */
function withoutWildcard(name: Span): Span {
  if (startsWith(name, "*.") || startsWith(name, "+.")) return after(name, 2);
  return startsWith(name, ".") && name.end - name.start > 1 ? after(name, 1) : name;
}

function readPrefixed(pattern: Span | null, lineNumber: number, sink: DomainSink): string | null {
  if (pattern === null) return null;
  const colon = indexOf(pattern, COLON);
  if (colon < 0) return sink.name("suffix", withoutWildcard(pattern), lineNumber);
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

/** An expression may hold spaces and `@`, so only what stands at its end and looks like an attribute is one. null = not all `attributes` are there. */
function regexpAndAttributes(content: Span, attributes: readonly string[]): Span | null {
  const parts = splitWords(content);
  let kept = parts.length;
  while (kept > 1 && startsWith(parts[kept - 1] ?? content, "@")) kept--;
  const end = parts[kept - 1]?.end ?? content.end;
  return carriesAll(parts.slice(kept), attributes) ? { ...content, end } : null;
}

function carriesAll(tags: readonly Span[], attributes: readonly string[]): boolean {
  const carried = tags.map((tag) => spanText(after(tag, 1)).toLowerCase());
  return attributes.every((attribute) => carried.includes(attribute));
}

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
function dnsmasqAddress(line: string): string | null {
  const [, directive = "", address = ""] = /^([\w-]+)\s*=\s*([^\s#]+)/.exec(line) ?? [];
  return ABOUT_ADDRESSES.has(directive) ? address : null;
}

const COSMETIC = /#@?#|#@?[?$%]+#|\$\$|\$@\$/;

/** Modifiers that change nothing where only names are known. `important` does as little: an exception of the same list holds all the same. */
const HARMLESS_MODIFIERS = new Set(["important", "all"]);

/**
 * AdGuard's rules for DNS: `||name^` with all below it, `||*.name^` what is below alone, `|name^` and a bare name alone, `@@` an exception, `/…/` a regular expression, `*` any bytes,
 * lines of a hosts file. What speaks of pages or of single requests is no matter for DNS, and is skipped with a warning.
 */
export const readAdguardLine: DomainLineReader = (line, lineNumber, sink) => {
  const text = spanText(line);
  if (/^([![]|#+([\s#=-]|$))/.test(text)) return null;
  if (COSMETIC.test(text)) return "a cosmetic rule, which is about pages";
  if (text.startsWith("#")) return null;
  if (addressFromText(text.split(/\s/, 1)[0] ?? "") !== null) return readHostsLine(line, lineNumber, sink);
  const excepted = text.startsWith("@@");
  const { pattern, modifiers } = splitModifiers(excepted ? text.slice(2) : text);
  const unknown = modifiers.find((modifier) => !HARMLESS_MODIFIERS.has(modifier));
  if (unknown !== undefined) return "a rule with a modifier that is not known here";
  return readRule({ pattern, excepted, lineNumber }, sink);
};

interface Rule {
  readonly pattern: string;
  readonly excepted: boolean;
  readonly lineNumber: number;
}

function readRule({ pattern, excepted, lineNumber }: Rule, sink: DomainSink): string | null {
  if (/^\/.+\/$/.test(pattern)) {
    return excepted ? "an exception by regular expression" : sink.text("regexp", pattern.slice(1, -1), lineNumber);
  }
  const [, start = "", name = "", rest = ""] = /^(\|{0,2})([^/^|]*)(.*)$/s.exec(pattern) ?? [];
  if (rest.startsWith("/")) return "a rule about a path";
  if (!/^\^?\|?$/.test(rest)) return "not a rule about a name";
  const bare = name.replace(/^\*\./, "");
  const kind = bare !== name ? "below" : start === "||" ? "suffix" : "full";
  if (!bare.includes("*"))
    return excepted ? sink.exception(kind, spanOf(bare), lineNumber) : sink.name(kind, spanOf(bare), lineNumber);
  if (excepted) return "an exception with a wildcard";
  return /^[\w.*-]+$/.test(name) ? sink.text("regexp", wildcardSource(start === "||", name), lineNumber) : "not a domain name";
}

function wildcardSource(anyDepth: boolean, name: string): string {
  const body = name.replaceAll(".", "\\.").replace(/\*+/g, ".*");
  return `${anyDepth ? "(?:^|\\.)" : "^"}${body}$`;
}

function splitModifiers(rule: string): { readonly pattern: string; readonly modifiers: readonly string[] } {
  // A `$` within a regular expression is its own.
  const dollar = /^\/.*\/$/.test(rule) ? -1 : rule.lastIndexOf("$");
  if (dollar < 0) return { pattern: rule, modifiers: [] };
  return { pattern: rule.slice(0, dollar), modifiers: rule.slice(dollar + 1).split(",") };
}

/**
 * AutoProxy rules, as in gfwlist: `||x`, `.x`, `x` and URLs after `|`; `@@` an exception. They choose among URLs and a name is all that is known here, so a rule
 * about one path counts for its whole host and everything below.
 */
export const readAutoproxyLine: DomainLineReader = (line, lineNumber, sink) => {
  const text = spanText(line);
  if (/^[![]/.test(text)) return null;
  const excepted = text.startsWith("@@");
  const rule = excepted ? text.slice(2) : text;
  if (/^\/.*\/$/.test(rule)) return "a regular expression about URLs";
  const host = rule.replace(/^\|{0,2}(https?:\/\/)?\.?/, "").replace(/[/:^%].*$/s, "");
  if (host.includes("*")) return "a wildcard within a name";
  if (!host.includes(".") && !rule.startsWith("||")) return "a part of a URL";
  return excepted ? sink.exception("suffix", spanOf(host), lineNumber) : sink.name("suffix", spanOf(host), lineNumber);
};

/** The text of a list that is base64 as a whole; null where it is something else. Line numbers then count within the text. */
export function decodedAutoproxy(bytes: Buffer): Buffer | null {
  const head = Buffer.from(bytes.toString("latin1", 0, 64).trimStart().slice(0, 16), "base64").toString("latin1");
  return /^\[autoproxy/i.test(head) ? Buffer.from(bytes.toString("latin1"), "base64") : null;
}

/**
 * Rule sets of Clash and Surge, as YAML (`payload:` and `- '+.x'`) or as lines: `DOMAIN-SUFFIX,x`, `DOMAIN,x`, `DOMAIN-KEYWORD,x`, `DOMAIN-REGEX,x`; without
 * a type, `+.x` is x and everything below, `.x` and `*.x` (which Clash takes for one level) what is below alone, and `x` is x alone.
 */
export const readClashLine: DomainLineReader = (line, lineNumber, sink) => {
  const text = clashValue(line);
  if (text === null) return null;
  const [type = "", value] = text.split(",", 2).map((part) => part.trim());
  if (value === undefined) {
    const kind = text.startsWith("+.") ? "suffix" : /^\*?\./.test(text) ? "below" : "full";
    return sink.name(kind, withoutWildcard(spanOf(text)), lineNumber);
  }
  switch (type.toUpperCase()) {
    case "DOMAIN":
    case "HOST":
      return sink.name("full", spanOf(value), lineNumber);
    case "DOMAIN-SUFFIX":
    case "HOST-SUFFIX":
      return sink.name("suffix", withoutWildcard(spanOf(value)), lineNumber);
    case "DOMAIN-KEYWORD":
    case "HOST-KEYWORD":
      return sink.text("keyword", value, lineNumber);
    case "DOMAIN-REGEX":
      // The expression may hold commas.
      return sink.text("regexp", text.slice(text.indexOf(",") + 1).trim(), lineNumber);
    default:
      return "a rule that is about no name";
  }
};

/** A line without what YAML puts around its value; null where it is a comment or the key. */
function clashValue(line: Span): string | null {
  const text = spanText(line);
  if (/^(#|;|\/\/|payload:|---)/.test(text)) return null;
  const item = text.replace(/^-\s+/, "");
  const [, quoted] = /^(?:'([^']*)'|"([^"]*)")/.exec(item)?.filter((part) => part !== undefined) ?? [];
  return quoted ?? item.replace(/\s+(#|\/\/).*$/, "").trim();
}

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
  const [address, ...names] = splitWords(content);
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

/**
 * Reads a line of an address list: a CIDR, an address or a range `a-b`; `IP-CIDR,x` and the like of Clash and Surge, also as YAML; `bogus-nxdomain=x` of dnsmasq.
 * null for a comment, a text that says why the line is not used.
 */
export function readAddressLine(line: Span): AddressRange | string | null {
  const text = clashValue(line);
  if (text === null) return null;
  const written = dnsmasqAddress(text) ?? addressPart(text.replace(/\s*[#;].*$/, "").trim());
  return rangeFromText(written) ?? "not an address, CIDR or range";
}

function addressPart(text: string): string {
  const [type = "", value] = text.split(",", 2);
  return value !== undefined && /^(src-)?ip6?-cidr6?$/i.test(type.trim()) ? value.trim() : text;
}

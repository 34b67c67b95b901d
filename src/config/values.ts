import { X509Certificate } from "node:crypto";
import { accessSync, constants, readFileSync, statSync } from "node:fs";
import { isIP, isIPv4, isIPv6 } from "node:net";
import { domainToASCII } from "node:url";
import ipaddr from "ipaddr.js";
import { Scalar } from "yaml";
import { typeNumber } from "../dns/types.ts";
import { errorText } from "../lib/text.ts";
import type { Endpoint } from "../listen/options.ts";
import type { ConfigReader, SourceLocation } from "./reading.ts";
import { anyOf, failAsOther, type Parsed, refine, type Shape, scalarOf, text, wordLike } from "./shape.ts";

/** A domain name. */
export const domainName = text({ expected: "a domain name", parse: parseDomainName, examples: ["nas.lan"] });

/** A name that is declared elsewhere in the file. `checkReferences` looks for the declaration. */
export const reference = wordLike(/./s, "a name", { wrong: "an empty name", fix: "write a name" });

/** `list:NAME`, read as the name. */
export const listReference = text({ expected: "a list such as `list:cn`", parse: parseListReference, pattern: "^list:" });

/** A pattern of section `rules`, read as it is written. */
export const domainPattern = text({
  expected: "a domain or a list such as `list:cn`",
  parse: parseDomainPattern,
  examples: ["example.com", "list:cn", "full:www.example.com", "keyword:tracker", "regexp:^ad[0-9]", "single:", "!list:cn", "."],
});

/** A network, an address or a client id. */
export const client = dropHostBits(
  text({ expected: "a network, an address or a client id", parse: parseClient, examples: ["10.0.7.0/24", "tv"] }),
);

/** As `client`, or a MAC address, perhaps after `!`. */
export const clientOrNot = dropHostBits(
  text({
    expected: client.expected,
    parse: (written) => {
      const plain = written.replace(/^!/, "");
      const parsed = MAC.test(plain) ? { value: plain.toLowerCase() } : parseClient(plain);
      return "value" in parsed && plain !== written ? { value: `!${parsed.value}` } : parsed;
    },
    examples: ["10.0.7.0/24", "tv", "aa:bb:cc:dd:ee:ff", "!10.0.9.0/24"],
  }),
);

/** As `client`, or `private`. */
export const clientOrPrivate = dropHostBits(
  text({
    expected: "`private`, a network, an address or a client id",
    parse: (written) => (written === "private" ? { value: written } : parseClient(written)),
    examples: ["private", "10.0.7.0/24", "tv"],
  }),
);

/** A network, an address, or `list:NAME` as written. */
export const networkOrList = dropHostBits(
  text({
    expected: "a network, an address or a list such as `list:poison`",
    parse: (written): Parsed<string> => {
      if (!written.startsWith("list:")) return parseNetwork(written);
      const parsed = parseListReference(written);
      return "value" in parsed ? { value: written } : parsed;
    },
    examples: ["list:poison", "192.0.2.0/24"],
  }),
);

const TYPE_NUMBER = { type: "integer", minimum: 0, maximum: 65_535 };

const RECORD_TYPE = "a record type such as `AAAA` or `TYPE65`";

/** A record type by name or number. */
export const recordType: Shape<number> = {
  schema: anyOf({ type: "string", examples: ["A", "AAAA", "HTTPS", "TYPE65"] }, TYPE_NUMBER),
  expected: RECORD_TYPE,
  read(place, reader) {
    const word = scalarOf(place.node);
    const type = typeof word === "string" || typeof word === "number" ? typeNumber(String(word)) : null;
    return type ?? failAsOther(place, RECORD_TYPE, reader, "write its name, or TYPE and its number");
  },
};

/** As `recordType`, perhaps after `!`. */
export const recordTypeOrNot: Shape<{ readonly type: number; readonly excepted: boolean }> = {
  ...recordType,
  schema: anyOf({ type: "string", examples: ["A", "AAAA", "HTTPS", "TYPE65", "!AAAA"] }, TYPE_NUMBER),
  read(place, reader) {
    const word = scalarOf(place.node);
    const excepted = typeof word === "string" && word.startsWith("!");
    const type = recordType.read(excepted ? { ...place, node: new Scalar(word.slice(1)) } : place, reader);
    return type === undefined ? undefined : { type, excepted };
  },
};

const OWN_NAME = /^[\p{L}\p{N}][\p{L}\p{N}._-]{0,62}$/u;

/** The name of a group or a list. The name appears in other settings, in logs and in paths of the API. */
export function parseOwnName(written: string): Parsed<string> {
  if (OWN_NAME.test(written)) return { value: written };
  return {
    wrong: `\`${written}\` cannot be a name`,
    fix: "use up to 63 letters, digits, `-`, `_` and `.`, a letter or digit first",
  };
}

export function parseListReference(written: string): Parsed<string> {
  if (/^list:./.test(written)) return { value: written.slice("list:".length) };
  return {
    wrong: `\`${written}\` is no list`,
    fix: OWN_NAME.test(written) ? `write \`list:${written}\`` : "write it as in `list:cn`",
  };
}

/** Accepts letters beyond ASCII (RFC 5890), `_`, and a final dot, but no escapes or wildcards. Returns the name as written. */
export function parseDomainName(written: string): Parsed<string> {
  if (isDomainName(written)) return { value: written };
  if (written === "") return { wrong: "an empty name", fix: "write a name such as `example.com`" };
  return { wrong: `\`${written}\` is no domain name`, fix: domainFix(written) };
}

// RFC 1035 §2.3.4: a label has 1 to 63 bytes, a name 255 with its length bytes and the root.
function isDomainName(written: string): boolean {
  const ascii = /^[\0-\x7f]*$/.test(written) ? written : domainToASCII(written);
  const plain = ascii.endsWith(".") ? ascii.slice(0, -1) : ascii;
  return plain.length <= 253 && isIP(plain) === 0 && plain.split(".").every((label) => /^[\w-]{1,63}$/.test(label));
}

function domainFix(written: string): string {
  const candidates = [
    /^[a-z][a-z0-9+]*:\/\/([^/:?#]+)/i.exec(written)?.[1],
    /^\*\.(.+)$/.exec(written)?.[1],
    /^\.+(.+)$/.exec(written)?.[1],
    /^([^/:]+)[/:].*$/.exec(written)?.[1],
    written.trim(),
  ];
  const meant = candidates.find((candidate) => candidate !== undefined && isDomainName(candidate));
  if (isIP(written) !== 0) return "addresses have no place here: write a name";
  return meant === undefined ? "write a name such as `example.com`" : `write \`${meant}\``;
}

/** `x`, `.`, `full:x`, `keyword:x`, `regexp:x`, `single:`, `list:NAME`, each perhaps after `!`. */
export function parseDomainPattern(written: string): Parsed<string> {
  const pattern = written.startsWith("!") ? written.slice(1) : written;
  const [, kind, rest = ""] = /^([a-z]+):(?!\/\/)(.*)$/s.exec(pattern) ?? [];
  const asWritten = (parsed: Parsed<unknown>): Parsed<string> => ("value" in parsed ? { value: written } : parsed);
  if (kind === undefined) return pattern === "." ? { value: written } : asWritten(withSubdomainHint(pattern));
  if (kind === "full") return asWritten(parseDomainName(rest));
  if (kind === "list") return asWritten(parseListReference(pattern));
  if (kind === "keyword")
    return rest === "" ? { wrong: "`keyword:` is empty", fix: "write what names have to contain" } : { value: written };
  if (kind === "regexp") return asWritten(parseRegExp(rest));
  if (kind === "single")
    return rest === ""
      ? { value: written }
      : { wrong: "`single:` stands alone: it means every name of one label", fix: `write \`single:\`, or \`${rest}\`` };
  if (kind === "domain" || kind === "suffix")
    return { wrong: `\`${kind}:\` is no kind of pattern`, fix: `write \`${rest}\`: it means ${rest} and everything below` };
  if (kind === "geosite")
    return { wrong: "`geosite:` is no kind of pattern", fix: "declare the list in section `lists` and write `list:NAME`" };
  return {
    wrong: `\`${kind}:\` is no kind of pattern`,
    fix: "use `full:`, `keyword:`, `regexp:`, `single:` or `list:`, or a domain alone",
  };
}

function withSubdomainHint(pattern: string): Parsed<string> {
  const parsed = parseDomainName(pattern);
  if ("value" in parsed || !pattern.startsWith("*.")) return parsed;
  const below = pattern.slice(2);
  return { wrong: parsed.wrong, fix: `write \`${below}\`: it means ${below} and everything below` };
}

function parseRegExp(source: string): Parsed<RegExp> {
  try {
    // `(?i)` changes nothing: letter case never counts.
    return { value: new RegExp(source.replace(/^\(\?i\)/, "")) };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { wrong: error.message, fix: "mend the regular expression (JavaScript's syntax)" };
  }
}

const MAC = /^[\da-f]{2}(:[\da-f]{2}){5}$/i;

export function parseClient(written: string): Parsed<string> {
  if (written === "private")
    return { wrong: "`private` is known in section `access` alone", fix: "name the networks, such as `192.168.0.0/16`" };
  if (/^[a-z0-9-]{1,63}$/.test(written)) return { value: written };
  const parsed = parseNetwork(written);
  if ("value" in parsed || written.includes("/")) return parsed;
  if (MAC.test(written))
    return {
      wrong: `\`${written}\` is a MAC address, by which \`clients\` of rules alone can name a client`,
      fix: "write an IP address, or a client id",
    };
  const id = written.toLowerCase();
  const fix = /^[a-z0-9-]{1,63}$/.test(id) ? `write \`${id}\`` : "client ids have 1 to 63 characters of a-z, 0-9 and `-`";
  return { wrong: `\`${written}\` is neither a network, an address nor a client id`, fix };
}

/** An IPv4 or IPv6 literal without a zone, read as it is written. */
export const address = text({ expected: "an IP address", parse: parseAddress, examples: ["10.0.0.5", "fd00::5"] });

/** A CIDR or an address. Bits beyond the prefix are dropped with a warning. */
export const network: Shape<string> = dropHostBits(
  text({
    expected: "a network such as `192.168.0.0/16`, or an address",
    parse: parseNetwork,
    examples: ["192.168.0.0/16", "fd00::/8"],
  }),
);

/** A socket address to listen on. */
export const endpoint = text({
  expected: "an address with a port, such as `127.0.0.1:5053`",
  parse: parseEndpoint,
  examples: ["127.0.0.1:5053", "[::1]:5053"],
  fixOfCollection: 'put an address with brackets in quotes, as in "[::1]:5053"',
});

export function parseAddress(written: string): Parsed<string> {
  if (isIP(written) !== 0 && !written.includes("%")) return { value: written };
  const inner = /^\[(.*)\]$/.exec(written)?.[1] ?? "";
  const fix = isIPv6(inner) ? `write \`${inner}\`` : "write an address such as `10.0.0.5` or `fd00::5`";
  return { wrong: `\`${written}\` is no IP address`, fix };
}

/** Returns the CIDR as written; an address becomes a CIDR. */
export function parseNetwork(written: string): Parsed<string> {
  if (isIPv4(written)) return { value: `${written}/32` };
  if (isIPv6(written) && !written.includes("%")) return { value: `${written}/128` };
  const [, base = "", prefix = ""] = /^(.*)\/(\d{1,3})$/.exec(written) ?? [];
  const width = isIPv4(base) ? 32 : isIPv6(base) && !base.includes("%") ? 128 : 0;
  if (width === 0)
    return { wrong: `\`${written}\` is neither a network nor an address`, fix: "write it as in `192.168.0.0/16` or `fd00::/8`" };
  if (Number(prefix) <= width) return { value: written };
  return { wrong: `\`${written}\` has a prefix above ${width}`, fix: `write a prefix from 0 to ${width}` };
}

function dropHostBits<T extends string>(shape: Shape<T>): Shape<T | string> {
  return refine<T, T | string>(shape, (written, place, reader) => {
    const base = written.includes("/") ? networkOf(written) : null;
    if (base === null) return written;
    reader.warn(place, `${written} has bits beyond its prefix; it is read as ${base}`, `write \`${base}\``);
    return base;
  });
}

/** The CIDR, perhaps after `!`, without the bits beyond its prefix; null if it has none. */
function networkOf(written: string): string | null {
  const [not, cidr] = written.startsWith("!") ? ["!", written.slice(1)] : ["", written];
  const [parsed, prefix] = ipaddr.parseCIDR(cidr);
  const bytes = parsed.toByteArray();
  const kept = bytes.map((byte, index) => byte & (0xff00 >> Math.min(8, Math.max(0, prefix - index * 8))) & 0xff);
  if (kept.every((byte, index) => byte === bytes[index])) return null;
  return `${not}${ipaddr.fromByteArray(kept).toString()}/${prefix}`;
}

interface HostPort {
  /** Without brackets. */
  readonly host: string;
  /** null = no port. */
  readonly port: number | null;
}

/** Splits `host`, `host:port`, `[v6]`, `[v6]:port` and bare IPv6; null for any other text and for a port above 65535. */
export function splitHostPort(written: string): HostPort | null {
  if (isIPv6(written)) return { host: written, port: null };
  const [, bracketed, plain = "", digits] = /^(?:\[([^\]]*)\]|([^:[\]]*))(?::(\d{1,5}))?$/.exec(written) ?? [];
  const port = digits === undefined ? null : Number(digits);
  const host = bracketed ?? plain;
  if (host === "" || (bracketed !== undefined && !isIPv6(host)) || (port !== null && port > 65_535)) return null;
  return { host, port };
}

export function parseEndpoint(written: string): Parsed<Endpoint> {
  const parts = splitHostPort(written);
  if (parts === null || isIP(parts.host) === 0)
    return { wrong: `\`${written}\` is no address to listen on`, fix: endpointFix(written) };
  const { host, port } = parts;
  if (port === null)
    return { wrong: `\`${written}\` has no port`, fix: `write \`${isIPv6(host) ? `[${host}]` : host}:53\`, or another port` };
  if (/^fe[89ab]/i.test(host) && !host.includes("%"))
    return {
      wrong: `\`${written}\` is link-local: the same address stands on every interface`,
      fix: `name the interface: \`[${host}%eth0]:${port}\``,
    };
  return { value: { address: host, port } };
}

function endpointFix(written: string): string {
  const [, host = "", port = ""] = /^(.*?):?(\d+)$/.exec(written) ?? [];
  if (Number(port) > 65_535) return "write a port from 0 to 65535";
  if (port !== "" && (host === "" || host === "*"))
    return `write \`0.0.0.0:${port}\` for every IPv4 address, or \`127.0.0.1:${port}\` for this host alone`;
  if (port !== "" && host === "localhost") return `write \`127.0.0.1:${port}\``;
  if (isIPv6(host)) return `write \`[${host}]:${port}\``;
  return "write it as in `127.0.0.1:5053` or `[::1]:5053`: an IP address, not a name";
}

/** A path relative to the configuration file, read as an absolute path. */
export const path: Shape<string> = refine(
  wordLike(/^[^\0]+$/, "a path", { wrong: "an empty path", fix: "write the path of a file" }),
  (written, _, reader) => reader.absolutePath(written),
);

/** As `path`, of a file that can be read now. */
export const readableFile: Shape<string> = {
  ...refine(path, (absolutePath, place, reader) => (isReadable(absolutePath, place, reader) ? absolutePath : undefined)),
  expected: "the path of a file",
};

/** A file of certificates; the value is its text, so that a reload sees whether it has changed. */
export const certificateFile: Shape<string> = {
  ...refine(readableFile, (absolutePath, place, reader) => {
    const pem = readFileSync(absolutePath, "utf8");
    try {
      new X509Certificate(pem);
      return pem;
    } catch {
      return reader.fail(place, `${absolutePath} holds no certificate in PEM`, "name the file of the authority's certificate");
    }
  }),
  expected: "the path of a file",
};

/** Reports a file that cannot be read. */
export function isReadable(absolutePath: string, place: SourceLocation, reader: ConfigReader): boolean {
  const reason = whyUnreadable(absolutePath);
  if (reason === null) return true;
  reader.fail(
    place,
    `cannot read ${absolutePath}: ${reason}`,
    reason === "permission denied"
      ? "let the user that Fenliu runs as read the file and enter its folders, or name a copy of it"
      : "create the file, or mend the path: it is relative to the configuration file",
  );
  return false;
}

function whyUnreadable(absolutePath: string): string | null {
  try {
    if (statSync(absolutePath).isDirectory()) return "it is a directory";
    accessSync(absolutePath, constants.R_OK);
    return null;
  } catch (error) {
    return systemReason(error);
  }
}

/** The reason of a failed system call in words. */
export function systemReason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "no such file",
    EACCES: "permission denied",
    EISDIR: "it is a directory",
    ENOTDIR: "a part of the path is no directory",
  };
  return reasons[code] ?? errorText(error);
}

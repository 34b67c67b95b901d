import { isIP } from "node:net";
import { domainToASCII } from "node:url";
import Type from "typebox";
import { typeNumber } from "../dns/types.ts";
import { parseNetwork, withHostBitsDropped } from "./network.ts";
import { describe, type Parsed, type Shape, scalarOf, text } from "./shape.ts";

/** A domain name. */
export const domainName = text({ expected: "a domain name", parse: parseDomainName, examples: ["nas.lan"] });

/** The name of something declared elsewhere in the file; whether it is, is judged later. */
export const reference = text({
  expected: "a name",
  parse: (written): Parsed<string> => (written === "" ? { wrong: "an empty name", fix: "write a name" } : { value: written }),
});

/** `list:NAME`; gives the name. */
export const listReference = text({ expected: "a list such as `list:cn`", parse: parseListReference, pattern: "^list:" });

/** A pattern of section `rules`, checked and kept as written. */
export const domainPattern = text({
  expected: "a domain or a list such as `list:cn`",
  parse: parseDomainPattern,
  examples: ["example.com", "list:cn", "full:www.example.com", "keyword:tracker", "regexp:^ad[0-9]", "!list:cn", "."],
});

/** A network, an address or a client id. */
export const client = withHostBitsDropped(
  text({ expected: "a network, an address or a client id", parse: parseClient, examples: ["10.0.7.0/24", "tv"] }),
);

/** Like `client`, or `private`. */
export const clientOrPrivate = withHostBitsDropped(
  text({
    expected: "`private`, a network, an address or a client id",
    parse: (written) => (written === "private" ? { value: written } : parseClient(written)),
    examples: ["private", "10.0.7.0/24", "tv"],
  }),
);

/** A network, an address, or `list:NAME` as written. */
export const networkOrList = withHostBitsDropped(
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

const RECORD_TYPE = "a record type such as `AAAA` or `TYPE65`";

/** A record type by name or number. */
export const recordType: Shape<number> = {
  schema: Type.Union([
    Type.String({ examples: ["A", "AAAA", "HTTPS", "TYPE65"] }),
    Type.Integer({ minimum: 0, maximum: 65_535 }),
  ]),
  expected: RECORD_TYPE,
  read(place, reading) {
    const word = scalarOf(place.node);
    const type = typeof word === "string" || typeof word === "number" ? typeNumber(String(word)) : null;
    return (
      type ??
      reading.fail(place, `expected ${RECORD_TYPE}, found ${describe(place.node)}`, "write its name, or TYPE and its number")
    );
  },
};

const OWN_NAME = /^[\p{L}\p{N}][\p{L}\p{N}._-]{0,62}$/u;

/** What a user calls a group or a list: it appears in other settings, in logs and in addresses of the API. */
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

/** Accepts letters beyond ASCII (RFC 5890), `_`, and a final dot; neither escapes nor wildcards. Gives the name as written. */
export function parseDomainName(written: string): Parsed<string> {
  if (isDomainName(written)) return { value: written };
  if (written === "") return { wrong: "an empty name", fix: "write a name such as `example.com`" };
  return { wrong: `\`${written}\` is no domain name`, fix: domainFix(written) };
}

// RFC 1035 §2.3.4: a label has 1 to 63 octets, a name 255 with its length octets and the root.
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

/** `x`, `.`, `full:x`, `keyword:x`, `regexp:x`, `list:NAME`, each perhaps after `!`. */
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
  if (kind === "domain" || kind === "suffix")
    return { wrong: `\`${kind}:\` is no kind of pattern`, fix: `write \`${rest}\`: it means ${rest} and everything below` };
  if (kind === "geosite")
    return { wrong: "`geosite:` is no kind of pattern", fix: "declare the list in section `lists` and write `list:NAME`" };
  return { wrong: `\`${kind}:\` is no kind of pattern`, fix: "use `full:`, `keyword:`, `regexp:` or `list:`, or a domain alone" };
}

function withSubdomainHint(pattern: string): Parsed<string> {
  const parsed = parseDomainName(pattern);
  if ("value" in parsed || !pattern.startsWith("*.")) return parsed;
  const below = pattern.slice(2);
  return { wrong: parsed.wrong, fix: `write \`${below}\`: it means ${below} and everything below` };
}

function parseRegExp(source: string): Parsed<RegExp> {
  try {
    return { value: new RegExp(source) };
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    return { wrong: error.message, fix: "mend the regular expression (JavaScript's syntax)" };
  }
}

export function parseClient(written: string): Parsed<string> {
  if (written === "private")
    return { wrong: "`private` is known in section `access` alone", fix: "name the networks, such as `192.168.0.0/16`" };
  if (/^[a-z0-9-]{1,63}$/.test(written)) return { value: written };
  const parsed = parseNetwork(written);
  if ("value" in parsed || written.includes("/")) return parsed;
  const id = written.toLowerCase();
  const fix = /^[a-z0-9-]{1,63}$/.test(id) ? `write \`${id}\`` : "client ids have 1 to 63 characters of a-z, 0-9 and `-`";
  return { wrong: `\`${written}\` is neither a network, an address nor a client id`, fix };
}

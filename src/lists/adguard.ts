import { addressFromText, rangeFromText } from "../dns/address.ts";
import { type Name, nameFromText, nameText } from "../dns/name.ts";
import { typeNumber } from "../dns/types.ts";
import type { NameKind } from "./name-table.ts";
import { spanOf, spanText } from "./span.ts";
import type { AdguardRule, DomainLineReader, Rewrite } from "./types.ts";

const COSMETIC = /#@?#|#@?[?$%]+#|\$\$|\$@\$/;

/**
 * AdGuard's rules for DNS: `||name^` with everything below it, `||*.name^` only what is below, `|name^` and a bare name alone, `@@` an
 * exception, `/…/` a regular expression, `*` any characters, and the modifiers of `readModifiers`. Rules about web pages or single requests are
 * skipped with a warning.
 */
export const readAdguardLine: DomainLineReader = (line, lineNumber, sink) => {
  const text = spanText(line);
  if (/^([![]|#+([\s#=-]|$))/.test(text)) return null;
  if (COSMETIC.test(text)) return "a cosmetic rule, which is about pages";
  if (text.startsWith("#")) return null;
  const isException = text.startsWith("@@");
  const split = splitModifiers(isException ? text.slice(2) : text);
  const modifiers = split.modifiers.length === 0 ? NO_MODIFIERS : readModifiers(split.modifiers, isException);
  if (modifiers === null) return "a rule with a modifier that is not known here";
  const isBound = split.modifiers.some((modifier) => modifier !== "important" && modifier !== "all");
  const pattern = readPattern(split.pattern, split.modifiers.length > 0);
  if (typeof pattern === "string") return pattern;
  const { isImportant } = modifiers;
  if (!isBound && pattern.kind !== "regexp") {
    const name = spanOf(pattern.name);
    return isException
      ? sink.exception(pattern.kind, name, lineNumber, isImportant)
      : sink.name(pattern.kind, name, lineNumber, isImportant);
  }
  if (!isBound && !isException && !isImportant && pattern.kind === "regexp")
    return sink.text("regexp", pattern.source, lineNumber);
  if (pattern.kind === "regexp") return sink.rule({ text, pattern, isException, ...modifiers }, lineNumber);
  const name = nameOf(pattern.name);
  if (name === null) return "not a domain name";
  return sink.rule({ text, pattern: { kind: pattern.kind, name }, isException, ...modifiers }, lineNumber);
};

type WrittenPattern = { readonly kind: NameKind; readonly name: string } | { readonly kind: "regexp"; readonly source: string };

/** Returns why it is no pattern of names, or the pattern. */
function readPattern(pattern: string, hasModifiers: boolean): WrittenPattern | string {
  if (/^\/.+\/$/.test(pattern)) return { kind: "regexp", source: pattern.slice(1, -1) };
  const [, start = "", name = "", rest = ""] = /^(\|{0,2})([^/^|]*)(.*)$/s.exec(pattern) ?? [];
  if (rest.startsWith("/")) return "a rule about a path";
  if (!/^\^?\|?$/.test(rest)) return "not a rule about a name";
  const bare = name.replace(/^\*\./, "");
  // A bare name with modifiers is no name for AdGuard but a piece of names.
  const isPiece = hasModifiers && start === "";
  if (!bare.includes("*") && !isPiece) return { kind: bare !== name ? "below" : start === "||" ? "suffix" : "full", name: bare };
  if (!/^[\w.*-]+$/.test(name)) return "not a domain name";
  const body = name.replaceAll(".", "\\.").replace(/\*+/g, ".*");
  const [before, after] = isPiece ? ["", rest === "" ? "" : "$"] : [start === "||" ? "(?:^|\\.)" : "^", "$"];
  return { kind: "regexp", source: `${before}${body}${after}` };
}

function nameOf(text: string): Name | null {
  const name = nameFromText(text);
  return name === null || !/^([\w-]+\.)*[\w-]*[a-z_-][\w-]*$/i.test(nameText(name)) ? null : name;
}

/** The rule that this line switches off, as it is written without `$badfilter`; null = it is no such line. */
export function cancelledRule(text: string): string | null {
  const { pattern, modifiers } = splitModifiers(text);
  if (!modifiers.includes("badfilter")) return null;
  const rest = modifiers.filter((modifier) => modifier !== "badfilter");
  return rest.length === 0 ? pattern : `${pattern}$${rest.join(",")}`;
}

/** The modifiers of a line, with their values. */
export function modifiersOf(text: string): readonly string[] {
  return splitModifiers(text).modifiers;
}

function splitModifiers(rule: string): { readonly pattern: string; readonly modifiers: readonly string[] } {
  // In a regular expression `$` begins no modifiers.
  const dollar = /^\/.*\/$/.test(rule) ? -1 : rule.lastIndexOf("$");
  if (dollar < 0) return { pattern: rule, modifiers: [] };
  return { pattern: rule.slice(0, dollar), modifiers: rule.slice(dollar + 1).split(",") };
}

type Modifiers = Omit<AdguardRule, "text" | "pattern" | "isException">;

const NO_MODIFIERS: Modifiers = {
  isImportant: false,
  clients: [],
  types: [],
  exceptTypes: [],
  denyallow: [],
  rewrite: null,
};

/** Reads `important`, `all`, `client`, `dnstype`, `denyallow` and `dnsrewrite`. null = one of them is not known, or cannot be kept. */
function readModifiers(written: readonly string[], isException: boolean): Modifiers | null {
  let read = NO_MODIFIERS;
  for (const modifier of written) {
    const [key = "", value] = modifier.split(/=(.*)/s);
    const values = value?.split("|") ?? [];
    if (key === "all" && value === undefined) continue;
    if (key === "important" && value === undefined) read = { ...read, isImportant: true };
    else if (key === "client" && value !== undefined) {
      const clients = values.map(clientOf);
      if (!clients.every((client) => client !== null)) return null;
      read = { ...read, clients };
    } else if (key === "dnstype" && value !== undefined) {
      const types = values.map((each) => ({ isExcepted: each.startsWith("~"), type: typeNumber(each.replace(/^~/, "")) }));
      if (types.some(({ type }) => type === null)) return null;
      const among = (wanted: boolean) => types.flatMap(({ isExcepted, type }) => (isExcepted === wanted ? (type ?? []) : []));
      read = { ...read, types: among(false), exceptTypes: among(true) };
    } else if (key === "denyallow" && value !== undefined) {
      const denyallow = values.map(nameOf);
      if (!denyallow.every((name) => name !== null)) return null;
      read = { ...read, denyallow };
    } else if (key === "dnsrewrite") {
      const rewrite = readRewrite(value ?? "", isException);
      if (rewrite === null) return null;
      read = { ...read, rewrite };
    } else return null;
  }
  return read;
}

/** An address, a network, a client id or a MAC address, perhaps in quotes, and after `~` where it is excepted; null = another name of a client. */
function clientOf(written: string): string | null {
  const [, except = "", text = ""] = /^(~?)(.*)$/s.exec(written) ?? [];
  const client = text.replace(/^(["'])(.*)\1$/, "$2").toLowerCase();
  const isKnown = rangeFromText(client) !== null || /^([a-z0-9-]{1,63}|([0-9a-f]{2}:){5}[0-9a-f]{2})$/.test(client);
  return isKnown ? `${except === "" ? "" : "!"}${client}` : null;
}

const CODES: Readonly<Record<string, Rewrite>> = {
  NOERROR: { kind: "nodata" },
  NXDOMAIN: { kind: "nxdomain" },
  REFUSED: { kind: "refused" },
};

/** An address, a name, a response code, or `NOERROR;TYPE;VALUE` with the types A, AAAA and CNAME; null = an answer that cannot be given here. */
function readRewrite(written: string, isException: boolean): Rewrite | null {
  if (written === "") return isException ? { kind: "all" } : { kind: "nodata" };
  const [code = "", type = "", value = "", ...more] = written.includes(";") ? written.split(";") : ["", "", written];
  const word = CODES[(code === "" ? written : code).toUpperCase()];
  if (word !== undefined && (word.kind !== "nodata" || (type === "" && (value === "" || value === written)))) return word;
  // AdGuard takes a word in capitals for a response code.
  if (more.length > 0 || (code !== "" && word === undefined) || /^[A-Z]+$/.test(value)) return null;
  const address = addressFromText(value);
  if (address !== null)
    return type === "" || type.toUpperCase() === (address.length === 4 ? "A" : "AAAA") ? { kind: "address", address } : null;
  const target = type === "" || type.toUpperCase() === "CNAME" ? nameOf(value) : null;
  return target === null ? null : { kind: "cname", target };
}

import { addressFromText } from "../../dns/address.ts";
import type { DomainLineReader, DomainSink } from "../domain-set-builder.ts";
import { spanOf, spanText } from "../span.ts";
import { readHostsLine } from "./hosts-file.ts";

const COSMETIC = /#@?#|#@?[?$%]+#|\$\$|\$@\$/;

/** Modifiers that change nothing where only names are known. `important` does as little: an exception of the same list holds all the same. */
const HARMLESS_MODIFIERS = new Set(["important", "all"]);

/**
 * AdGuard's rules for DNS: `||name^` with all below it, `||*.name^` what is below alone, `|name^` and a bare name alone, `@@` an exception, `/…/` a regular expression, `*` any octets,
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

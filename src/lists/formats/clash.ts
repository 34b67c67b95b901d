import type { DomainLineReader } from "../domain-set-builder.ts";
import { type Span, spanOf, spanText } from "../span.ts";
import { withoutWildcard } from "./plain.ts";

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
export function clashValue(line: Span): string | null {
  const text = spanText(line);
  if (/^(#|;|\/\/|payload:|---)/.test(text)) return null;
  const item = text.replace(/^-\s+/, "");
  const [, quoted] = /^(?:'([^']*)'|"([^"]*)")/.exec(item)?.filter((part) => part !== undefined) ?? [];
  return quoted ?? item.replace(/\s+(#|\/\/).*$/, "").trim();
}

import type { DomainLineReader, DomainSink } from "../domain-set-builder.ts";
import { after, indexOf, type Span, spanText, startsWith, withoutComment, words } from "../span.ts";

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
    const [pattern = content, ...rest] = words(content);
    if (!rest.every((word) => startsWith(word, "@") || startsWith(word, "&"))) return "more than a name";
    return carriesAll(rest, attributes) ? readPrefixed(pattern, lineNumber, sink) : null;
  };
}

/** `.x`, `*.x` and `+.x` are x: a name's apex goes where the names below it go. */
export function withoutWildcard(name: Span): Span {
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
  const parts = words(content);
  let kept = parts.length;
  while (kept > 1 && startsWith(parts[kept - 1] ?? content, "@")) kept--;
  const end = parts[kept - 1]?.end ?? content.end;
  return carriesAll(parts.slice(kept), attributes) ? { ...content, end } : null;
}

function carriesAll(tags: readonly Span[], attributes: readonly string[]): boolean {
  const carried = tags.map((tag) => spanText(after(tag, 1)).toLowerCase());
  return attributes.every((attribute) => carried.includes(attribute));
}

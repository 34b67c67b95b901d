import type { DomainLineReader } from "../domain-set-builder.ts";
import { spanOf, spanText } from "../span.ts";

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

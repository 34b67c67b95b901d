import { addressFromText } from "../dns/address.ts";
import { eachLine, spanText } from "./span.ts";
import { isEncodedAutoproxy, type TextFormat } from "./text-formats.ts";

/** The format of a list. */
type Recognised =
  /** `isBase64` = the text is to be decoded first. */
  | { readonly kind: "text"; readonly format: TextFormat; readonly isBase64: boolean }
  /** A V2Ray geosite or geoip file. */
  | { readonly kind: "dat" }
  | { readonly kind: "unusable"; readonly reason: string };

/** Bytes at the beginning that tell text from other files. */
const HEAD_BYTES = 4096;
/** Bytes at the beginning whose lines vote for the format of a text, and how many lines vote. All of this is done in one go. */
const VOTING_BYTES = 65_536;
const VOTING_LINES = 2000;

/** Tells a format by the content of a file: a text by its first line if that line names the format, else by the majority of its lines. */
export function recognise(bytes: Buffer): Recognised {
  const head = bytes.subarray(0, HEAD_BYTES);
  if (/^\s*<(!|html|head|body|\?xml)/i.test(head.toString("utf8"))) return { kind: "unusable", reason: "a web page" };
  if (isBinary(head))
    return bytes[0] === 0x0a && !isMaxMind(bytes) ? { kind: "dat" } : { kind: "unusable", reason: binaryKind(bytes) };
  const isBase64 = isEncodedAutoproxy(bytes);
  return { kind: "text", format: isBase64 ? "gfwlist" : electFormat(bytes), isBase64 };
}

function electFormat(text: Buffer): TextFormat {
  const votes = new Map<TextFormat, number>();
  let header: TextFormat | null = null;
  let lines = 0;
  const voting = eachLine(text.subarray(0, VOTING_BYTES), (line) => {
    lines++;
    const written = spanText(line);
    if (votes.size === 0) header ??= formatOfHeader(written);
    const format = formatOfLine(written);
    if (format !== null) votes.set(format, (votes.get(format) ?? 0) + 1);
  });
  for (const _ of voting) if (lines >= VOTING_LINES) break;
  const [winner] = [...votes].toSorted(([, left], [, right]) => right - left);
  return header ?? winner?.[0] ?? "plain";
}

function formatOfHeader(line: string): TextFormat | null {
  if (/^\[autoproxy/i.test(line)) return "gfwlist";
  if (/^\[adblock/i.test(line)) return "adguard";
  return line.startsWith("payload:") ? "clash" : null;
}

/** null for a comment. */
function formatOfLine(line: string): TextFormat | null {
  if (/^(#|;|\/\/)/.test(line)) return null;
  if (/^(full|domain|keyword|regexp|include):/.test(line)) return "plain";
  if (/^[a-z-]+\s*=\s*[^=\s]/.test(line)) return "dnsmasq";
  if (/^(-\s+\S|(domain|host)(-suffix|-keyword|-regex)?\s*,|ip-cidr6?\s*,)/i.test(line)) return "clash";
  if (/^(!|@@|\|)|\^(\$|\||$)/i.test(line)) return "adguard";
  const [first = "", second] = line.split(/\s+/, 2);
  return second !== undefined && addressFromText(first.replace(/%.*/, "")) !== null ? "hosts" : "plain";
}

function isBinary(head: Buffer): boolean {
  return head.some((byte) => byte < 0x09 || (byte >= 0x0e && byte < 0x20 && byte !== 0x1b));
}

/** The mark before the metadata at the end of a file (MaxMind DB File Format 2.0). */
const MAXMIND_MARK = Buffer.from("\xab\xcd\xefMaxMind.com", "latin1");
const MAXMIND_METADATA_BYTES = 128 * 1024;

function isMaxMind(bytes: Buffer): boolean {
  return bytes.subarray(-MAXMIND_METADATA_BYTES).includes(MAXMIND_MARK);
}

function binaryKind(bytes: Buffer): string {
  if (isMaxMind(bytes))
    return "a MaxMind database, which is not read: use a geoip .dat with the country after #, or a text with a network a line";
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) return "compressed by gzip: unpack it first";
  if (bytes.subarray(0, 2).toString("latin1") === "PK") return "a ZIP archive: unpack it first";
  if (/^(\xff\xfe|\xfe\xff)/.test(bytes.toString("latin1", 0, 2))) return "UTF-16 text: save it as UTF-8";
  return "a binary file of an unknown format";
}

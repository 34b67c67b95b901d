import type { Sliced } from "../lib/cooperative.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { DomainLineReader, DomainSink } from "./domain-set-builder.ts";
import { readAdguardLine } from "./formats/adguard.ts";
import { readAutoproxyLine } from "./formats/autoproxy.ts";
import { readClashLine } from "./formats/clash.ts";
import { readDnsmasqLine } from "./formats/dnsmasq.ts";
import { parseCategory, readGeosite } from "./formats/geosite.ts";
import { readHostsLine } from "./formats/hosts-file.ts";
import { MalformedFile } from "./formats/malformed.ts";
import { plainLines } from "./formats/plain.ts";
import { recognise, TEXT_FORMATS, type TextFormat } from "./formats/recognise.ts";
import { eachLine } from "./span.ts";
import type { WarningLog } from "./warnings.ts";

/**
 * Reads the bytes of one source into `sink`, whatever their format. Of a .dat file `category` is a code with its `@attribute`s; of a text it is, where it is
 * given, the name of the format, or `@attribute`s of a plain list. Answers what is wrong with the source as a whole; lines that are not used are in `warnings`.
 * Never throws, whatever the bytes.
 */
export function* readDomains(
  bytes: Buffer,
  category: string | null,
  takers: { readonly sink: DomainSink; readonly warnings: WarningLog },
): Sliced<string | null> {
  const recognised = recognise(bytes);
  switch (recognised.kind) {
    case "unusable":
      return recognised.reason;
    case "mmdb":
      return "a MaxMind database, which holds no names";
    case "dat":
      return yield* readDat(bytes, category, takers);
    case "text": {
      const { code, attributes } = parseCategory(category ?? "");
      const hint = TEXT_FORMATS.find((name) => name === code.toLowerCase());
      if (code !== "" && hint === undefined)
        return `a text has no category ${code.toLowerCase()}; the formats are ${TEXT_FORMATS.join(", ")}`;
      const readLine = lineReader(hint ?? recognised.format, attributes);
      yield* eachLine(recognised.text, (line, lineNumber) => {
        const reason = readLine(line, lineNumber, takers.sink);
        if (reason !== null) takers.warnings.add(lineNumber, reason);
      });
      return null;
    }
    default:
      return unreachable(recognised);
  }
}

function* readDat(
  bytes: Buffer,
  category: string | null,
  takers: { readonly sink: DomainSink; readonly warnings: WarningLog },
): Sliced<string | null> {
  if (category === null) return "a .dat file needs the category after #";
  try {
    return (yield* readGeosite(bytes, parseCategory(category), takers)) ? null : `it has no category ${category}`;
  } catch (error) {
    if (error instanceof MalformedFile) return error.message;
    throw error;
  }
}

function lineReader(format: TextFormat, attributes: readonly string[]): DomainLineReader {
  switch (format) {
    case "plain":
      return plainLines(attributes);
    case "dnsmasq":
      return readDnsmasqLine;
    case "hosts":
      return readHostsLine;
    case "adguard":
      return readAdguardLine;
    case "clash":
      return readClashLine;
    case "gfwlist":
      return readAutoproxyLine;
    default:
      return unreachable(format);
  }
}

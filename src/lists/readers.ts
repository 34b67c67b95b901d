import type { AddressRange } from "../dns/address.ts";
import type { Sliced } from "../lib/cooperative.ts";
import { unreachable } from "../lib/unreachable.ts";
import { parseCategory, readGeoip, readGeosite } from "./dat.ts";
import { MalformedFile, type WarningLog } from "./diagnostics.ts";
import type { DomainLineReader, DomainSink } from "./domain-set-builder.ts";
import { recognise, TEXT_FORMATS, type TextFormat } from "./recognise.ts";
import { eachLine } from "./span.ts";
import {
  plainLines,
  readAddressLine,
  readAdguardLine,
  readAutoproxyLine,
  readClashLine,
  readDnsmasqLine,
  readHostsLine,
} from "./text-formats.ts";

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

interface AddressReading {
  readonly ranges: readonly AddressRange[];
  /** What is wrong with the source as a whole. */
  readonly problem: string | null;
}

/** Reads the bytes of one source of addresses. `category` is the code within a .dat file, null for a text. Never throws, whatever the bytes. */
export function* readAddresses(bytes: Buffer, category: string | null, warnings: WarningLog): Sliced<AddressReading> {
  try {
    return yield* read(bytes, category, warnings);
  } catch (error) {
    if (error instanceof MalformedFile) return unusable(error.message);
    throw error;
  }
}

function* read(bytes: Buffer, category: string | null, warnings: WarningLog): Sliced<AddressReading> {
  const recognised = recognise(bytes);
  switch (recognised.kind) {
    case "unusable":
      return unusable(recognised.reason);
    case "dat":
      return category === null
        ? unusable("a .dat file needs the category after #")
        : yield* readCategory(bytes, category, warnings);
    case "text":
      return category === null ? yield* readText(recognised.text, warnings) : unusable(`a text has no category ${category}`);
    default:
      return unreachable(recognised);
  }
}

function* readText(text: Buffer, warnings: WarningLog): Sliced<AddressReading> {
  const ranges: AddressRange[] = [];
  yield* eachLine(text, (line, lineNumber) => {
    const read = readAddressLine(line);
    if (typeof read === "string") warnings.add(lineNumber, read);
    else if (read !== null) ranges.push(read);
  });
  return { ranges, problem: null };
}

function* readCategory(bytes: Buffer, category: string, warnings: WarningLog): Sliced<AddressReading> {
  const found = yield* readGeoip(bytes, parseCategory(category).code, warnings);
  if (found === null) return unusable(`it has no category ${category}`);
  // Such a category names what it does not hold; taking it for the opposite would send traffic the wrong way.
  return found.reversed
    ? unusable(`category ${category} is reversed, which cannot be read yet`)
    : { ranges: found.ranges, problem: null };
}

function unusable(problem: string): AddressReading {
  return { ranges: [], problem };
}

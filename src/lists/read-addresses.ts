import type { AddressRange } from "../dns/address.ts";
import type { Sliced } from "../lib/cooperative.ts";
import { unreachable } from "../lib/unreachable.ts";
import { readAddressLine } from "./formats/address-lines.ts";
import { readGeoip } from "./formats/geoip.ts";
import { parseCategory } from "./formats/geosite.ts";
import { MalformedFile } from "./formats/malformed.ts";
import { readMmdb } from "./formats/mmdb.ts";
import { recognise } from "./formats/recognise.ts";
import { eachLine } from "./span.ts";
import type { WarningLog } from "./warnings.ts";

export interface AddressReading {
  readonly ranges: readonly AddressRange[];
  /** What is wrong with the source as a whole. */
  readonly problem: string | null;
}

/** Reads the bytes of one source of addresses. `category` is the code within a .dat file, the country in a MaxMind database, null for a text. Never throws, whatever the bytes. */
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
    case "mmdb":
      if (category === null) return unusable("a MaxMind database needs the country after #");
      return { ranges: readMmdb(bytes, category.toUpperCase()), problem: null };
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

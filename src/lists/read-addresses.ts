import type { AddressRange } from "../dns/address.ts";
import { unreachable } from "../unreachable.ts";
import { readAddressLine } from "./formats/address-lines.ts";
import { readGeoip } from "./formats/geoip.ts";
import { parseCategory } from "./formats/geosite.ts";
import { MalformedMessage } from "./formats/protobuf.ts";
import { recognise } from "./formats/recognise.ts";
import { eachLine } from "./span.ts";
import type { WarningLog } from "./warnings.ts";

export interface AddressReading {
  readonly ranges: readonly AddressRange[];
  /** What is wrong with the source as a whole. */
  readonly problem: string | null;
}

/** Reads the bytes of one source of addresses. `category` is the code within a .dat file, null for a text. Never throws, whatever the bytes. */
export function readAddresses(bytes: Buffer, category: string | null, warnings: WarningLog): AddressReading {
  const recognised = recognise(bytes);
  switch (recognised.kind) {
    case "unusable":
      return { ranges: [], problem: recognised.reason };
    case "dat":
      return readDat(bytes, category, warnings);
    case "text":
      return category === null
        ? readText(recognised.text, warnings)
        : { ranges: [], problem: `a text has no category ${category}` };
    default:
      return unreachable(recognised);
  }
}

function readText(text: Buffer, warnings: WarningLog): AddressReading {
  const ranges: AddressRange[] = [];
  eachLine(text, (line, lineNumber) => {
    const read = readAddressLine(line);
    if (typeof read === "string") warnings.add(lineNumber, read);
    else if (read !== null) ranges.push(read);
  });
  return { ranges, problem: null };
}

function readDat(bytes: Buffer, category: string | null, warnings: WarningLog): AddressReading {
  if (category === null) return { ranges: [], problem: "a .dat file needs the category after #" };
  try {
    const read = readGeoip(bytes, parseCategory(category).code, warnings);
    if (read === null) return { ranges: [], problem: `it has no category ${category}` };
    // Such a category names what it does not hold; taking it for the opposite would send traffic the wrong way.
    return read.reversed
      ? { ranges: [], problem: `category ${category} is reversed, which cannot be read yet` }
      : { ranges: read.ranges, problem: null };
  } catch (error) {
    if (error instanceof MalformedMessage) return { ranges: [], problem: error.message };
    throw error;
  }
}

import { type AddressRange, AddressSet, AddressSetBuilder } from "../dns/address.ts";
import type { Sliced } from "../lib/cooperative.ts";
import { cancelledRule } from "./adguard.ts";
import { parseCategory, readGeoip, readGeosite } from "./dat.ts";
import type { DomainSet } from "./domain-set.ts";
import { DomainSetBuilder } from "./domain-set-builder.ts";
import type { ListOptions } from "./options.ts";
import { recognise } from "./recognise.ts";
import { eachLine, findBytes, type Span, spanText } from "./span.ts";
import { decodeBase64, lineReader, readAddressLine, TEXT_FORMATS } from "./text-formats.ts";
import { type DomainSink, WarningLog } from "./types.ts";

/** What one source gave. */
export interface SourceReading {
  /** With doubles. */
  readonly entries: number;
  readonly warnings: WarningLog;
  /** What is wrong with the source as a whole; null = nothing. */
  readonly problem: string | null;
}

/** Builds a list of either kind, one source after another. */
export class ListBuilder {
  readonly #domains: DomainSetBuilder | null;
  readonly #addresses: AddressSet[] = [];

  constructor({ name, kind }: Pick<ListOptions, "name" | "kind">) {
    this.#domains = kind === "domains" ? new DomainSetBuilder(name) : null;
  }

  /** @param origin the file in which explanations of a decision look for the entry. */
  *read(bytes: Buffer, category: string | null, origin: string): Sliced<SourceReading> {
    const warnings = new WarningLog();
    if (this.#domains !== null) {
      const before = this.#domains.count;
      // Of a file with categories one is taken.
      if (category === null) this.#domains.expectBytes(bytes.length);
      const problem = yield* readDomains(bytes, category, { sink: this.#domains.source(origin), warnings });
      return { entries: this.#domains.count - before, warnings, problem };
    }
    const addresses = new AddressSetBuilder();
    const problem = yield* readAddresses(bytes, category, { take: (range) => addresses.add(range), warnings });
    if (problem !== null) return { entries: 0, warnings, problem };
    this.#addresses.push(yield* addresses.build());
    return { entries: addresses.count, warnings, problem };
  }

  /** Ends the building; the set of the other kind is null. */
  *build(): Sliced<{ readonly domains: DomainSet | null; readonly addresses: AddressSet | null }> {
    if (this.#domains === null) return { domains: null, addresses: yield* AddressSet.union(this.#addresses) };
    return { domains: yield* this.#domains.buildSliced(), addresses: null };
  }
}

const NO_CATEGORY = "a .dat file needs the category after #";

/**
 * Reads the bytes of one source of domains into `sink`, whatever their format. `category` depends on the format: in a .dat file the code
 * of a category with its `@attribute`s, in a text the name of the format or the `@attribute`s of a plain list.
 * Returns what is wrong with the source as a whole, or null; lines that are not used go to `warnings`. Never throws, whatever the bytes.
 */
export function* readDomains(
  bytes: Buffer,
  category: string | null,
  { sink, warnings }: { readonly sink: DomainSink; readonly warnings: WarningLog },
): Sliced<string | null> {
  const recognised = recognise(bytes);
  if (recognised.kind === "unusable") return recognised.reason;
  if (recognised.kind === "dat") return category === null ? NO_CATEGORY : yield* readGeosite(bytes, category, { sink, warnings });
  const { code, attributes } = parseCategory(category ?? "");
  const named = TEXT_FORMATS.find((name) => name === code.toLowerCase());
  if (code !== "" && named === undefined)
    return `a text has no category ${code.toLowerCase()}; the formats are ${TEXT_FORMATS.join(", ")}`;
  const format = named ?? recognised.format;
  const readLine = lineReader(format, attributes);
  const text = recognised.isBase64 ? yield* decodeBase64(bytes) : bytes;
  const cancelled = format === "adguard" ? yield* cancelledRules(text) : null;
  yield* eachLine(text, (line, lineNumber) => {
    if (cancelled !== null && isCancelled(spanText(line), cancelled)) return;
    const reason = isTooLong(line) ? TOO_LONG : readLine(line, lineNumber, sink);
    if (reason !== null) warnings.add(lineNumber, reason);
  });
  return null;
}

const BADFILTER = Buffer.from("badfilter");

/** The rules of a source that its lines with `$badfilter` switch off; null = there are none. */
function* cancelledRules(text: Buffer): Sliced<ReadonlySet<string> | null> {
  if ((yield* findBytes(text, BADFILTER)) < 0) return null;
  const rules = new Set<string>();
  yield* eachLine(text, (line) => {
    const rule = isTooLong(line) ? null : cancelledRule(spanText(line));
    if (rule !== null) rules.add(rule);
  });
  return rules;
}

function isCancelled(text: string, rules: ReadonlySet<string>): boolean {
  return rules.has(text) || cancelledRule(text) !== null;
}

/** A name has at most 253 characters; a line of dnsmasq may hold some. A line is read in one go, however long the reading takes. */
const MAX_LINE_BYTES = 4096;

const TOO_LONG = `a line of more than ${MAX_LINE_BYTES} bytes`;

function isTooLong({ start, end }: Span): boolean {
  return end - start > MAX_LINE_BYTES;
}

/**
 * Reads the bytes of one source of addresses. `category` is a code within a .dat file, and null for a text. Returns what is wrong with the source as a
 * whole, or null; then nothing that was taken may be used. Never throws, whatever the bytes.
 */
export function* readAddresses(
  bytes: Buffer,
  category: string | null,
  { take, warnings }: { readonly take: (range: AddressRange) => void; readonly warnings: WarningLog },
): Sliced<string | null> {
  const recognised = recognise(bytes);
  if (recognised.kind === "unusable") return recognised.reason;
  if (recognised.kind === "dat") return category === null ? NO_CATEGORY : yield* readGeoip(bytes, category, { take, warnings });
  if (category !== null) return `a text has no category ${category}`;
  yield* eachLine(recognised.isBase64 ? yield* decodeBase64(bytes) : bytes, (line, lineNumber) => {
    const read = isTooLong(line) ? TOO_LONG : readAddressLine(line);
    if (typeof read === "string") warnings.add(lineNumber, read);
    else if (read !== null) take(read);
  });
  return null;
}

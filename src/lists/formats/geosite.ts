import { SLICE_ENTRIES, type Sliced } from "../../lib/cooperative.ts";
import type { DomainSink } from "../domain-set-builder.ts";
import type { WarningLog } from "../warnings.ts";
import { ProtobufCursor } from "./protobuf.ts";

/** `cn@ads@!cn`: a category's code, and the attributes that an entry must carry, all of them. */
export interface Category {
  readonly code: string;
  readonly attributes: readonly string[];
}

export function parseCategory(text: string): Category {
  const [code = "", ...attributes] = text.split("@");
  return { code: code.toUpperCase(), attributes: attributes.map((attribute) => attribute.toLowerCase()) };
}

export interface EntryTakers {
  readonly sink: DomainSink;
  readonly warnings: WarningLog;
}

const GEOSITE = { code: 1, domain: 2 };
const DOMAIN = { type: 1, value: 2, attribute: 3 };
const ATTRIBUTE_KEY = 1;

/**
 * Reads one category of a V2Ray geosite file. An entry's number within its category serves as its line. false where there is no such category.
 * @throws MalformedFile
 */
export function* readGeosite(bytes: Buffer, { code, attributes }: Category, { sink, warnings }: EntryTakers): Sliced<boolean> {
  let found = false;
  for (const site = new ProtobufCursor(bytes); site.next(); ) {
    if (site.field !== 1 || codeOf(site.message()) !== code) continue;
    found = true;
    const fields = site.message();
    for (let number = 0; fields.next(); ) {
      if (fields.field !== GEOSITE.domain) continue;
      number++;
      if (number % SLICE_ENTRIES === 0) yield;
      const reason = readDomain(fields.message(), { attributes, number }, sink);
      if (reason !== null) warnings.add(number, reason);
    }
  }
  return found;
}

/** The code of a GeoSite or GeoIP message, in upper case. */
export function codeOf(message: ProtobufCursor): string {
  while (message.next()) if (message.field === GEOSITE.code) return message.text().toUpperCase();
  return "";
}

function readDomain(
  domain: ProtobufCursor,
  { attributes, number }: { readonly attributes: readonly string[]; readonly number: number },
  sink: DomainSink,
): string | null {
  let type = 0;
  let value = { bytes: domain.bytes, start: 0, end: 0 };
  const carried: string[] = [];
  while (domain.next()) {
    if (domain.field === DOMAIN.type) type = domain.value;
    else if (domain.field === DOMAIN.value) value = { bytes: domain.bytes, start: domain.start, end: domain.end };
    else if (domain.field === DOMAIN.attribute && attributes.length > 0) carried.push(attributeKey(domain.message()));
  }
  if (!attributes.every((attribute) => carried.includes(attribute))) return null;
  switch (type) {
    case 0:
    case 1:
      return sink.text(type === 0 ? "keyword" : "regexp", value.bytes.toString("utf8", value.start, value.end), number);
    case 2:
      return sink.name("suffix", value, number);
    case 3:
      return sink.name("full", value, number);
    default:
      return "an entry of an unknown type";
  }
}

function attributeKey(attribute: ProtobufCursor): string {
  while (attribute.next()) if (attribute.field === ATTRIBUTE_KEY) return attribute.text().toLowerCase();
  return "";
}

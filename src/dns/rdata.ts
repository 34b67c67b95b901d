import { ROOT } from "./name.ts";
import {
  base64Rest,
  caaTag,
  characterString,
  characterStrings,
  domain,
  type Field,
  hashedOwner,
  hexRest,
  hexText,
  ipv4,
  ipv6,
  quotedRest,
  salt,
  timestamp,
  typeBitmap,
  typeField,
  uint8,
  uint16,
  uint32,
} from "./rdata-fields.ts";
import { svcParamList } from "./svcb.ts";
import { PresentationError, TextReader, tokensOf } from "./text-reader.ts";
import { TYPE } from "./types.ts";
import { WireReader, WireWriter } from "./wire.ts";

/** The data of a record: its type's mnemonic in `kind`, then its fields by name. Byte strings that are shown as text have one character (0 to 255) an byte. */
export type Rdata = TypedRdata | OpaqueRdata;

type TypedRdata = { [K in RdataKind]: { readonly kind: K } & FieldValues<(typeof schemas)[K]> }[RdataKind];

/** Data of a type that is not known here, or that does not fit its type, as `note` then says (RFC 3597). */
interface OpaqueRdata {
  readonly kind: "opaque";
  readonly octets: Uint8Array;
  readonly note: string | null;
}

type RdataKind = keyof typeof schemas;
type FieldValues<S> = { readonly [K in keyof S]: S[K] extends Field<infer T> ? T : never };

const oneName = { name: domain("always") };
const strings = { strings: characterStrings };
const delegation = { keyTag: uint16, algorithm: uint8, digestType: uint8, digest: hexRest };
const publicKey = { flags: uint16, protocol: uint8, algorithm: uint8, key: base64Rest };
const hashing = { algorithm: uint8, flags: uint8, iterations: uint16, salt };
const binding = { priority: uint16, target: domain("never"), params: svcParamList };

/** The fields of every known type, in the order in which they stand on the wire and in text. */
const schemas = {
  A: { address: ipv4 },
  NS: oneName,
  CNAME: oneName,
  SOA: {
    primary: domain("always"),
    mailbox: domain("always"),
    serial: uint32,
    refreshSeconds: uint32,
    retrySeconds: uint32,
    expireSeconds: uint32,
    minimumSeconds: uint32,
  },
  PTR: oneName,
  HINFO: { cpu: characterString, os: characterString },
  MX: { preference: uint16, exchange: domain("always") },
  TXT: strings,
  RP: { mailbox: domain("onlyRead"), text: domain("onlyRead") },
  AFSDB: { subtype: uint16, hostname: domain("onlyRead") },
  AAAA: { address: ipv6 },
  SRV: { priority: uint16, weight: uint16, port: uint16, target: domain("onlyRead") },
  NAPTR: {
    order: uint16,
    preference: uint16,
    flags: characterString,
    services: characterString,
    regexp: characterString,
    replacement: domain("onlyRead"),
  },
  DNAME: { name: domain("never") },
  DS: delegation,
  SSHFP: { algorithm: uint8, fingerprintType: uint8, fingerprint: hexRest },
  RRSIG: {
    covered: typeField,
    algorithm: uint8,
    labels: uint8,
    originalTtlSeconds: uint32,
    expiration: timestamp,
    inception: timestamp,
    keyTag: uint16,
    signer: domain("never"),
    signature: base64Rest,
  },
  NSEC: { next: domain("never"), types: typeBitmap },
  DNSKEY: publicKey,
  NSEC3: { ...hashing, next: hashedOwner, types: typeBitmap },
  NSEC3PARAM: hashing,
  TLSA: { usage: uint8, selector: uint8, matching: uint8, certificate: hexRest },
  CDS: delegation,
  CDNSKEY: publicKey,
  SVCB: binding,
  HTTPS: binding,
  SPF: strings,
  URI: { priority: uint16, weight: uint16, target: quotedRest },
  CAA: { flags: uint8, tag: caaTag, value: quotedRest },
} satisfies Partial<Record<keyof typeof TYPE, FieldTable>>;

type FieldTable = Readonly<Record<string, Field<unknown>>>;

const fieldsByKind = new Map<string, [string, Field<unknown>][]>(
  Object.entries<FieldTable>(schemas).map(([kind, fields]) => [kind, Object.entries(fields)]),
);
const kindsByType = new Map<number, string>(
  Object.entries(TYPE).flatMap(([kind, type]) => (fieldsByKind.has(kind) ? [[type, kind] as const] : [])),
);

/** Reads the whole of a record's data. What does not fit the type is given as it is, with a note. */
export function readRdata(type: number, reader: WireReader): Rdata {
  const kind = kindsByType.get(type);
  if (kind === undefined) return { kind: "opaque", octets: reader.whole(), note: null };
  const data: Record<string, unknown> = { kind };
  for (const [name, field] of fieldsOf(kind)) data[name] = field.read(reader);
  const fault = reader.failure ?? (reader.remaining > 0 ? "octets are left over after the last field" : null);
  // The cast is safe: `data` was made of the fields that the type is made of.
  return fault === null ? (data as TypedRdata) : { kind: "opaque", octets: reader.whole(), note: fault };
}

/** @throws RangeError for a value that its field cannot hold. */
export function writeRdata(writer: WireWriter, data: Rdata): void {
  if (data.kind === "opaque") writer.octets(data.octets);
  else for (const [name, field] of fieldsOf(data.kind)) field.write(writer, Reflect.get(data, name));
}

/** The bytes of a record's data by itself, its names not compressed. */
export function rdataBytes(data: Rdata): Uint8Array {
  const writer = new WireWriter({ compressing: false });
  writeRdata(writer, data);
  return writer.bytes();
}

/** Presentation format; the generic form of RFC 3597 §5 for what is not known. */
export function rdataText(data: Rdata): string {
  if (data.kind === "opaque") return `\\# ${data.octets.length}${data.octets.length === 0 ? "" : ` ${hexText(data.octets)}`}`;
  return fieldsOf(data.kind)
    .map(([name, field]) => field.text(Reflect.get(data, name)))
    .filter((text) => text !== "")
    .join(" ");
}

/**
 * Reads presentation format, or the generic form for any type.
 * @throws PresentationError
 */
export function parseRdata(type: number, text: TextReader): Rdata {
  const kind = kindsByType.get(type);
  const data = isGeneric(text) ? parseGeneric(type, text) : parseTyped(kind, text);
  if (!text.atEnd) throw new PresentationError(`${text.next().raw} stands after the last value`);
  return data;
}

/** Reads the presentation format of a record's data alone. @throws PresentationError */
export function rdataFromText(type: number, text: string, origin = ROOT): Rdata {
  return parseRdata(type, new TextReader(tokensOf(text), origin));
}

function isGeneric(text: TextReader): boolean {
  const first = text.peek();
  return first !== null && first.raw === "\\#" && !first.quoted;
}

function parseTyped(kind: string | undefined, text: TextReader): TypedRdata {
  if (kind === undefined) throw new PresentationError("data of a type not known here is written in the form \\# 2 c0de");
  const data: Record<string, unknown> = { kind };
  for (const [name, field] of fieldsOf(kind)) data[name] = field.parse(text);
  // As in `readRdata`.
  return data as TypedRdata;
}

function parseGeneric(type: number, text: TextReader): Rdata {
  text.next();
  const length = text.integer(0xffff);
  const octets = hexRest.parse(text);
  if (octets.length !== length) throw new PresentationError(`there are ${octets.length} octets, not ${length}`);
  return readRdata(type, new WireReader(octets, { start: 0, end: length }, null));
}

function fieldsOf(kind: string): readonly (readonly [string, Field<unknown>])[] {
  return fieldsByKind.get(kind) ?? [];
}

import { ipv6Text } from "./address.ts";
import { absoluteText, escapeBytes, type Name } from "./name.ts";
import { readSvcParams, type SvcParam, svcParamText } from "./svcb.ts";
import { TYPE, typeName } from "./types.ts";
import type { WireReader } from "./wire.ts";

/**
 * The data of a record: the mnemonic of its type in `kind`, then its fields by name. Byte strings that are shown as text have one character
 * (0 to 255) for each byte. The table `schemas` below lists the types; above it stand the fields that it is made of.
 */
export type Rdata = TypedRdata | OpaqueRdata;

type TypedRdata = { [K in RdataKind]: { readonly kind: K } & FieldValues<(typeof schemas)[K]> }[RdataKind];

/** Data of a type without an entry in the table, or data that does not fit its type: `note` says why (RFC 3597). */
interface OpaqueRdata {
  readonly kind: "opaque";
  readonly bytes: Uint8Array;
  readonly note: string | null;
}

type RdataKind = keyof typeof schemas;
type FieldValues<S> = { readonly [K in keyof S]: S[K] extends Field<infer T> ? T : never };

/** Reads the whole of a record's data. Data that does not fit its type comes back as bytes, with a note. */
export function readRdata(type: number, reader: WireReader): Rdata {
  const kind = kindsByType.get(type);
  if (kind === undefined) return { kind: "opaque", bytes: reader.whole(), note: null };
  const data: Record<string, unknown> = { kind };
  for (const [name, field] of fieldsOf(kind)) data[name] = field.read(reader);
  const fault = reader.failure ?? (reader.remaining > 0 ? "bytes are left over after the last field" : null);
  // The cast is safe: `data` has exactly the fields of its type.
  return fault === null ? (data as TypedRdata) : { kind: "opaque", bytes: reader.whole(), note: fault };
}

/** Presentation format (RFC 1035 §5.1). Opaque data has the generic form of RFC 3597 §5. */
export function rdataText(data: Rdata): string {
  if (data.kind === "opaque") return `\\# ${data.bytes.length}${data.bytes.length === 0 ? "" : ` ${textOf(data.bytes, "hex")}`}`;
  return fieldsOf(data.kind)
    .map(([name, field]) => field.text(Reflect.get(data, name)))
    .filter((text) => text !== "")
    .join(" ");
}

function fieldsOf(kind: string): readonly (readonly [string, Field<unknown>])[] {
  return fieldsByKind.get(kind) ?? [];
}

/** One field of a record's data. A field that takes all the bytes left stands last in its record. */
interface Field<T> {
  /** Reports a fault by `reader.fail`; the value returned then does not matter. */
  read(reader: WireReader): T;
  /** Presentation format; empty where there is nothing to show. */
  text(value: T): string;
}

const uint8: Field<number> = {
  read: (reader) => reader.uint8(),
  text: String,
};

const uint16: Field<number> = {
  read: (reader) => reader.uint16(),
  text: String,
};

const uint32: Field<number> = {
  read: (reader) => reader.uint32(),
  text: String,
};

/** The type that an RRSIG covers. */
const typeField: Field<number> = { ...uint16, text: typeName };

/** Seconds since 1970 modulo 2^32, shown as the moment in UTC that they mean before 2106 (RFC 4034 §3.2). */
const timestamp: Field<number> = {
  ...uint32,
  text: (seconds) => new Date(seconds * 1000).toISOString().replace(/[-:T]|\.\d+Z$/g, ""),
};

/** A name that may be compressed: in types of RFC 1035, and in later types whose names older software may have compressed (RFC 3597 §4). */
const domain: Field<Name> = { read: (reader) => reader.name(true), text: absoluteText };

/** A name that is never compressed. */
const plainDomain: Field<Name> = { read: (reader) => reader.name(false), text: absoluteText };

/** An address of 4 or 16 bytes. */
function address(length: 4 | 16): Field<Uint8Array> {
  return {
    read: (reader) => reader.bytes(length),
    text: (bytes) => (length === 4 ? bytes.join(".") : ipv6Text(bytes)),
  };
}

/** A character-string (RFC 1035 §3.3): up to 255 bytes after one byte of length. */
const characterString: Field<string> = {
  read: (reader) => reader.byteText(reader.uint8()),
  text: quoted,
};

/** One character-string or more, to the end of the data. */
const characterStrings: Field<readonly string[]> = {
  read(reader) {
    const strings: string[] = [];
    do strings.push(characterString.read(reader));
    while (reader.remaining > 0);
    return strings;
  },
  text: (strings) => strings.map(quoted).join(" "),
};

/** The tag of a CAA record: letters and digits after one byte of length (RFC 8659 §4.1). */
const caaTag: Field<string> = {
  ...characterString,
  read(reader) {
    const tag = characterString.read(reader);
    if (!/^[A-Za-z0-9]+$/.test(tag)) reader.fail("a CAA tag is not made of letters and digits");
    return tag;
  },
  text: (tag) => tag,
};

/** All the bytes left, shown as one quoted string. */
const quotedRest: Field<string> = {
  read: (reader) => reader.byteText(reader.remaining),
  text: quoted,
};

/** All the bytes left. */
function rest(encoding: "hex" | "base64"): Field<Uint8Array> {
  return {
    read: (reader) => reader.bytes(reader.remaining),
    text: (bytes) => textOf(bytes, encoding),
  };
}

/** The salt of NSEC3: up to 255 bytes after one byte of length, in hexadecimal, "-" for none (RFC 5155 §3.3). */
const salt: Field<Uint8Array> = {
  read: (reader) => reader.bytes(reader.uint8()),
  text: (bytes) => (bytes.length === 0 ? "-" : textOf(bytes, "hex")),
};

/** The hashed owner of NSEC3: up to 255 bytes after one byte of length, in base32hex without padding (RFC 5155 §3.3). */
const hashedOwner: Field<Uint8Array> = {
  ...salt,
  read(reader) {
    const bytes = salt.read(reader);
    if (bytes.length === 0) reader.fail("a hashed owner is empty");
    return bytes;
  },
  text: base32hexText,
};

/** The types that exist at a name, ascending (RFC 4034 §4.1.2): NSEC, NSEC3. */
const typeBitmap: Field<readonly number[]> = {
  read(reader) {
    const types: number[] = [];
    let previousWindow = -1;
    while (reader.remaining > 0) {
      const window = reader.uint8();
      const bytes = reader.bytes(reader.uint8());
      if (window <= previousWindow || bytes.length === 0 || bytes.length > 32 || bytes.at(-1) === 0)
        reader.fail("a type bitmap is not in its one right form");
      previousWindow = window;
      for (const [index, byte] of bytes.entries())
        for (let bit = 0; bit < 8; bit++) if ((byte & (0x80 >> bit)) !== 0) types.push(window * 256 + index * 8 + bit);
    }
    return types;
  },
  text: (types) => types.map(typeName).join(" "),
};

/** All the parameters of an SVCB or HTTPS record. */
const svcParamList: Field<readonly SvcParam[]> = {
  read(reader) {
    const params = readSvcParams(reader.bytes(reader.remaining));
    if (typeof params !== "string") return params;
    reader.fail(params);
    return [];
  },
  text: (params) => params.map(svcParamText).join(" "),
};

function quoted(bytes: string): string {
  return `"${escapeBytes(bytes, /["\\]/, 0x20)}"`;
}

function textOf(bytes: Uint8Array, encoding: "hex" | "base64"): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString(encoding);
}

const BASE32HEX = "0123456789ABCDEFGHIJKLMNOPQRSTUV";

function base32hexText(bytes: Uint8Array): string {
  let text = "";
  let bits = 0;
  let pending = 0;
  for (const byte of bytes) {
    pending = ((pending << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) text += BASE32HEX.charAt((pending >> (bits - 5)) & 31);
  }
  return bits === 0 ? text : text + BASE32HEX.charAt((pending << (5 - bits)) & 31);
}

const oneName = { name: domain };
const strings = { strings: characterStrings };
const delegation = { keyTag: uint16, algorithm: uint8, digestType: uint8, digest: rest("hex") };
const publicKey = { flags: uint16, protocol: uint8, algorithm: uint8, key: rest("base64") };
const hashing = { algorithm: uint8, flags: uint8, iterations: uint16, salt };
const binding = { priority: uint16, target: plainDomain, params: svcParamList };

/** The fields of every known type, in the order in which they stand on the wire and in text. */
const schemas = {
  A: { address: address(4) },
  NS: oneName,
  CNAME: oneName,
  SOA: {
    primary: domain,
    mailbox: domain,
    serial: uint32,
    refreshSeconds: uint32,
    retrySeconds: uint32,
    expireSeconds: uint32,
    minimumSeconds: uint32,
  },
  PTR: oneName,
  HINFO: { cpu: characterString, os: characterString },
  MX: { preference: uint16, exchange: domain },
  TXT: strings,
  RP: { mailbox: domain, text: domain },
  AFSDB: { subtype: uint16, hostname: domain },
  AAAA: { address: address(16) },
  SRV: { priority: uint16, weight: uint16, port: uint16, target: domain },
  NAPTR: {
    order: uint16,
    preference: uint16,
    flags: characterString,
    services: characterString,
    regexp: characterString,
    replacement: domain,
  },
  DNAME: { name: plainDomain },
  DS: delegation,
  SSHFP: { algorithm: uint8, fingerprintType: uint8, fingerprint: rest("hex") },
  RRSIG: {
    covered: typeField,
    algorithm: uint8,
    labels: uint8,
    originalTtlSeconds: uint32,
    expiration: timestamp,
    inception: timestamp,
    keyTag: uint16,
    signer: plainDomain,
    signature: rest("base64"),
  },
  NSEC: { next: plainDomain, types: typeBitmap },
  DNSKEY: publicKey,
  NSEC3: { ...hashing, next: hashedOwner, types: typeBitmap },
  NSEC3PARAM: hashing,
  TLSA: { usage: uint8, selector: uint8, matching: uint8, certificate: rest("hex") },
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

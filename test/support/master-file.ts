import { addressFromText } from "../../src/dns/address.ts";
import type { ResourceRecord } from "../../src/dns/message.ts";
import { labelsOf, type Name, nameFromText, nameOfLabels, ROOT } from "../../src/dns/name.ts";
import { type Rdata, readRdata } from "../../src/dns/rdata.ts";
import { SVC_KEY, type SvcParam } from "../../src/dns/svcb.ts";
import { CLASS, typeName, typeNumber } from "../../src/dns/types.ts";
import { WireReader } from "../../src/dns/wire.ts";

/** The origin of relative names, and the default TTL. */
interface Defaults {
  readonly origin?: Name;
  readonly ttlSeconds?: number;
}

/** Reads one record of a master file (RFC 1035 §5.1). Throws for a text that is no record. */
export function parseRecord(text: string, { origin = ROOT, ttlSeconds: defaultTtl = 3600 }: Defaults = {}): ResourceRecord {
  const words = new Words(text, origin);
  const owner = domain(words);
  let ttlSeconds = defaultTtl;
  let klass: number = CLASS.IN;
  for (;;) {
    const word = words.next().raw;
    if (/^\d+$/.test(word)) ttlSeconds = Number(word);
    else if (/^(IN|CH|HS|CLASS\d+)$/i.test(word)) klass = classOf(word);
    else {
      const type = typeOf(word);
      return { owner, type, class: klass, ttlSeconds, data: parseRdata(type, words) };
    }
  }
}

/** Reads the presentation format of a record's data, or the generic form for any type (RFC 3597 §5). */
export function rdataFromText(type: number, text: string): Rdata {
  return parseRdata(type, new Words(text, ROOT));
}

function parseRdata(type: number, words: Words): Rdata {
  const fields = TYPES[typeName(type)];
  if (words.takeGeneric()) {
    const length = number(words);
    const bytes = rest("hex")(words);
    if (bytes.length !== length) throw new Error(`there are ${bytes.length} bytes, not ${length}`);
    return readRdata(type, new WireReader(bytes, { start: 0, end: length }, null));
  }
  if (fields === undefined) throw new Error(`${typeName(type)} has no format of its own`);
  const data: Record<string, unknown> = { kind: typeName(type) };
  for (const [name, parse] of Object.entries(fields)) data[name] = parse(words);
  if (words.rest().length > 0) throw new Error("there is more after the last value");
  // The table below pairs each type with its fields.
  return data as unknown as Rdata;
}

interface Word {
  /** As written without quotation marks; escapes stay. */
  readonly raw: string;
  /** The bytes meant, one character (0 to 255) each. */
  readonly bytes: string;
  readonly quoted: boolean;
}

/** Words of a record: by spaces and quotation marks; `;` begins a comment, parentheses and line ends count as spaces. */
class Words {
  readonly origin: Name;
  #words: Word[];

  constructor(text: string, origin: Name) {
    this.origin = origin;
    const matches = text.matchAll(/;[^\n]*|[\s()]+|((?:\\.|"(?:\\.|[^"\\])*"|[^\s();"\\])+)/gsu);
    this.#words = [...matches].flatMap(([, word]) => (word === undefined ? [] : [wordOf(word)]));
  }

  next(): Word {
    const word = this.#words.shift();
    if (word === undefined) throw new Error("the text ends where a value is due");
    return word;
  }

  rest(): Word[] {
    return this.#words.splice(0);
  }

  /** Takes the mark `\#` of the generic form, if it comes next. */
  takeGeneric(): boolean {
    const [first] = this.#words;
    if (first?.raw !== "\\#" || first.quoted) return false;
    this.#words.shift();
    return true;
  }
}

function wordOf(written: string): Word {
  const raw = written.replace(/\\.|"/gsu, (part) => (part === '"' ? "" : part));
  const bytes = raw.replace(/\\(\d{3})|\\(.)|[^\\]/gsu, (plain, digits?: string, escaped?: string) =>
    digits === undefined ? Buffer.from(escaped ?? plain).toString("latin1") : String.fromCharCode(Number(digits)),
  );
  return { raw, bytes, quoted: written.startsWith('"') };
}

type Parse<T> = (words: Words) => T;

const number: Parse<number> = (words) => {
  const { raw } = words.next();
  if (!/^\d{1,10}$/.test(raw)) throw new Error(`${raw} is no number`);
  return Number(raw);
};

function domain(words: Words): Name {
  const { raw } = words.next();
  if (raw === "@") return words.origin;
  const name = nameFromText(raw);
  const isAbsolute = (/(\\*)\.$/.exec(raw)?.[1]?.length ?? 1) % 2 === 0;
  const whole = name === null || isAbsolute ? name : nameOfLabels([...labelsOf(name), ...labelsOf(words.origin)]);
  if (whole === null) throw new Error(`${raw} is no domain name`);
  return whole;
}

function address(length: 4 | 16): Parse<Uint8Array> {
  return (words) => addressBytes(words.next().raw, length);
}

/** In 16 bytes, an IPv4-mapped address stands for itself. */
function addressBytes(text: string, length: 4 | 16): Uint8Array {
  const bytes = text.includes(":") === (length === 16) ? addressFromText(text) : null;
  if (bytes === null) throw new Error(`${text} is no address of ${length} bytes`);
  return bytes.length === length ? bytes : Uint8Array.of(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, ...bytes);
}

const string: Parse<string> = (words) => words.next().bytes;
const strings: Parse<string[]> = (words) => [string(words), ...words.rest().map(({ bytes }) => bytes)];

function rest(encoding: "hex" | "base64"): Parse<Uint8Array> {
  return (words) =>
    new Uint8Array(
      Buffer.from(
        words.rest().reduce((text, { raw }) => text + raw, ""),
        encoding,
      ),
    );
}

const salt: Parse<Uint8Array> = (words) => new Uint8Array(Buffer.from(words.next().raw, "hex"));

const hashedOwner: Parse<Uint8Array> = (words) => {
  const bits = Array.from(words.next().raw, (digit) => Number.parseInt(digit, 32).toString(2).padStart(5, "0")).join("");
  return Uint8Array.from(bits.match(/.{8}/g) ?? [], (byte) => Number.parseInt(byte, 2));
};

const typeField: Parse<number> = (words) => typeOf(words.next().raw);
const typeBitmap: Parse<number[]> = (words) => [...new Set(words.rest().map(({ raw }) => typeOf(raw)))].sort((a, b) => a - b);

const timestamp: Parse<number> = (words) => {
  const { raw } = words.next();
  if (raw.length <= 10) return Number(raw);
  const [, ...parts] = /^(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)$/.exec(raw) ?? [];
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0] = parts.map(Number);
  return Date.UTC(year, month - 1, day, hour, minute, second) / 1000;
};

function classOf(text: string): number {
  const known = Object.entries(CLASS).find(([name]) => name === text.toUpperCase());
  return known?.[1] ?? Number(text.slice("CLASS".length));
}

function typeOf(text: string): number {
  const type = /^\d/.test(text) ? null : typeNumber(text);
  if (type === null) throw new Error(`${text} is no type`);
  return type;
}

const svcParams: Parse<SvcParam[]> = (words) =>
  words
    .rest()
    .map(({ bytes }) => {
      const [, key = "", text = ""] = /^([^=]*)=?(.*)$/s.exec(bytes) ?? [];
      return { key: svcKey(key), value: key.startsWith("key") ? latin1(text) : svcValue(svcKey(key), text) };
    })
    .sort((left, right) => left.key - right.key);

const svcKeys = new Map<string, number>(
  Object.entries(SVC_KEY).map(([name, key]) => [name.toLowerCase().replaceAll("_", "-"), key]),
);

function svcKey(text: string): number {
  const key = svcKeys.get(text) ?? Number(/^key(\d{1,5})$/.exec(text)?.[1]);
  if (Number.isNaN(key)) throw new Error(`${text} is no SvcParamKey`);
  return key;
}

function svcValue(key: number, text: string): Uint8Array {
  const items = text.split(",");
  switch (key) {
    case SVC_KEY.MANDATORY:
      return numbers(items.map(svcKey).sort((left, right) => left - right));
    case SVC_KEY.ALPN: {
      const protocols = [...text.matchAll(/(?:^|,)((?:\\.|[^,\\])*)/gs)].map(([, item = ""]) => item.replace(/\\(.)/gs, "$1"));
      return latin1(protocols.map((protocol) => String.fromCharCode(protocol.length) + protocol).join(""));
    }
    case SVC_KEY.PORT:
    case SVC_KEY.TLS_SUPPORTED_GROUPS:
      return numbers(items.map(Number));
    case SVC_KEY.IPV4HINT:
    case SVC_KEY.IPV6HINT:
      return Uint8Array.from(items.flatMap((item) => [...addressBytes(item, key === SVC_KEY.IPV4HINT ? 4 : 16)]));
    case SVC_KEY.ECH:
      return new Uint8Array(Buffer.from(text, "base64"));
    default:
      return latin1(text);
  }
}

function numbers(values: readonly number[]): Uint8Array {
  return Uint8Array.from(values.flatMap((value) => [value >> 8, value & 255]));
}

function latin1(text: string): Uint8Array {
  return new Uint8Array(Buffer.from(text, "latin1"));
}

const oneName = { name: domain };
const delegation = { keyTag: number, algorithm: number, digestType: number, digest: rest("hex") };
const publicKey = { flags: number, protocol: number, algorithm: number, key: rest("base64") };
const hashing = { algorithm: number, flags: number, iterations: number, salt };
const binding = { priority: number, target: domain, params: svcParams };
const lifetimes = { serial: number, refreshSeconds: number, retrySeconds: number, expireSeconds: number, minimumSeconds: number };
const covering = { covered: typeField, algorithm: number, labels: number, originalTtlSeconds: number };

const TYPES: Readonly<Record<string, Readonly<Record<string, Parse<unknown>>>>> = {
  A: { address: address(4) },
  NS: oneName,
  CNAME: oneName,
  SOA: { primary: domain, mailbox: domain, ...lifetimes },
  PTR: oneName,
  HINFO: { cpu: string, os: string },
  MX: { preference: number, exchange: domain },
  TXT: { strings },
  RP: { mailbox: domain, text: domain },
  AFSDB: { subtype: number, hostname: domain },
  AAAA: { address: address(16) },
  SRV: { priority: number, weight: number, port: number, target: domain },
  NAPTR: { order: number, preference: number, flags: string, services: string, regexp: string, replacement: domain },
  DNAME: oneName,
  DS: delegation,
  SSHFP: { algorithm: number, fingerprintType: number, fingerprint: rest("hex") },
  RRSIG: { ...covering, expiration: timestamp, inception: timestamp, keyTag: number, signer: domain, signature: rest("base64") },
  NSEC: { next: domain, types: typeBitmap },
  DNSKEY: publicKey,
  NSEC3: { ...hashing, next: hashedOwner, types: typeBitmap },
  NSEC3PARAM: hashing,
  TLSA: { usage: number, selector: number, matching: number, certificate: rest("hex") },
  CDS: delegation,
  CDNSKEY: publicKey,
  SVCB: binding,
  HTTPS: binding,
  SPF: { strings },
  URI: { priority: number, weight: number, target: string },
  CAA: { flags: number, tag: string, value: string },
};

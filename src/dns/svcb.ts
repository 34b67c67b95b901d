import { isUtf8 } from "node:buffer";
import type { RecordPlace } from "./answer.ts";
import { plainNameEnd } from "./name.ts";
import { base64Bytes, base64Text, type Field, ipv4Bytes, ipv6Bytes, ipv6Text, unquoted } from "./rdata-fields.ts";
import { integerOf, PresentationError, type Token } from "./text-reader.ts";
import { uint16 } from "./wire.ts";

/** A parameter of an SVCB or HTTPS record (RFC 9460 §2.2); its value as it stands on the wire. */
export interface SvcParam {
  readonly key: number;
  readonly value: Uint8Array;
}

/** Where a parameter stands in its message: the bytes of its value, before which are two of key and two of length. */
interface SvcParamPlace {
  readonly key: number;
  readonly start: number;
  readonly end: number;
}

/**
 * Where the parameters of an SVCB or HTTPS record stand, in their order; null where the record is malformed in its framing or its keys do not
 * ascend (RFC 9460 §2.2). What the values hold is not looked at. `place` is one of `recordsOf`.
 */
export function svcParams(wire: Uint8Array, place: Pick<RecordPlace, "data" | "end">): readonly SvcParamPlace[] | null {
  const targetEnd = plainNameEnd(wire, place.data + 2);
  return targetEnd < 0 || targetEnd > place.end ? null : placesBetween(wire, targetEnd, place.end);
}

function placesBetween(octets: Uint8Array, first: number, end: number): readonly SvcParamPlace[] | null {
  const places: SvcParamPlace[] = [];
  let previousKey = -1;
  for (let position = first; position < end; ) {
    const key = uint16(octets, position);
    const start = position + 4;
    position = start + uint16(octets, position + 2);
    if (start > end || position > end || key <= previousKey) return null;
    places.push({ key, start, end: position });
    previousKey = key;
  }
  return places;
}

/** All the parameters of a record: the rest of its data. */
export const svcParamList: Field<readonly SvcParam[]> = {
  read(reader) {
    const octets = reader.octets(reader.remaining);
    const places = placesBetween(octets, 0, octets.length);
    if (places === null) {
      reader.fail("the parameters are cut off, or their keys do not ascend");
      return [];
    }
    const params = places.map(({ key, start, end }) => ({ key, value: octets.slice(start, end) }));
    for (const { key, value } of params) {
      const fault = valueFormatOf(key).fault(value);
      if (fault !== null) reader.fail(`${svcKeyName(key)}: ${fault}`);
    }
    return params;
  },
  write(writer, params) {
    for (const { key, value } of params) {
      writer.uint16(key);
      writer.behindLength(() => writer.octets(value));
    }
  },
  text: (params) => params.map(svcParamText).join(" "),
  parse(text) {
    const params = text.rest().map(parseSvcParam);
    const sorted = params.toSorted((left, right) => left.key - right.key);
    const repeated = sorted.find(({ key }, index) => key === sorted[index + 1]?.key);
    if (repeated !== undefined) throw new PresentationError(`${svcKeyName(repeated.key)} is given twice`);
    checkConsistency(sorted);
    return sorted;
  },
};

/** Presentation format (RFC 9460 §2.1), without quotation marks. */
export function svcParamText({ key, value }: SvcParam): string {
  const octets = valueFormatOf(key).text(value);
  return octets === "" ? svcKeyName(key) : `${svcKeyName(key)}=${unquoted(octets)}`;
}

function parseSvcParam({ raw, octets, quoted }: Token): SvcParam {
  // Keys have no escapes, so the first "=" stands at the same place in both.
  const equals = octets.indexOf("=");
  const keyText = equals < 0 ? octets : octets.slice(0, equals);
  const key = svcKeyNumber(keyText);
  if (quoted || key === null || !raw.startsWith(keyText)) throw new PresentationError(`${raw} does not begin with a SvcParamKey`);
  const text = equals < 0 ? "" : octets.slice(equals + 1);
  // A known key in the form key123 has its value as bytes (RFC 9460 §2.1).
  const generic = keyText !== svcKeyName(key);
  const value = generic ? Uint8Array.from(Buffer.from(text, "latin1")) : valueFormatOf(key).parse(text);
  const fault = valueFormatOf(key).fault(value);
  if (fault !== null) throw new PresentationError(`${keyText}: ${fault}`);
  return { key, value };
}

/** RFC 9460 §2.4.3: what zone files are to be checked for, and recipients need not. */
function checkConsistency(params: readonly SvcParam[]): void {
  const keys = new Set(params.map(({ key }) => key));
  const mandatory = params.find(({ key }) => key === SVC_KEY.MANDATORY)?.value ?? new Uint8Array();
  for (let position = 0; position < mandatory.length; position += 2) {
    const key = uint16(mandatory, position);
    if (!keys.has(key)) throw new PresentationError(`${svcKeyName(key)} is mandatory and missing`);
  }
  if (keys.has(SVC_KEY.NO_DEFAULT_ALPN) && !keys.has(SVC_KEY.ALPN))
    throw new PresentationError("no-default-alpn stands without alpn");
}

/** Keys of the registry "Service Parameter Keys (SvcParamKeys)". */
export const SVC_KEY = {
  MANDATORY: 0,
  ALPN: 1,
  NO_DEFAULT_ALPN: 2,
  PORT: 3,
  IPV4HINT: 4,
  ECH: 5,
  IPV6HINT: 6,
  DOHPATH: 7,
  OHTTP: 8,
  TLS_SUPPORTED_GROUPS: 9,
} as const;

const keyNames = new Map<number, string>(
  Object.entries(SVC_KEY).map(([name, key]) => [key, name.toLowerCase().replaceAll("_", "-")]),
);
const keyNumbers = new Map([...keyNames].map(([key, name]) => [name, key]));

/** The name, or key123 for one without (RFC 9460 §2.1). */
export function svcKeyName(key: number): string {
  return keyNames.get(key) ?? `key${key}`;
}

/** Reads a name (in lower case, as all are) or key123 without leading zeros; null where it is neither. */
export function svcKeyNumber(text: string): number | null {
  const known = keyNumbers.get(text);
  if (known !== undefined) return known;
  const digits = /^key(0|[1-9]\d{0,4})$/.exec(text)?.[1];
  const key = digits === undefined ? -1 : Number(digits);
  return key >= 0 && key <= 0xffff ? key : null;
}

/** The form of a parameter's value on the wire and in text. */
interface ValueFormat {
  /** What is wrong with a value from the wire; null where nothing is. */
  fault(value: Uint8Array): string | null;
  /** The presentation value of a faultless one, not yet escaped as a character-string; empty where the key alone is shown. */
  text(value: Uint8Array): string;
  /**
   * Reads what `text` gives; the result may still have a fault.
   * @throws PresentationError
   */
  parse(text: string): Uint8Array;
}

function valueFormatOf(key: number): ValueFormat {
  return formats.get(key) ?? anyBytes;
}

const anyBytes: ValueFormat = {
  fault: () => null,
  text: (value) => latin1(value),
  parse: (text) => bytesOf(text),
};

/** RFC 9460 §8: other keys, ascending on the wire, in any order in text. */
const mandatory: ValueFormat = {
  fault(value) {
    if (value.length === 0 || value.length % 2 !== 0) return "the value is not a list of keys";
    if (uint16(value, 0) === SVC_KEY.MANDATORY) return "mandatory lists itself";
    return numbersIn(value).every((key, index, keys) => index === 0 || key > (keys[index - 1] ?? 0))
      ? null
      : "the keys do not ascend, or one is listed twice";
  },
  text: (value) => numbersIn(value).map(svcKeyName).join(","),
  parse(text) {
    const keys = text.split(",").map((name) => {
      const key = svcKeyNumber(name);
      if (key === null) throw new PresentationError(`${name} is no SvcParamKey`);
      return key;
    });
    return bytesOfNumbers(keys.sort((left, right) => left - right));
  },
};

/** RFC 9460 §7.1: names of protocols, each behind its length. In text a comma or backslash within one stands after a backslash. */
const alpn: ValueFormat = {
  fault(value) {
    for (let position = 0; position < value.length; ) {
      const length = value[position] ?? 0;
      position += 1 + length;
      if (length === 0 || position > value.length) return "a protocol is empty or cut off";
    }
    return value.length === 0 ? "there is no protocol" : null;
  },
  text: (value) =>
    alpnProtocols(value)
      .map((protocol) => protocol.replace(/[\\,]/g, "\\$&"))
      .join(","),
  parse(text) {
    const protocols = listItems(text);
    if (protocols.some(({ length }) => length === 0 || length > 255))
      throw new PresentationError("a protocol of alpn is empty or too long");
    return bytesOf(protocols.map((protocol) => String.fromCharCode(protocol.length) + protocol).join(""));
  },
};

/** The items of a comma-separated list (RFC 9460 appendix A.1): a backslash stands before a comma or backslash that is meant. */
function listItems(text: string): string[] {
  const items: string[] = [];
  let item = "";
  for (let index = 0; index < text.length; index++) {
    const character = text.charAt(index);
    if (character === ",") {
      items.push(item);
      item = "";
    } else if (character !== "\\") {
      item += character;
    } else {
      index++;
      const meant = text.charAt(index);
      if (meant !== "," && meant !== "\\")
        throw new PresentationError("in a list a backslash stands before a comma or another one");
      item += meant;
    }
  }
  return [...items, item];
}

/** The protocols of an `alpn` value without fault. */
export function alpnProtocols(value: Uint8Array): string[] {
  const protocols: string[] = [];
  for (let position = 0; position < value.length; ) {
    const end = position + 1 + (value[position] ?? 0);
    protocols.push(latin1(value.subarray(position + 1, end)));
    position = end;
  }
  return protocols;
}

/** RFC 9460 §7.1.1, RFC 9540 §4: the key says it all. */
const noValue: ValueFormat = {
  fault: (value) => (value.length === 0 ? null : "there is a value, and may be none"),
  text: () => "",
  parse: (text) => bytesOf(text),
};

/** RFC 9460 §7.2. */
const port: ValueFormat = {
  fault: (value) => (value.length === 2 ? null : "the value is not two octets"),
  text: (value) => String(uint16(value, 0)),
  parse: (text) => bytesOfNumbers([integerOf(text, 0xffff)]),
};

/** RFC 9460 §7.3. */
const ipv4hint: ValueFormat = {
  fault: (value) => addressFault(value, 4),
  text: (value) =>
    partsOf(value, 4)
      .map((octets) => octets.join("."))
      .join(","),
  parse: (text) => Uint8Array.from(text.split(",").flatMap((address) => [...ipv4Bytes(address)])),
};

const ipv6hint: ValueFormat = {
  fault: (value) => addressFault(value, 16),
  text: (value) => partsOf(value, 16).map(ipv6Text).join(","),
  parse: (text) => Uint8Array.from(text.split(",").flatMap((address) => [...ipv6Bytes(address)])),
};

/** An ECHConfigList (RFC 9848 §3), not looked into. */
const ech: ValueFormat = {
  fault: (value) => (value.length === 0 ? "the value is empty" : null),
  text: base64Text,
  parse: base64Bytes,
};

/** RFC 9461 §5: a relative URI template. */
const dohpath: ValueFormat = {
  fault: (value) => (isUtf8(value) ? null : "the value is not UTF-8"),
  text: latin1,
  parse: bytesOf,
};

/** Named groups of TLS, each once, in order of preference. */
const tlsSupportedGroups: ValueFormat = {
  fault(value) {
    if (value.length === 0 || value.length % 2 !== 0) return "the value is not a list of groups";
    return new Set(numbersIn(value)).size === value.length / 2 ? null : "a group is listed twice";
  },
  text: (value) => numbersIn(value).join(","),
  parse: (text) => bytesOfNumbers(text.split(",").map((group) => integerOf(group, 0xffff))),
};

const formats = new Map<number, ValueFormat>([
  [SVC_KEY.MANDATORY, mandatory],
  [SVC_KEY.ALPN, alpn],
  [SVC_KEY.NO_DEFAULT_ALPN, noValue],
  [SVC_KEY.PORT, port],
  [SVC_KEY.IPV4HINT, ipv4hint],
  [SVC_KEY.ECH, ech],
  [SVC_KEY.IPV6HINT, ipv6hint],
  [SVC_KEY.DOHPATH, dohpath],
  [SVC_KEY.OHTTP, noValue],
  [SVC_KEY.TLS_SUPPORTED_GROUPS, tlsSupportedGroups],
]);

function addressFault(value: Uint8Array, octets: number): string | null {
  return value.length > 0 && value.length % octets === 0 ? null : "the value is not a list of addresses";
}

function numbersIn(value: Uint8Array): number[] {
  return partsOf(value, 2).map((part) => uint16(part, 0));
}

function partsOf(value: Uint8Array, octets: number): Uint8Array[] {
  return Array.from({ length: value.length / octets }, (_, index) => value.subarray(index * octets, (index + 1) * octets));
}

function bytesOfNumbers(numbers: readonly number[]): Uint8Array {
  return Uint8Array.from(numbers.flatMap((number) => [number >> 8, number & 0xff]));
}

function bytesOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "latin1"));
}

function latin1(octets: Uint8Array): string {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString("latin1");
}

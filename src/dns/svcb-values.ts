import { isUtf8 } from "node:buffer";
import { uint16 } from "./octets.ts";
import { ipv4Octets, ipv6Octets, ipv6Text } from "./rdata/field.ts";
import { base64Octets, base64Text } from "./rdata/octet-fields.ts";
import { integerOf, PresentationError } from "./rdata/text-reader.ts";

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
export interface ValueFormat {
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

export function valueFormatOf(key: number): ValueFormat {
  return formats.get(key) ?? anyOctets;
}

const anyOctets: ValueFormat = {
  fault: () => null,
  text: (value) => latin1(value),
  parse: (text) => octetsOf(text),
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
    return octetsOfNumbers(keys.sort((left, right) => left - right));
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
    return octetsOf(protocols.map((protocol) => String.fromCharCode(protocol.length) + protocol).join(""));
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
  parse: (text) => octetsOf(text),
};

/** RFC 9460 §7.2. */
const port: ValueFormat = {
  fault: (value) => (value.length === 2 ? null : "the value is not two octets"),
  text: (value) => String(uint16(value, 0)),
  parse: (text) => octetsOfNumbers([integerOf(text, 0xffff)]),
};

/** RFC 9460 §7.3. */
const ipv4hint: ValueFormat = {
  fault: (value) => addressFault(value, 4),
  text: (value) =>
    partsOf(value, 4)
      .map((octets) => octets.join("."))
      .join(","),
  parse: (text) => Uint8Array.from(text.split(",").flatMap((address) => [...ipv4Octets(address)])),
};

const ipv6hint: ValueFormat = {
  fault: (value) => addressFault(value, 16),
  text: (value) => partsOf(value, 16).map(ipv6Text).join(","),
  parse: (text) => Uint8Array.from(text.split(",").flatMap((address) => [...ipv6Octets(address)])),
};

/** An ECHConfigList (RFC 9848 §3), not looked into. */
const ech: ValueFormat = {
  fault: (value) => (value.length === 0 ? "the value is empty" : null),
  text: base64Text,
  parse: base64Octets,
};

/** RFC 9461 §5: a relative URI template. */
const dohpath: ValueFormat = {
  fault: (value) => (isUtf8(value) ? null : "the value is not UTF-8"),
  text: latin1,
  parse: octetsOf,
};

/** Named groups of TLS, each once, in order of preference. */
const tlsSupportedGroups: ValueFormat = {
  fault(value) {
    if (value.length === 0 || value.length % 2 !== 0) return "the value is not a list of groups";
    return new Set(numbersIn(value)).size === value.length / 2 ? null : "a group is listed twice";
  },
  text: (value) => numbersIn(value).join(","),
  parse: (text) => octetsOfNumbers(text.split(",").map((group) => integerOf(group, 0xffff))),
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

function octetsOfNumbers(numbers: readonly number[]): Uint8Array {
  return Uint8Array.from(numbers.flatMap((number) => [number >> 8, number & 0xff]));
}

function octetsOf(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, "latin1"));
}

function latin1(octets: Uint8Array): string {
  return Buffer.from(octets.buffer, octets.byteOffset, octets.length).toString("latin1");
}

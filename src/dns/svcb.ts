import { isUtf8 } from "node:buffer";
import { ipv6Text } from "./address.ts";
import type { RecordPlace } from "./answer.ts";
import { escapeBytes, plainNameEnd } from "./name.ts";
import { setUint16, uint16 } from "./wire.ts";

/** A parameter of an SVCB or HTTPS record (RFC 9460 §2.2). The value has its wire format. */
export interface SvcParam {
  readonly key: number;
  readonly value: Uint8Array;
}

/** Where the value of a parameter stands in its message. Two bytes of key and two bytes of length stand before the value. */
interface SvcParamPlace {
  readonly key: number;
  readonly start: number;
  readonly end: number;
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

/**
 * Where the parameters of an SVCB or HTTPS record stand, in their order. The values are not checked. null where the record is malformed in its
 * framing, or its keys do not ascend (RFC 9460 §2.2). `place` is one of `recordsOf`.
 */
export function svcParams(wire: Uint8Array, place: Pick<RecordPlace, "data" | "end">): readonly SvcParamPlace[] | null {
  const targetEnd = plainNameEnd(wire, place.data + 2);
  return targetEnd < 0 || targetEnd > place.end ? null : placesBetween(wire, targetEnd, place.end);
}

function placesBetween(bytes: Uint8Array, first: number, end: number): readonly SvcParamPlace[] | null {
  const places: SvcParamPlace[] = [];
  let previousKey = -1;
  for (let position = first; position < end; ) {
    const key = uint16(bytes, position);
    const start = position + 4;
    position = start + uint16(bytes, position + 2);
    if (start > end || position > end || key <= previousKey) return null;
    places.push({ key, start, end: position });
    previousKey = key;
  }
  return places;
}

/** Reads all the parameters of a record and checks their values; a string says what is wrong. The values are copies. */
export function readSvcParams(bytes: Uint8Array): readonly SvcParam[] | string {
  const places = placesBetween(bytes, 0, bytes.length);
  if (places === null) return "the parameters are cut off, or their keys do not ascend";
  const params = places.map(({ key, start, end }) => ({ key, value: bytes.slice(start, end) }));
  for (const { key, value } of params) {
    const fault = formatOf(key).fault(value);
    if (fault !== null) return `${svcKeyName(key)}: ${fault}`;
  }
  return params;
}

export function writeSvcParam({ key, value }: SvcParam): Uint8Array {
  const bytes = new Uint8Array(4 + value.length);
  setUint16(bytes, 0, key);
  setUint16(bytes, 2, value.length);
  bytes.set(value, 4);
  return bytes;
}

/** Presentation format (RFC 9460 §2.1) of a parameter whose value has no fault, without quotation marks. */
export function svcParamText({ key, value }: SvcParam): string {
  const text = formatOf(key).text(value);
  return text === "" ? svcKeyName(key) : `${svcKeyName(key)}=${escapeBytes(text, /["\\;()]/)}`;
}

const keyNames = new Map<number, string>(
  Object.entries(SVC_KEY).map(([name, key]) => [key, name.toLowerCase().replaceAll("_", "-")]),
);

/** The name, or key123 for a key without a name (RFC 9460 §2.1). */
function svcKeyName(key: number): string {
  return keyNames.get(key) ?? `key${key}`;
}

/** The numbers in a value that is a list of 16-bit numbers; a byte left over is ignored. */
export function numbersIn(value: Uint8Array): number[] {
  return partsOf(value, 2).map((part) => uint16(part, 0));
}

/** The addresses of a hint (RFC 9460 §7.3), views of 4 or 16 bytes each; none for another key. Bytes left over are ignored. */
export function hintAddresses({ key, value }: SvcParam): Uint8Array[] {
  if (key === SVC_KEY.IPV4HINT) return partsOf(value, 4);
  return key === SVC_KEY.IPV6HINT ? partsOf(value, 16) : [];
}

function partsOf(value: Uint8Array, length: number): Uint8Array[] {
  const count = Math.floor(value.length / length);
  return Array.from({ length: count }, (_, index) => value.subarray(index * length, (index + 1) * length));
}

/** The protocols of an `alpn` value (RFC 9460 §7.1), views of their bytes. A protocol that is cut off is given as far as its bytes go. */
export function alpnProtocols(value: Uint8Array): Uint8Array[] {
  const protocols: Uint8Array[] = [];
  for (let position = 0; position < value.length; ) {
    const end = position + 1 + (value[position] ?? 0);
    protocols.push(value.subarray(position + 1, end));
    position = end;
  }
  return protocols;
}

/** The form of a parameter's value. */
interface ValueFormat {
  /** What is wrong with a value; null where nothing is. */
  fault(value: Uint8Array): string | null;
  /** Presentation format of a value without fault, not yet escaped as a character-string; empty where the key stands alone. */
  text(value: Uint8Array): string;
}

function formatOf(key: number): ValueFormat {
  return formats.get(key) ?? anyBytes;
}

const anyBytes: ValueFormat = { fault: () => null, text: latin1 };

/** RFC 9460 §7.1.1, RFC 9540 §4: the key stands alone. */
const noValue: ValueFormat = {
  fault: (value) => (value.length === 0 ? null : "there is a value, and may be none"),
  text: () => "",
};

function hint(length: 4 | 16, addressText: (bytes: Uint8Array) => string): ValueFormat {
  return {
    fault: (value) => (value.length > 0 && value.length % length === 0 ? null : "the value is not a list of addresses"),
    text: (value) => partsOf(value, length).map(addressText).join(","),
  };
}

const formats = new Map<number, ValueFormat>([
  [
    // RFC 9460 §8: other keys, ascending.
    SVC_KEY.MANDATORY,
    {
      fault(value) {
        if (value.length === 0 || value.length % 2 !== 0) return "the value is not a list of keys";
        if (uint16(value, 0) === SVC_KEY.MANDATORY) return "mandatory lists itself";
        const isAscending = numbersIn(value).every((key, index, keys) => index === 0 || key > (keys[index - 1] ?? 0));
        return isAscending ? null : "the keys do not ascend, or one is listed twice";
      },
      text: (value) => numbersIn(value).map(svcKeyName).join(","),
    },
  ],
  [
    // RFC 9460 §7.1: names of protocols, each after its length. In text a comma or backslash within a name stands after a backslash.
    SVC_KEY.ALPN,
    {
      fault(value) {
        if (value.length === 0) return "there is no protocol";
        const protocols = alpnProtocols(value);
        const last = protocols.at(-1)?.length ?? 0;
        const isCutOff = value[value.length - 1 - last] !== last;
        return isCutOff || protocols.some(({ length }) => length === 0) ? "a protocol is empty or cut off" : null;
      },
      text: (value) =>
        alpnProtocols(value)
          .map((protocol) => latin1(protocol).replace(/[\\,]/g, "\\$&"))
          .join(","),
    },
  ],
  [SVC_KEY.NO_DEFAULT_ALPN, noValue],
  [
    SVC_KEY.PORT,
    {
      fault: (value) => (value.length === 2 ? null : "the value is not two bytes"),
      text: (value) => String(uint16(value, 0)),
    },
  ],
  [SVC_KEY.IPV4HINT, hint(4, (bytes) => bytes.join("."))],
  [
    // An ECHConfigList (RFC 9848 §3), opaque here.
    SVC_KEY.ECH,
    {
      fault: (value) => (value.length === 0 ? "the value is empty" : null),
      text: (value) => Buffer.from(value).toString("base64"),
    },
  ],
  [SVC_KEY.IPV6HINT, hint(16, ipv6Text)],
  // RFC 9461 §5: a relative URI template.
  [SVC_KEY.DOHPATH, { fault: (value) => (isUtf8(value) ? null : "the value is not UTF-8"), text: latin1 }],
  [SVC_KEY.OHTTP, noValue],
  [
    // Named groups of TLS, each once, in order of preference.
    SVC_KEY.TLS_SUPPORTED_GROUPS,
    {
      fault(value) {
        if (value.length === 0 || value.length % 2 !== 0) return "the value is not a list of groups";
        return new Set(numbersIn(value)).size === value.length / 2 ? null : "a group is listed twice";
      },
      text: (value) => numbersIn(value).join(","),
    },
  ],
]);

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString("latin1");
}

import type { RecordPlace } from "./answer.ts";
import { plainNameEnd } from "./name.ts";
import { uint16 } from "./octets.ts";
import type { Field } from "./rdata/field.ts";
import { unquoted } from "./rdata/octet-fields.ts";
import { PresentationError, type Token } from "./rdata/text-reader.ts";
import { SVC_KEY, svcKeyName, svcKeyNumber, valueFormatOf } from "./svcb-values.ts";

/** A parameter of an SVCB or HTTPS record (RFC 9460 §2.2); its value as it stands on the wire. */
export interface SvcParam {
  readonly key: number;
  readonly value: Uint8Array;
}

/** Where a parameter stands in its message: the octets of its value, before which are two of key and two of length. */
export interface SvcParamPlace {
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
  // A known key in the form key123 has its value as octets (RFC 9460 §2.1).
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

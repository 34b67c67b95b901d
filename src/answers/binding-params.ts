import { SVC_KEY, type SvcParam } from "../dns/svcb.ts";
import { uint16 } from "../dns/wire.ts";
import type { HttpsStrip } from "./options.ts";

/** What an edited SVCB or HTTPS answer has lost: what a rule strips; for the sake of consistency one family's hint, or address records beside it. */
export type BindingEdit = HttpsStrip | "strip-ipv4hint" | "strip-addresses";

/** What of one record's parameters may stay. */
export interface ParamTerms {
  readonly strips: readonly HttpsStrip[];
  /** Whether hints of the family lead where A or AAAA does. */
  readonly hints: { readonly ipv4: boolean; readonly ipv6: boolean };
  /** Whether a hint may have this address, of 4 or 16 octets, else it goes as a whole. */
  readonly allows: (address: Uint8Array) => boolean;
}

/** Notes in `edits` what is done. @returns the same array where all of it stays; null where the record offers nothing any more. */
export function editParams(params: readonly SvcParam[], terms: ParamTerms, edits: Set<BindingEdit>): readonly SvcParam[] | null {
  const dropped = new Set<number>();
  for (const param of params) {
    const edit = strippedBy(param, terms);
    if (edit === null) continue;
    dropped.add(param.key);
    edits.add(edit);
  }
  const alpn = params.find(({ key }) => key === SVC_KEY.ALPN)?.value ?? null;
  const alpnLeft = alpn !== null && terms.strips.includes("strip-h3") ? withoutHttp3(alpn) : alpn;
  if (alpnLeft !== alpn) edits.add("strip-h3");
  else if (dropped.size === 0) return params;
  if (alpnLeft !== alpn && alpnLeft?.length === 0) {
    // RFC 9460 §7.1.2: without alpn the scheme's default protocols are meant. Where no-default-alpn says that they are not served, nobody
    // can use the record any more, and without that key, which may not stand alone (§7.1.1), it would send clients to what is not there.
    if (params.some(({ key }) => key === SVC_KEY.NO_DEFAULT_ALPN)) return null;
    dropped.add(SVC_KEY.ALPN);
  }
  return params
    .filter(({ key }) => !dropped.has(key))
    .map((param) => (param.key === SVC_KEY.ALPN && alpnLeft !== null ? { ...param, value: alpnLeft } : param))
    .flatMap((param) => (param.key === SVC_KEY.MANDATORY ? mendMandatory(param, dropped) : [param]));
}

/** Why a parameter has to go as a whole; null where it stays. */
function strippedBy({ key, value }: SvcParam, { strips, hints, allows }: ParamTerms): BindingEdit | null {
  switch (key) {
    case SVC_KEY.ECH:
      return strips.includes("strip-ech") ? "strip-ech" : null;
    case SVC_KEY.IPV4HINT:
      if (strips.includes("strip-hints")) return "strip-hints";
      return hints.ipv4 && addressesIn(value, 4).every(allows) ? null : "strip-ipv4hint";
    case SVC_KEY.IPV6HINT:
      if (strips.includes("strip-hints")) return "strip-hints";
      return hints.ipv6 && !strips.includes("strip-ipv6hint") && addressesIn(value, 16).every(allows) ? null : "strip-ipv6hint";
    default:
      return null;
  }
}

/** The addresses of a hint (RFC 9460 §7.3); octets left over are none. */
function addressesIn(value: Uint8Array, octets: number): Uint8Array[] {
  return Array.from({ length: Math.floor(value.length / octets) }, (_, index) =>
    value.subarray(index * octets, (index + 1) * octets),
  );
}

/** The alpn-ids without HTTP/3 and its drafts (`h3`, `h3-29`); the same octets where there was none. */
function withoutHttp3(value: Uint8Array): Uint8Array {
  const kept: Uint8Array[] = [];
  let position = 0;
  let found = false;
  while (position < value.length) {
    const end = position + 1 + (value[position] ?? 0);
    const isHttp3 =
      value[position + 1] === 0x68 && value[position + 2] === 0x33 && (end === position + 3 || value[position + 3] === 0x2d);
    if (isHttp3) found = true;
    else kept.push(value.subarray(position, end));
    position = end;
  }
  return found ? Uint8Array.from(Buffer.concat(kept)) : value;
}

// RFC 9460 §8: a key that is listed and absent makes the whole record useless.
function mendMandatory(param: SvcParam, dropped: ReadonlySet<number>): SvcParam[] {
  const keys: number[] = [];
  for (let position = 0; position + 1 < param.value.length; position += 2) keys.push(uint16(param.value, position));
  const left = keys.filter((key) => !dropped.has(key));
  if (left.length === keys.length) return [param];
  return left.length === 0 ? [] : [{ ...param, value: Uint8Array.from(left.flatMap((key) => [key >> 8, key & 255])) }];
}

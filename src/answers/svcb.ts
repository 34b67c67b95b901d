import { type Answer, indexAnswer, type RecordPlace, recordsOf } from "../dns/answer.ts";
import { decodeMessage, encodeMessage, type ResourceRecord } from "../dns/message.ts";
import { type Name, plainNameEnd, ROOT, readName } from "../dns/name.ts";
import { alpnProtocols, hintAddresses, numbersIn, SVC_KEY, type SvcParam, svcParams, writeSvcParam } from "../dns/svcb.ts";
import { TYPE } from "../dns/types.ts";
import { uint16 } from "../dns/wire.ts";
import type { HttpsStrip } from "./options.ts";

/** What of the records may stay. */
export interface BindingTerms {
  readonly strips: readonly HttpsStrip[];
  /** Whether this client would get the addresses of that name from the same route: else a hint would lead where A or AAAA does not. */
  readonly hintsFor: (target: Name) => { readonly ipv4: boolean; readonly ipv6: boolean };
  /** Whether a hint or address record may have this address, of 4 or 16 bytes, else it goes with all beside it; absent = any. */
  readonly allows?: (address: Uint8Array) => boolean;
}

/**
 * Takes parameters out of every SVCB and HTTPS record of an answer to a question for these types, wherever it stands, and the address records
 * beside them (RFC 9460 §4.2) that are not to be had by asking. What stays keeps its bytes and its order. Where nothing has to go the answer
 * comes back as it is, byte for byte; else AD is cleared and the signatures over what was changed are left out.
 */
export function editBindings(
  answer: Answer,
  terms: BindingTerms,
): { readonly answer: Answer; readonly edits: readonly BindingEdit[] } {
  const edits = new Set<BindingEdit>();
  const places = recordsOf(answer);
  const editing = { terms, edits, barred: barredAddresses(answer.wire, places, terms) };
  const fates = places.map((place) => fateOf(answer.wire, place, editing));
  const message = fates.some((fate) => fate !== "stays") ? decodeMessage(answer.wire) : null;
  if (message === null) return { answer, edits: [] };
  const changed = new Set<string>();
  let position = 0;
  const withEdits = (records: readonly ResourceRecord[]) =>
    records.flatMap((record): ResourceRecord[] => {
      const fate = fates[position++] ?? "stays";
      if (fate === "stays") return [record];
      changed.add(rrset(record.owner, record.type));
      return fate === "goes" ? [] : [{ ...record, data: { kind: "opaque", bytes: fate, note: null } }];
    });
  // Called in the order in which the records stand.
  const sections = {
    answers: withEdits(message.answers),
    authority: withEdits(message.authority),
    additional: withEdits(message.additional),
  };
  const unsigned = (records: readonly ResourceRecord[]) => records.filter((record) => !signsOneOf(changed, record));
  const wire = encodeMessage({
    ...message,
    authenticData: false,
    answers: unsigned(sections.answers),
    authority: unsigned(sections.authority),
    additional: unsigned(sections.additional),
  });
  const indexed = indexAnswer(wire);
  if (indexed === null) throw new Error("an edited answer is malformed");
  return { answer: { ...indexed, extendedErrors: answer.extendedErrors }, edits: [...edits].sort() };
}

/** What becomes of a record: bytes are its new data. */
type Fate = "stays" | "goes" | Uint8Array;

interface Editing {
  readonly terms: BindingTerms;
  /** Gains what is done. */
  readonly edits: Set<BindingEdit>;
  /** Sets of address records with an address that may not be given. */
  readonly barred: ReadonlySet<string>;
}

function fateOf(wire: Uint8Array, place: RecordPlace, editing: Editing): Fate {
  switch (place.type) {
    case TYPE.SVCB:
    case TYPE.HTTPS:
      return fateOfBinding(wire, place, editing);
    case TYPE.A:
    case TYPE.AAAA:
      return fateOfAddress(wire, place, editing);
    default:
      return "stays";
  }
}

/** Only the framing is looked at: a value that is malformed must not keep the others from being stripped. */
function fateOfBinding(wire: Uint8Array, place: RecordPlace, { terms, edits }: Editing): Fate {
  const places = svcParams(wire, place);
  const owner = readName(wire, place.owner);
  const target = readName(wire, place.data + 2);
  // In AliasMode the parameters mean nothing (RFC 9460 §2.4.2).
  if (places === null || owner === null || target === null || uint16(wire, place.data) === 0) return "stays";
  const params = places.map(({ key, start, end }) => ({ key, value: wire.subarray(start, end) }));
  const kept = editParams(params, paramTerms(terms, owner, target), edits);
  if (kept === params) return "stays";
  if (kept === null) return "goes";
  return Buffer.concat([wire.subarray(place.data, plainNameEnd(wire, place.data + 2)), ...kept.map(writeSvcParam)]);
}

function fateOfAddress(wire: Uint8Array, { owner, type }: RecordPlace, { terms, edits, barred }: Editing): Fate {
  const name = readName(wire, owner);
  if (name === null) return "stays";
  const comes = terms.hintsFor(name);
  if ((type === TYPE.A ? comes.ipv4 : comes.ipv6) && !barred.has(rrset(name, type))) return "stays";
  edits.add("strip-addresses");
  return "goes";
}

function barredAddresses(
  wire: Uint8Array,
  places: readonly RecordPlace[],
  { allows = () => true }: BindingTerms,
): ReadonlySet<string> {
  const barred = places.filter(({ type, data, end }) => {
    const bytes = type === TYPE.A ? 4 : type === TYPE.AAAA ? 16 : null;
    return bytes === end - data && !allows(wire.subarray(data, end));
  });
  return new Set(barred.map(({ owner, type }) => rrset(readName(wire, owner) ?? ROOT, type)));
}

// A target of "." is the owner itself (RFC 9460 §2.5).
function paramTerms({ strips, hintsFor, allows = () => true }: BindingTerms, owner: Name, target: Name): ParamTerms {
  return { strips, allows, hints: hintsFor(target === ROOT ? owner : target) };
}

function signsOneOf(changed: ReadonlySet<string>, { owner, data }: ResourceRecord): boolean {
  return data.kind === "RRSIG" && changed.has(rrset(owner, data.covered));
}

function rrset(owner: Name, type: number): string {
  return `${type} ${owner}`;
}

/** What an edited SVCB or HTTPS answer has lost: what a rule strips; for the sake of consistency one family's hint, or address records beside it. */
export type BindingEdit = HttpsStrip | "strip-ipv4hint" | "strip-addresses";

/** What of one record's parameters may stay. */
interface ParamTerms {
  readonly strips: readonly HttpsStrip[];
  /** Whether hints of the family lead where A or AAAA does. */
  readonly hints: { readonly ipv4: boolean; readonly ipv6: boolean };
  /** Whether a hint may have this address, of 4 or 16 bytes, else it goes as a whole. */
  readonly allows: (address: Uint8Array) => boolean;
}

/** Notes in `edits` what is done. @returns the same array where all of it stays; null where the record offers nothing any more. */
function editParams(params: readonly SvcParam[], terms: ParamTerms, edits: Set<BindingEdit>): readonly SvcParam[] | null {
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
function strippedBy(param: SvcParam, { strips, hints, allows }: ParamTerms): BindingEdit | null {
  if (param.key === SVC_KEY.ECH) return strips.includes("strip-ech") ? "strip-ech" : null;
  const isIpv4 = param.key === SVC_KEY.IPV4HINT;
  if (!isIpv4 && param.key !== SVC_KEY.IPV6HINT) return null;
  if (strips.includes("strip-hints")) return "strip-hints";
  if (!isIpv4 && strips.includes("strip-ipv6hint")) return "strip-ipv6hint";
  if ((isIpv4 ? hints.ipv4 : hints.ipv6) && hintAddresses(param).every(allows)) return null;
  return isIpv4 ? "strip-ipv4hint" : "strip-ipv6hint";
}

/** The alpn-ids without HTTP/3 and its drafts (`h3`, `h3-29`); the same bytes where there was none. */
function withoutHttp3(value: Uint8Array): Uint8Array {
  const protocols = alpnProtocols(value);
  const kept = protocols.filter((protocol) => !/^h3(?:-|$)/.test(Buffer.from(protocol).toString("latin1")));
  if (kept.length === protocols.length) return value;
  return Buffer.concat(kept.flatMap((protocol) => [Uint8Array.of(protocol.length), protocol]));
}

// RFC 9460 §8: a key that is listed and absent makes the whole record useless.
function mendMandatory(param: SvcParam, dropped: ReadonlySet<number>): SvcParam[] {
  const keys = numbersIn(param.value);
  const left = keys.filter((key) => !dropped.has(key));
  if (left.length === keys.length) return [param];
  return left.length === 0 ? [] : [{ ...param, value: Uint8Array.from(left.flatMap((key) => [key >> 8, key & 255])) }];
}

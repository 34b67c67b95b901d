import { type Answer, type RecordPlace, recordsOf, reindexAnswer } from "../dns/answer.ts";
import { type Name, plainNameEnd, ROOT, readName } from "../dns/name.ts";
import { HEADER_FLAG } from "../dns/query.ts";
import { type MovedRecord, moveRecord, writeMessage } from "../dns/rebuild.ts";
import { alpnProtocols, hintAddresses, numbersIn, SVC_KEY, type SvcParam, svcParams, writeSvcParam } from "../dns/svcb.ts";
import { TYPE } from "../dns/types.ts";
import { HEADER_BYTES, setUint16, uint16 } from "../dns/wire.ts";
import type { HttpsStrip } from "./options.ts";

/** Which parts of SVCB and HTTPS records, and of the address records beside them, may stay. */
export interface BindingTerms {
  readonly strips: readonly HttpsStrip[];
  /**
   * Whether a question of this client for A or AAAA of the target would go the same route. Where it would not, a hint leads to an address that the
   * client would not get by asking.
   */
  readonly hintsFor: (target: Name) => { readonly ipv4: boolean; readonly ipv6: boolean };
  /** Whether the client may get this address (4 or 16 bytes) in a hint or an address record; absent or null = any address. */
  readonly allows?: ((address: Uint8Array) => boolean) | null;
  /** Whether address records go one by one, and not the whole set with a forbidden one. */
  readonly oneByOne?: boolean;
}

/**
 * What an edited answer has lost: what a rule strips; the hint of one family, or address records beside it, that the terms do not allow; a malformed
 * record, in which nobody can tell what would have to be stripped.
 */
export type BindingEdit = HttpsStrip | "strip-ipv4hint" | "strip-addresses" | "strip-malformed";

/**
 * Edits an answer to a question for SVCB or HTTPS: takes parameters out of every SVCB and HTTPS record of any section, and takes away the address
 * records beside them (RFC 9460 §4.2) that the client would not get by asking. The rest keeps its bytes and its order. An answer without anything to
 * strip is returned as it is. Else AD is cleared, and signatures over changed records are left out. An answer that cannot be edited must not be
 * sent: `answer` is null where the edited message would be too long.
 */
export function editBindings(
  answer: Answer,
  terms: BindingTerms,
): { readonly answer: Answer | null; readonly edits: readonly BindingEdit[] } {
  const edits = new Set<BindingEdit>();
  const { wire } = answer;
  const places = recordsOf(answer);
  const editing = { terms, edits, barred: barredAddresses(wire, places, terms) };
  const fates = places.map((place) => fateOf(wire, place, editing));
  if (fates.every((fate) => fate === "stays")) return { answer, edits: [] };
  const edited = places.filter((_, index) => fates[index] !== "stays");
  const changed = new Set(edited.map(({ owner, type }) => rrset(readName(wire, owner) ?? ROOT, type)));
  const records = places.flatMap((place, index) => {
    const fate = fates[index] ?? "stays";
    const record = moveRecord(wire, place);
    if (fate === "goes" || signsOneOf(changed, wire, place)) return [];
    return fate === "stays" ? [record] : [{ ...record, data: [fate] }];
  });
  return { answer: withRecords(answer, records), edits: [...edits].sort() };
}

/** The answer with these records in place of its own, and without AD; null = the message would be too long. */
export function withRecords(answer: Answer, records: readonly MovedRecord[]): Answer | null {
  const header = Buffer.from(answer.wire.subarray(0, HEADER_BYTES));
  setUint16(header, 2, uint16(header, 2) & ~HEADER_FLAG.AD);
  const { name, type, class: klass } = answer;
  const rebuilt = writeMessage({ header, name, type, class: klass }, records);
  return rebuilt === null ? null : reindexAnswer(rebuilt, answer);
}

/**
 * The answer without the address records that are not allowed, and without hints that hold such an address. Signatures over what has changed go, and so
 * does AD. null where the edited message would be too long.
 */
export function withoutAddresses(answer: Answer, allows: (address: Uint8Array) => boolean): Answer | null {
  const both = { ipv4: true, ipv6: true };
  return editBindings(answer, { strips: [], hintsFor: () => both, allows, oneByOne: true }).answer;
}

/** What happens to a record; bytes are its new data. */
type Fate = "stays" | "goes" | Uint8Array;

interface Editing {
  readonly terms: BindingTerms;
  /** The edits made so far; `fateOf` adds to them. */
  readonly edits: Set<BindingEdit>;
  /** Sets of address records (`rrset`) with an address that the client may not get. */
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

/**
 * Checks only the framing: a malformed value must not keep the other parameters from being stripped. A record without framing goes as soon as the
 * terms may want something stripped: a lenient client could still read the forbidden hint.
 */
function fateOfBinding(wire: Uint8Array, place: RecordPlace, { terms, edits }: Editing): Fate {
  const places = svcParams(wire, place);
  const owner = readName(wire, place.owner);
  const target = readName(wire, place.data + 2);
  const wanted = paramTerms(terms, owner ?? ROOT, target ?? ROOT);
  if (places === null || owner === null || target === null) {
    if (passesAll(wanted)) return "stays";
    edits.add("strip-malformed");
    return "goes";
  }
  // In AliasMode the parameters mean nothing (RFC 9460 §2.4.2).
  if (uint16(wire, place.data) === 0) return "stays";
  const params = places.map(({ key, start, end }) => ({ key, value: wire.subarray(start, end) }));
  const kept = editParams(params, wanted, edits);
  if (kept === params) return "stays";
  if (kept === null) return "goes";
  return Buffer.concat([wire.subarray(place.data, plainNameEnd(wire, place.data + 2)), ...kept.map(writeSvcParam)]);
}

function fateOfAddress(wire: Uint8Array, { owner, type, data, end }: RecordPlace, { terms, edits, barred }: Editing): Fate {
  const name = readName(wire, owner);
  if (name === null) return "stays";
  const comes = terms.hintsFor(name);
  const isAllowed = terms.oneByOne === true && terms.allows?.(wire.subarray(data, end)) === true;
  if ((type === TYPE.A ? comes.ipv4 : comes.ipv6) && (isAllowed || !barred.has(rrset(name, type)))) return "stays";
  edits.add("strip-addresses");
  return "goes";
}

function barredAddresses(wire: Uint8Array, places: readonly RecordPlace[], { allows = null }: BindingTerms): ReadonlySet<string> {
  if (allows === null) return new Set();
  const barred = places.filter(({ type, data, end }) => {
    const bytes = type === TYPE.A ? 4 : type === TYPE.AAAA ? 16 : null;
    return bytes === end - data && !allows(wire.subarray(data, end));
  });
  return new Set(barred.map(({ owner, type }) => rrset(readName(wire, owner) ?? ROOT, type)));
}

// A target of "." is the owner itself (RFC 9460 §2.5).
function paramTerms({ strips, hintsFor, allows = null }: BindingTerms, owner: Name, target: Name): ParamTerms {
  return { strips, allows, hints: hintsFor(target === ROOT ? owner : target) };
}

function passesAll({ strips, hints, allows }: ParamTerms): boolean {
  return strips.length === 0 && hints.ipv4 && hints.ipv6 && allows === null;
}

/** Whether the record is a signature over one of the changed sets. */
export function signsOneOf(changed: ReadonlySet<string>, wire: Uint8Array, { owner, type, data }: RecordPlace): boolean {
  return type === TYPE.RRSIG && changed.has(rrset(readName(wire, owner) ?? ROOT, uint16(wire, data)));
}

export function rrset(owner: Name, type: number): string {
  return `${type} ${owner}`;
}

/** Which parameters of one record may stay. */
interface ParamTerms {
  readonly strips: readonly HttpsStrip[];
  /** Whether the hints of a family may stay. */
  readonly hints: { readonly ipv4: boolean; readonly ipv6: boolean };
  /** Whether the client may get this address; null = any address. A hint with a forbidden address goes as a whole. */
  readonly allows: ((address: Uint8Array) => boolean) | null;
}

/** Adds to `edits`. @returns the same array where all parameters stay; null where the record is of no use without the stripped ones. */
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
    // RFC 9460 §7.1.2: without alpn the record offers the default protocols of the scheme. With no-default-alpn the server has no default protocols:
    // nobody can use the record then. Without no-default-alpn, which may not stand alone (§7.1.1), clients would try protocols that are not served.
    if (params.some(({ key }) => key === SVC_KEY.NO_DEFAULT_ALPN)) return null;
    dropped.add(SVC_KEY.ALPN);
  }
  return params
    .filter(({ key }) => !dropped.has(key))
    .map((param) => (param.key === SVC_KEY.ALPN && alpnLeft !== null ? { ...param, value: alpnLeft } : param))
    .flatMap((param) => (param.key === SVC_KEY.MANDATORY ? mendMandatory(param, dropped) : [param]));
}

/** The edit that takes the whole parameter; null where the parameter stays. */
function strippedBy(param: SvcParam, { strips, hints, allows }: ParamTerms): BindingEdit | null {
  if (param.key === SVC_KEY.ECH) return strips.includes("strip-ech") ? "strip-ech" : null;
  const isIpv4 = param.key === SVC_KEY.IPV4HINT;
  if (!isIpv4 && param.key !== SVC_KEY.IPV6HINT) return null;
  if (strips.includes("strip-hints")) return "strip-hints";
  if (!isIpv4 && strips.includes("strip-ipv6hint")) return "strip-ipv6hint";
  if ((isIpv4 ? hints.ipv4 : hints.ipv6) && (allows === null || hintAddresses(param).every(allows))) return null;
  return isIpv4 ? "strip-ipv4hint" : "strip-ipv6hint";
}

/** The protocols without HTTP/3 and its drafts (`h3`, `h3-29`); the same bytes where there is nothing to strip. */
function withoutHttp3(value: Uint8Array): Uint8Array {
  const protocols = alpnProtocols(value);
  const kept = protocols.filter((protocol) => !/^h3(?:-|$)/.test(Buffer.from(protocol).toString("latin1")));
  if (kept.length === protocols.length) return value;
  return Buffer.concat(kept.flatMap((protocol) => [Uint8Array.of(protocol.length), protocol]));
}

// RFC 9460 §8: a record that lists a missing key as mandatory is of no use.
function mendMandatory(param: SvcParam, dropped: ReadonlySet<number>): SvcParam[] {
  const keys = numbersIn(param.value);
  const left = keys.filter((key) => !dropped.has(key));
  if (left.length === keys.length) return [param];
  return left.length === 0 ? [] : [{ ...param, value: Uint8Array.from(left.flatMap((key) => [key >> 8, key & 255])) }];
}

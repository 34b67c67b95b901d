import { type Answer, indexAnswer, type RecordPlace, recordsOf } from "../dns/answer.ts";
import { decodeMessage, encodeMessage, type ResourceRecord } from "../dns/message.ts";
import { type Name, plainNameEnd, ROOT, readName } from "../dns/name.ts";
import { type SvcParam, svcParams } from "../dns/svcb.ts";
import { TYPE } from "../dns/types.ts";
import { uint16 } from "../dns/wire.ts";
import { type BindingEdit, editParams, type ParamTerms } from "./binding-params.ts";
import type { HttpsStrip } from "./options.ts";

/** What of the records may stay. */
export interface BindingTerms {
  readonly strips: readonly HttpsStrip[];
  /** Whether this client would get the addresses of that name from the same route: else a hint would lead where A or AAAA does not. */
  readonly hintsFor: (target: Name) => { readonly ipv4: boolean; readonly ipv6: boolean };
  /** Whether a hint or address record may have this address, of 4 or 16 octets, else it goes with all beside it; absent = any. */
  readonly allows?: (address: Uint8Array) => boolean;
}

/**
 * Takes parameters out of every SVCB and HTTPS record of an answer to a question for these types, wherever it stands, and the address records
 * beside them (RFC 9460 §4.2) that are not to be had by asking. What stays keeps its octets and its order. Where nothing has to go the answer
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
      return fate === "goes" ? [] : [{ ...record, data: { kind: "opaque", octets: fate, note: null } }];
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

/** What becomes of a record: octets are its new data. */
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
  return Buffer.concat([wire.subarray(place.data, plainNameEnd(wire, place.data + 2)), ...kept.map(paramWire)]);
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
    const octets = type === TYPE.A ? 4 : type === TYPE.AAAA ? 16 : null;
    return octets === end - data && !allows(wire.subarray(data, end));
  });
  return new Set(barred.map(({ owner, type }) => rrset(readName(wire, owner) ?? ROOT, type)));
}

function paramWire({ key, value }: SvcParam): Buffer {
  return Buffer.concat([Uint8Array.of(key >> 8, key & 255, value.length >> 8, value.length & 255), value]);
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

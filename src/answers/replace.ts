import type { AddressSet } from "../dns/address.ts";
import { type Answer, type RecordPlace, recordsOf } from "../dns/answer.ts";
import { plainNameEnd, ROOT, readName } from "../dns/name.ts";
import { type MovedRecord, moveRecord } from "../dns/rebuild.ts";
import { hintAddresses, type SvcParam, svcParams, writeSvcParam } from "../dns/svcb.ts";
import { TYPE } from "../dns/types.ts";
import { uint16 } from "../dns/wire.ts";
import { rrset, signsOneOf, withRecords } from "./svcb.ts";

/** Addresses that give way, and those that are given instead, 4 or 16 bytes each. */
export interface Replacement {
  readonly from: AddressSet;
  readonly to: readonly Uint8Array[];
}

/**
 * Replaces addresses in address records of all sections, and in the hints of SVCB and HTTPS records, by chosen ones of the same family; a family of
 * which none is chosen stays. A set of records never becomes empty. Signatures over changed records and AD go. The same answer where nothing
 * is replaced; null where the message would be too long.
 */
export function replaceAddresses(answer: Answer, replacements: readonly Replacement[]): Answer | null {
  const { wire } = answer;
  const places = recordsOf(answer);
  const given = new Set<string>();
  const changed = new Set<string>();
  const moved = places.map((place) => {
    const records = recordsFor(wire, place, { replacements, given });
    if (records !== null) changed.add(rrset(readName(wire, place.owner) ?? ROOT, place.type));
    return records ?? [moveRecord(wire, place)];
  });
  if (changed.size === 0) return answer;
  return withRecords(
    answer,
    places.flatMap((place, index) => (signsOneOf(changed, wire, place) ? [] : (moved[index] ?? []))),
  );
}

interface Replacing {
  readonly replacements: readonly Replacement[];
  /** What has been written already: several addresses of a set give way to one. */
  readonly given: Set<string>;
}

/** The records in place of this one; null = it stays. */
function recordsFor(wire: Uint8Array, place: RecordPlace, { replacements, given }: Replacing): readonly MovedRecord[] | null {
  const { type, data, end } = place;
  if (type === TYPE.A || type === TYPE.AAAA) {
    const chosen = chosenFor(wire.subarray(data, end), replacements);
    if (chosen === null) return null;
    const record = moveRecord(wire, place);
    const fresh = chosen.filter((address) =>
      isFirst(given, `${rrset(record.owner, type)} ${Buffer.from(address).toString("hex")}`),
    );
    return fresh.map((address) => ({ ...record, data: [address] }));
  }
  if (type !== TYPE.SVCB && type !== TYPE.HTTPS) return null;
  const params = svcParams(wire, place);
  // In AliasMode the parameters mean nothing (RFC 9460 §2.4.2).
  if (params === null || uint16(wire, data) === 0) return null;
  const before = params.map(({ key, start, end: last }) => ({ key, value: wire.subarray(start, last) }));
  const after = before.map((param) => replaceHint(param, replacements));
  if (after.every((param, index) => param === before[index])) return null;
  const start = wire.subarray(data, plainNameEnd(wire, data + 2));
  return [{ ...moveRecord(wire, place), data: [Buffer.concat([start, ...after.map(writeSvcParam)])] }];
}

function replaceHint(param: SvcParam, replacements: readonly Replacement[]): SvcParam {
  const addresses = hintAddresses(param);
  const chosen = addresses.map((address) => chosenFor(address, replacements));
  if (chosen.every((each) => each === null)) return param;
  const seen = new Set<string>();
  const all = addresses.flatMap((address, index) => chosen[index] ?? [address]);
  return { ...param, value: Buffer.concat(all.filter((address) => isFirst(seen, Buffer.from(address).toString("hex")))) };
}

function isFirst(seen: Set<string>, key: string): boolean {
  return !seen.has(key) && seen.add(key).has(key);
}

/** null = the address stays. */
function chosenFor(address: Uint8Array, replacements: readonly Replacement[]): readonly Uint8Array[] | null {
  for (const { from, to } of replacements) {
    if (!from.has(address)) continue;
    const family = to.filter(({ length }) => length === address.length);
    return family.length === 0 ? null : family;
  }
  return null;
}

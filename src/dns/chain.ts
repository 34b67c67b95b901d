import { type Answer, type DroppedRecord, isPlain, type RecordPlace, recordsOf, reindexAnswer } from "./answer.ts";
import { isWithin, type Name, nameEnd, ROOT, readName } from "./name.ts";
import { moveRecord, writeMessage } from "./rebuild.ts";
import { CLASS, TYPE } from "./types.ts";
import { HEADER_BYTES, setUint16, uint16 } from "./wire.ts";

/**
 * Leaves out the records that do not belong to the answer (RFC 5452 §6): a server may only speak about the name in the question. What stays:
 *
 * - answer section: the alias chain from the name in the question (CNAME, DNAME), and the records of the question's type at the chain's end
 * - authority section: SOA of a name at or above a name of the chain, and NSEC and NSEC3, which prove themselves. No delegation: clients have no use for
 *   it, and a forger who wins once would give a whole zone to a server of his own (CVE-2008-1447, CVE-2025-11411)
 * - additional section: records of the names that services, mail exchanges and name servers in the answer point to
 *
 * Signatures follow the records that they cover. Where nothing is left out the same answer is returned.
 */
export function keepChain(answer: Answer): Answer {
  if (isPlain(answer)) return answer;
  const { wire } = answer;
  const places = recordsOf(answer);
  const keeping: Keeping = { answer, chain: chainOf(answer, places), mentioned: new Set() };
  const kept: RecordPlace[] = [];
  const dropped: DroppedRecord[] = [];
  for (const place of places) {
    const owner = readName(wire, place.owner) ?? ROOT;
    if (belongs(keeping, place, owner)) {
      kept.push(place);
      const target = targetOf(wire, place);
      // RFC 9460 §2.5: a target of "." is the owner itself.
      if (target !== null) keeping.mentioned.add(target === ROOT ? owner : target);
    } else dropped.push({ section: place.section, type: place.type });
  }
  if (dropped.length === 0) return answer;
  const isWhole = kept.length >= answer.answerRecords && kept.at(-1) === places[kept.length - 1];
  if (isWhole) return { ...cutBehind(answer, kept), dropped };
  return { ...reindexAnswer(rebuildOf(answer, kept), answer), rcode: answer.rcode, dropped };
}

/** The answer up to the end of these records, which are its first, with the whole answer section: names point only to what is before them. */
function cutBehind(answer: Answer, kept: readonly RecordPlace[]): Answer {
  const { name, answerRecords, ttlOffsets, soa, signed } = answer;
  const wire = new Uint8Array(answer.wire.subarray(0, kept.at(-1)?.end ?? HEADER_BYTES + name.length + 4));
  const firstAdditional = kept.findIndex(({ section }) => section === "additional");
  const beforeAdditional = firstAdditional < 0 ? kept.length : firstAdditional;
  setUint16(wire, 8, beforeAdditional - answerRecords);
  setUint16(wire, 10, kept.length - beforeAdditional);
  return {
    ...answer,
    wire,
    ttlOffsets: ttlOffsets.slice(0, kept.length),
    additionalOffset: kept[beforeAdditional]?.owner ?? wire.length,
    soa: soa !== null && soa.ttlOffset < wire.length ? soa : null,
    signed: signed && kept.some(({ type }) => type === TYPE.RRSIG),
  };
}

function rebuildOf({ wire, name, type, class: klass }: Answer, kept: readonly RecordPlace[]): Uint8Array {
  const start = { header: wire, name, type, class: klass };
  const records = kept.map((place) => moveRecord(wire, place));
  // What would be too long without compression is given up as a whole. The message without records always fits.
  const rebuilt = writeMessage(start, records) ?? writeMessage(start, []);
  if (rebuilt === null) throw new Error("a message without records is too long");
  return rebuilt;
}

interface Keeping {
  readonly answer: Answer;
  /** The names of the alias chain, from the question's name to `Answer.chainEnd`. */
  readonly chain: ReadonlySet<Name>;
  /** Names that kept records point to. Grows from record to record. */
  readonly mentioned: Set<Name>;
}

function chainOf({ wire, name, chainEnd }: Answer, places: readonly RecordPlace[]): ReadonlySet<Name> {
  const chain = new Set([name]);
  if (chainEnd === name) return chain;
  const aliases = new Map<Name, Name>();
  for (const { section, type, owner, data } of places) {
    if (section === "answer" && type === TYPE.CNAME) aliases.set(readName(wire, owner) ?? ROOT, readName(wire, data) ?? ROOT);
  }
  for (let next = aliases.get(name); next !== undefined && !chain.has(next); next = aliases.get(next)) {
    chain.add(next);
    if (next === chainEnd) break;
  }
  return chain;
}

function belongs(keeping: Keeping, place: RecordPlace, owner: Name): boolean {
  const { answer, chain, mentioned } = keeping;
  if (place.class !== answer.class && answer.class !== CLASS.ANY) return false;
  const type = place.type === TYPE.RRSIG ? uint16(answer.wire, place.data) : place.type;
  switch (place.section) {
    case "answer":
      return belongsToChain(keeping, owner, { own: place.type, covered: type });
    case "authority":
      if (type === TYPE.NSEC || type === TYPE.NSEC3) return true;
      return type === TYPE.SOA && isAtOrAbove(owner, chain);
    case "additional":
      return mentioned.has(owner);
  }
}

function belongsToChain(
  { answer, chain }: Keeping,
  owner: Name,
  { own, covered }: { readonly own: number; readonly covered: number },
): boolean {
  if (covered === TYPE.DNAME && answer.type !== TYPE.DNAME) return isAtOrAbove(owner, chain);
  if (!chain.has(owner)) return false;
  if (owner !== answer.chainEnd || !answer.answered) return covered === TYPE.CNAME;
  return answer.type === TYPE.ANY || covered === answer.type || own === answer.type;
}

function isAtOrAbove(owner: Name, chain: ReadonlySet<Name>): boolean {
  for (const name of chain) if (isWithin(name, owner)) return true;
  return false;
}

/** Bytes before the name that a record points to. */
const TARGETS = new Map<number, number>([
  [TYPE.NS, 0],
  [TYPE.MX, 2],
  [TYPE.SVCB, 2],
  [TYPE.HTTPS, 2],
  [TYPE.SRV, 6],
]);

function targetOf(wire: Uint8Array, { type, data, end }: RecordPlace): Name | null {
  const before = TARGETS.get(type);
  if (before === undefined) return null;
  const stop = nameEnd(wire, data + before);
  return stop < 0 || stop > end ? null : readName(wire, data + before);
}

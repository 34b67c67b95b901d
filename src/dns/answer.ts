import { type ExtendedError, readEdns } from "./edns.ts";
import { isName, type Name, nameEnd, nameWire, plainName, plainNameEnd, readName } from "./name.ts";
import { HEADER_FLAG } from "./query.ts";
import { CLASS, RCODE, TYPE } from "./types.ts";
import { HEADER_BYTES, MAX_MESSAGE_BYTES, recordEnd, setUint16, setUint32, uint16, uint32 } from "./wire.ts";

/**
 * A response: its bytes without OPT, and the offsets of the parts that a reply changes.
 * Immutable; `wire` belongs to the Answer and is never edited in place.
 */
export interface Answer {
  /** Header, one question, records. The id and the letter case of the question are those of the message to the upstream. */
  readonly wire: Uint8Array;
  /** All twelve bits (RFC 6891 §6.1.3). */
  readonly rcode: number;
  readonly truncated: boolean;
  readonly authenticData: boolean;
  readonly name: Name;
  readonly type: number;
  readonly class: number;
  /** Offsets of the TTL of every record, in the order of the message. */
  readonly ttlOffsets: Uint16Array;
  /** How many of these records belong to the answer section. */
  readonly answerRecords: number;
  /** Start of the additional section; the end of the message where the section is empty. */
  readonly additionalOffset: number;
  /** The lowest TTL in the answer section; null where the section is empty. */
  readonly lowestTtlSeconds: number | null;
  /** The last name of the CNAME chain. The rcode is about this name (RFC 2308 §2.1, RFC 6604 §3). */
  readonly chainEnd: Name;
  /** Whether the last name of the chain has a record of the question's type. */
  readonly answered: boolean;
  /** The SOA of the authority section, which limits the lifetime of a negative answer (RFC 2308 §5). */
  readonly soa: StartOfAuthority | null;
  /** Whether the response has any RRSIG. */
  readonly signed: boolean;
  readonly extendedErrors: readonly ExtendedError[];
  /** The records that `keepChain` left out when the answer came; absent = none. The cache does not keep this. */
  readonly dropped?: readonly DroppedRecord[];
}

/** A record that did not belong to the answer. */
export interface DroppedRecord {
  readonly section: Section;
  readonly type: number;
}

interface StartOfAuthority {
  readonly owner: Name;
  readonly ttlOffset: number;
  readonly ttlSeconds: number;
  readonly minimumOffset: number;
  readonly minimumSeconds: number;
}

export type Section = "answer" | "authority" | "additional";

/** Offsets of a record, from the start of its message. */
export interface RecordPlace {
  readonly section: Section;
  readonly owner: number;
  readonly type: number;
  readonly class: number;
  readonly ttl: number;
  readonly data: number;
  readonly end: number;
}

/** What a response means for the name and type of its question (RFC 2308 §2). */
export type AnswerOutcome =
  /** There are records of the type. */
  | "positive"
  /** The name has no records of the type, with an SOA as proof. */
  | "nodata"
  /** NOERROR without such records and without an SOA: an empty answer or a referral, which proves nothing. */
  | "nodataWithoutSoa"
  | "nxdomain"
  /** Any other rcode. */
  | "failure";

export function outcomeOf(answer: Pick<Answer, "rcode" | "answered" | "soa">): AnswerOutcome {
  if (answer.rcode === RCODE.NXDOMAIN) return "nxdomain";
  if (answer.rcode !== RCODE.NOERROR) return "failure";
  if (answer.answered) return "positive";
  return answer.soa === null ? "nodataWithoutSoa" : "nodata";
}

/**
 * Checks a response from end to end and collects the offsets; null where the message is malformed, is no response, or has not exactly one question.
 * The Answer may keep `message`, so the caller must not change it. Bytes behind the last record are left out. A response with TC may end anywhere after its question; its records are left out then.
 */
export function indexAnswer(message: Uint8Array): Answer | null {
  const questionEnd = responseQuestionEnd(message);
  if (questionEnd < 0) return null;
  const places = recordPlaces(message, questionEnd);
  if (places === null) return indexTruncated(message, questionEnd);
  let answerRecords = 0;
  let lowestTtlSeconds: number | null = null;
  let additionalOffset: number | null = null;
  let signed = false;
  for (const { section, owner, type, ttl } of places) {
    if (!pointsToQuestion(message, owner) && !isName(message, owner)) return indexTruncated(message, questionEnd);
    if (section === "answer") {
      answerRecords++;
      lowestTtlSeconds = Math.min(lowestTtlSeconds ?? Number.POSITIVE_INFINITY, ttlAt(message, ttl));
    } else if (section === "additional") additionalOffset ??= owner;
    if (type === TYPE.RRSIG) signed = true;
  }
  // Some servers leave bytes behind a good answer. They belong to no record: the message counts, as it does for other resolvers.
  const end = places.at(-1)?.end ?? questionEnd;
  if (end < message.length) return indexAnswer(copyOf(message, 0, end));
  const opt = optOf(places);
  if (opt === "misplaced") return null;
  const edns = opt === null ? null : readEdns(message, opt.owner + 1);
  if (opt !== null && opt.end !== message.length) return indexAnswer(withoutRecord(message, places, opt));
  // OPT is the last record by now.
  if (opt !== null) places.pop();
  const name = plainName(message, HEADER_BYTES, questionEnd - 4);
  const type = uint16(message, questionEnd - 4);
  const chainEnd = followAliases(message, { places, answerRecords }, { name, type });
  const soa = startOfAuthority(message, places);
  if (chainEnd === null || soa === "malformed") return null;
  const ttlOffsets = new Uint16Array(places.length);
  for (let index = 0; index < places.length; index++) ttlOffsets[index] = places[index]?.ttl ?? 0;
  return {
    wire: opt === null ? message : withoutTrailingOpt(message, opt),
    rcode: (uint16(message, 2) & 15) | ((opt === null ? 0 : (message[opt.ttl] ?? 0)) << 4),
    truncated: (uint16(message, 2) & HEADER_FLAG.TC) !== 0,
    authenticData: (uint16(message, 2) & HEADER_FLAG.AD) !== 0,
    name,
    type,
    class: uint16(message, questionEnd - 2),
    ttlOffsets,
    answerRecords,
    additionalOffset: additionalOffset ?? message.length,
    lowestTtlSeconds,
    chainEnd: chainEnd.name,
    answered: chainEnd.answered,
    soa,
    signed,
    extendedErrors: edns?.extendedErrors ?? [],
  };
}

/** Indexes the edited bytes of an answer. The result keeps the extended errors, which stand outside the bytes. */
export function reindexAnswer(wire: Uint8Array, { extendedErrors }: Answer): Answer {
  const answer = indexAnswer(wire);
  if (answer === null) throw new Error("an edited answer is malformed");
  return { ...answer, extendedErrors };
}

/** Every record of a checked message (`Answer.wire`), in order. */
export function recordsOf(answer: Answer): readonly RecordPlace[] {
  return recordPlaces(answer.wire, responseQuestionEnd(answer.wire)) ?? [];
}

/** The IPv4 and IPv6 addresses in a section, as bytes (copies). */
export function addressesOf(answer: Answer, section: "answer" | "additional" = "answer"): Uint8Array[] {
  const addresses: Uint8Array[] = [];
  someAddress(
    answer,
    (address) => {
      addresses.push(new Uint8Array(address));
      return false;
    },
    section,
  );
  return addresses;
}

/** Whether `test` is true for an IPv4 or IPv6 address in a section. It looks at the bytes where they lie, and must not keep them. */
export function someAddress(
  answer: Answer,
  test: (address: Uint8Array) => boolean,
  section: "answer" | "additional" = "answer",
): boolean {
  const { wire, ttlOffsets, answerRecords, additionalOffset } = answer;
  const end = section === "answer" ? answerRecords : ttlOffsets.length;
  for (let index = section === "answer" ? 0 : answerRecords; index < end; index++) {
    // Type and class lie before the TTL of a record, the length and the data behind.
    const ttl = ttlOffsets[index] ?? 0;
    const bytes = uint16(wire, ttl + 4);
    if (section === "additional" && ttl < additionalOffset) continue;
    if (isAddress(uint16(wire, ttl - 4), bytes) && test(wire.subarray(ttl + 6, ttl + 6 + bytes))) return true;
  }
  return false;
}

/** Whether all records are what most answers consist of: those of the question's type, at the very name in the question. */
export function isPlain({ wire, name, type, class: klass, ttlOffsets, answerRecords }: Answer): boolean {
  if (answerRecords < ttlOffsets.length) return false;
  let owner = HEADER_BYTES + name.length + 4;
  for (const ttl of ttlOffsets) {
    if (ttl !== owner + 6 || !pointsToQuestion(wire, owner)) return false;
    if (uint16(wire, ttl - 4) !== type || uint16(wire, ttl - 2) !== klass) return false;
    owner = ttl + 6 + uint16(wire, ttl + 4);
  }
  return true;
}

function pointsToQuestion(message: Uint8Array, owner: number): boolean {
  return message[owner] === 0xc0 && message[owner + 1] === HEADER_BYTES;
}

/** The TTL at an offset. A TTL with its highest bit set counts as zero (RFC 2181 §8). */
export function ttlAt(message: Uint8Array, offset: number): number {
  const ttl = uint32(message, offset);
  return ttl > 0x7fff_ffff ? 0 : ttl;
}

function isAddress(type: number, bytes: number): boolean {
  return (type === TYPE.A && bytes === 4) || (type === TYPE.AAAA && bytes === 16);
}

function responseQuestionEnd(message: Uint8Array): number {
  // Over HTTP more can arrive, but no other transport could pass it on, and offsets have 16 bits.
  if (message.length < HEADER_BYTES || message.length > MAX_MESSAGE_BYTES) return -1;
  if ((uint16(message, 2) & HEADER_FLAG.QR) === 0 || uint16(message, 4) !== 1) return -1;
  const nameStop = plainNameEnd(message, HEADER_BYTES);
  return nameStop < 0 || nameStop + 4 > message.length ? -1 : nameStop + 4;
}

/** The records from `start`; null where a record runs over the end. Bytes may be left over behind them. */
export function recordPlaces(message: Uint8Array, start: number): RecordPlace[] | null {
  const answers = uint16(message, 6);
  const beforeAdditional = answers + uint16(message, 8);
  const total = beforeAdditional + uint16(message, 10);
  const places: RecordPlace[] = [];
  let owner = start;
  for (let index = 0; index < total; index++) {
    const fixed = nameEnd(message, owner);
    const end = recordEnd(message, fixed);
    if (end < 0) return null;
    const data = fixed + 10;
    const section = index < answers ? "answer" : index < beforeAdditional ? "authority" : "additional";
    places.push({ section, owner, type: uint16(message, fixed), class: uint16(message, fixed + 2), ttl: fixed + 4, data, end });
    owner = end;
  }
  return places;
}

/** The OPT record: at most one, in the additional section, owned by the root (RFC 6891 §6.1.1). */
export function optOf(places: readonly RecordPlace[]): RecordPlace | null | "misplaced" {
  let opt: RecordPlace | null = null;
  for (const place of places) {
    if (place.type !== TYPE.OPT) continue;
    if (opt !== null || place.section !== "additional" || place.ttl !== place.owner + 5) return "misplaced";
    opt = place;
  }
  return opt;
}

// OPT is nearly always the last record. Records after OPT are additional data, which nobody may rely on (RFC 2181 §9); they are left out, because their
// compression pointers would have to be moved.
function withoutRecord(message: Uint8Array, places: readonly RecordPlace[], opt: RecordPlace): Uint8Array {
  const shortened = copyOf(message, 0, opt.end);
  const dropped = places.length - 1 - places.indexOf(opt);
  setUint16(shortened, 10, uint16(message, 10) - dropped);
  return shortened;
}

function withoutTrailingOpt(message: Uint8Array, opt: RecordPlace): Uint8Array {
  const shortened = copyOf(message, 0, opt.owner);
  setUint16(shortened, 10, uint16(message, 10) - 1);
  return shortened;
}

// Some servers cut a long answer at the limit without changing the counts. TC is enough to know: it makes us ask again over a stream.
function indexTruncated(message: Uint8Array, questionEnd: number): Answer | null {
  if ((uint16(message, 2) & HEADER_FLAG.TC) === 0) return null;
  const shortened = copyOf(message, 0, questionEnd);
  shortened.fill(0, 6, HEADER_BYTES);
  return indexAnswer(shortened);
}

// Not slice(), which gives a view for a Buffer.
function copyOf(message: Uint8Array, start: number, end: number): Uint8Array {
  return new Uint8Array(message.subarray(start, end));
}

/** Aliases followed at most: more than any resolver follows. */
const MAX_ALIASES = 64;

function followAliases(
  message: Uint8Array,
  { places, answerRecords }: { readonly places: readonly RecordPlace[]; readonly answerRecords: number },
  asked: { readonly name: Name; readonly type: number },
): { readonly name: Name; readonly answered: boolean } | null {
  // Most answers have no alias: these are made when the first one comes.
  let aliases: Map<Name, Name> | null = null;
  let answered: Set<Name> | null = null;
  let isAnswered = false;
  for (let index = 0; index < answerRecords; index++) {
    const place = places[index];
    if (place === undefined) break;
    const owner = pointsToQuestion(message, place.owner) ? asked.name : readName(message, place.owner);
    if (owner === null) return null;
    if (place.type === asked.type || asked.type === TYPE.ANY) {
      if (owner === asked.name) isAnswered = true;
      else {
        answered ??= new Set();
        answered.add(owner);
      }
    }
    if (place.type !== TYPE.CNAME) continue;
    const target = nameEnd(message, place.data) === place.end ? readName(message, place.data) : null;
    if (target === null) return null;
    aliases ??= new Map();
    aliases.set(owner, target);
  }
  if (isAnswered || aliases === null) return { name: asked.name, answered: isAnswered };
  let name = asked.name;
  for (let steps = 0; steps < MAX_ALIASES && answered?.has(name) !== true; steps++) {
    const target = aliases.get(name);
    if (target === undefined) break;
    name = target;
  }
  return { name, answered: answered?.has(name) === true };
}

function startOfAuthority(message: Uint8Array, places: readonly RecordPlace[]): StartOfAuthority | null | "malformed" {
  const place = places.find(
    ({ section, type, class: klass }) => section === "authority" && type === TYPE.SOA && klass === CLASS.IN,
  );
  if (place === undefined) return null;
  const owner = readName(message, place.owner);
  const mailbox = nameEnd(message, place.data);
  const numbers = mailbox < 0 ? -1 : nameEnd(message, mailbox);
  if (owner === null || numbers < 0 || numbers + 20 !== place.end) return "malformed";
  return {
    owner,
    ttlOffset: place.ttl,
    ttlSeconds: ttlAt(message, place.ttl),
    minimumOffset: numbers + 16,
    minimumSeconds: ttlAt(message, numbers + 16),
  };
}

/** A record made here. Names are written in full, except for an owner equal to the name of the question. */
export interface BuiltRecord {
  readonly owner: Name;
  readonly type: number;
  readonly ttlSeconds: number;
  readonly data: Uint8Array;
}

/** A response made here. */
interface BuiltResponse {
  readonly name: Name;
  readonly type: number;
  readonly class: number;
  /** All twelve bits. */
  readonly rcode: number;
  readonly answers: readonly BuiltRecord[];
  readonly authority: readonly BuiltRecord[];
}

/** Makes a response; its id is 0, and AA and AD are clear. */
export function buildAnswer(response: BuiltResponse): Answer {
  const head = Buffer.alloc(HEADER_BYTES + response.name.length + 4);
  setUint16(head, 2, HEADER_FLAG.QR | HEADER_FLAG.RA | (response.rcode & 15));
  setUint16(head, 4, 1);
  setUint16(head, 6, response.answers.length);
  setUint16(head, 8, response.authority.length);
  head.set(nameWire(response.name), HEADER_BYTES);
  setUint16(head, head.length - 4, response.type);
  setUint16(head, head.length - 2, response.class);
  const records = [...response.answers, ...response.authority];
  const owner = (record: BuiltRecord) => (record.owner === response.name ? questionPointer : nameWire(record.owner));
  const answer = indexAnswer(Buffer.concat([head, ...records.map((record) => recordWire(record, owner(record)))]));
  if (answer === null) throw new Error("a response made here is malformed");
  // The upper bits of the rcode belong into OPT, which an Answer has not.
  return { ...answer, rcode: response.rcode };
}

/** The bytes of a record. `owner` may be a compression pointer. */
export function recordWire(record: BuiltRecord, owner: Uint8Array): Buffer {
  const fixed = Buffer.alloc(10);
  setUint16(fixed, 0, record.type);
  setUint16(fixed, 2, CLASS.IN);
  setUint32(fixed, 4, record.ttlSeconds);
  setUint16(fixed, 8, record.data.length);
  return Buffer.concat([owner, fixed, record.data]);
}

const questionPointer = Uint8Array.of(0xc0, HEADER_BYTES);

/** Timers of an SOA that no secondary reads: the values of RFC 6303 §3. */
const NEGATIVE_SOA = { serial: 1, refresh: 3600, retry: 1200, expire: 604_800 };

/** An SOA that lets a negative answer live for `ttlSeconds`: TTL and MINIMUM are equal (RFC 2308 §5). The mailbox is that of RFC 6303 §3. */
export function negativeSoa(owner: Name, ttlSeconds: number): BuiltRecord {
  const mailbox = Buffer.from("\x06nobody\x07invalid\0", "latin1");
  const numbers = Buffer.alloc(20);
  const { serial, refresh, retry, expire } = NEGATIVE_SOA;
  for (const [index, value] of [serial, refresh, retry, expire, ttlSeconds].entries()) numbers.writeUInt32BE(value, index * 4);
  return { owner, type: TYPE.SOA, ttlSeconds, data: Buffer.concat([nameWire(owner), mailbox, numbers]) };
}

import { extendedErrorText, optionText } from "./edns-options.ts";
import type { Message, MessageEdns, MessageQuestion, ResourceRecord } from "./message.ts";
import { type Name, ROOT } from "./name.ts";
import { parseRdata, rdataText } from "./rdata.ts";
import { absoluteText } from "./rdata-fields.ts";
import { integerOf, PresentationError, TextReader, tokensOf } from "./text-reader.ts";
import { CLASS, className, classNumber, OPCODE, rcodeName, typeName, typeNumber } from "./types.ts";

/** A record as one line of a master file (RFC 1035 §5.1): owner, TTL, class, type and data. */
export function recordText({ owner, ttlSeconds, class: klass, type, data }: ResourceRecord): string {
  return `${absoluteText(owner)} ${ttlSeconds} ${recordClass(klass)} ${typeName(type)} ${rdataText(data)}`.trimEnd();
}

/** RFC 2181 §8. */
const MAX_TTL_SECONDS = 0x7fff_ffff;

/**
 * Reads one record of a master file. Names without a final dot are below `origin`, `@` is `origin`; TTL and class may be left out or
 * stand in either order. Parentheses let a record run over several lines.
 * @throws PresentationError
 */
export function parseRecord(text: string, origin: Name = ROOT, defaultTtlSeconds = 3600): ResourceRecord {
  const reader = new TextReader(tokensOf(text), origin);
  const owner = reader.domain();
  let ttlSeconds: number | null = null;
  let klass: number | null = null;
  for (;;) {
    const { raw } = reader.next();
    if (ttlSeconds === null && /^\d+$/.test(raw)) {
      ttlSeconds = integerOf(raw, MAX_TTL_SECONDS);
    } else if (klass === null && isClass(raw)) {
      klass = classNumber(raw);
    } else {
      const type = /^\d/.test(raw) ? null : typeNumber(raw);
      if (type === null) throw new PresentationError(`${raw} is no type`);
      const data = parseRdata(type, reader);
      return { owner, type, class: klass ?? CLASS.IN, ttlSeconds: ttlSeconds ?? defaultTtlSeconds, data };
    }
  }
}

// The classes ANY and NONE, which records have in updates alone (RFC 2136 §2.4), go by number: ANY is also a type.
function recordClass(klass: number): string {
  return klass === CLASS.ANY || klass === CLASS.NONE ? `CLASS${klass}` : className(klass);
}

function isClass(text: string): boolean {
  return /^(IN|CH|HS|CLASS\d+)$/i.test(text);
}

/** The message for people, in the manner of dig: header, EDNS, question, sections. */
export function messageText(message: Message): string {
  const { questions, answers, authority, additional, edns } = message;
  const count = additional.length + (edns === null ? 0 : 1);
  return [
    `;; opcode: ${opcodeName(message.opcode)}, status: ${rcodeName(message.rcode)}, id: ${message.id}`,
    `;; flags:${flagsText(message)}; QUERY: ${questions.length}, ANSWER: ${answers.length}, AUTHORITY: ${authority.length}, ADDITIONAL: ${count}`,
    ...(edns === null ? [] : ["", ";; OPT PSEUDOSECTION:", ...ednsLines(edns)]),
    ...sectionLines("QUESTION", questions.map(questionText)),
    ...sectionLines("ANSWER", answers.map(recordLine)),
    ...sectionLines("AUTHORITY", authority.map(recordLine)),
    ...sectionLines("ADDITIONAL", additional.map(recordLine)),
    "",
  ].join("\n");
}

/** What the extended errors of a message say (RFC 8914), such as "15 (Blocked)". */
export function extendedErrorTexts({ edns }: Message): string[] {
  const options = edns?.options ?? [];
  return options.flatMap((option) => (option.kind === "extendedError" ? [extendedErrorText(option)] : []));
}

const opcodeNames = new Map<number, string>(Object.entries(OPCODE).map(([name, number]) => [number, name]));

function opcodeName(opcode: number): string {
  return opcodeNames.get(opcode) ?? `OPCODE${opcode}`;
}

function flagsText(message: Message): string {
  const flags = {
    qr: message.response,
    aa: message.authoritative,
    tc: message.truncated,
    rd: message.recursionDesired,
    ra: message.recursionAvailable,
    ad: message.authenticData,
    cd: message.checkingDisabled,
  };
  return Object.entries(flags)
    .map(([name, set]) => (set ? ` ${name}` : ""))
    .join("");
}

function ednsLines(edns: MessageEdns): string[] {
  const others = edns.otherFlags === 0 ? "" : ` 0x${edns.otherFlags.toString(16)}`;
  const head = `; EDNS: version: ${edns.version}, flags:${edns.dnssecOk ? " do" : ""}${others}; udp: ${edns.udpPayloadBytes}`;
  return [head, ...edns.options.map((option) => `; ${optionText(option)}`)];
}

function sectionLines(title: string, lines: readonly string[]): string[] {
  return lines.length === 0 ? [] : ["", `;; ${title} SECTION:`, ...lines];
}

function questionText({ name, class: klass, type }: MessageQuestion): string {
  return `;${absoluteText(name)} ${className(klass)} ${typeName(type)}`;
}

function recordLine(record: ResourceRecord): string {
  const note = record.data.kind === "opaque" ? record.data.note : null;
  return recordText(record) + (note === null ? "" : ` ; malformed: ${note}`);
}

/** A message as `application/dns-json`, with the members that Google's and Cloudflare's public resolvers use. Empty sections are left out. */
interface JsonMessage {
  /** The rcode. */
  readonly Status: number;
  readonly TC: boolean;
  readonly RD: boolean;
  readonly RA: boolean;
  readonly AD: boolean;
  readonly CD: boolean;
  readonly Question: readonly { readonly name: string; readonly type: number }[];
  readonly Answer?: readonly JsonRecord[];
  readonly Authority?: readonly JsonRecord[];
  readonly Additional?: readonly JsonRecord[];
  /** What the extended errors say (RFC 8914). */
  readonly Comment?: string;
}

interface JsonRecord {
  /** With its final dot. */
  readonly name: string;
  readonly type: number;
  readonly TTL: number;
  /** Presentation format. */
  readonly data: string;
}

export function jsonMessage(message: Message): JsonMessage {
  const comments = extendedErrorTexts(message).map((text) => `EDE ${text}`);
  return {
    Status: message.rcode,
    TC: message.truncated,
    RD: message.recursionDesired,
    RA: message.recursionAvailable,
    AD: message.authenticData,
    CD: message.checkingDisabled,
    Question: message.questions.map(({ name, type }) => ({ name: absoluteText(name), type })),
    ...(message.answers.length > 0 && { Answer: message.answers.map(jsonRecord) }),
    ...(message.authority.length > 0 && { Authority: message.authority.map(jsonRecord) }),
    ...(message.additional.length > 0 && { Additional: message.additional.map(jsonRecord) }),
    ...(comments.length > 0 && { Comment: comments.join("; ") }),
  };
}

function jsonRecord({ owner, type, ttlSeconds, data }: ResourceRecord): JsonRecord {
  return { name: absoluteText(owner), type, TTL: ttlSeconds, data: rdataText(data) };
}

import { type EdnsOption, extendedErrorOf, extendedErrorText, optionText } from "./edns.ts";
import type { Message, MessageEdns, MessageQuestion, ResourceRecord } from "./message.ts";
import { absoluteText } from "./name.ts";
import { rdataText } from "./rdata.ts";
import { CLASS, className, OPCODE, rcodeName, typeName } from "./types.ts";

/** A record as one line of a master file (RFC 1035 §5.1): owner, TTL, class, type and data. */
export function recordText({ owner, ttlSeconds, class: klass, type, data }: ResourceRecord): string {
  return `${absoluteText(owner)} ${ttlSeconds} ${recordClass(klass)} ${typeName(type)} ${rdataText(data)}`.trimEnd();
}

// Only records of updates have the classes ANY and NONE (RFC 2136 §2.4). They are shown as numbers, because ANY is also a type.
function recordClass(klass: number): string {
  return klass === CLASS.ANY || klass === CLASS.NONE ? `CLASS${klass}` : className(klass);
}

/** The message as dig shows it: header, EDNS, question, sections. */
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

/** The extended errors among the options of a message (RFC 8914), such as "15 (Blocked)". */
export function extendedErrorTexts(options: readonly EdnsOption[]): string[] {
  return options.map(extendedErrorOf).flatMap((error) => (error === null ? [] : [extendedErrorText(error)]));
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

/** A message as `application/dns-json`, with the members of Google's and Cloudflare's public resolvers. Empty sections are left out. */
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
  /** The extended errors (RFC 8914). */
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
  const comments = extendedErrorTexts(message.edns?.options ?? []).map((text) => `EDE ${text}`);
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

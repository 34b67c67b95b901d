import type { Message, ResourceRecord } from "./message.ts";
import { extendedErrorTexts } from "./presentation.ts";
import { absoluteText } from "./rdata/field.ts";
import { rdataText } from "./rdata/rdata.ts";

/** A message as `application/dns-json`, with the members that Google's and Cloudflare's public resolvers use. Empty sections are left out. */
export interface JsonMessage {
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

export interface JsonRecord {
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

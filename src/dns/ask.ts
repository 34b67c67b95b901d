import type { Answer } from "./answer.ts";
import { ednsRecord, UDP_PAYLOAD_OCTETS } from "./edns.ts";
import { FLAG, HEADER_OCTETS } from "./query.ts";
import type { Question } from "./question.ts";

/** Queries over encrypted transports are padded to a multiple of this (RFC 8467 §4.1). */
export const QUERY_PADDING_OCTETS = 128;

export interface AskOptions {
  readonly id: number;
  /** false for the rare server that answers FORMERR to EDNS (RFC 6891 §7). */
  readonly edns: boolean;
  /** Whether to pad to `QUERY_PADDING_OCTETS`: on encrypted transports. */
  readonly padded: boolean;
}

/** The message that asks an upstream: RD set, AD set (RFC 6840 §5.7), CD, DO and the client subnet as the question has them. */
export function askMessage(question: Question, { id, edns, padded }: AskOptions): Buffer {
  const questionEnd = HEADER_OCTETS + question.name.length + 4;
  const message = Buffer.alloc(questionEnd);
  message.writeUInt16BE(id, 0);
  message.writeUInt16BE(FLAG.RD | FLAG.AD | (question.checkingDisabled ? FLAG.CD : 0), 2);
  message.writeUInt16BE(1, 4);
  message.write(question.name, HEADER_OCTETS, "latin1");
  message.writeUInt16BE(question.type, questionEnd - 4);
  message.writeUInt16BE(question.class, questionEnd - 2);
  if (!edns) return message;
  message.writeUInt16BE(1, 10);
  const opt = ednsRecord(
    {
      udpPayloadOctets: UDP_PAYLOAD_OCTETS,
      extendedRcode: 0,
      dnssecOk: question.dnssecOk,
      clientSubnet: question.clientSubnet,
      extendedErrors: [],
      paddingBlockOctets: padded ? QUERY_PADDING_OCTETS : 0,
    },
    questionEnd,
  );
  return Buffer.concat([message, opt]);
}

/** Whether a response repeats this question; letter case does not matter (RFC 4343). */
export function answersQuestion(answer: Answer, question: Question): boolean {
  return answer.name === question.name && answer.type === question.type && answer.class === question.class;
}

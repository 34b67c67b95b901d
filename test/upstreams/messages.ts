import ipaddr from "ipaddr.js";
import { buildAnswer, negativeSoa } from "../../src/dns/answer.ts";
import { type Name, nameFromText } from "../../src/dns/name.ts";
import type { Question } from "../../src/dns/query.ts";
import { CLASS, RCODE, TYPE } from "../../src/dns/types.ts";
import type { Action, Asked } from "./scripted-server.ts";

export function nameOf(text: string): Name {
  const name = nameFromText(text);
  if (name === null) throw new Error(`not a name: ${text}`);
  return name;
}

export function questionFor(text: string, type: number = TYPE.A): Question {
  return { name: nameOf(text), type, class: CLASS.IN, dnssecOk: false, checkingDisabled: false, clientSubnet: null };
}

/** A response with one address record for each address, whatever was asked. Its id is 0. */
export function addressMessage(
  { name, type, class: klass }: Question,
  addresses: readonly string[],
  ttlSeconds = 300,
): Uint8Array {
  const answers = addresses.map((text) => {
    const address = ipaddr.parse(text);
    const record = address.kind() === "ipv4" ? TYPE.A : TYPE.AAAA;
    return { owner: name, type: record, ttlSeconds, data: Uint8Array.from(address.toByteArray()) };
  });
  return new Uint8Array(buildAnswer({ name, type, class: klass, rcode: RCODE.NOERROR, answers, authority: [] }).wire);
}

/** An empty response with an SOA, NOERROR or the rcode given. */
export function negativeMessage({ name, type, class: klass }: Question, rcode: number = RCODE.NOERROR): Uint8Array {
  return new Uint8Array(buildAnswer({ name, type, class: klass, rcode, answers: [], authority: [negativeSoa(name, 60)] }).wire);
}

/** A response with an rcode and nothing else. */
export function rcodeMessage({ name, type, class: klass }: Question, rcode: number): Uint8Array {
  return new Uint8Array(buildAnswer({ name, type, class: klass, rcode, answers: [], authority: [] }).wire);
}

/** Answers with these addresses. */
export function addresses(asked: Asked, ...texts: readonly string[]): Action {
  return { kind: "reply", message: addressMessage(asked.query, texts) };
}

/** Answers with nothing but an rcode. */
export function rcode(asked: Asked, code: number): Action {
  return { kind: "reply", message: rcodeMessage(asked.query, code) };
}

/** The right answer under another id. */
export function wrongId(asked: Asked, ...texts: readonly string[]): Action {
  const message = Buffer.from(addressMessage(asked.query, texts));
  message.writeUInt16BE(asked.query.id ^ 0x5555, 0);
  return { kind: "raw", message };
}

/** An answer under the right id to a question about another name. */
export function wrongQuestion(asked: Asked, ...texts: readonly string[]): Action {
  return { kind: "reply", message: addressMessage({ ...asked.query, name: nameOf("wrong.example") }, texts) };
}

/** The answer that does not fit: no records, and TC. */
export function truncated(asked: Asked): Action {
  const message = rcodeMessage(asked.query, RCODE.NOERROR);
  message[2] = (message[2] ?? 0) | 0x02;
  return { kind: "reply", message };
}

/** The right answer without its last bytes. */
export function cutShort(asked: Asked, ...texts: readonly string[]): Action {
  return { kind: "reply", message: addressMessage(asked.query, texts).slice(0, -3) };
}

export const silence: Action = { kind: "silence" };
export const close: Action = { kind: "close" };

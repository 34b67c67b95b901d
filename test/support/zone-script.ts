import type { Message, MessageQuestion, ResourceRecord } from "../../src/dns/message.ts";
import { isWithin, type Name } from "../../src/dns/name.ts";
import type { Query } from "../../src/dns/query.ts";
import { RCODE, TYPE } from "../../src/dns/types.ts";
import { responseWire, zone } from "../dns/zone.ts";
import type { Action, Asked, Script } from "../upstreams/scripted-server.ts";

/** The negative TTL of a scripted zone without an SOA. */
export const ZONE_NEGATIVE_SECONDS = 30;

const DEFAULT_SOA = `example ${ZONE_NEGATIVE_SECONDS} SOA ns.example hostmaster.example 1 3600 600 86400 ${ZONE_NEGATIVE_SECONDS}`;

/** An honest upstream with these records: it follows aliases, and its negative answers follow RFC 2308. */
export function honest(...lines: readonly string[]): Script {
  const records = zone(...lines);
  return (asked) => reply(answerFrom(records, asked.query));
}

/** NXDOMAIN with an SOA, also for names that exist. */
export function deny(asked: Asked): Action {
  return reply({ questions: [questionOf(asked.query)], rcode: RCODE.NXDOMAIN, authority: soaOf([], asked.query.name) });
}

/** NODATA with an SOA. */
export function empty(asked: Asked): Action {
  return reply({ questions: [questionOf(asked.query)], authority: soaOf([], asked.query.name) });
}

/** NOERROR without any record. */
export function bare(asked: Asked): Action {
  return reply({ questions: [questionOf(asked.query)] });
}

export function withRcode(asked: Asked, rcode: number): Action {
  return reply({ questions: [questionOf(asked.query)], rcode });
}

/** A reply to the query with these parts. */
export function respond(asked: Asked, parts: Partial<Message>): Action {
  return reply({ questions: [questionOf(asked.query)], ...parts });
}

export const silent: Action = { kind: "silence" };

function reply(parts: Partial<Message>): Action {
  return { kind: "reply", message: responseWire(parts) };
}

function answerFrom(records: readonly ResourceRecord[], query: Query): Partial<Message> {
  const questions = [questionOf(query)];
  const answers: ResourceRecord[] = [];
  let name: Name = query.name;
  for (let aliases = 0; aliases < 16; aliases++) {
    const own = records.filter(({ owner }) => owner === name);
    const wanted = own.filter(({ type }) => type === query.type);
    if (wanted.length > 0) return { questions, answers: [...answers, ...wanted] };
    const alias = own.find(({ type }) => type === TYPE.CNAME);
    if (alias === undefined || alias.data.kind !== "CNAME") break;
    answers.push(alias);
    name = alias.data.name;
  }
  const exists = records.some(({ owner }) => isWithin(owner, name));
  return { questions, answers, authority: soaOf(records, name), rcode: exists ? RCODE.NOERROR : RCODE.NXDOMAIN };
}

/** The SOA of the records, else one of `example`, or of the root for names elsewhere. */
function soaOf(records: readonly ResourceRecord[], name: Name): readonly ResourceRecord[] {
  const own = records.filter(({ type }) => type === TYPE.SOA);
  if (own.length > 0) return own;
  return zone(name.endsWith(EXAMPLE) ? DEFAULT_SOA : DEFAULT_SOA.replace("example", "."));
}

const EXAMPLE = "\x07example\0";

function questionOf({ name, type, class: klass }: Query): MessageQuestion {
  return { name, type, class: klass };
}

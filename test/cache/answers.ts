import type { LifetimeLimits } from "../../src/cache/lifetime.ts";
import { type Answer, type BuiltRecord, buildAnswer, negativeSoa } from "../../src/dns/answer.ts";
import { type Name, nameFromText, nameWire } from "../../src/dns/name.ts";
import type { Question } from "../../src/dns/query.ts";
import { CLASS, RCODE, TYPE } from "../../src/dns/types.ts";

/** Limits that change nothing below three hours. */
export const wideLimits: LifetimeLimits = {
  ttl: { minSeconds: 0, maxSeconds: 86_400 },
  negative: { minSeconds: 1, maxSeconds: 10_800, blockSeconds: 60, bareSeconds: 10, failureSeconds: 5 },
};

/** The defaults of section `answers`. */
export const usualLimits: LifetimeLimits = { ...wideLimits, negative: { ...wideLimits.negative, maxSeconds: 60 } };

export function name(text: string): Name {
  const parsed = nameFromText(text);
  if (parsed === null) throw new Error(`not a name: ${text}`);
  return parsed;
}

export function question(text: string, type: number = TYPE.A, changed: Partial<Question> = {}): Question {
  return {
    name: name(text),
    type,
    class: CLASS.IN,
    dnssecOk: false,
    checkingDisabled: false,
    clientSubnet: null,
    ...changed,
  };
}

export interface AnswerShape {
  readonly type?: number;
  readonly ttlSeconds?: number;
  /** The target of an alias of the queried name. */
  readonly alias?: string;
  readonly aliasTtlSeconds?: number;
  /** Bytes of the record's data. */
  readonly data?: Uint8Array;
}

const ADDRESS = Uint8Array.of(192, 0, 2, 7);

export function positive(text: string, shape: AnswerShape = {}): Answer {
  const { type = TYPE.A, ttlSeconds = 300, data = ADDRESS } = shape;
  const record = { owner: name(shape.alias ?? text), type, ttlSeconds, data };
  return response(text, { type, rcode: RCODE.NOERROR, answers: [...aliasRecords(text, shape), record], soa: null });
}

export function nodata(text: string, shape: AnswerShape = {}): Answer {
  return negative(text, RCODE.NOERROR, shape);
}

export function nxdomain(text: string, shape: AnswerShape = {}): Answer {
  return negative(text, RCODE.NXDOMAIN, shape);
}

/** NODATA without an SOA. */
export function bare(text: string, shape: AnswerShape = {}): Answer {
  const { type = TYPE.A } = shape;
  return response(text, { type, rcode: RCODE.NOERROR, answers: aliasRecords(text, shape), soa: null });
}

export function failure(text: string, shape: AnswerShape = {}): Answer {
  return response(text, { type: shape.type ?? TYPE.A, rcode: RCODE.SERVFAIL, answers: [], soa: null });
}

/** The same answer with its bytes in a plain array, because `toEqual` distinguishes a Buffer. */
export function plain(answer: Answer): Answer {
  return { ...answer, wire: Uint8Array.from(answer.wire) };
}

function negative(text: string, rcode: number, shape: AnswerShape): Answer {
  const { type = TYPE.A, ttlSeconds = 60 } = shape;
  const soa = negativeSoa(name("zone.example"), ttlSeconds);
  return response(text, { type, rcode, answers: aliasRecords(text, shape), soa });
}

function aliasRecords(text: string, { alias, aliasTtlSeconds = 300 }: AnswerShape): BuiltRecord[] {
  if (alias === undefined) return [];
  return [{ owner: name(text), type: TYPE.CNAME, ttlSeconds: aliasTtlSeconds, data: nameWire(name(alias)) }];
}

interface Parts {
  readonly type: number;
  readonly rcode: number;
  readonly answers: readonly BuiltRecord[];
  readonly soa: BuiltRecord | null;
}

function response(text: string, { type, rcode, answers, soa }: Parts): Answer {
  return buildAnswer({ name: name(text), type, class: CLASS.IN, rcode, answers, authority: soa === null ? [] : [soa] });
}

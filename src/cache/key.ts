import type { ClientSubnet } from "../dns/edns.ts";
import { MAX_LABEL_LENGTH, MAX_NAME_LENGTH, type Name } from "../dns/name.ts";
import type { Question } from "../dns/query.ts";
import { CLASS } from "../dns/types.ts";

declare const keyBrand: unique symbol;

/**
 * What an answer is held under: the name, then characters for flags, type, client subnet if one is sent, class, and last the route. Every part
 * before the route has a length that can be read, so two questions share a key only if all parts are equal.
 */
export type CacheKey = string & { readonly [keyBrand]: true };

/** A key taken apart. */
export interface KeyParts {
  readonly name: Name;
  /** null = the key of an NXDOMAIN, which answers every type. */
  readonly type: number | null;
  readonly class: number;
  readonly dnssecOk: boolean;
  readonly checkingDisabled: boolean;
  readonly clientSubnet: ClientSubnet | null;
  readonly route: string;
}

const DNSSEC_OK = 1;
const CHECKING_DISABLED = 2;
const WITH_SUBNET = 4;
const EVERY_TYPE = 8;

/** @param route the name of the upstream group: equal questions to different groups have different answers. */
export function cacheKey(question: Question, route: string): CacheKey {
  return (question.name + suffixOf(question, route)) as CacheKey;
}

/** The key of the NXDOMAIN that speaks for the name of `key`, whatever the type (RFC 2308 §5); DO, CD, subnet, class and route stay. */
export function nxdomainKey(key: CacheKey): CacheKey {
  const flagsAt = nameLength(key);
  const head = key.slice(0, flagsAt) + String.fromCharCode(key.charCodeAt(flagsAt) | EVERY_TYPE, 0, 0);
  return (head + key.slice(flagsAt + 3)) as CacheKey;
}

/** Class and route as one string. Only answers of one scope say anything about each other's names. */
export function scopeOf(klass: number, route: string): string {
  return bytePair(klass) + route;
}

export function scopeOfKey(key: CacheKey): string {
  return key.slice(scopeOffset(key));
}

export function readKey(key: CacheKey): KeyParts {
  const flagsAt = nameLength(key);
  const flags = key.charCodeAt(flagsAt);
  const classAt = scopeOffset(key);
  return {
    name: key.slice(0, flagsAt) as Name,
    type: (flags & EVERY_TYPE) === 0 ? readPair(key, flagsAt + 1) : null,
    class: readPair(key, classAt),
    dnssecOk: (flags & DNSSEC_OK) !== 0,
    checkingDisabled: (flags & CHECKING_DISABLED) !== 0,
    clientSubnet: (flags & WITH_SUBNET) === 0 ? null : readSubnet(key, flagsAt + 3, classAt),
    route: key.slice(classAt + 2),
  };
}

/** Checks that a text from a file is a key; null = it is not. The letters of its name must be in lower case. */
export function keyFromText(text: string): CacheKey | null {
  let flagsAt = 0;
  for (let length = text.charCodeAt(0); length !== 0; length = text.charCodeAt(flagsAt)) {
    if (Number.isNaN(length) || length > MAX_LABEL_LENGTH) return null;
    flagsAt += 1 + length;
  }
  const key = text as CacheKey;
  return flagsAt < MAX_NAME_LENGTH && scopeOffset(key) + 2 <= text.length ? key : null;
}

function suffixOf(question: Question, route: string): string {
  if (question.clientSubnet !== null || question.class !== CLASS.IN) return newSuffix(question, route);
  const suffixes = suffixesOf(route);
  const shape = question.type * 4 + flagsOf(question);
  const known = suffixes.get(shape);
  if (known !== undefined) return known;
  const suffix = newSuffix(question, route);
  if (suffixes.size < MAX_SUFFIXES) suffixes.set(shape, suffix);
  return suffix;
}

/** Limits of the suffixes in memory. Beyond them a suffix is built again for each question, which costs some nanoseconds. */
const MAX_ROUTES = 256;
const MAX_SUFFIXES = 256;

const suffixesByRoute = new Map<string, Map<number, string>>();

function suffixesOf(route: string): Map<number, string> {
  const known = suffixesByRoute.get(route);
  if (known !== undefined) return known;
  // Reloads may bring new routes without end. All are dropped, because old ones are not worth finding.
  if (suffixesByRoute.size >= MAX_ROUTES) suffixesByRoute.clear();
  const suffixes = new Map<number, string>();
  suffixesByRoute.set(route, suffixes);
  return suffixes;
}

function newSuffix(question: Question, route: string): string {
  const { clientSubnet } = question;
  const flags = flagsOf(question) | (clientSubnet === null ? 0 : WITH_SUBNET);
  const head = String.fromCharCode(flags) + bytePair(question.type);
  return head + (clientSubnet === null ? "" : subnetText(clientSubnet)) + scopeOf(question.class, route);
}

function flagsOf(question: Question): number {
  return (question.dnssecOk ? DNSSEC_OK : 0) | (question.checkingDisabled ? CHECKING_DISABLED : 0);
}

// Without the scope: in a question it is always zero (RFC 7871 §6).
function subnetText({ family, sourcePrefix, prefixHex }: ClientSubnet): string {
  return String.fromCharCode(family, sourcePrefix) + prefixHex;
}

function readSubnet(key: CacheKey, start: number, end: number): ClientSubnet {
  return {
    family: key.charCodeAt(start) === 1 ? 1 : 2,
    sourcePrefix: key.charCodeAt(start + 1),
    scopePrefix: 0,
    prefixHex: key.slice(start + 2, end),
  };
}

function nameLength(key: CacheKey): number {
  let position = 0;
  while (key.charCodeAt(position) !== 0) position += 1 + key.charCodeAt(position);
  return position + 1;
}

function scopeOffset(key: CacheKey): number {
  const flagsAt = nameLength(key);
  if ((key.charCodeAt(flagsAt) & WITH_SUBNET) === 0) return flagsAt + 3;
  return flagsAt + 5 + 2 * Math.ceil(key.charCodeAt(flagsAt + 4) / 8);
}

function bytePair(value: number): string {
  return String.fromCharCode(value >> 8, value & 255);
}

function readPair(key: CacheKey, offset: number): number {
  return (key.charCodeAt(offset) << 8) | key.charCodeAt(offset + 1);
}

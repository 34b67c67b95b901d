import { createHash } from "node:crypto";
import { emptyAnswer } from "../answers/negative.ts";
import type { Replacement } from "../answers/replace.ts";
import { withoutAddresses } from "../answers/svcb.ts";
import { AddressSet, addressFromText } from "../dns/address.ts";
import { type Answer, addressesOf, outcomeOf, type RecordPlace, recordsOf, someAddress } from "../dns/answer.ts";
import type { ExtendedError } from "../dns/edns.ts";
import type { Question } from "../dns/query.ts";
import { hintAddresses, svcParams } from "../dns/svcb.ts";
import { EDE, RCODE, TYPE } from "../dns/types.ts";
import { runSync } from "../lib/cooperative.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { ReplaceOptions, RuleOptions } from "../rules/options.ts";
import type { GroupOptions } from "../upstreams/options.ts";
import { BINDING_TYPES } from "./filters.ts";
import type { Resolution } from "./types.ts";

/** What a near answer says about its name. All but `kept` speak for the far side. */
export type Classification =
  /** Every address is in the near list. */
  | "kept"
  /** An address is not in the near list. */
  | "foreign"
  /** An address is in `poison` or `bogus`. Such an answer is never sent. */
  | "void"
  /** There are no addresses: NODATA, an empty answer, NXDOMAIN. */
  | "empty"
  /** The group failed: an rcode that answers nothing, or no answer. */
  | "failed"
  /** The group did not answer in its time. */
  | "silent";

/** Classifies the resolution of the near group; null = none in time. A stale answer shows that the group failed. */
export function classify(
  resolution: Pick<Resolution, "source" | "answer"> | null,
  sets: Pick<NearSets, "near" | "forged">,
): Classification {
  if (resolution === null) return "silent";
  if (resolution.answer === null || resolution.source === "stale") return "failed";
  return classifyAnswer(resolution.answer, sets);
}

/** Classifies an answer alone, whatever its age. */
export function classifyAnswer(answer: Answer, sets: Pick<NearSets, "near" | "forged">): Classification {
  if (isVoid(answer)) return "void";
  const outcome = outcomeOf(answer);
  switch (outcome) {
    case "failure":
      return "failed";
    case "nodata":
    case "nodataWithoutSoa":
    case "nxdomain":
      return "empty";
    case "positive": {
      if (isForged(answer, sets.forged)) return "void";
      // Hints are addresses too. Those for IPv6 are not judged, as AAAA does not contradict a verdict by A.
      const addresses = [...addressesOf(answer), ...hintsOf(answer).filter(({ length }) => length === 4)];
      if (addresses.length === 0) return "empty";
      return addresses.every((address) => sets.near.has(address)) ? "kept" : "foreign";
    }
    default:
      return unreachable(outcome);
  }
}

/**
 * Whether an answer is forged: it has a forged address in its records, in hints or in the additional section, or it answers a question for HTTPS with
 * records of another type, as some forgers do. Hints that cannot be read may be anything, and some client may read them.
 */
export function isForged(answer: Answer, forged: AddressSet): boolean {
  if (hasForeignAnswer(answer)) return true;
  if (forged.size === 0) return false;
  if (hasUnreadableBinding(answer)) return true;
  const isForgedAddress = (address: Uint8Array): boolean => forged.has(address);
  if (someAddress(answer, isForgedAddress) || hintsOf(answer).some(isForgedAddress)) return true;
  return answer.additionalOffset < answer.wire.length && someAddress(answer, isForgedAddress, "additional");
}

/** Whether `keepChain` left address records, or all records, out of the answer section of an answer to HTTPS or SVCB. */
function hasForeignAnswer({ type, answered, dropped = [] }: Answer): boolean {
  if (!BINDING_TYPES.has(type)) return false;
  return dropped.some(
    (record) => record.section === "answer" && (!answered || record.type === TYPE.A || record.type === TYPE.AAAA),
  );
}

function hasUnreadableBinding(answer: Answer): boolean {
  return bindingsOf(answer).some((place) => svcParams(answer.wire, place) === null);
}

/** The SVCB and HTTPS records of all sections; none for questions of other types. */
function bindingsOf(answer: Answer): readonly RecordPlace[] {
  return BINDING_TYPES.has(answer.type) ? recordsOf(answer).filter(({ type }) => BINDING_TYPES.has(type)) : [];
}

/** The addresses in the hints of `bindingsOf`. */
function hintsOf(answer: Answer): Uint8Array[] {
  const params = bindingsOf(answer).flatMap((place) => svcParams(answer.wire, place) ?? []);
  return params.flatMap(({ key, start, end }) => hintAddresses({ key, value: answer.wire.subarray(start, end) }));
}

/**
 * What stands in place of a forged answer, also in the cache: SERVFAIL; for HTTPS and SVCB NODATA, which leaves the addresses of the name alive in every
 * client.
 */
export function voidAnswer(question: Question, route: string, answer: Answer, forged: AddressSet): Answer {
  const isBinding = BINDING_TYPES.has(question.type);
  const reason = hasForeignAnswer(answer)
    ? "answered with records of another type"
    : isForged(answer, forged)
      ? hasUnreadableBinding(answer)
        ? "answered with a service binding that cannot be read"
        : "gave an address of poison or bogus"
      : "gave no address that its group takes";
  const extendedErrors: ExtendedError[] = [{ code: EDE.OTHER, text: `void answer: ${route} ${reason}`, isVoid: true }];
  return { ...emptyAnswer(question, isBinding ? RCODE.NOERROR : RCODE.SERVFAIL), extendedErrors };
}

/** Whether the answer stands in place of a forged one. */
export function isVoid({ extendedErrors }: Pick<Answer, "extendedErrors">): boolean {
  return extendedErrors.some((error) => error.isVoid === true);
}

/** The sets that answers are classified by. Immutable: a changed list makes another classifier. */
export interface AddressClassifier {
  /** Addresses of `poison` and `bogus`. An answer with one of them is void, whichever group sent it. */
  readonly forged: AddressSet;
  /** Equal for equal sets `forged`, `accept` and `drop`. The cache stores it with each answer of the group that was checked by them. */
  readonly fingerprintFor: (group: string) => string;
  /** An answer of the group without the addresses that its `accept` and `drop` take out; null = it is forged, or no address is left. */
  readonly screen: (answer: Answer, group: string) => Answer | null;
  /** What modifier `replace` of a rule says, with its lists. */
  readonly replacements: (options: readonly ReplaceOptions[]) => readonly Replacement[];
  /** The far groups of all comparisons. Over UDP a forged answer may come before theirs. */
  readonly farGroups: ReadonlySet<string>;
  /** The sets for the list in `keepNearIf`. @throws Error for a list that no rule names. */
  readonly near: (list: string) => NearSets;
}

export interface NearSets {
  readonly near: AddressSet;
  readonly forged: AddressSet;
  /** Equal for equal sets, also after a restart. */
  readonly fingerprint: string;
}

interface ClassifierParts {
  readonly rules: readonly RuleOptions[];
  readonly groups: readonly Pick<GroupOptions, "name" | "accept" | "drop">[];
  /** Addresses, CIDRs and `list:NAME`. */
  readonly poison: readonly string[];
  readonly bogus: readonly string[];
  /** null = there is no list of addresses with that name. */
  readonly addresses: (list: string) => AddressSet | null;
}

/** @throws Error for an unknown list or an invalid address; the checks of the configuration report those first. */
export function addressClassifier({ rules, groups, poison, bogus, addresses }: ClassifierParts): AddressClassifier {
  const list = (name: string): AddressSet => {
    const set = addresses(name);
    if (set === null) throw new Error(`there is no list of addresses ${name}`);
    return set;
  };
  const forged = unionOf([...poison, ...bogus], list);
  const compares = rules.flatMap(({ action }) => (action?.kind === "compare" ? [action.compare] : []));
  const byList = new Map<string, NearSets>();
  for (const { keepNearIf } of compares) {
    const near = list(keepNearIf);
    if (!byList.has(keepNearIf)) byList.set(keepNearIf, { near, forged, fingerprint: fingerprintOf(near, forged) });
  }
  const replacements = new Map(
    rules.flatMap(({ modifiers: { replace } }): [readonly ReplaceOptions[], readonly Replacement[]][] =>
      replace === undefined
        ? []
        : [
            [
              replace,
              replace.map((each) => ({
                from: list(each.list),
                to: each.addresses.flatMap((text) => addressFromText(text) ?? []),
              })),
            ],
          ],
    ),
  );
  const forgedFingerprint = fingerprintOf(forged);
  const filters = new Map(
    groups.flatMap(({ name, accept, drop }): [string, GroupFilter][] => {
      if (accept.length + drop.length === 0) return [];
      const filter = groupFilter(unionOf(accept, list), unionOf(drop, list));
      return [[name, { ...filter, fingerprint: fingerprintOf(forged, filter.accept, filter.drop) }]];
    }),
  );
  return {
    forged,
    replacements: (options) => replacements.get(options) ?? [],
    fingerprintFor: (group) => filters.get(group)?.fingerprint ?? forgedFingerprint,
    screen: (answer, group) => (isForged(answer, forged) ? null : withoutFiltered(answer, filters.get(group) ?? null)),
    farGroups: new Set(compares.map(({ far }) => far)),
    near: (name) => {
      const sets = byList.get(name);
      if (sets === undefined) throw new Error(`no rule compares by the list ${name}`);
      return sets;
    },
  };
}

/** What `accept` and `drop` of a group say. */
interface GroupFilter {
  readonly accept: AddressSet;
  readonly drop: AddressSet;
  readonly allows: (address: Uint8Array) => boolean;
  readonly fingerprint: string;
}

function groupFilter(accept: AddressSet, drop: AddressSet): Omit<GroupFilter, "fingerprint"> {
  // A list of one family says nothing about the other: AAAA of every name would fail.
  const isAccepted = (address: Uint8Array) => !accept.hasFamily(address.length) || accept.has(address);
  return { accept, drop, allows: (address) => !drop.has(address) && isAccepted(address) };
}

/** The answer as it came where nothing is filtered. DNSSEC no longer covers an answer that lost records: AD and their signatures go. */
function withoutFiltered(answer: Answer, filter: GroupFilter | null): Answer | null {
  if (filter === null) return answer;
  const addresses = [...addressesOf(answer), ...addressesOf(answer, "additional"), ...hintsOf(answer)];
  if (addresses.every(filter.allows)) return answer;
  const edited = withoutAddresses(answer, filter.allows);
  return edited?.answered === answer.answered ? edited : null;
}

function unionOf(entries: readonly string[], list: (name: string) => AddressSet): AddressSet {
  return runSync(AddressSet.union(entries.map((entry) => setOf(entry, list))));
}

function setOf(entry: string, list: (name: string) => AddressSet): AddressSet {
  return entry.startsWith(LIST) ? list(entry.slice(LIST.length)) : AddressSet.of(entry);
}

const LIST = "list:";

function fingerprintOf(...sets: readonly AddressSet[]): string {
  const hash = createHash("sha256");
  for (const set of sets) hash.update(set.fingerprint);
  return hash.digest("base64url").slice(0, 16);
}

import { createHash } from "node:crypto";
import { AddressSet, rangeFromText } from "../dns/address.ts";
import { type Answer, addressesOf, outcomeOf, recordsOf } from "../dns/answer.ts";
import type { ExtendedError } from "../dns/edns.ts";
import { hintAddresses, svcParams } from "../dns/svcb.ts";
import { EDE } from "../dns/types.ts";
import { unreachable } from "../lib/unreachable.ts";
import type { RuleOptions } from "../rules/options.ts";
import { BINDING_TYPES } from "./filters.ts";
import type { Resolution } from "./types.ts";

/** What the near group's word on a name comes to. All but `kept` speak for the far side. */
export type Classification =
  /** Every address is in the list. */
  | "kept"
  /** One or more are not. */
  | "foreign"
  /** It carries an address of `poison` or `bogus`, and is never sent. */
  | "void"
  /** No addresses: NODATA, an empty answer, NXDOMAIN. */
  | "empty"
  /** An rcode that answers nothing, or no answer, and that soon. */
  | "failed"
  /** Nothing within the time that the near group has. */
  | "silent";

/** What the near group gave; null = nothing in time. A stale answer tells that it failed. */
type NearOutcome = Pick<Resolution, "source" | "answer"> | null;

/** Measures a near answer. @param near what addresses must be in to be kept. */
export function classify(outcome: NearOutcome, sets: { readonly near: AddressSet; readonly forged: AddressSet }): Classification {
  if (outcome === null) return "silent";
  if (outcome.answer === null || outcome.source === "stale") return "failed";
  return classifyAnswer(outcome.answer, sets);
}

/** The same for an answer alone, however old it is. */
export function classifyAnswer(answer: Answer, sets: { readonly near: AddressSet; readonly forged: AddressSet }): Classification {
  const outcome = outcomeOf(answer);
  switch (outcome) {
    case "failure":
      return answer.extendedErrors.some(({ text }) => text.startsWith(VOID)) ? "void" : "failed";
    case "nodata":
    case "nodataWithoutSoa":
    case "nxdomain":
      return "empty";
    case "positive": {
      if (isForged(answer, sets.forged)) return "void";
      const addresses = addressesOf(answer);
      if (addresses.length === 0) return "empty";
      return addresses.every((address) => sets.near.has(address)) ? "kept" : "foreign";
    }
    default:
      return unreachable(outcome);
  }
}

/** Whether an answer carries an address that only liars give, be it as a hint or beside what was asked for. */
export function isForged(answer: Answer, forged: AddressSet): boolean {
  if (forged.size === 0) return false;
  const beside = answer.additionalOffset < answer.wire.length ? addressesOf(answer, "additional") : [];
  return [...addressesOf(answer), ...beside, ...hintsOf(answer)].some((address) => forged.has(address));
}

/** The addresses that SVCB and HTTPS records hint at; none where another type was asked. */
function hintsOf(answer: Answer): Uint8Array[] {
  if (!BINDING_TYPES.has(answer.type)) return [];
  const bindings = recordsOf(answer).filter(({ type }) => BINDING_TYPES.has(type));
  const params = bindings.flatMap((place) => svcParams(answer.wire, place) ?? []);
  return params.flatMap(({ key, start, end }) => hintAddresses({ key, value: answer.wire.subarray(start, end) }));
}

/** Goes with the SERVFAIL that stands for a forged answer, and tells it from other failures as long as it is held. */
export function voidError(route: string): ExtendedError {
  return { code: EDE.OTHER, text: `${VOID} ${route} gave an address of poison or bogus` };
}

const VOID = "void answer:";

/** What answers are measured by. Immutable: a list that changed makes others. */
export interface AddressClassifier {
  /** Addresses of `poison` and `bogus`: an answer with one of them is void, whoever gave it. */
  readonly forged: AddressSet;
  /** Equal for equal addresses in `forged`, however they came there: held answers bear it once they are judged by that set. */
  readonly forgedFingerprint: string;
  /** Groups that some rule compares others with: over UDP their answers may be outrun by forged ones. */
  readonly farGroups: ReadonlySet<string>;
  /** By the list that `keepNearIf` names. @throws Error for one that no rule names. */
  readonly near: (list: string) => NearMeasure;
}

interface NearMeasure {
  readonly near: AddressSet;
  readonly forged: AddressSet;
  /** Equal for equal addresses in all of these sets, also after a restart. */
  readonly fingerprint: string;
}

/** Where the sets come from. */
interface MeasureParts {
  readonly rules: readonly RuleOptions[];
  /** Addresses, CIDRs and `list:NAME`. */
  readonly poison: readonly string[];
  readonly bogus: readonly string[];
  /** null where no list of addresses has the name. */
  readonly addresses: (list: string) => AddressSet | null;
}

/** @throws Error for what the checks of the configuration refuse. */
export function addressClassifier({ rules, poison, bogus, addresses }: MeasureParts): AddressClassifier {
  const list = (name: string): AddressSet => {
    const set = addresses(name);
    if (set === null) throw new Error(`there is no list of addresses ${name}`);
    return set;
  };
  const forged = new AddressSet([...poison, ...bogus].flatMap((entry) => rangesOf(entry, list)));
  const compares = rules.flatMap(({ action }) => (action?.kind === "compare" ? [action.compare] : []));
  const measures = new Map<string, NearMeasure>();
  for (const { keepNearIf } of compares) {
    const near = list(keepNearIf);
    if (!measures.has(keepNearIf)) measures.set(keepNearIf, { near, forged, fingerprint: fingerprintOf(near, forged) });
  }
  return {
    forged,
    forgedFingerprint: fingerprintOf(forged),
    farGroups: new Set(compares.map(({ far }) => far)),
    near: (name) => {
      const measure = measures.get(name);
      if (measure === undefined) throw new Error(`no rule compares by the list ${name}`);
      return measure;
    },
  };
}

function rangesOf(entry: string, list: (name: string) => AddressSet) {
  if (entry.startsWith(LIST)) return [...list(entry.slice(LIST.length)).ranges()];
  const range = rangeFromText(entry);
  if (range === null) throw new Error(`${entry} is no address or network`);
  return [range];
}

const LIST = "list:";

function fingerprintOf(...sets: readonly AddressSet[]): string {
  const hash = createHash("sha256");
  for (const set of sets) {
    hash.update(`${set.size} `);
    for (const { first, last } of set.ranges()) hash.update(first).update(last);
  }
  return hash.digest("base64url").slice(0, 16);
}

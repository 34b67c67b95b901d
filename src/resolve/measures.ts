import { createHash } from "node:crypto";
import { AddressSet, rangeFromText } from "../dns/address.ts";
import type { RuleOptions } from "../rules/options.ts";

/** What answers are measured by. Immutable: a list that changed makes others. */
export interface Measures {
  /** Addresses of `poison` and `bogus`: an answer with one of them is void, whoever gave it. */
  readonly forged: AddressSet;
  /** Equal for equal addresses in `forged`, however they came there: held answers bear it once they are judged by that set. */
  readonly forgedFingerprint: string;
  /** Groups that some rule compares others with: over UDP their answers may be outrun by forged ones. */
  readonly farGroups: ReadonlySet<string>;
  /** By the list that `keepNearIf` names. @throws Error for one that no rule names. */
  readonly near: (list: string) => NearMeasure;
}

export interface NearMeasure {
  readonly near: AddressSet;
  readonly forged: AddressSet;
  /** Equal for equal addresses in all of these sets, also after a restart. */
  readonly fingerprint: string;
}

/** Where the sets come from. */
export interface MeasureParts {
  readonly rules: readonly RuleOptions[];
  /** Addresses, CIDRs and `list:NAME`. */
  readonly poison: readonly string[];
  readonly bogus: readonly string[];
  /** null where no list of addresses has the name. */
  readonly addresses: (list: string) => AddressSet | null;
}

/** @throws Error for what the checks of the configuration refuse. */
export function measuresOf({ rules, poison, bogus, addresses }: MeasureParts): Measures {
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

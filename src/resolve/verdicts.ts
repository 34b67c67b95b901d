import { LRUCache } from "lru-cache";
import type { Name } from "../dns/name.ts";
import type { CompareOptions } from "../rules/options.ts";
import type { Finding } from "./judge.ts";
import type { Resolver } from "./resolver.ts";

export type Side = "near" | "far";

/** Which side answers a name, and why. */
export interface Verdict {
  readonly side: Side;
  /** What the near group's answer came to. */
  readonly finding: Finding;
  /** The type that was judged: A or AAAA. */
  readonly type: number;
  /** false where it tells more of the near group's state, or of a name without addresses, than of where the name belongs. */
  readonly firm: boolean;
  /** On the scale of `Clock.now`. */
  readonly foundAtMs: number;
  /** Of the sets it was found by. */
  readonly fingerprint: string;
}

/** Verdicts remembered at most, of some 200 bytes each; one that was forgotten costs a comparison. */
export const MAX_VERDICTS = 50_000;

/**
 * How long a verdict lives that is not firm, if `verdict` is not shorter: an outage of the near group must not send its names abroad for a day,
 * and while it lasts each of them waits for it this seldom.
 */
export const PROVISIONAL_MS = 5 * 60_000;

/** The verdicts on names. Two rules that compare alike share them. */
export class Verdicts {
  readonly #byKey = new LRUCache<string, Verdict>({ max: MAX_VERDICTS });

  /** null where there is none, or its life is over. */
  get(key: string, { nowMs, verdictMs, fingerprint }: VerdictTerms): Verdict | null {
    const verdict = this.#byKey.get(key);
    if (verdict === undefined) return null;
    const lifeMs = verdict.firm ? verdictMs : Math.min(verdictMs, PROVISIONAL_MS);
    if (verdict.fingerprint === fingerprint && nowMs - verdict.foundAtMs < lifeMs) return verdict;
    this.#byKey.delete(key);
    return null;
  }

  put(key: string, verdict: Verdict): void {
    this.#byKey.set(key, verdict);
  }

  delete(key: string): void {
    this.#byKey.delete(key);
  }

  /** From the one used longest ago to the latest; some may be past their life. */
  *entries(): Generator<readonly [key: string, verdict: Verdict]> {
    for (const key of this.#byKey.rkeys()) {
      const verdict = this.#byKey.peek(key);
      if (verdict !== undefined) yield [key, verdict];
    }
  }

  get size(): number {
    return this.#byKey.size;
  }
}

export interface VerdictTerms {
  readonly nowMs: number;
  readonly verdictMs: number;
  readonly fingerprint: string;
}

/** Names end in a zero octet, and names of groups and lists have none, so that no two keys run into each other. */
export function verdictKey(name: Name, { near, far, keepNearIf }: CompareOptions): string {
  return `${name}${near}\0${far}\0${keepNearIf}`;
}

/** The verdict on a name under a rule that compares so; null where there is none. */
export function knownVerdict({ verdicts, measures, clock }: Resolver, name: Name, compare: CompareOptions): Verdict | null {
  const { fingerprint } = measures.near(compare.keepNearIf);
  return verdicts.get(verdictKey(name, compare), { nowMs: clock.now(), verdictMs: compare.verdictMs, fingerprint });
}

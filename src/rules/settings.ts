import type { Rebinding, Shaping, TtlLimits } from "../answers/options.ts";
import type { EcsMode } from "../upstreams/options.ts";
import type { ReplaceOptions, RuleModifiers } from "./options.ts";

/** Combinations of modifiers that are remembered. A configuration has a handful; further ones are computed for each query. */
const MAX_REMEMBERED = 256;

/**
 * What the modifiers of the matching rules add up to. The first rule that sets a modifier wins; `ttl` and `negative` count field by field.
 * Equal paths through the rules return the same object, so a query allocates nothing here.
 */
export class Settings {
  /** Section `answers` with the changes by modifiers. */
  readonly shaping: Shaping;
  /** false = a rule forbids stale answers; true = section `cache` decides. */
  readonly stale: boolean;
  /** null = the group decides. */
  readonly ecs: EcsMode | null;
  /** null = the group decides, and after it section `answers` (`shaping.rebinding`). */
  readonly rebinding: Rebinding | null;
  /** Whether the query log may record the query. */
  readonly log: boolean;
  /** null = addresses are given as they come. */
  readonly replace: readonly ReplaceOptions[] | null;
  readonly #answers: Shaping;
  readonly #merged: RuleModifiers;
  readonly #following = new Map<RuleModifiers, Settings>();
  readonly #remembered: { count: number };

  private constructor(answers: Shaping, merged: RuleModifiers, remembered: { count: number }) {
    this.#answers = answers;
    this.#merged = merged;
    this.#remembered = remembered;
    this.shaping = shapingOf(answers, merged);
    this.stale = merged.stale ?? true;
    this.ecs = merged.ecs ?? null;
    this.rebinding = merged.rebinding ?? null;
    this.log = merged.log ?? true;
    this.replace = merged.replace ?? null;
  }

  /** The settings before any rule. */
  static initial(answers: Shaping): Settings {
    return new Settings(shapingOf(answers, {}), {}, { count: 0 });
  }

  /** The settings after one more matching rule. */
  after(modifiers: RuleModifiers): Settings {
    const known = this.#following.get(modifiers);
    if (known !== undefined) return known;
    const following = new Settings(this.#answers, firstWins(this.#merged, modifiers), this.#remembered);
    if (this.#remembered.count < MAX_REMEMBERED) {
      this.#remembered.count++;
      this.#following.set(modifiers, following);
    }
    return following;
  }
}

function firstWins(first: RuleModifiers, later: RuleModifiers): RuleModifiers {
  return {
    ...later,
    ...first,
    ttl: { ...later.ttl, ...first.ttl },
    negative: { ...later.negative, ...first.negative },
  };
}

function shapingOf(answers: Shaping, changed: RuleModifiers): Shaping {
  return {
    https: changed.https ?? answers.https,
    ipv6: changed.ipv6 ?? answers.ipv6,
    ipv4: changed.ipv4 ?? answers.ipv4,
    ttl: limitsWith(answers.ttl, changed.ttl ?? {}),
    negative: limitsWith(answers.negative, changed.negative ?? {}),
    rebinding: changed.rebinding ?? answers.rebinding,
  };
}

// A limit of a rule may cross the opposite limit of section `answers`. Then the limit of the rule holds, and the other one moves to it.
function limitsWith<Limits extends TtlLimits>(answers: Limits, changed: Partial<Limits>): Limits {
  const limits = { ...answers, ...changed };
  if (limits.minSeconds <= limits.maxSeconds) return limits;
  if (changed.maxSeconds === undefined) return { ...limits, maxSeconds: limits.minSeconds };
  return { ...limits, minSeconds: limits.maxSeconds };
}

import type { NegativeLimits, Rebinding, Shaping, TtlLimits } from "../answers/options.ts";
import type { EcsMode } from "../upstreams/options.ts";
import type { RuleModifiers } from "./options.ts";

/** Combinations of modifiers that are remembered; a site has a handful, and beyond this they are put together afresh. */
const MAX_REMEMBERED = 256;

/**
 * What the modifiers seen so far come to. Of one modifier the first setting wins, and `ttl` and `negative` count field by field.
 * Equal paths through the rules give the same object, so a query allocates nothing here.
 */
export class Settings {
  readonly shaping: Shaping;
  readonly stale: boolean;
  readonly ecs: EcsMode | null;
  readonly rebinding: Rebinding | null;
  readonly log: boolean;
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
  }

  /** Section `answers`, before any rule. */
  static initial(answers: Shaping): Settings {
    return new Settings(shapingOf(answers, {}), {}, { count: 0 });
  }

  /** These settings after one more rule whose modifiers apply. */
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
    ttl: ttlLimits(answers.ttl, changed.ttl ?? {}),
    negative: negativeLimits(answers.negative, changed.negative ?? {}),
    rebinding: changed.rebinding ?? answers.rebinding,
  };
}

// One field named in a rule may cross the other one of section `answers`: what the rule says holds, and the other gives way.
function ttlLimits(answers: TtlLimits, changed: Partial<TtlLimits>): TtlLimits {
  return ordered({ ...answers, ...changed }, changed);
}

function negativeLimits(answers: NegativeLimits, changed: Partial<NegativeLimits>): NegativeLimits {
  return ordered({ ...answers, ...changed }, changed);
}

function ordered<Limits extends TtlLimits>(limits: Limits, changed: Partial<TtlLimits>): Limits {
  if (limits.minSeconds <= limits.maxSeconds) return limits;
  if (changed.maxSeconds === undefined) return { ...limits, maxSeconds: limits.minSeconds };
  return { ...limits, minSeconds: limits.maxSeconds };
}

import type { Compare, Drop, Forward, LocalAnswer, Reply } from "./decision.ts";
import type { CompareOptions } from "./options.ts";
import type { RuleMatch } from "./patterns.ts";
import type { Settings } from "./settings.ts";

/** What a decision rests on. */
export interface Ground {
  readonly rule: string | null;
  readonly match: RuleMatch | null;
  readonly settings: Settings;
}

export function forward(group: string, { rule, match, settings }: Ground): Forward {
  const { shaping, stale, ecs, rebinding, log } = settings;
  return { kind: "forward", group, rule, match, shaping, stale, ecs, rebinding, log };
}

export function compare(options: CompareOptions, { rule, match, settings }: Ground): Compare {
  const { shaping, stale, ecs, rebinding, log } = settings;
  return { kind: "compare", compare: options, rule, match, shaping, stale, ecs, rebinding, log };
}

export function drop({ rule, match, settings }: Ground): Drop {
  const { shaping, stale, ecs, rebinding, log } = settings;
  return { kind: "drop", action: "drop", rule, match, shaping, stale, ecs, rebinding, log };
}

export function reply(
  answer: LocalAnswer,
  { source, action }: Pick<Reply, "source" | "action">,
  { rule, match, settings }: Ground,
): Reply {
  const { shaping, stale, ecs, rebinding, log } = settings;
  return { kind: "reply", source, action, answer, rule, match, shaping, stale, ecs, rebinding, log };
}

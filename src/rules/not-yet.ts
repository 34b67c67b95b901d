import type { Shaping } from "../answers/options.ts";
import type { RuleOptions, SpecialOptions } from "./options.ts";

/** What a configuration asks of the rules, of the shaping of answers and of the special names that cannot be done yet: one sentence each. */
export function notYet(parts: {
  readonly rules: readonly RuleOptions[];
  readonly answers: Pick<Shaping, "ipv6" | "ipv4" | "rebinding">;
  readonly special: SpecialOptions;
}): string[] {
  return [
    ...shapingNotYet("answers", parts.answers),
    ...(parts.special.ddr ? ["special.ddr is not there yet: resolver.arpa gets NODATA"] : []),
    ...parts.rules.flatMap(ruleNotYet),
  ];
}

function ruleNotYet({ name, modifiers }: RuleOptions): string[] {
  const place = `rule ${name}`;
  return [...shapingNotYet(place, modifiers), ...(modifiers.stale === undefined ? [] : [`${place}: stale is not there yet`])];
}

function shapingNotYet(place: string, shaping: Partial<Pick<Shaping, "ipv6" | "ipv4" | "rebinding">>): string[] {
  const { rebinding } = shaping;
  return [...(rebinding === "nodata" ? [`${place}: rebinding: nodata is not there yet`] : [])];
}

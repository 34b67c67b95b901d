import type { RuleOptions, SpecialOptions } from "./options.ts";

/** What a configuration asks of the rules and of the special names that cannot be done yet: one sentence each. */
export function notYet(parts: { readonly rules: readonly RuleOptions[]; readonly special: SpecialOptions }): string[] {
  return [
    ...(parts.special.ddr ? ["special.ddr is not there yet: resolver.arpa gets NODATA"] : []),
    ...parts.rules.flatMap(({ name, modifiers }) =>
      modifiers.stale === undefined ? [] : [`rule ${name}: stale is not there yet`],
    ),
  ];
}

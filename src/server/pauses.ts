import type { RuleOptions } from "../rules/options.ts";
import { buildPolicy } from "./policy.ts";
import { type ServerState, ServerStateError, stateWith } from "./state.ts";

/** Rules that answer here, passed over for a while. */
export interface RulePause {
  readonly id: string;
  /** Empty = all rules that answer here. */
  readonly rules: readonly string[];
  /** An address, a network or a client id; null = for everybody. */
  readonly client: string | null;
  readonly untilWallMs: number;
}

/** More are of no use to people, and each makes the rules longer. */
export const MAX_PAUSES = 32;

/**
 * The same state, deciding by the rules without those that are paused. The state differs in nothing else, so everything that shows or explains
 * decisions shows the pause; a state without pauses is returned as it is.
 */
export function withPauses(state: ServerState, pauses: readonly RulePause[]): ServerState {
  if (pauses.length === 0) return state;
  const { config, policy } = state;
  const rules = pausedRules(config.rules, pauses);
  return stateWith(state, buildPolicy({ ...config, rules }, policy.hostsSource, policy.lists));
}

/** The same state by all rules of its configuration. */
export function withoutPauses(state: ServerState): ServerState {
  const { config, policy } = state;
  return stateWith(state, buildPolicy(config, policy.hostsSource, policy.lists));
}

function pausedRules(rules: readonly RuleOptions[], pauses: readonly RulePause[]): RuleOptions[] {
  return rules.flatMap((rule) => {
    if (!answersHere(rule)) return [rule];
    const concerning = pauses.filter((pause) => pause.rules.length === 0 || pause.rules.includes(rule.name));
    if (concerning.some(({ client }) => client === null)) return [];
    return [{ ...rule, clients: [...rule.clients, ...concerning.map(({ client }) => `!${client}`)] }];
  });
}

/** @throws ServerStateError if a rule is not there, or answers nothing itself. */
export function checkPausable(rules: readonly RuleOptions[], names: readonly string[]): void {
  for (const name of names) {
    const rule = rules.find((each) => each.name === name);
    if (rule === undefined) throw new ServerStateError([`there is no rule ${name}`]);
    if (!answersHere(rule)) throw new ServerStateError([`rule ${name} answers nothing itself: there is nothing to pause`]);
  }
}

function answersHere({ action }: RuleOptions): boolean {
  return action?.kind === "answer";
}

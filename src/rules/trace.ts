import { type Name, nameText } from "../dns/name.ts";
import type { HostsTable } from "../hosts/table.ts";
import type { Entry } from "../lists/domain-set.ts";
import type { Decision } from "./decision.ts";
import { describeMatch, type RuleMatch } from "./patterns.ts";
import type { Miss } from "./rule.ts";

/** One thing that was looked at on the way to a decision. */
export type Step =
  /** The static table decided. */
  | { readonly kind: "hosts"; readonly pattern: string; readonly source: string; readonly line: number }
  /** The name is special; the rules can still let it out by a pattern within the zone. */
  | { readonly kind: "special"; readonly zone: Name }
  | {
      readonly kind: "rule";
      readonly rule: string;
      /** `closed`: it matches and would decide, but by no pattern within the special zone, so the name stays here. */
      readonly outcome: "decides" | "modifies" | "closed" | Miss;
      /** What it matched by; null for a miss, and where it has no pattern. */
      readonly match: Entry | null;
    }
  /** The name must not get NXDOMAIN, because of the static table, of a special name, or of this rule. */
  | { readonly kind: "kept"; readonly because: "hosts" | "special" | { readonly rule: string } }
  /** No rule decided. */
  | { readonly kind: "first-group"; readonly group: string };

/** A decision with the way to it. */
export interface Explanation {
  readonly decision: Decision;
  readonly steps: readonly Step[];
}

export function hostsStep(hosts: HostsTable, name: Name): Step {
  const match = hosts.lookup(name);
  const from = match ?? hosts.pointer(name);
  return { kind: "hosts", pattern: match?.pattern ?? nameText(name), source: from?.source ?? "", line: from?.line ?? 0 };
}

export function hitStep(rule: string, outcome: "decides" | "modifies" | "closed", match: RuleMatch | null): Step {
  return { kind: "rule", rule, outcome, match: match === null ? null : describeMatch(match) };
}

/** One thing that was looked at on the way to a decision, JSON as it stands: the same in the log, in explanations and on the command line. */
export type TraceStep =
  /** The static table decided. */
  | { readonly kind: "hosts"; readonly pattern: string; readonly source: string; readonly line: number }
  /** The name lies in a special zone: only a pattern within the zone lets it out. */
  | { readonly kind: "special"; readonly zone: string }
  | {
      readonly kind: "rule";
      readonly rule: string;
      /**
       * `decides`, `modifies`; `closed`: it would decide, but by no pattern within the special zone. All others say which condition did not
       * hold: `types`, `clients`, `domains`, `excepted`, `longest`.
       */
      readonly outcome: "decides" | "modifies" | "closed" | "types" | "clients" | "domains" | "excepted" | "longest";
      /** What it matched by; null for a miss, and for a rule without patterns. */
      readonly match: TraceMatch | null;
    }
  /** NXDOMAIN was not given, because of the static table, a special name, or this rule. */
  | { readonly kind: "kept"; readonly because: "hosts" | "special" | { readonly rule: string } }
  /** No rule decided. */
  | { readonly kind: "first-group"; readonly group: string }
  /** The static table has an alias; what follows is about its target. In records only. */
  | { readonly kind: "alias"; readonly target: string }
  /** How a comparison chose between its sides. In records only. */
  | {
      readonly kind: "compared";
      readonly side: "near" | "far";
      /** What the near answer came to, now or when the verdict was found: `kept`, `foreign`, `void`, `empty`, `failed`, `silent`; null = there was none. */
      readonly near: string | null;
      /**
       * `comparison`: both were weighed. `verdict`: one is held. `default`: nothing is known of the name, and the type is not judged.
       * `failure`: the far group failed, so this is the best that was left.
       */
      readonly by: "comparison" | "verdict" | "default" | "failure";
    };

/** Where a pattern stands. */
export interface TraceMatch {
  /** null = written in the rule. */
  readonly list: string | null;
  readonly source: string;
  readonly line: number;
  readonly pattern: string;
}

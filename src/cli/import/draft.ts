import type { CompareOptions } from "../../rules/options.ts";

/** What is written for one server: its text, or a map where addresses are pinned. */
export type DraftServer = string | { readonly url: string; readonly addresses: readonly string[] };

export interface DraftGroup {
  readonly servers: readonly DraftServer[];
  readonly strategy?: "race" | "spread";
  readonly fallback?: string;
  readonly proxy?: string;
}

export interface DraftModifiers {
  readonly https?: "nodata";
  readonly ipv6?: "nodata" | "prefer-ipv4";
  readonly ipv4?: "nodata" | "prefer-ipv6";
  readonly ttl?: { readonly min?: string; readonly max?: string };
  readonly ecs?: string;
}

export interface DraftConditions {
  readonly domains?: readonly string[];
  readonly clients?: readonly string[];
  readonly types?: readonly string[];
}

/** In the order in which its keys are written. */
export interface DraftRule extends DraftConditions, DraftModifiers {
  readonly name: string;
  readonly upstream?: string;
  readonly compare?: Pick<CompareOptions, "near" | "far" | "keepNearIf">;
  readonly answer?: "nodata" | "zero" | "refused";
}

export interface DraftList {
  readonly domains?: readonly string[];
  readonly addresses?: readonly string[];
  readonly refresh?: string;
}

/** What this version can be asked for; what it cannot is left out and reported. */
export interface Capabilities {
  readonly compare: boolean;
  readonly ecs: boolean;
  readonly preferFamily: boolean;
}

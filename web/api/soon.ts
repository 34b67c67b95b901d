import type { ConfigDiff } from "../../src/admin/schemas/edits.ts";
import type { ConfigCheck, WhatIf } from "../../src/admin/schemas/views.ts";
import type { Said } from "../../src/lib/said.ts";

export interface EditPreview {
  diff: ConfigDiff["lines"];
  check: ConfigCheck;
  expect: { held: number; total: number; broken: readonly Said[] };
  whatIf: WhatIf | null;
  whatIfDone: boolean;
  ticket: string | null;
}
export interface AppliedEdit {
  version: string;
  previous: string;
}
export interface ConfigFile {
  path: string;
  text: string;
  digest: string;
  inForce: boolean;
}
export interface Pause {
  id: string;
  rules: readonly string[];
  client: string | null;
  until: string;
}

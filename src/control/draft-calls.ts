import type { ConfigResult } from "../config/load.ts";
import type { Draft } from "./drafts.ts";

/** What the thread of drafts does. */
export type DraftCalls = {
  readonly read: { readonly argument: Draft; readonly result: ConfigResult };
};

import { signal } from "@preact/signals";
import type { ConfigEdit } from "./api/calls.ts";

/**
 * The edit that the user tries at the moment: a configuration that is not in force. null = none. It is in this tab alone and ends with it: a text may hold
 * what is nobody else's business.
 */
export const draft = signal<ConfigEdit | null>(null);

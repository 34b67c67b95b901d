import { signal } from "@preact/signals";
import { visibleText } from "../parts/visible.ts";
import { type Calls, type Operation, requestOf } from "./calls.ts";

/** A call that failed: the status and words of the server; status 0 = no server answered. */
export class CallError extends Error {
  readonly status: number;
  readonly problems: readonly { readonly parameter: string | null; readonly reason: string }[];

  constructor(status: number, detail: string, problems: CallError["problems"] = []) {
    super(detail);
    this.name = "CallError";
    this.status = status;
    this.problems = problems;
  }
}

/** Whether the server wants to know who the user is. */
export const signInNeeded = signal(false);
/** Rises when the user signs in: what failed for want of it is asked again. */
export const session = signal(0);
/** When the server was last heard, in milliseconds since 1970. */
export const heardAt = signal<number | null>(null);
/** Whether the last call reached nobody. */
export const isGone = signal(false);

/** @throws CallError */
export async function call<K extends Operation>(
  operation: K,
  input: Calls[K]["input"],
  abort?: AbortSignal,
): Promise<Calls[K]["output"]> {
  const { method, url, body } = requestOf(operation, input);
  const isChange = method !== "GET";
  const response = await fetch(url, {
    method,
    ...(isChange ? { headers: { "content-type": "application/json" } } : {}),
    ...(body === null ? {} : { body }),
    ...(abort === undefined ? {} : { signal: abort }),
  }).catch((error: unknown) => {
    if (abort?.aborted) throw error;
    isGone.value = true;
    throw new CallError(0, "");
  });
  isGone.value = false;
  heardAt.value = Date.now();
  if (response.status === 204) return undefined as Calls[K]["output"];
  const json: ReturnType<typeof JSON.parse> = await response.json().catch((error: unknown) => {
    // What was given up, or broke off, is no answer.
    if (abort?.aborted) throw error;
    if (!response.ok) return null;
    isGone.value = true;
    throw new CallError(0, "");
  });
  if (response.ok) return json;
  if (response.status === 401) signInNeeded.value = true;
  throw new CallError(response.status, visibleText(json?.detail ?? `HTTP ${response.status}`), json?.problems ?? []);
}

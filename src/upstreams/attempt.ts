import type { Clock } from "../lib/clock.ts";
import { type Attempt, type Errand, UpstreamError } from "./upstream.ts";

/** What stays the same in all attempts at one server. */
export interface AttemptSubject {
  readonly server: string;
  readonly transport: Attempt["transport"];
  readonly clock: Clock;
}

/** Asks, and notes in `errand.attempts` how it went. The group is left null: a group fills in its own name. */
export async function noteAttempt<T extends { readonly rcode: number }>(
  errand: Errand,
  { server, transport, clock }: AttemptSubject,
  ask: () => Promise<T>,
): Promise<T> {
  const startedMs = clock.now();
  const note = (rcode: number | null, failure: Attempt["failure"]): void => {
    errand.attempts.push({ group: null, server, transport, elapsedMs: clock.now() - startedMs, rcode, failure });
  };
  try {
    const reply = await ask();
    note(reply.rcode, null);
    return reply;
  } catch (error) {
    // Anything else is a bug, and no failure of the server.
    if (error instanceof UpstreamError) note(null, error.failure);
    throw error;
  }
}

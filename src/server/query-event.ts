import type { Access, Admission } from "../access/access.ts";
import type { Rendered } from "../answers/render.ts";
import { isRejection, type Query, type Rejection } from "../dns/query.ts";
import { RCODE } from "../dns/types.ts";
import type { Client } from "../lib/client.ts";
import type { Resolution, Resolver } from "../resolve/types.ts";

/** What bytes are answered with: one value, swapped whole by a reload. */
export interface AnsweringState {
  readonly resolver: Resolver;
  readonly access: Access;
  /** Of configuration, hosts and lists. */
  readonly version: string;
}

/** What is known of a query when its reply has been made: nothing is put into words yet, and all of it stays as it is. */
export interface QueryEvent {
  readonly site: AnsweringState;
  readonly client: Client;
  readonly parsed: Query | Rejection;
  readonly admission: Admission;
  /** null where nothing was decided: malformed, turned away, or a fault of ours. */
  readonly resolution: Resolution | null;
  /** null = nothing is sent. */
  readonly rendered: Rendered | null;
  /** The message was there, and the reply was; on the scale of `Clock.now`. */
  readonly startedMs: number;
  readonly endedMs: number;
}

/** Told of every query however it ended, before its reply goes out: it must return at once, and never throws. */
export interface QueryObserver {
  observe(noted: QueryEvent): void;
}

/** For servers that nobody watches. */
export const NO_NOTES: QueryObserver = { observe: () => {} };

/** How a query ended that nothing was decided about. */
export function undecidedEnding({ parsed, admission }: QueryEvent): "access" | "rate" | "malformed" | "unsupported" | "fault" {
  if (admission !== "admitted") return admission === "limited" ? "rate" : "access";
  if (!isRejection(parsed)) return "fault";
  return parsed.rejected === RCODE.FORMERR ? "malformed" : "unsupported";
}

/** The rcode that was sent; null = nothing was. */
export function rcodeSent({ parsed, admission, rendered }: QueryEvent): number | null {
  if (rendered === null) return null;
  // The only one beyond four bits: its upper ones stand in OPT.
  if (admission === "admitted" && isRejection(parsed) && parsed.rejected === RCODE.BADVERS) return RCODE.BADVERS;
  return (rendered.wire[3] ?? 0) & 15;
}

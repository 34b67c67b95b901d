import type { Admission } from "../access/access.ts";
import type { Rendered } from "../answers/render.ts";
import type { Answer } from "../dns/answer.ts";
import { isRejection, type Query, type Rejection } from "../dns/query.ts";
import { RCODE } from "../dns/types.ts";
import type { Client } from "../lib/client.ts";
import type { HandlerReply } from "../listen/types.ts";
import type { Resolution } from "../resolve/types.ts";
import type { ServerState } from "./state.ts";

/** Everything that is known about a query when its reply is ready. Immutable; texts are made later, by those who need them. */
export interface QueryEvent {
  /** The state that answered. */
  readonly state: ServerState;
  readonly client: Client;
  readonly parsed: Query | Rejection;
  readonly admission: Admission;
  /** null = no rule was asked: the query was malformed or turned away, or Fenliu failed. */
  readonly resolution: Resolution | null;
  /** null = nothing is sent. */
  readonly rendered: Rendered | null;
  /** When the message arrived and when the reply was ready, on the scale of `Clock.now`. */
  readonly startedMs: number;
  readonly endedMs: number;
}

export interface QueryObserver {
  /** Called once for every query, before its reply is sent. Must return at once and never throws. */
  observe(event: QueryEvent): void;
}

/** Takes the addresses of answers to where they are wanted before the clients use them: address lists of a router. */
export interface AnswerFeed {
  /**
   * Notes an answer that is about to be sent, by the rule that decided. `untilMs`: until when the reply may wait, on the scale of `Clock.now`; null = it goes
   * at once.
   * @returns null = there is nothing to wait for; else whether all its addresses have arrived, in time. Never rejects.
   */
  see(seen: {
    readonly rule: string;
    readonly answer: Answer;
    readonly ttlSeconds: number;
    readonly untilMs: number | null;
  }): Promise<boolean> | null;
  /** Until when an answer that was just noted may be given again without being noted, on the scale of `Clock.now`. */
  repeatableUntilMs(rule: string, answer: Answer): number;
}

/** Has replies repeated: to queries over UDP by another thread. */
export interface ReplyPublisher {
  /** Repeats the reply to an equal query over a stream; counts and records it. null = the query must be answered in full. */
  repeat(message: Uint8Array, client: Client): HandlerReply | null;
  /** Takes notice of a query whose reply was made at once, from the state that serves, after the feed has noted its answer. Never throws. */
  offer(event: QueryEvent, feed: AnswerFeed | null): void;
}

/** How a query ended for which no rule was asked. */
export function undecidedEnding({ parsed, admission }: QueryEvent): "access" | "rate" | "malformed" | "unsupported" | "fault" {
  if (admission !== "admitted") return admission === "limited" ? "rate" : "access";
  if (!isRejection(parsed)) return "fault";
  return parsed.rejected === RCODE.FORMERR ? "malformed" : "unsupported";
}

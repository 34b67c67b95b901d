import type { Access, Admission } from "./access/access.ts";
import type { Rendered } from "./answers/render.ts";
import type { Client } from "./client.ts";
import type { Query, Rejection } from "./dns/query.ts";
import type { Resolution } from "./resolve/resolution.ts";
import type { Resolver } from "./resolve/resolver.ts";

/** What bytes are answered with: one value, swapped whole by a reload. */
export interface AnsweringSite {
  readonly resolver: Resolver;
  readonly access: Access;
  /** Of configuration, hosts and lists. */
  readonly version: string;
}

/** What is known of a query when its reply has been made: nothing is put into words yet, and all of it stays as it is. */
export interface Noted {
  readonly site: AnsweringSite;
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
export interface Notes {
  note(noted: Noted): void;
}

/** For servers that nobody watches. */
export const NO_NOTES: Notes = { note: () => {} };

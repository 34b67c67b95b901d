import type { Client } from "../lib/client.ts";

/**
 * What the listeners hand messages to. It never throws or rejects, answers every message within a deadline of its own
 * and keeps UDP replies within the client's size. May be called any number of times at once.
 */
export interface Handler {
  /**
   * `message` is fresh and belongs to the handler. What can be answered at once is returned synchronously.
   * null = nothing is sent: silence on UDP, TCP and TLS, status 400 on HTTP.
   */
  answer(message: Uint8Array, client: Client): Reply | null | Promise<Reply | null>;
  /** `?name=&type=` asked over HTTP: the JSON text, or a short explanation for a 400. */
  answerJson(parameters: URLSearchParams, client: Client): Promise<JsonReply>;
}

/** A finished reply. `wire` is not changed after it was handed over. */
export interface Reply {
  readonly wire: Uint8Array;
  /** For DoH's Cache-Control: the lowest TTL in seconds; null = no-store. */
  readonly maxAgeSeconds: number | null;
}

export type JsonReply =
  | { readonly kind: "ok"; readonly body: string; readonly maxAgeSeconds: number | null }
  | { readonly kind: "bad"; readonly text: string };

import type { AddressSet } from "../dns/address.ts";
import type { Client } from "../lib/client.ts";
import type { Clock } from "../lib/clock.ts";
import type { ListenLimits } from "./limits.ts";
import type { ListenOptions } from "./options.ts";
import type { ConnectionSlots } from "./tcp.ts";

/**
 * What the listeners hand messages to. It never throws or rejects, answers every message within a deadline of its own
 * and keeps UDP replies within the client's size. May be called any number of times at once.
 */
export interface Handler {
  /**
   * `message` is fresh and belongs to the handler. What can be answered at once is returned synchronously.
   * null = nothing is sent: silence on UDP, TCP and TLS, status 400 on HTTP.
   */
  answer(message: Uint8Array, client: Client): HandlerReply | null | Promise<HandlerReply | null>;
  /** `?name=&type=` asked over HTTP: the JSON text, or a short explanation for a 400. */
  answerJson(parameters: URLSearchParams, client: Client): Promise<JsonReply>;
}

/** A finished reply. `wire` is not changed after it was handed over. */
export interface HandlerReply {
  readonly wire: Uint8Array;
  /** For DoH's Cache-Control: the lowest TTL in seconds; null = no-store. */
  readonly maxAgeSeconds: number | null;
}

export type JsonReply =
  | { readonly kind: "ok"; readonly body: string; readonly maxAgeSeconds: number | null }
  | { readonly kind: "bad"; readonly text: string };

/** What all listeners of one set share. */
export interface ListenServices {
  readonly handler: Handler;
  readonly clock: Clock;
  readonly limits: ListenLimits;
  readonly counters: ListenCounters;
  readonly slots: ConnectionSlots;
  /** Peers whose PROXY header is read. */
  readonly proxyPeers: AddressSet;
  /** Peers whose X-Forwarded-For is believed. */
  readonly trustedProxies: AddressSet;
  readonly report: (event: ListenEvent) => void;
}

/** What an operator may want to know and the listeners themselves have coped with. */
export type ListenEvent =
  | { readonly kind: "certificateReloaded" }
  | { readonly kind: "certificateRefused"; readonly reason: string }
  | { readonly kind: "localAddressSkipped"; readonly address: string; readonly reason: string }
  | { readonly kind: "socketError"; readonly where: string; readonly reason: string };

/** Counted since the listeners were opened; `udpInFlight` and `connections` are of this moment. */
export interface ListenCounters {
  /** UDP queries whose answer is awaited. */
  udpInFlight: number;
  /** UDP queries dropped because too many were in flight. */
  udpShed: number;
  /** UDP replies that could not be sent. */
  udpUnsent: number;
  connections: number;
  /** Connections closed at once because there were too many. */
  connectionsRefused: number;
}

/** Listens nowhere: for programs of ours that open one listener or another, whose endpoints stand beside it. */
export const NOWHERE: ListenOptions = {
  dns: [],
  tls: [],
  https: [],
  http: [],
  admin: null,
  dohPath: "/dns-query",
  proxyProtocol: [],
};
